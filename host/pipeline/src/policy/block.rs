//! `[[allow]]`: what is allowed at most, and to which steps.

use pipe_capability::{
    ceiling::{
        ArtifactCeiling, Block, EndpointCeiling, ExecCeiling, HttpCeiling, HttpCeilingTarget, MailCeiling, NamePattern,
        PathCeiling, PlacePattern, PluginPattern, SecretCeiling, SecretDestination, SourcePattern, SqlCeiling,
    },
    exec::ArgumentPattern,
    mail::Recipient,
    rule::RuleError,
    sql::{Access, SqlRule},
    word::Word,
};
use pipe_core::stage::Stage;

use super::{
    BlockPlaces,
    named::{Kind, Named, networks, refused, rule},
};
use crate::{
    document::{digest, port},
    fields::{self, Fields, Located},
    keys,
    node::{Node, Value},
    report::Report,
};

/// Reads one block and where its rules stand.
pub(super) fn read(report: &Report, node: &Node, named: &Named) -> Option<(Block, BlockPlaces)> {
    let fields = Fields::of(report, node, keys::POLICY_ALLOW)?;
    let reader = Reader { report, named };
    let mut block = Block {
        stages: reader.texts(&fields, "stages", |text| reader.stage(text)),
        plugins: reader.texts(&fields, "plugins", |text| reader.plugin(text)),
        environments: reader.texts(&fields, "environments", |text| Some(text.value.clone())),
        any: reader.texts(&fields, "any", |text| reader.words(text)).unwrap_or_default().concat(),
        ..Block::default()
    };
    let mut places = BlockPlaces { span: node.span.clone(), ..BlockPlaces::default() };
    for word in Word::ALL {
        let Some(entry) = fields.get(word.as_str()) else { continue };
        let mut spans = Vec::new();
        for node in fields::array(report, &entry.node) {
            if reader.rule(&mut block, word, node).is_some() {
                spans.push(node.span.clone());
            }
        }
        places.words.insert(word, (entry.key_span.clone(), spans));
    }
    Some((block, places))
}

struct Reader<'a> {
    report: &'a Report,
    named: &'a Named,
}

impl Reader<'_> {
    /// What the texts of an array say; nothing where there is no such key.
    fn texts<T>(&self, fields: &Fields<'_>, key: &str, read: impl Fn(&Located<String>) -> Option<T>) -> Option<Vec<T>> {
        fields.get(key)?;
        let texts = fields.array(key).iter().filter_map(|node| fields::string(self.report, node));
        Some(texts.filter_map(|text| read(&text)).collect())
    }

    fn stage(&self, text: &Located<String>) -> Option<Stage> {
        let stage = text.value.parse().ok();
        if stage.is_none() {
            let message = format!("there is no stage `{}`", text.value);
            let known = Stage::ALL.map(Stage::word);
            self.report.unknown("unknown-stage", message, &text.value, known, text.span.clone());
        }
        stage
    }

    fn plugin(&self, text: &Located<String>) -> Option<PluginPattern> {
        match text.value.strip_prefix("std:") {
            Some("*") => Some(PluginPattern::Standard),
            Some(word) => {
                self.stage(&Located { value: word.to_owned(), span: text.span.clone() }).map(PluginPattern::StandardOf)
            }
            None => self.named.plugin(self.report, text).map(PluginPattern::Content),
        }
    }

    fn words(&self, text: &Located<String>) -> Option<Vec<Word>> {
        if text.value == "*" {
            return Some(Word::ALL.to_vec());
        }
        let word = text.value.parse().ok().map(|word| vec![word]);
        if word.is_none() {
            let message = format!("there is no word `{}`", text.value);
            let known = Word::ALL.map(Word::as_str);
            self.report.unknown("unknown-word", message, &text.value, known, text.span.clone());
        }
        word
    }

    /// Reads one rule of a word.
    fn rule(&self, block: &mut Block, word: Word, node: &Node) -> Option<()> {
        match word {
            Word::Http => block.http.push(self.http(node)?),
            Word::Tcp => block.tcp.push(self.endpoint(node, EndpointCeiling::tcp)?),
            Word::Tls => block.tls.push(
                self.endpoint(node, |text| EndpointCeiling::tls(text, |name| self.named.peer(name, Kind::Http)))?,
            ),
            Word::Sql => block.sql.push(self.text(node, |text| self.sql(text))?),
            Word::Mail => block.mail.push(self.mail(node)?),
            Word::Reveal => {
                let fields = Fields::of(self.report, node, keys::POLICY_REVEAL)?;
                block.reveal.push(self.source(&fields)?);
            }
            Word::Read => block.read.push(self.text(node, PathCeiling::parse)?),
            Word::Write => block.write.push(self.text(node, PathCeiling::parse)?),
            Word::Disk => block.disk.push(self.text(node, PathCeiling::parse)?),
            Word::Env => block.env.push(self.text(node, NamePattern::parse)?),
            Word::Secrets => block.secrets.push(self.secret(node)?),
            Word::Exec => block.exec.push(self.exec(node)?),
            Word::Artifacts => block.artifacts.push(self.text(node, artifacts)?),
        }
        Some(())
    }

    fn text<T>(&self, node: &Node, parse: impl FnOnce(&str) -> Result<T, RuleError>) -> Option<T> {
        rule(self.report, &fields::string(self.report, node)?, parse)
    }

    fn http(&self, node: &Node) -> Option<HttpCeiling> {
        let parse = |text: &str| {
            HttpCeiling::parse(text, |target| match target {
                HttpCeilingTarget::Peer(name) => self.named.peer(&name, Kind::Http),
                HttpCeilingTarget::Hosts(place) => Ok(place),
            })
        };
        if !matches!(node.value, Value::Table(_)) {
            return self.text(node, parse);
        }
        let fields = Fields::of(self.report, node, keys::HOST)?;
        let text = fields.required("rule", "`rule = \"GET https://…\"`")?;
        let networks = networks(self.report, fields.array("addresses"))?;
        let mut allowed = rule(self.report, &text, parse)?;
        if !text.value.contains("://") {
            let error = RuleError::new("a peer has addresses of its own").with_hint("write them in `[peers]`");
            refused(self.report, error, &text.span);
            return None;
        }
        allowed.place = allowed.place.with_addresses(networks);
        Some(allowed)
    }

    fn endpoint(
        &self,
        node: &Node,
        parse: impl Fn(&str) -> Result<EndpointCeiling, RuleError>,
    ) -> Option<EndpointCeiling> {
        if !matches!(node.value, Value::Table(_)) {
            return self.text(node, parse);
        }
        let fields = Fields::of(self.report, node, keys::HOST)?;
        let text = fields.required("rule", "`rule = \"host:port\"`")?;
        let networks = networks(self.report, fields.array("addresses"))?;
        let allowed = rule(self.report, &text, parse)?;
        if !text.value.contains(':') {
            let error = RuleError::new("a peer has addresses of its own").with_hint("write them in `[peers]`");
            refused(self.report, error, &text.span);
            return None;
        }
        Some(EndpointCeiling { place: allowed.place.with_addresses(networks) })
    }

    fn sql(&self, text: &str) -> Result<SqlCeiling, RuleError> {
        let any = [Access::Read, Access::Write].into_iter().find(|access| text == format!("{access} *"));
        if let Some(access) = any {
            return Ok(SqlCeiling { access, place: PlacePattern::Any });
        }
        let SqlRule { access, peer } = SqlRule::parse(text)?;
        Ok(SqlCeiling { access, place: self.named.peer(&peer, Kind::Sql)? })
    }

    /// Where a secret comes from.
    fn source(&self, fields: &Fields<'_>) -> Option<SourcePattern> {
        fields.exclude("env", &["file"]);
        match (fields.string("env"), fields.string("file")) {
            (Some(text), _) => rule(self.report, &text, NamePattern::parse).map(SourcePattern::Env),
            (None, Some(text)) => rule(self.report, &text, PathCeiling::parse).map(SourcePattern::File),
            (None, None) => {
                if fields.misses("env") && fields.misses("file") {
                    let hint =
                        "`env = \"NAME\"` or `file = \"/run/secrets/name\"`: names of secrets are the pipeline's own";
                    let message = "it says not where the secret comes from";
                    self.report.advise("missing-key", message, fields.span.clone(), hint);
                }
                None
            }
        }
    }

    /// Through which server, as whom, to whom.
    fn mail(&self, node: &Node) -> Option<MailCeiling> {
        let fields = Fields::of(self.report, node, keys::POLICY_MAIL)?;
        let peer = fields.required("peer", "`peer = \"…\"`: a peer of this policy, or `*`")?;
        let place = rule(self.report, &peer, |name| match name {
            "*" => Ok(PlacePattern::Any),
            name => self.named.peer(name, Kind::Mail),
        });
        let list = |key: &str| match fields.get(key) {
            Some(entry) => self.all(fields::array(self.report, &entry.node), Recipient::parse).map(Some),
            None => Some(None),
        };
        let (from, to) = (list("from"), list("to"));
        Some(MailCeiling { place: place?, from: from?, to: to? })
    }

    fn secret(&self, node: &Node) -> Option<SecretCeiling> {
        let fields = Fields::of(self.report, node, keys::POLICY_SECRET)?;
        let source = self.source(&fields);
        let to = fields.required("to", "`to = \"…\"`: a peer of this policy, `artifacts`, `programs` or `*`")?;
        let to = rule(self.report, &to, |text| match text {
            "*" => Ok(SecretDestination::Any),
            "artifacts" => Ok(SecretDestination::Artifacts),
            "programs" => Ok(SecretDestination::Programs),
            name => self.named.peer(name, Kind::Any).map(SecretDestination::Peer),
        });
        Some(SecretCeiling { source: source?, to: to? })
    }

    fn exec(&self, node: &Node) -> Option<ExecCeiling> {
        let fields = Fields::of(self.report, node, keys::POLICY_EXEC)?;
        let program = fields.required("program", "`program = \"…\"`: a name, an absolute path, or `*`")?;
        let read = |key: &str| fields.string(key);
        let argv = match fields.get("argv") {
            Some(entry) => Some(self.all(fields::array(self.report, &entry.node), ArgumentPattern::parse)?),
            None => None,
        };
        if let Some(argv) = &argv
            && let Some(at) = argv.iter().position(ArgumentPattern::is_rest)
            && at + 1 < argv.len()
        {
            refused(self.report, RuleError::new("`**` is not the last of `argv`"), &node.span);
            return None;
        }
        let cwd = match read("cwd") {
            Some(text) => Some(rule(self.report, &text, PathCeiling::parse)?),
            None => None,
        };
        let peer = match read("peer") {
            Some(text) if text.value == "*" => Some(PlacePattern::Any),
            Some(text) => Some(rule(self.report, &text, |name| self.named.peer(name, Kind::Any))?),
            None => None,
        };
        let sha256 = match read("sha256") {
            Some(text) => Some(digest(self.report, &text)?),
            None => None,
        };
        let paths = |key: &str| self.all(fields.array(key), PathCeiling::parse);
        let ports: Vec<Option<u16>> = fields.array("ports").iter().map(|node| port(self.report, node)).collect();
        Some(ExecCeiling {
            program: program.value,
            argv,
            cwd,
            env: self.all(fields.array("env"), NamePattern::parse)?,
            peer,
            read: paths("read")?,
            write: paths("write")?,
            ports: ports.into_iter().collect::<Option<_>>()?,
            sockets: paths("sockets")?,
            sha256,
        })
    }

    /// Every text of an array; nothing where one of them is wrong.
    fn all<T>(&self, nodes: &[Node], parse: impl Fn(&str) -> Result<T, RuleError>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = nodes.iter().map(|node| self.text(node, &parse)).collect();
        read.into_iter().collect()
    }
}

fn artifacts(text: &str) -> Result<ArtifactCeiling, RuleError> {
    match text {
        "write" => Ok(ArtifactCeiling::Write),
        "read" => Ok(ArtifactCeiling::Read),
        _ => Err(RuleError::new(format!("`{text}` is neither `write` nor `read`"))
            .with_hint("a policy allows reading those of any step: names of steps are the pipeline's own")),
    }
}
