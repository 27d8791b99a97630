//! The ceiling: at most what the security team allows, whatever a pipeline grants.
//!
//! A ceiling is written by other people than the pipeline, so **no name that the pipeline chose satisfies it**. Peers count by
//! the address that they really have, secrets by the source that they really come from, paths by where they really lead,
//! plugins by their content. Every rule of a step must be included in one rule of the blocks that apply to the step; a word
//! of which no block says anything is not allowed at all. A pipeline above its ceiling does not start: so what a step may do
//! is its grant, and the grant lies below the ceiling.

mod decide;
mod endpoint;
mod host;
mod http;
mod mail;
mod migration;
mod place;
mod require;
mod rules;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use pipe_core::{digest::Digest, stage::Stage};

pub use self::{
    endpoint::EndpointCeiling,
    host::HostPattern,
    http::{HttpCeiling, HttpCeilingTarget},
    mail::MailCeiling,
    place::{Place, PlacePattern},
    require::Requirements,
    rules::{
        ArtifactCeiling, ExecCeiling, NamePattern, PathCeiling, SecretCeiling, SecretDestination, SourcePattern,
        SqlCeiling,
    },
};
use crate::{grant::Grant, word::Word};

/// What is allowed at most, and what is required.
#[derive(Clone, Debug, Default)]
pub struct Ceiling {
    /// What is allowed. What no block allows is not.
    pub allow: Vec<Block>,
    /// What must hold besides.
    pub require: Requirements,
}

/// What is allowed to the steps that a block applies to. The default applies to every step and allows nothing.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Stages that it applies to. Nothing: all.
    pub stages: Option<Vec<Stage>>,
    /// Plugins that it applies to. Nothing: all.
    pub plugins: Option<Vec<PluginPattern>>,
    /// Environments that it applies to, as the operator names them. Nothing: all.
    pub environments: Option<Vec<String>>,
    /// Words of which anything is allowed.
    pub any: Vec<Word>,
    /// Requests.
    pub http: Vec<HttpCeiling>,
    /// Connections.
    pub tcp: Vec<EndpointCeiling>,
    /// Handshakes.
    pub tls: Vec<EndpointCeiling>,
    /// Databases.
    pub sql: Vec<SqlCeiling>,
    /// Messages.
    pub mail: Vec<MailCeiling>,
    /// Directories and files, for reading.
    pub read: Vec<PathCeiling>,
    /// Directories and files, for writing; includes reading.
    pub write: Vec<PathCeiling>,
    /// Paths whose free space may be told.
    pub disk: Vec<PathCeiling>,
    /// Variables of the operator.
    pub env: Vec<NamePattern>,
    /// Secrets and where they may go, in slots, logins of peers and variables of programs alike.
    pub secrets: Vec<SecretCeiling>,
    /// Secrets that a plugin may be told, by their sources.
    pub reveal: Vec<SourcePattern>,
    /// Programs.
    pub exec: Vec<ExecCeiling>,
    /// What may be done with artifacts.
    pub artifacts: Vec<ArtifactCeiling>,
}

/// Which plugins a block applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginPattern {
    /// The standard plugins: those inside `pipe`.
    Standard,
    /// The standard plugin of one stage.
    StandardOf(Stage),
    /// The plugin with this content, whatever the pipeline calls it.
    Content(Digest),
}

/// The plugin of a step, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginSeen {
    /// One of those inside `pipe`.
    Standard(Stage),
    /// A file.
    File {
        /// Its content.
        digest: Digest,
        /// Whether the pipeline file says what the content must be.
        pinned: bool,
    },
}

/// Where a secret really comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A variable of the operator.
    Env(String),
    /// A file, by its canonical path.
    File(PathBuf),
}

/// What a peer of the pipeline really is.
#[derive(Clone, Debug)]
pub struct PeerSeen {
    /// Where it is.
    pub place: Place,
    /// Names of the secrets that the host puts into what it sends there, or signs with.
    pub logins: Vec<String>,
    /// Name of the secret that is the key of its client certificate: it is used in a handshake too.
    pub client_key: Option<String>,
    /// Whether one of them is put before the path of every request, so that no rule tells which path is asked for.
    pub hides_path: bool,
}

/// What the names of a pipeline stand for.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Peers, by name.
    pub peers: BTreeMap<String, PeerSeen>,
    /// Secrets, by name.
    pub secrets: BTreeMap<String, SecretOrigin>,
    /// Directory of the pipeline file, canonical.
    pub base: PathBuf,
    /// Environment, as the operator named it.
    pub environment: String,
}

/// One step, as the ceiling looks at it.
#[derive(Clone, Copy, Debug)]
pub struct StepSeen<'a> {
    /// Its stage.
    pub stage: Stage,
    /// Its plugin.
    pub plugin: PluginSeen,
    /// What it is granted, **with canonical paths**, those of `cwd` too.
    pub grant: &'a Grant,
    /// What is known of the backups that run before it.
    pub backups: &'a [BackupSeen],
    /// Of a migration: how old the backup may be that it leans on, as the pipeline file says. Nothing where it does not say.
    pub backup_age: Option<Duration>,
}

/// What is known, before a run, of a backup step. What was really stored, the run knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupSeen {
    /// Why nothing that it stores will be encrypted: a lower-case fragment that names it. Nothing where it may be, as far as its
    /// grant and settings tell.
    pub in_the_clear: Option<String>,
    /// Why nothing that it stores will be restored, likewise.
    pub not_restored: Option<String>,
}

/// Something of a step that the ceiling does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What of the step.
    pub at: Part,
    /// What of the ceiling speaks against it.
    pub against: Against,
    /// Lower-case fragment, to stand beside the step's line: what the line really means. May be empty.
    pub means: String,
    /// Lower-case fragment, to stand beside the ceiling's line.
    pub why: String,
}

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A rule of its grant, by its place among the rules of the word.
    Rule(Word, usize),
    /// Its plugin.
    Plugin,
    /// The step as a whole.
    Whole,
}

/// A part of a ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The rule that comes nearest to allowing it: block, word, place among the rules of the word.
    Rule(usize, Word, usize),
    /// The list of a word, where no rule comes near: block, word.
    Word(usize, Word),
    /// A block that applies and does not have the word.
    Block(usize),
    /// No block applies to the step.
    NoBlock,
    /// A requirement, by its key.
    Requirement(&'static str),
}

impl Block {
    /// Whether it applies to a step.
    #[must_use]
    pub fn applies(&self, step: &StepSeen<'_>, outside: &Outside) -> bool {
        let is = |pattern: &PluginPattern| match (pattern, step.plugin) {
            (PluginPattern::Standard, PluginSeen::Standard(_)) => true,
            (PluginPattern::StandardOf(stage), PluginSeen::Standard(seen)) => *stage == seen,
            (PluginPattern::Content(digest), PluginSeen::File { digest: seen, .. }) => *digest == seen,
            _ => false,
        };
        self.stages.as_ref().is_none_or(|stages| stages.contains(&step.stage))
            && self.plugins.as_ref().is_none_or(|plugins| plugins.iter().any(is))
            && self.environments.as_ref().is_none_or(|names| names.contains(&outside.environment))
    }

    /// How many rules it has of a word.
    fn rules(&self, word: Word) -> usize {
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
}

impl fmt::Display for SecretOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "of the variable `{name}`"),
            Self::File(path) => write!(f, "of the file {}", path.display()),
        }
    }
}

impl Outside {
    fn peer(&self, name: &str) -> Option<&PeerSeen> {
        self.peers.get(name)
    }

    fn base(&self) -> &Path {
        &self.base
    }
}
