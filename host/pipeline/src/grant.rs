//! `allow` becomes a [`Grant`]: references resolved, rules read, every name in them known.

use std::{collections::BTreeMap, ops::Range, path::Path};

use pipe_capability::{
    artifact::ArtifactRule,
    env::EnvRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    http::{HttpRule, HttpTarget},
    path::PathRule,
    rule::RuleError,
    secret::{SecretSlot, SlotTarget},
    sql::SqlRule,
    word::Word,
};

use crate::{
    document::{AllowSpec, ExecSpec, HttpSpec, SlotSpec},
    fields::Located,
    network,
    pipeline::{PeerSpec, RuleSpans},
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

/// What kind of peer a rule needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Sql,
    Any,
}

impl Granter<'_> {
    /// The grant with the places of its rules, as far as they are sound; the others are reported.
    pub(crate) fn grant(&self, allow: &AllowSpec) -> (Grant, RuleSpans) {
        let mut spans = RuleSpans::default();
        let http = allow.http.iter();
        let http = http.filter_map(|spec| spans.kept(Word::Http, &spec.rule.span, self.http(spec))).collect();
        let secrets = allow.secrets.iter();
        let secrets = secrets.filter_map(|spec| spans.kept(Word::Secrets, &spec.span, self.slot(spec))).collect();
        let exec = allow.exec.iter();
        let exec = exec.filter_map(|spec| spans.kept(Word::Exec, &spec.span, self.exec(spec))).collect();
        let mut grant = Grant { http, secrets, exec, ..Grant::default() };
        for (word, template) in &allow.texts {
            let before = grant.count(*word);
            match word {
                Word::Sql => grant.sql.extend(self.sql(template)),
                Word::Read => grant.read.extend(self.path(template, true)),
                Word::Write => grant.write.extend(self.path(template, true)),
                Word::Disk => grant.disk.extend(self.path(template, false)),
                Word::Env => grant.env.extend(self.env(template)),
                Word::Artifacts => grant.artifacts.extend(self.artifacts(template)),
                // Their rules are tables.
                Word::Http | Word::Secrets | Word::Exec => {}
            }
            if grant.count(*word) > before {
                spans.push(*word, template.span.clone());
            }
        }
        (grant, spans)
    }

    fn http(&self, spec: &HttpSpec) -> Option<HttpRule> {
        let rule = self.rule(&spec.rule, Place::PathPattern, HttpRule::parse)?;
        let addresses: Vec<Option<_>> = spec.addresses.iter().map(|net| network::net(&self.scope, net)).collect();
        let addresses = addresses.into_iter().collect::<Option<_>>()?;
        let rule = self.read(&spec.rule.span, rule.with_addresses(addresses))?;
        match rule.target() {
            HttpTarget::Peer(name) => {
                self.peer(name, Kind::Http, &spec.rule.span)?;
            }
            HttpTarget::Origin { host, .. } => {
                let reached = network::reachable(&host.to_string(), &rule.addresses);
                if let Err(refused) = reached {
                    let hint = format!(
                        "a table can name it: `{{ rule = {}, addresses = [\"{}\"] }}`",
                        self.scope.report.source(&spec.rule.span),
                        refused.network()
                    );
                    let message = format!("{refused}, which a name alone never grants");
                    self.scope.report.advise("private-address", message, spec.rule.span.clone(), hint);
                    return None;
                }
            }
        }
        Some(rule)
    }

    fn sql(&self, template: &Template) -> Option<SqlRule> {
        let rule = self.rule(template, Place::Plain, SqlRule::parse)?;
        self.peer(&rule.peer, Kind::Sql, &template.span)?;
        Some(rule)
    }

    fn path(&self, template: &Template, contents: bool) -> Option<PathRule> {
        let written = self.scope.fixed(template, Place::Path)?;
        if written.is_empty() || written.contains('\0') {
            self.scope.report.error("bad-rule", "this is no path", template.span.clone(), "");
            return None;
        }
        let rule = PathRule::new(&*written, place::resolve(self.base, &written));
        if contents {
            self.secrets.refuse_path(self.scope.report, &rule, &template.span)?;
        }
        Some(rule)
    }

    fn env(&self, template: &Template) -> Option<EnvRule> {
        let rule = self.rule(template, Place::Plain, EnvRule::parse)?;
        self.secrets.refuse_variable(self.scope.report, rule.name(), &template.span)?;
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
            let peer = self.peer(peer, Kind::Http, &spec.to.span)?;
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
        let rule = ExecRule {
            program: program?,
            argv: argv.into_iter().collect::<Option<_>>()?,
            cwd,
            env: env?,
            peer,
            secret_env: secret_env?,
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
            self.peer(peer, Kind::Any, place(Some("peer")))?;
        }
        for (name, template) in &spec.secret_env {
            let secret = rule.secret_env.get(&name.value).map_or("", String::as_str);
            self.secrets.declared(self.scope.report, secret, &template.span)?;
        }
        Some(rule)
    }

    fn variables(&self, variables: &[(Located<String>, Template)]) -> Option<BTreeMap<String, String>> {
        let resolved = variables
            .iter()
            .map(|(name, template)| Some((name.value.clone(), self.scope.fixed(template, Place::Plain)?)));
        // Every one is resolved before giving up, so that each error is reported.
        resolved.collect::<Vec<_>>().into_iter().collect()
    }

    /// The peer of a rule.
    fn peer(&self, name: &str, kind: Kind, span: &Range<usize>) -> Option<&PeerSpec> {
        let report = self.scope.report;
        let Some(peer) = self.peers.get(name) else {
            if !self.peer_names.contains(&name) {
                let message = format!("there is no peer `{name}`");
                report.unknown("unknown-peer", message, name, self.peer_names.iter().copied(), span.clone());
            }
            return None;
        };
        let (is, hint) = if peer.is_http() { (Kind::Http, "allow.http") } else { (Kind::Sql, "allow.sql") };
        if kind != Kind::Any && kind != is {
            let what = if is == Kind::Http { "speaks HTTP" } else { "is a database" };
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
