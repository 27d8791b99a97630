//! `allow` becomes a [`Grant`]: references resolved, rules read, every name in them known.

use std::{collections::BTreeMap, ops::Range, path::Path};

use ipnet::IpNet;
use pipe_capability::{
    artifact::ArtifactRule,
    env::EnvRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    http::{HttpRule, HttpTarget},
    mail::{Address, MailRule, Recipient},
    path::PathRule,
    reveal::RevealRule,
    rule::RuleError,
    secret::{SecretSlot, SlotTarget},
    sql::SqlRule,
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
    word::Word,
};

use crate::{
    document::{AllowSpec, ExecSpec, HostSpec, MailSpec, SlotSpec},
    fields::Located,
    network,
    pipeline::{PeerKind, PeerSpec, RuleSpans},
    place,
    reference::Template,
    reveal::Sources,
    scope::{Place, Scope},
    settings::Order,
};

/// Reads the rules of one step.
pub(crate) struct Granter<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) base: &'a Path,
    pub(crate) peers: &'a BTreeMap<String, PeerSpec>,
    /// Names of the peers that the file declares, sound or not.
    pub(crate) peer_names: &'a [&'a str],
    pub(crate) secrets: &'a Sources,
    pub(crate) order: &'a Order<'a>,
    /// Steps that stand before this place have artifacts.
    pub(crate) before: usize,
}

impl Granter<'_> {
    /// The grant with the places of its rules, as far as they are sound; the others are reported.
    pub(crate) fn grant(&self, allow: &AllowSpec) -> (Grant, RuleSpans) {
        let mut spans = RuleSpans::default();
        let mut grant = Grant {
            http: spans.read(Word::Http, &allow.http, |spec| &spec.rule.span, |spec| self.http(spec)),
            tcp: spans.read(Word::Tcp, &allow.tcp, |spec| &spec.rule.span, |spec| self.tcp(spec)),
            tls: spans.read(Word::Tls, &allow.tls, |spec| &spec.rule.span, |spec| self.tls(spec)),
            mail: spans.read(Word::Mail, &allow.mail, |spec| &spec.span, |spec| self.mail(spec)),
            // First: what is revealed may come from a variable or a file that is granted.
            reveal: spans.read(
                Word::Reveal,
                &allow.texts,
                |(_, text)| &text.span,
                |(word, text)| self.reveal(*word, text),
            ),
            secrets: spans.read(Word::Secrets, &allow.secrets, |spec| &spec.span, |spec| self.slot(spec)),
            exec: spans.read(Word::Exec, &allow.exec, |spec| &spec.span, |spec| self.exec(spec)),
            ..Grant::default()
        };
        for (word, template) in &allow.texts {
            let before = grant.count(*word);
            match word {
                Word::Sql => grant.sql.extend(self.sql(template)),
                Word::Read => grant.read.extend(self.path(template, Some(&grant.reveal))),
                Word::Write => grant.write.extend(self.path(template, Some(&grant.reveal))),
                Word::Disk => grant.disk.extend(self.path(template, None)),
                Word::Env => grant.env.extend(self.env(template, &grant.reveal)),
                Word::Artifacts => grant.artifacts.extend(self.artifacts(template)),
                // Read already.
                Word::Reveal => {}
                // Their rules are tables.
                Word::Http | Word::Tcp | Word::Tls | Word::Mail | Word::Secrets | Word::Exec => {}
            }
            if grant.count(*word) > before {
                spans.push(*word, template.span.clone());
            }
        }
        (grant, spans)
    }

    fn http(&self, spec: &HostSpec) -> Option<HttpRule> {
        let rule = self.rule(&spec.rule, Place::PathPattern, HttpRule::parse)?;
        let rule = self.read(&spec.rule.span, rule.with_addresses(self.addresses(spec)?))?;
        match rule.target() {
            HttpTarget::Peer(name) => {
                self.peer(name, &[PeerKind::Http], &spec.rule.span)?;
            }
            HttpTarget::Origin { host, .. } => self.reachable(spec, &host.to_string(), &rule.addresses)?,
        }
        Some(rule)
    }

    fn tcp(&self, spec: &HostSpec) -> Option<TcpRule> {
        let rule = self.rule(&spec.rule, Place::Plain, TcpRule::parse)?;
        let rule = rule.with_addresses(self.addresses(spec)?);
        self.reachable(spec, &rule.endpoint().host.to_string(), &rule.addresses)?;
        Some(rule)
    }

    fn tls(&self, spec: &HostSpec) -> Option<TlsRule> {
        let rule = self.rule(&spec.rule, Place::Plain, TlsRule::parse)?;
        let rule = self.read(&spec.rule.span, rule.with_addresses(self.addresses(spec)?))?;
        match rule.target() {
            TlsTarget::Peer(name) => {
                let kinds = [PeerKind::Http, PeerKind::Sql, PeerKind::Mail];
                let peer = self.peer(name, &kinds, &spec.rule.span)?;
                if peer.url.scheme() != "https" {
                    let message = format!("the peer `{name}` is not `https`: there is no handshake to look at");
                    let hint = "name an `https` peer, or a host and a port: `api.example:443`";
                    self.scope.report.advise("peer-kind", message, spec.rule.span.clone(), hint);
                    return None;
                }
            }
            TlsTarget::Host(endpoint) => self.reachable(spec, &endpoint.host.to_string(), &rule.addresses)?,
        }
        Some(rule)
    }

    fn addresses(&self, spec: &HostSpec) -> Option<Vec<IpNet>> {
        // Every one is read before giving up, so that each error is reported.
        let addresses: Vec<Option<_>> = spec.addresses.iter().map(|net| network::net(&self.scope, net)).collect();
        addresses.into_iter().collect()
    }

    /// Reports a rule for an address that only `addresses` grant.
    fn reachable(&self, spec: &HostSpec, host: &str, addresses: &[IpNet]) -> Option<()> {
        let Err(refused) = network::reachable(host, addresses) else { return Some(()) };
        let hint = format!(
            "a table can name it: `{{ rule = {}, addresses = [\"{}\"] }}`",
            self.scope.report.source(&spec.rule.span),
            refused.network()
        );
        let message = format!("{refused}, which a name alone never grants");
        self.scope.report.advise("private-address", message, spec.rule.span.clone(), hint);
        None
    }

    fn sql(&self, template: &Template) -> Option<SqlRule> {
        let rule = self.rule(template, Place::Plain, SqlRule::parse)?;
        self.peer(&rule.peer, &[PeerKind::Sql], &template.span)?;
        Some(rule)
    }

    fn mail(&self, spec: &MailSpec) -> Option<MailRule> {
        let peer = self.scope.fixed(&spec.peer, Place::Plain);
        let from = self.rule(&spec.from, Place::Address, Address::parse);
        let to: Vec<Option<Recipient>> =
            spec.to.iter().map(|text| self.rule(text, Place::Address, Recipient::parse)).collect();
        let rule = match MailRule::new(&peer?, from?, to.into_iter().collect::<Option<_>>()?) {
            Ok(rule) => rule,
            Err(error) => {
                let span = if error.field == Some("peer") { &spec.peer.span } else { &spec.span };
                self.refused(error, span);
                return None;
            }
        };
        self.peer(&rule.peer, &[PeerKind::Mail], &spec.peer.span)?;
        Some(rule)
    }

    fn reveal(&self, word: Word, template: &Template) -> Option<RevealRule> {
        if word != Word::Reveal {
            return None;
        }
        let rule = self.rule(template, Place::Plain, RevealRule::parse)?;
        self.secrets.declared(self.scope.report, rule.name(), &template.span)?;
        self.secrets.warn_of(self.scope.report, rule.name(), &template.span);
        Some(rule)
    }

    /// `revealed` where the rule shows what the path holds.
    fn path(&self, template: &Template, revealed: Option<&[RevealRule]>) -> Option<PathRule> {
        let written = self.scope.fixed(template, Place::Path)?;
        if written.is_empty() || written.contains('\0') {
            self.scope.report.error("bad-rule", "this is no path", template.span.clone(), "");
            return None;
        }
        let rule = PathRule::new(&*written, place::resolve(self.base, &written));
        if let Some(revealed) = revealed {
            self.secrets.refuse_path(self.scope.report, revealed, &rule, &template.span)?;
        }
        Some(rule)
    }

    fn env(&self, template: &Template, revealed: &[RevealRule]) -> Option<EnvRule> {
        let rule = self.rule(template, Place::Plain, EnvRule::parse)?;
        self.secrets.refuse_variable(self.scope.report, revealed, rule.name(), &template.span)?;
        Some(rule)
    }

    fn artifacts(&self, template: &Template) -> Option<ArtifactRule> {
        let rule = self.rule(template, Place::Plain, ArtifactRule::parse)?;
        if let ArtifactRule::Read(name) = &rule {
            let report = self.scope.report;
            match self.order.get(name.as_str()) {
                Some((place, _)) if *place < self.before => {}
                Some(_) => {
                    let message = format!("the step `{name}` does not run before this one");
                    report.error("later-step", message, template.span.clone(), "");
                    return None;
                }
                None => {
                    let known = self.order.iter().filter(|(_, (place, _))| *place < self.before).map(|(name, _)| *name);
                    report.unknown(
                        "unknown-step",
                        format!("there is no step `{name}`"),
                        name,
                        known,
                        template.span.clone(),
                    );
                    return None;
                }
            }
        }
        Some(rule)
    }

    fn slot(&self, spec: &SlotSpec) -> Option<SecretSlot> {
        let name = self.scope.fixed(&spec.name, Place::Plain);
        let to = self.scope.fixed(&spec.to, Place::Plain);
        let header = optional(&spec.header, |text| self.scope.fixed(text, Place::Plain))?;
        let format = optional(&spec.format, |text| self.scope.fixed(text, Place::Plain))?;
        let (name, to) = (name?, to?);
        let slot = SecretSlot::new(&name, &to, header.as_deref(), format.as_deref());
        let slot = match slot {
            Ok(slot) => slot,
            Err(error) => {
                let template = match error.field {
                    Some("name") => Some(&spec.name),
                    Some("to") => Some(&spec.to),
                    Some("header") => spec.header.as_ref(),
                    Some("format") => spec.format.as_ref(),
                    _ => None,
                };
                self.refused(error, template.map_or(&spec.span, |template| &template.span));
                return None;
            }
        };
        self.secrets.declared(self.scope.report, &slot.name, &spec.name.span)?;
        if let SlotTarget::Peer(peer) = &slot.to {
            let peer = self.peer(peer, &[PeerKind::Http], &spec.to.span)?;
            if peer.sends_in_the_clear() {
                let message = "a secret would go to this peer in the clear";
                self.scope.report.advise("plaintext", message, spec.to.span.clone(), "give the peer an `https` URL");
                return None;
            }
        }
        Some(slot)
    }

    fn exec(&self, spec: &ExecSpec) -> Option<ExecRule> {
        let program = self.scope.fixed(&spec.program, Place::Path);
        let argv: Vec<Option<ArgumentPattern>> =
            spec.argv.iter().map(|argument| self.rule(argument, Place::Argument, ArgumentPattern::parse)).collect();
        let cwd = optional(&spec.cwd, |text| self.scope.fixed(text, Place::Path))?;
        let peer = optional(&spec.peer, |text| self.scope.fixed(text, Place::Plain))?;
        let (env, secret_env) = (self.variables(&spec.env), self.variables(&spec.secret_env));
        let secret_file = self.variables(&spec.secret_file);
        let (read, write) = (self.paths(&spec.read, true), self.paths(&spec.write, true));
        let sockets = self.paths(&spec.sockets, false);
        let rule = ExecRule {
            program: program?,
            argv: argv.into_iter().collect::<Option<_>>()?,
            cwd,
            env: env?,
            peer,
            secret_env: secret_env?,
            secret_file: secret_file?,
            read: read?,
            write: write?,
            ports: spec.ports.clone(),
            sockets: sockets?,
            limits: spec.limits,
            sha256: spec.sha256,
        };
        let place = |field: Option<&str>| match field {
            Some("program") => &spec.program.span,
            Some("cwd") => spec.cwd.as_ref().map_or(&spec.span, |text| &text.span),
            Some("peer") => spec.peer.as_ref().map_or(&spec.span, |text| &text.span),
            Some("argv") => spec.argv.last().map_or(&spec.span, |text| &text.span),
            _ => &spec.span,
        };
        let rule = match rule.checked() {
            Ok(rule) => rule,
            Err(error) => {
                let span = place(error.field).clone();
                self.refused(error, &span);
                return None;
            }
        };
        if let Some(peer) = &rule.peer {
            self.peer(peer, &[PeerKind::Http, PeerKind::Sql], place(Some("peer")))?;
        }
        for (name, template) in spec.secret_env.iter().chain(&spec.secret_file) {
            let secret = rule.secret_env.get(&name.value).or_else(|| rule.secret_file.get(&name.value));
            self.secrets.declared(self.scope.report, secret.map_or("", String::as_str), &template.span)?;
        }
        if let (Some(cwd), Some(template)) = (&rule.cwd, &spec.cwd) {
            // The program may read where it starts.
            let rule = PathRule::new(cwd.as_str(), place::resolve(self.base, cwd));
            self.secrets.refuse_path(self.scope.report, &[], &rule, &template.span)?;
        }
        Some(rule)
    }

    /// Every one is read before giving up, so that each error is reported.
    fn paths(&self, templates: &[Template], contents: bool) -> Option<Vec<PathRule>> {
        let revealed: Option<&[RevealRule]> = contents.then_some(&[]);
        templates.iter().map(|template| self.path(template, revealed)).collect::<Vec<_>>().into_iter().collect()
    }

    fn variables(&self, variables: &[(Located<String>, Template)]) -> Option<BTreeMap<String, String>> {
        let resolved = variables
            .iter()
            .map(|(name, template)| Some((name.value.clone(), self.scope.fixed(template, Place::Plain)?)));
        // Every one is resolved before giving up, so that each error is reported.
        resolved.collect::<Vec<_>>().into_iter().collect()
    }

    /// The peer of a rule, which must be of one of these kinds.
    fn peer(&self, name: &str, kinds: &[PeerKind], span: &Range<usize>) -> Option<&PeerSpec> {
        let report = self.scope.report;
        let Some(peer) = self.peers.get(name) else {
            if !self.peer_names.contains(&name) {
                let message = format!("there is no peer `{name}`");
                report.unknown("unknown-peer", message, name, self.peer_names.iter().copied(), span.clone());
            }
            return None;
        };
        if !kinds.contains(&peer.kind()) {
            let (what, hint) = match peer.kind() {
                PeerKind::Http => ("speaks HTTP", "allow.http"),
                PeerKind::Sql => ("is a database", "allow.sql"),
                PeerKind::Mail => ("is a mail server", "allow.mail"),
            };
            report.advise("peer-kind", format!("the peer `{name}` {what}"), span.clone(), format!("use `{hint}`"));
            return None;
        }
        Some(peer)
    }

    /// Resolves a template and reads the rule that it says.
    fn rule<T>(&self, template: &Template, place: Place, parse: fn(&str) -> Result<T, RuleError>) -> Option<T> {
        let text = self.scope.fixed(template, place)?;
        match parse(&text) {
            Ok(rule) => Some(rule),
            Err(error) => {
                // The error counts in the rule's text. In the file it stands there, if it is written plainly.
                let within = template.literal().zip(error.span.clone()).and_then(|(literal, within)| {
                    let at = template.span.start + self.scope.report.source(&template.span).find(literal)?;
                    (!within.is_empty()).then_some(at + within.start..at + within.end)
                });
                self.refused(error, &within.unwrap_or_else(|| template.span.clone()));
                None
            }
        }
    }

    fn read<T>(&self, span: &Range<usize>, result: Result<T, RuleError>) -> Option<T> {
        result.map_err(|error| self.refused(error, span)).ok()
    }

    fn refused(&self, error: RuleError, span: &Range<usize>) {
        match error.hint {
            Some(hint) => self.scope.report.advise("bad-rule", error.message, span.clone(), hint),
            None => self.scope.report.error("bad-rule", error.message, span.clone(), ""),
        }
    }
}

/// Nothing where there is nothing; else what `read` makes of it, and nothing at all where it refuses.
#[expect(clippy::option_option, reason = "absent and refused are two things")]
fn optional<T>(template: &Option<Template>, read: impl Fn(&Template) -> Option<T>) -> Option<Option<T>> {
    match template {
        None => Some(None),
        Some(template) => read(template).map(Some),
    }
}
