//! `allow`: what a step may touch, as written. The rules themselves are read once their references are resolved.

use std::{ops::Range, time::Duration};

use pipe_capability::{exec::ExecLimits, word::Word};
use pipe_core::digest::Digest;

use crate::{
    document::sections,
    fields::{self, Fields, Located},
    keys,
    node::{Node, Value},
    reference::{Piece, Template},
    report::Report,
};

/// The most time on the processor that a process of a program may be given.
const LONGEST_CPU: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The rules of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowSpec {
    pub(crate) http: Vec<HostSpec>,
    pub(crate) tcp: Vec<HostSpec>,
    pub(crate) tls: Vec<HostSpec>,
    pub(crate) mail: Vec<MailSpec>,
    pub(crate) secrets: Vec<SlotSpec>,
    pub(crate) exec: Vec<ExecSpec>,
    /// The words whose rules are single strings.
    pub(crate) texts: Vec<(Word, Template)>,
}

/// `"GET k8s:/version"` or `{ rule = "GET https://x/y", addresses = ["10.0.0.0/8"] }`; the same for `tcp` and `tls`.
#[derive(Clone, Debug)]
pub(crate) struct HostSpec {
    /// The table in the file, where it is one.
    pub(crate) table: Option<Range<usize>>,
    pub(crate) rule: Template,
    pub(crate) addresses: Vec<Template>,
}

/// `{ peer = "smtp", from = "deploy@hospital.example", to = ["*@hospital.example"] }`.
#[derive(Clone, Debug)]
pub(crate) struct MailSpec {
    pub(crate) span: Range<usize>,
    pub(crate) peer: Template,
    pub(crate) from: Template,
    pub(crate) to: Vec<Template>,
}

/// `{ name = "k8s", to = "argocd", header = "Authorization", format = "Token {}" }`.
#[derive(Clone, Debug)]
pub(crate) struct SlotSpec {
    pub(crate) span: Range<usize>,
    pub(crate) name: Template,
    pub(crate) to: Template,
    pub(crate) header: Option<Template>,
    pub(crate) format: Option<Template>,
}

/// `{ program = "pg_dump", argv = ["-F", "c"], peer = "main" }`.
#[derive(Clone, Debug)]
pub(crate) struct ExecSpec {
    pub(crate) span: Range<usize>,
    pub(crate) program: Template,
    pub(crate) argv: Vec<Template>,
    pub(crate) cwd: Option<Template>,
    pub(crate) env: Vec<(Located<String>, Template)>,
    pub(crate) peer: Option<Template>,
    pub(crate) secret_env: Vec<(Located<String>, Template)>,
    pub(crate) secret_file: Vec<(Located<String>, Template)>,
    pub(crate) read: Vec<Template>,
    pub(crate) write: Vec<Template>,
    pub(crate) ports: Vec<u16>,
    pub(crate) sockets: Vec<Template>,
    pub(crate) limits: ExecLimits,
    pub(crate) sha256: Option<Digest>,
}

impl AllowSpec {
    /// Bytes that the rules take, about.
    pub(crate) fn weight(&self) -> usize {
        let text = |template: &Template| {
            let pieces = template.pieces.iter().map(|piece| match piece {
                Piece::Literal(text) => text.len(),
                Piece::Reference(reference) => reference.written.len(),
            });
            64 + pieces.sum::<usize>()
        };
        let exec = |spec: &ExecSpec| {
            let variables = spec.env.iter().chain(&spec.secret_env).chain(&spec.secret_file);
            let variables = variables.map(|(name, value)| name.value.len() + text(value));
            let texts = [&spec.argv, &spec.read, &spec.write, &spec.sockets].into_iter().flatten().map(text);
            text(&spec.program) + texts.sum::<usize>() + variables.sum::<usize>()
        };
        let mail = |spec: &MailSpec| text(&spec.peer) + text(&spec.from) + spec.to.iter().map(text).sum::<usize>();
        let host = |spec: &HostSpec| text(&spec.rule) + 64 * spec.addresses.len();
        self.http.iter().chain(&self.tcp).chain(&self.tls).map(host).sum::<usize>()
            + self.mail.iter().map(mail).sum::<usize>()
            + self.texts.iter().map(|(_, template)| text(template)).sum::<usize>()
            + self.exec.iter().map(exec).sum::<usize>()
            + 256 * self.secrets.len()
    }
}

pub(super) fn read(report: &Report, node: &Node) -> Option<AllowSpec> {
    let fields = Fields::of(report, node, keys::ALLOW)?;
    let mut allow = AllowSpec::default();
    for word in Word::ALL {
        for rule in fields.array(word.as_str()) {
            match word {
                Word::Http => allow.http.extend(http(report, rule)),
                Word::Tcp => allow.tcp.extend(host(report, rule, "host:port")),
                Word::Tls => allow.tls.extend(host(report, rule, "host:port")),
                Word::Mail => allow.mail.extend(mail(report, rule)),
                Word::Secrets => allow.secrets.extend(slot(report, rule)),
                Word::Exec => allow.exec.extend(exec(report, rule)),
                Word::Sql | Word::Read | Word::Write | Word::Disk | Word::Env | Word::Reveal | Word::Artifacts => {
                    allow.texts.extend(template(report, rule).map(|rule| (word, rule)));
                }
            }
        }
    }
    Some(allow)
}

fn template(report: &Report, node: &Node) -> Option<Template> {
    fields::string(report, node).and_then(|text| Template::read(report, &text))
}

fn templates(report: &Report, nodes: &[Node]) -> Vec<Template> {
    nodes.iter().filter_map(|node| template(report, node)).collect()
}

/// A rule, or a table of a rule and the addresses that its host may have.
fn host(report: &Report, node: &Node, example: &str) -> Option<HostSpec> {
    match &node.value {
        Value::Table(_) => {
            let fields = Fields::of(report, node, keys::HOST)?;
            let rule = fields.needs("rule", &format!("`rule = \"{example}\"`"))?;
            Some(HostSpec {
                table: Some(node.span.clone()),
                rule: template(report, &rule.node)?,
                addresses: templates(report, fields.array("addresses")),
            })
        }
        _ => Some(HostSpec { table: None, rule: template(report, node)?, addresses: Vec::new() }),
    }
}

fn http(report: &Report, node: &Node) -> Option<HostSpec> {
    let spec = host(report, node, "GET https://…")?;
    // A value in the place of the method could name further methods.
    for piece in &spec.rule.pieces {
        match piece {
            Piece::Literal(text) if text.contains(' ') => break,
            Piece::Literal(_) => {}
            Piece::Reference(reference) => {
                report.error("reference-not-here", "the method of a rule is written out", reference.span.clone(), "");
                return None;
            }
        }
    }
    Some(spec)
}

fn mail(report: &Report, node: &Node) -> Option<MailSpec> {
    let fields = Fields::of(report, node, keys::MAIL)?;
    let read = |text: Located<String>| Template::read(report, &text);
    let peer =
        fields.required("peer", "`peer = \"…\"`: a peer whose `url` is `smtp://…` or `smtps://…`").and_then(read);
    let from = fields.required("from", "`from = \"deploy@hospital.example\"`").and_then(read);
    fields.needs("to", "`to = [\"ops@hospital.example\"]`, or `[\"*@hospital.example\"]` for anybody there");
    let to = templates(report, fields.array("to"));
    Some(MailSpec { span: node.span.clone(), peer: peer?, from: from?, to })
}

fn slot(report: &Report, node: &Node) -> Option<SlotSpec> {
    let fields = Fields::of(report, node, keys::SLOT)?;
    let read = |text: Located<String>| Template::read(report, &text);
    let name = fields.required("name", "`name = \"…\"`: a secret of `[secrets]`").and_then(read);
    let to = fields.required("to", "`to = \"…\"`: a peer, or `artifacts`").and_then(read);
    let header = fields.string("header").and_then(read);
    let format = fields.string("format").and_then(read);
    Some(SlotSpec { span: node.span.clone(), name: name?, to: to?, header, format })
}

fn exec(report: &Report, node: &Node) -> Option<ExecSpec> {
    if let Value::String(text) = &node.value {
        let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
        let (program, argv) = words.split_first()?;
        let hint = format!("`{{ program = {program}, argv = [{}] }}`: there is no shell", argv.join(", "));
        report.advise("wrong-type", "expected a table, found a string", node.span.clone(), hint);
        return None;
    }
    let fields = Fields::of(report, node, keys::EXEC)?;
    let read = |text: Located<String>| Template::read(report, &text);
    let program = fields.required("program", "`program = \"…\"`").and_then(read);
    fields.needs("argv", "`argv = []` for no arguments, `argv = [\"**\"]` for any");
    let sha256 = match fields.string("sha256") {
        Some(text) => Some(sections::digest(report, &text)?),
        None => None,
    };
    Some(ExecSpec {
        span: node.span.clone(),
        argv: templates(report, fields.array("argv")),
        cwd: fields.string("cwd").and_then(read),
        env: variables(report, &fields, "env"),
        peer: fields.string("peer").and_then(read),
        secret_env: variables(report, &fields, "secret_env"),
        secret_file: variables(report, &fields, "secret_file"),
        read: templates(report, fields.array("read")),
        write: templates(report, fields.array("write")),
        ports: fields.array("ports").iter().filter_map(|node| port(report, node)).collect(),
        sockets: templates(report, fields.array("sockets")),
        limits: ExecLimits {
            memory: fields.bytes("memory"),
            processes: fields.count("processes"),
            scratch: fields.bytes("scratch"),
            file_size: fields.bytes("file_size"),
            open_files: fields.count("open_files"),
            cpu: fields.duration("cpu", LONGEST_CPU),
        },
        sha256,
        program: program?,
    })
}

pub(crate) fn port(report: &Report, node: &Node) -> Option<u16> {
    let port = fields::number(report, node).and_then(|number| u16::try_from(number).ok());
    if port.is_none() && matches!(node.value, Value::Integer(_)) {
        report.advise("bad-value", "this is no port", node.span.clone(), "ports are 1 to 65535");
    }
    port
}

fn variables(report: &Report, fields: &Fields<'_>, key: &str) -> Vec<(Located<String>, Template)> {
    let table = fields.get(key).and_then(|entry| fields::table(report, &entry.node));
    let entries = table.map_or(&[][..], |table| &table.entries);
    let variables = entries.iter().filter_map(|entry| {
        let name = Located { value: entry.key.clone(), span: entry.key_span.clone() };
        Some((name, template(report, &entry.node)?))
    });
    variables.collect()
}
