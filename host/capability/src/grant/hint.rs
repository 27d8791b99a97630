//! How a grant says no: why, and which line would say yes.

use super::{
    AddressRefused, ArtifactRule, Denial, EnvRule, ExecRule, Grant, HttpRequest, HttpRule, HttpTarget, InToml,
    MailRequest, PathRequest, PathRule, RevealRule, SecretSlot, SlotTarget, SqlRule, Word, line,
};
use crate::{http::Methods, path::is_resolved, sql::Access};

impl Grant {
    /// The line that sets a word to its rules and one more.
    pub(super) fn with<R: InToml>(&self, word: Word, rule: Option<R>) -> Option<String> {
        rule.and_then(|rule| self.line(word, self.rules(word).into_iter().chain([rule.in_toml()])))
    }

    /// The line that sets a word to these rules. None for a preview: of its step's line, only a part is known here.
    pub(super) fn line(&self, word: Word, rules: impl IntoIterator<Item = String>) -> Option<String> {
        (!self.is_for_preview).then(|| line::set(word, rules))
    }

    /// `reason`, unless the step has no rule of the word at all, or a preview never has one.
    pub(super) fn why(&self, word: Word, reason: impl Into<String>) -> String {
        if let Some(never) = self.never_in_preview(word) {
            return never;
        }
        if self.rules(word).is_empty() {
            let whose = if self.is_for_preview { "preview" } else { "step" };
            return format!("the {whose} has no `allow.{word}`");
        }
        reason.into()
    }

    pub(super) fn http_denied(&self, request: &HttpRequest) -> Denial {
        let mut same_target = self.http.iter().filter(|rule| rule.target() == request.target());
        if self.is_for_preview && !Methods::READING.contains(request.method()) {
            let reason = format!("a preview sends GET and HEAD alone, and no {}", request.method());
            return Denial::new(Word::Http, &request.to_string(), reason);
        }
        let reason = if let Some(rule) = self.http.iter().find(|rule| rule.covers_place(request)) {
            format!("`{rule}` covers the path, but not {}", request.method())
        } else if same_target.next().is_some() {
            "no rule covers the path".to_owned()
        } else {
            match request.target() {
                HttpTarget::Peer(name) => format!("no rule names the peer `{name}`"),
                origin @ HttpTarget::Origin { .. } => format!("no rule names `{origin}`"),
            }
        };
        Denial::new(Word::Http, &request.to_string(), self.why(Word::Http, reason))
            .with_hint(self.with(Word::Http, HttpRule::narrowest(request)))
    }

    /// The denial of an address that the host of `request` has, where `rule` of this grant covers the request.
    ///
    /// The hint adds the address to the rule. For a peer there is none here: see [`AddressRefused::at_peer`].
    #[must_use]
    pub fn http_address(&self, rule: &HttpRule, request: &HttpRequest, refused: &AddressRefused) -> Denial {
        let reason = match request.target() {
            HttpTarget::Peer(_) => format!("{refused}, and the peer's `addresses` do not hold it"),
            HttpTarget::Origin { .. } => format!("{refused}, and the rule's `addresses` do not hold it"),
        };
        let mut addresses = rule.addresses.clone();
        addresses.push(refused.network());
        let hint = rule.clone().with_addresses(addresses).ok().and_then(|wider| {
            let rules = self.http.iter().map(|one| if one == rule { wider.in_toml() } else { one.in_toml() });
            self.line(Word::Http, rules)
        });
        Denial::new(Word::Http, &request.to_string(), reason).with_hint(hint)
    }

    pub(super) fn sql_denied(&self, peer: &str, access: Access) -> Denial {
        let reason = if self.sql.iter().any(|rule| rule.peer == peer) {
            let whose = if self.is_for_preview { " in a preview" } else { "" };
            format!("the peer `{peer}` may be read only{whose}")
        } else {
            format!("no rule names the peer `{peer}`")
        };
        let asked = format!("{access} {peer}");
        Denial::new(Word::Sql, &asked, self.why(Word::Sql, reason))
            .with_hint(self.with(Word::Sql, SqlRule::parse(&asked).ok()))
    }

    pub(super) fn mail_denied(&self, request: &MailRequest) -> Denial {
        let (peer, from) = (request.peer(), request.from());
        let sending = || self.mail.iter().filter(|rule| rule.sends(request));
        let nearest = sending().min_by_key(|rule| rule.missing(request).count());
        let reason = match nearest.and_then(|rule| rule.missing(request).next()) {
            Some(address) if sending().any(|rule| rule.reaches(address)) => {
                format!("no single rule covers every recipient: `{address}` stands in another")
            }
            Some(address) => format!("no rule of this sender covers `{address}`"),
            None if self.mail.iter().any(|rule| rule.peer == peer) => {
                format!("no rule lets `{from}` write through `{peer}`")
            }
            None => format!("no rule names the peer `{peer}`"),
        };
        Denial::new(Word::Mail, &request.to_string(), self.why(Word::Mail, reason))
            .with_hint(self.with(Word::Mail, request.narrowest()))
    }

    pub(super) fn path_denied(&self, word: Word, path: &PathRequest<'_>) -> Denial {
        if !is_resolved(path.resolved) {
            return Denial::new(word, path.shown, "the path is not a plain absolute one");
        }
        let reason = if word == Word::Write && self.read.iter().any(|rule| rule.covers(path.resolved)) {
            "it may be read only"
        } else {
            "no rule covers it"
        };
        let rule = path.narrowest().map(|written| PathRule::new(written, path.resolved));
        Denial::new(word, path.shown, self.why(word, reason)).with_hint(self.with(word, rule))
    }

    pub(super) fn name_denied(&self, path: &PathRequest<'_>) -> Denial {
        if self.write.iter().all(|rule| !rule.covers(path.resolved)) || !is_resolved(path.resolved) {
            let denial = self.path_denied(Word::Write, path);
            return denial.with_hint(self.holder_line(Word::Write, path));
        }
        let reason = "the rule covers the file and not its name: making, removing and linking it are the directory's";
        Denial::new(Word::Write, path.shown, reason).with_hint(self.holder_line(Word::Write, path))
    }

    /// The line that covers the directory which holds a path.
    pub(super) fn holder_line(&self, word: Word, path: &PathRequest<'_>) -> Option<String> {
        let holder = path.resolved.parent().filter(|_| is_resolved(path.resolved))?;
        self.with(word, path.holder().map(|written| PathRule::new(written, holder)))
    }

    pub(super) fn env_denied(&self, name: &str) -> Denial {
        Denial::new(Word::Env, name, self.why(Word::Env, "no rule names it"))
            .with_hint(self.with(Word::Env, EnvRule::parse(name).ok()))
    }

    pub(super) fn secret_denied(&self, name: &str, to: &SlotTarget) -> Denial {
        let (header, format) = match to {
            SlotTarget::Peer(_) => (Some("Authorization"), Some("Bearer {}")),
            SlotTarget::Artifacts => (None, None),
        };
        let slot = SecretSlot::new(name, &to.to_string(), header, format).ok();
        let reason = if self.secrets.iter().any(|slot| slot.name == name) {
            "the secret may go elsewhere, not there"
        } else {
            "no slot names the secret"
        };
        Denial::new(Word::Secrets, &format!("{name} to {to}"), self.why(Word::Secrets, reason))
            .with_hint(self.with(Word::Secrets, slot))
    }

    pub(super) fn reveal_denied(&self, name: &str) -> Denial {
        Denial::new(Word::Reveal, name, self.why(Word::Reveal, "no rule names it"))
            .with_hint(self.with(Word::Reveal, RevealRule::parse(name).ok()))
    }

    pub(super) fn exec_denied(&self, program: &str, arguments: &[String]) -> Denial {
        let asked = std::iter::once(program).chain(arguments.iter().map(String::as_str));
        let asked = asked.map(quoted).collect::<Vec<_>>().join(" ");
        let reason = if self.exec.iter().any(|rule| rule.program == program) {
            "no rule covers these arguments"
        } else {
            "no rule names the program"
        };
        let rule = ExecRule::narrowest(program, arguments, self.exec.iter());
        Denial::new(Word::Exec, &asked, self.why(Word::Exec, reason)).with_hint(self.with(Word::Exec, rule))
    }

    pub(super) fn artifact_denied(&self, asked: &ArtifactRule) -> Denial {
        let reason = match asked {
            ArtifactRule::Write => "no rule says `write`",
            ArtifactRule::Read(_) => "no rule names the step",
        };
        let asked = asked.to_string();
        Denial::new(Word::Artifacts, &asked, self.why(Word::Artifacts, reason))
            .with_hint(self.with(Word::Artifacts, ArtifactRule::parse(&asked).ok()))
    }
}

/// An argument as people read it: in quotes where it would fall apart without.
fn quoted(argument: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\') && !c.is_control();
    if !argument.is_empty() && argument.chars().all(plain) { argument.to_owned() } else { line::text(argument) }
}
