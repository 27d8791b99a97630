//! A checked pipeline: what the runner runs. Plain data, with the places of the file it came from.

mod flow;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use pipe_capability::{grant::Grant, word::Word};
use pipe_core::{diagnostic::SourceFile, digest::Digest, event::InFlight, id::StepId, limits::Limits, stage::Stage};
use url::Url;

pub use self::flow::{Guard, GuardCheck, OnFailure, OnInterrupt, Repetition, Watch, Wave};
use crate::{
    gate::{Gate, RoleSpec, StepGate},
    network,
    settings::Settings,
    window::Window,
};

/// A pipeline in one environment, with its inputs. Made by [`check`](crate::check()).
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// `name` of the file: letters, digits, `-`, `_`.
    pub name: String,
    /// The environment; [`NO_ENVIRONMENT`] where the file declares none.
    pub environment: String,
    /// Directory of the file. Absolute; relative paths begin here.
    pub base: PathBuf,
    /// State directory, absolute; nothing where the file leaves it to the caller.
    pub state: Option<PathBuf>,
    /// The database in which several hosts keep who drives: one of the peers. Nothing where the state directory says so.
    pub lock: Option<String>,
    /// Every declared input with its value.
    pub inputs: BTreeMap<String, String>,
    /// Where secrets come from, by name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Where the file declares each of them.
    pub secret_spans: BTreeMap<String, Range<usize>>,
    /// Peers by name.
    pub peers: BTreeMap<String, PeerSpec>,
    /// Who decides at gates, by role.
    pub roles: BTreeMap<String, RoleSpec>,
    /// The plugins that are called, as steps name them: `std:verify`, or a name of `[plugins]`.
    pub plugins: BTreeMap<String, PluginSource>,
    /// What runs, in order. A repeated step stands here once for each entry of its set.
    pub steps: Vec<Step>,
    /// The waits for people among the steps, in order.
    pub gates: Vec<StepGate>,
    /// What undoes it, in order; nothing means the reverse of what was done.
    pub rollback: Option<Vec<RollbackEntry>>,
    /// What is told to whom.
    pub notifications: Vec<Notification>,
    /// The checks that guards and the watch make, each once. They do not run by themselves.
    pub checks: Vec<Step>,
    /// How the deployment is watched once every step has succeeded.
    pub watch: Option<Watch>,
    /// When its phases are due, where the file says.
    pub window: Option<Window>,
    /// What an interrupt of the operator leads to.
    pub on_interrupt: OnInterrupt,
    /// The file, for diagnostics.
    pub file: Arc<SourceFile>,
}

/// [`Pipeline::environment`] of a file without `environments`.
pub const NO_ENVIRONMENT: &str = "default";

/// Where the value of a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the operator.
    Env(String),
    /// A file, absolute.
    File(PathBuf),
}

/// A named address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSpec {
    /// `https://host[:port]/`, `http://…`, `postgres://user@host[:port]/database`, `sqlite:/absolute/path`,
    /// `smtp://user@host[:port]` or `smtps://…`. Without a password, query or fragment; of HTTP and mail without a path.
    pub url: Url,
    /// File of an SQLite database, absolute; nothing for every other peer. [`PeerSpec::url`] says the same, encoded.
    pub database: Option<PathBuf>,
    /// Secret that is the password.
    pub password: Option<String>,
    /// Secret that is sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// Secret that is put before the path of every request.
    pub secret_path: Option<String>,
    /// Transport security. Of `http` always [`Tls::Disable`].
    pub tls: Tls,
    /// PEM file of the certificate authorities to trust instead of the system's. Absolute.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks who calls.
    pub client: Option<ClientIdentity>,
    /// Networks whose private or special addresses the peer may have.
    pub addresses: Vec<IpNet>,
    /// The peer's name in the file.
    pub span: Range<usize>,
}

/// A client certificate and the key to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM file of the certificate and those it was issued by. Absolute.
    pub certificate: PathBuf,
    /// Secret that is the private key, as PEM.
    pub key: String,
}

impl PeerSpec {
    /// Names of the secrets that the host uses there: whatever kind of login, each once. A new kind does not compile here
    /// until it is named.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let Self { url: _, database: _, password, bearer, secret_path, tls: _, ca: _, client, addresses: _, span: _ } =
            self;
        let key = client.as_ref().map(|client| client.key.as_str());
        [password, bearer, secret_path].into_iter().flatten().map(String::as_str).chain(key)
    }

    /// What it speaks.
    #[must_use]
    pub fn kind(&self) -> PeerKind {
        match self.url.scheme() {
            "http" | "https" => PeerKind::Http,
            "smtp" | "smtps" => PeerKind::Mail,
            _ => PeerKind::Sql,
        }
    }

    /// Whether what it is sent could be read on the way: there is no TLS, and it is not on this machine.
    #[must_use]
    pub fn sends_in_the_clear(&self) -> bool {
        self.tls == Tls::Disable && !network::is_loopback(&self.url)
    }
}

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// HTTP.
    Http,
    /// SQL.
    Sql,
    /// SMTP.
    Mail,
}

/// How a connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// TLS, with the certificate checked against the roots and the name.
    #[default]
    VerifyFull,
    /// None.
    Disable,
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// One of the six inside `pipe`.
    Standard(Stage),
    /// A component file.
    File {
        /// Absolute.
        path: PathBuf,
        /// What its content must be.
        sha256: Option<Digest>,
    },
}

/// One call of a plugin.
#[derive(Clone, Debug)]
pub struct Step {
    /// Identity. Unique among steps, rollback, notifications and checks.
    pub id: StepId,
    /// The contract it uses.
    pub stage: Stage,
    /// Key of [`Pipeline::plugins`].
    pub plugin: String,
    /// For one attempt.
    pub timeout: Duration,
    /// What to do when an attempt fails.
    pub retry: Retry,
    /// How the instances of a repeated step run.
    pub repetition: Repetition,
    /// Declared as not to be undone.
    pub irreversible: bool,
    /// Who accepts that a migration has no backup before it.
    pub without_backup: Option<Waiver>,
    /// How old the backup may be that a migration leans on, where the file says.
    pub backup_max_age: Option<Duration>,
    /// What becomes of an attempt that had touched something and did not end, where the file says.
    pub in_flight: Option<InFlight>,
    /// Its parts, where it releases gradually: shares that grow, the last of them everything.
    pub waves: Vec<Wave>,
    /// What is looked at while one of them holds.
    pub guard: Option<Guard>,
    /// What one call may take, beside its time.
    pub limits: Limits,
    /// What it may touch.
    pub grant: Grant,
    /// Where each rule of the grant stands in the file.
    pub rules: RuleSpans,
    /// Its `with`.
    pub settings: Settings,
    /// Its name in the file.
    pub span: Range<usize>,
    /// What decides its plugin in the file: `plugin`, else `stage`.
    pub plugin_span: Range<usize>,
}

/// Where the rules of a grant stand in the file: for each word as many places as the grant has rules, in the same order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSpans(Vec<(Word, Range<usize>)>);

impl RuleSpans {
    /// Where a rule stands, by its place among the rules of the word.
    #[must_use]
    pub fn of(&self, word: Word, index: usize) -> Option<&Range<usize>> {
        self.0.iter().filter(|(of, _)| *of == word).nth(index).map(|(_, span)| span)
    }

    /// Adds the place of the next rule of a word.
    pub(crate) fn push(&mut self, word: Word, span: Range<usize>) {
        self.0.push((word, span));
    }

    /// Reads the rules of a word, and remembers where those stand that are sound.
    pub(crate) fn read<S, R>(
        &mut self,
        word: Word,
        specs: &[S],
        span: impl Fn(&S) -> &Range<usize>,
        read: impl Fn(&S) -> Option<R>,
    ) -> Vec<R> {
        let kept = |spec| {
            let rule = read(spec)?;
            self.push(word, span(spec).clone());
            Some(rule)
        };
        specs.iter().filter_map(kept).collect()
    }
}

/// The oldest backup that any file may let a migration lean on.
pub const OLDEST_BACKUP: Duration = Duration::from_secs(30 * 86_400);
/// How old the backup may be that a migration leans on, where nothing says.
pub const BACKUP_AGE: Duration = Duration::from_secs(86_400);

/// Who accepts that a rule is not kept, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// The role in which somebody does.
    pub role: String,
    /// Why.
    pub reason: String,
}

/// How often, and how long between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Wait before the next attempt.
    pub backoff: Duration,
}

/// One entry of `[[rollback]]`.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful of them in a pipeline, and each is used")]
pub enum RollbackEntry {
    /// Undoes a step; every instance of a repeated one.
    Undo {
        /// Name of the step.
        step: String,
        /// Whether the entries below still run when this fails.
        continue_on_failure: bool,
        /// Who must agree before it, if anybody.
        gate: Option<Gate>,
        /// The step's name in the file.
        span: Range<usize>,
    },
    /// Runs a step of its own.
    Run(Step),
    /// Waits for people.
    Gate(Gate),
}

/// One entry of `[[notify]]`.
#[derive(Clone, Debug)]
pub struct Notification {
    /// When.
    pub on: Vec<NotifyEvent>,
    /// The call.
    pub step: Step,
}

/// What a notification can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyEvent {
    /// The run begins.
    Started,
    /// A step failed after all its attempts.
    StepFailed,
    /// Every step succeeded.
    Succeeded,
    /// A step failed and there was nothing to undo.
    Failed,
    /// Undoing begins.
    RollbackStarted,
    /// What had been started was undone.
    RolledBack,
    /// Not everything could be undone.
    RollbackFailed,
}

impl NotifyEvent {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 7] = [
        Self::Started,
        Self::StepFailed,
        Self::Succeeded,
        Self::Failed,
        Self::RollbackStarted,
        Self::RolledBack,
        Self::RollbackFailed,
    ];

    /// The word in pipeline files: `step-failed`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::StepFailed => "step-failed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RollbackStarted => "rollback-started",
            Self::RolledBack => "rolled-back",
            Self::RollbackFailed => "rollback-failed",
        }
    }
}

impl fmt::Display for NotifyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Pipeline {
    /// Everything that calls a plugin: steps, rollback, notifications, checks.
    pub fn calls(&self) -> impl Iterator<Item = &Step> {
        let rollback = self.rollback.iter().flatten().filter_map(|entry| match entry {
            RollbackEntry::Run(step) => Some(step),
            RollbackEntry::Undo { .. } | RollbackEntry::Gate(_) => None,
        });
        let notifications = self.notifications.iter().map(|notification| &notification.step);
        self.steps.iter().chain(rollback).chain(notifications).chain(&self.checks)
    }

    /// Lets every instance of a step call the component in a file instead of its plugin, wherever the step stands.
    pub fn replace_plugin(&mut self, step: &str, file: &str, sha256: Digest) {
        let path = self.base.join(file);
        self.plugins.insert(file.to_owned(), PluginSource::File { path, sha256: Some(sha256) });
        let rollback = self.rollback.iter_mut().flatten().filter_map(|entry| match entry {
            RollbackEntry::Run(step) => Some(step),
            _ => None,
        });
        let notifications = self.notifications.iter_mut().map(|notification| &mut notification.step);
        for call in self.steps.iter_mut().chain(rollback).chain(notifications).filter(|call| call.id.name == step) {
            file.clone_into(&mut call.plugin);
        }
    }

    /// Path of the pipeline file as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}
