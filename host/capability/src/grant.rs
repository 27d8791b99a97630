//! What one step may touch, and the decisions.

mod hint;
mod inclusion;
mod network;
mod reading;

use crate::{
    address::AddressRefused,
    artifact::ArtifactRule,
    denial::Denial,
    env::EnvRule,
    exec::ExecRule,
    http::{HttpRequest, HttpRule, HttpTarget},
    line,
    mail::{MailRequest, MailRule},
    path::{PathRequest, PathRule},
    reveal::RevealRule,
    rule::InToml,
    secret::{SecretSlot, SlotTarget},
    sql::{Access, SqlRule},
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
    word::Word,
};

pub use self::network::TcpName;

/// What one step may touch.
///
/// Everything that no rule names is denied. The default has no rules, and so:
///
/// - no HTTP request is sent, to peers neither,
/// - no name is looked up, no connection opened, no handshake made,
/// - no database is opened,
/// - no message is sent,
/// - no file is read, written, listed or looked at,
/// - the free space of no path is told,
/// - no variable of the operator is seen,
/// - no secret is put in anywhere, and none is told,
/// - no program is run,
/// - no artifact is stored or read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Requests that may be sent.
    pub http: Vec<HttpRule>,
    /// Hosts and ports that may be connected to.
    pub tcp: Vec<TcpRule>,
    /// Servers that may be shaken hands with.
    pub tls: Vec<TlsRule>,
    /// Databases that may be used.
    pub sql: Vec<SqlRule>,
    /// Messages that may be sent.
    pub mail: Vec<MailRule>,
    /// Directories and files that may be read.
    pub read: Vec<PathRule>,
    /// Directories and files that may be read, written and deleted in.
    pub write: Vec<PathRule>,
    /// Paths whose free space may be told.
    pub disk: Vec<PathRule>,
    /// Variables that may be read.
    pub env: Vec<EnvRule>,
    /// Secrets, and the place that each may go to.
    pub secrets: Vec<SecretSlot>,
    /// Secrets that the guest may be told.
    pub reveal: Vec<RevealRule>,
    /// Programs that may be run.
    pub exec: Vec<ExecRule>,
    /// What may be done with artifacts.
    pub artifacts: Vec<ArtifactRule>,
    /// Whether it is what [`Grant::reading`] left of a step's grant. A refusal then names no line that would allow it.
    pub is_for_preview: bool,
}

impl Grant {
    /// Whether a request may be sent, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn http(&self, request: &HttpRequest) -> Result<&HttpRule, Denial> {
        self.http.iter().find(|rule| rule.covers(request)).ok_or_else(|| self.http_denied(request))
    }

    /// Whether a database may be opened for `access`, and by which rule. A rule for writing covers reading.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn sql(&self, peer: &str, access: Access) -> Result<&SqlRule, Denial> {
        self.sql.iter().find(|rule| rule.covers(peer, access)).ok_or_else(|| self.sql_denied(peer, access))
    }

    /// Whether a message may be sent, and by which rule: one that covers peer, sender and every recipient.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn mail(&self, request: &MailRequest) -> Result<&MailRule, Denial> {
        self.mail.iter().find(|rule| rule.covers(request)).ok_or_else(|| self.mail_denied(request))
    }

    /// Whether a path may be read, and by which rule. A rule for writing covers reading.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn read(&self, path: &PathRequest<'_>) -> Result<&PathRule, Denial> {
        let mut rules = self.read.iter().chain(&self.write);
        rules.find(|rule| rule.covers(path.resolved)).ok_or_else(|| self.path_denied(Word::Read, path))
    }

    /// The same for a link that is looked at itself. The hint names the directory that holds it: a rule that names a link leads
    /// to where the link leads.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn read_link(&self, path: &PathRequest<'_>) -> Result<&PathRule, Denial> {
        self.read(path).map_err(|denial| denial.with_hint(self.holder_line(Word::Read, path)))
    }

    /// The line that would allow a path: nothing where it is the pipeline's own directory or the root, which no rule may name.
    #[must_use]
    pub fn path_line(&self, word: Word, path: &PathRequest<'_>) -> Option<String> {
        let named = path.resolved.file_name().is_some() && !path.shown.is_empty();
        let rule = path.narrowest().filter(|_| named).map(|written| PathRule::new(written, path.resolved));
        self.with(word, rule)
    }

    /// Whether a path may be written, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn write(&self, path: &PathRequest<'_>) -> Result<&PathRule, Denial> {
        let mut rules = self.write.iter();
        rules.find(|rule| rule.covers(path.resolved)).ok_or_else(|| self.path_denied(Word::Write, path))
    }

    /// Whether a name may be made, removed, moved or linked, and by which rule: one that covers the directory which holds it.
    /// A rule for the path alone covers what is in the file and not its name.
    ///
    /// # Errors
    ///
    /// No rule covers the directory.
    pub fn write_name(&self, path: &PathRequest<'_>) -> Result<&PathRule, Denial> {
        let holder = path.resolved.parent();
        let mut rules = self.write.iter();
        let found = holder.and_then(|holder| rules.find(|rule| rule.covers(holder) && rule.covers(path.resolved)));
        found.ok_or_else(|| self.name_denied(path))
    }

    /// Whether the free space of a path may be told, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn disk(&self, path: &PathRequest<'_>) -> Result<&PathRule, Denial> {
        let mut rules = self.disk.iter();
        rules.find(|rule| rule.covers(path.resolved)).ok_or_else(|| self.path_denied(Word::Disk, path))
    }

    /// Whether a variable may be read, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule names it.
    pub fn env(&self, name: &str) -> Result<&EnvRule, Denial> {
        self.env.iter().find(|rule| rule.name() == name).ok_or_else(|| self.env_denied(name))
    }

    /// The slots that lead to one target.
    pub fn secret_slots<'g>(&'g self, to: &'g SlotTarget) -> impl Iterator<Item = &'g SecretSlot> {
        self.secrets.iter().filter(move |slot| slot.to == *to)
    }

    /// Whether a secret may go to a target, and by which slot.
    ///
    /// # Errors
    ///
    /// No slot of that name leads there.
    pub fn secret(&self, name: &str, to: &SlotTarget) -> Result<&SecretSlot, Denial> {
        let mut slots = self.secrets.iter();
        slots.find(|slot| slot.name == name && slot.to == *to).ok_or_else(|| self.secret_denied(name, to))
    }

    /// Whether the guest may be told a secret, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule names it.
    pub fn reveal(&self, name: &str) -> Result<&RevealRule, Denial> {
        self.reveal.iter().find(|rule| rule.name() == name).ok_or_else(|| self.reveal_denied(name))
    }

    /// Whether a program may be run with these arguments, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule covers it.
    pub fn exec(&self, program: &str, arguments: &[String]) -> Result<&ExecRule, Denial> {
        let mut rules = self.exec.iter();
        rules.find(|rule| rule.covers(program, arguments)).ok_or_else(|| self.exec_denied(program, arguments))
    }

    /// Whether artifacts may be stored, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule says so.
    pub fn artifact_write(&self) -> Result<&ArtifactRule, Denial> {
        let mut rules = self.artifacts.iter();
        rules.find(|rule| matches!(rule, ArtifactRule::Write)).ok_or_else(|| self.artifact_denied(&ArtifactRule::Write))
    }

    /// Whether the artifacts of a step may be read, and by which rule. `step` is its name, without an instance.
    ///
    /// # Errors
    ///
    /// No rule names the step.
    pub fn artifact_read(&self, step: &str) -> Result<&ArtifactRule, Denial> {
        let mut rules = self.artifacts.iter();
        rules
            .find(|rule| matches!(rule, ArtifactRule::Read(name) if name == step))
            .ok_or_else(|| self.artifact_denied(&ArtifactRule::Read(step.to_owned())))
    }

    /// One line for each rule, as it could stand in the pipeline file: `allow.http = ["GET k8s:/version"]`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let rules = |word| self.rules(word).into_iter().map(move |rule| line::set(word, [rule]));
        Word::ALL.into_iter().flat_map(rules).collect()
    }

    /// Every path that a rule names: of the step itself and of its programs, but for where those start.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathRule> {
        let programs = self.exec.iter_mut();
        let of_programs =
            programs.flat_map(|rule| rule.read.iter_mut().chain(&mut rule.write).chain(&mut rule.sockets));
        self.read.iter_mut().chain(&mut self.write).chain(&mut self.disk).chain(of_programs)
    }

    /// How many rules there are of a word.
    #[must_use]
    pub const fn count(&self, word: Word) -> usize {
        match word {
            Word::Http => self.http.len(),
            Word::Tcp => self.tcp.len(),
            Word::Tls => self.tls.len(),
            Word::Sql => self.sql.len(),
            Word::Mail => self.mail.len(),
            Word::Read => self.read.len(),
            Word::Write => self.write.len(),
            Word::Disk => self.disk.len(),
            Word::Env => self.env.len(),
            Word::Secrets => self.secrets.len(),
            Word::Reveal => self.reveal.len(),
            Word::Exec => self.exec.len(),
            Word::Artifacts => self.artifacts.len(),
        }
    }

    /// The rules of a word, as they stand in its array: in the order of the field.
    #[must_use]
    pub fn rules(&self, word: Word) -> Vec<String> {
        fn all<R: InToml>(rules: &[R]) -> Vec<String> {
            rules.iter().map(R::in_toml).collect()
        }
        match word {
            Word::Http => all(&self.http),
            Word::Tcp => all(&self.tcp),
            Word::Tls => all(&self.tls),
            Word::Sql => all(&self.sql),
            Word::Mail => all(&self.mail),
            Word::Read => all(&self.read),
            Word::Write => all(&self.write),
            Word::Disk => all(&self.disk),
            Word::Env => all(&self.env),
            Word::Secrets => all(&self.secrets),
            Word::Reveal => all(&self.reveal),
            Word::Exec => all(&self.exec),
            Word::Artifacts => all(&self.artifacts),
        }
    }
}

#[cfg(test)]
mod tests;
