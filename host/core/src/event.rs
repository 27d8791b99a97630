//! What happens in a run, as facts. The runner emits them, the journal keeps them, reporters read them.

mod decision;
mod outcome;
mod wave;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    decision::{InFlight, Resolution},
    outcome::{Outcome, StepStatus},
    wave::{Breach, Checked, NotBreach, Share, WatchEnd, Wave},
};
use crate::{
    digest::Digest,
    id::{RunId, StepId},
    report::{Failure, StageReport},
    stage::Stage,
};

/// Version of the event format, in every exported line: `pipe.event/v1`.
pub const SCHEMA: &str = "pipe.event/v1";

/// An event with its place in the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The run it belongs to.
    pub run: RunId,
    /// Wall clock, UTC.
    pub at: jiff::Timestamp,
    /// What happened.
    #[serde(rename = "what")]
    pub kind: EventKind,
}

/// A file that the run was given, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// As the pipeline file names it: `std:backup`, or a name of `[plugins]`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Its content.
    pub digest: Digest,
}

/// A step as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Identity.
    pub step: StepId,
    /// Stage.
    pub stage: Stage,
    /// Plugin.
    pub plugin: PluginIdentity,
    /// Whether it can be undone.
    pub reversible: bool,
    /// The grant: lines of the pipeline file.
    pub grant: Vec<String>,
    /// Names of the secrets whose plaintext the plugin gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reveals: Vec<String>,
}

/// An artifact as it was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// sha256 of the stored file.
    pub digest: Digest,
    /// Name for people.
    pub name: String,
    /// Path on the host.
    pub location: String,
    /// Size of the stored file, in bytes.
    pub bytes: u64,
    /// Size of the content, in bytes.
    pub content_bytes: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// sha256 of the content, before compression and encryption.
    pub content_digest: Digest,
}

/// What a verifier saw of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The artifact.
    pub digest: Digest,
    /// How.
    pub method: String,
    /// Content that was read, in bytes.
    pub content_bytes: u64,
    /// Entries or lines.
    pub entries: u64,
}

/// A use of a capability.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The word: `http`.
    pub word: String,
    /// What was touched: `GET k8s:/version`. Masked where the grant does not fix it.
    pub subject: String,
    /// The granted line that allowed it.
    pub rule: String,
    /// Whether it could change something outside.
    pub effect: bool,
    /// Keyed hash of the whole text, where the subject leaves something of it out: see
    /// [`ProofKey`](crate::proof::ProofKey). Of `sql` the statement, of `http` the query, of `exec` the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Digest>,
    /// For a program, which is native code: what confines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The word: `http`.
    pub word: String,
    /// What was asked for.
    pub subject: String,
    /// Why it was refused.
    pub reason: String,
    /// The line that would allow it, or nothing where no line would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// For the operator who looks closely.
    Info,
    /// For every operator.
    Warning,
    /// For every operator, at once.
    Error,
}

/// What happened. Names are part of the output format: never renamed, only added to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The run was accepted: everything knowable had been checked.
    RunStarted {
        /// Name of the pipeline.
        pipeline: String,
        /// Environment.
        environment: String,
        /// Path of the pipeline file, absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Content of the pipeline file.
        pipeline_digest: Digest,
        /// Hash of the plan.
        plan_digest: Digest,
        /// Version of `pipe`.
        pipe_version: String,
        /// Who started it: user and host.
        actor: String,
        /// Identity of the machine's start: within one, the `boot_ms` of audit entries can be compared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
        /// When it was asked for: what `${run.started}` stands for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<jiff::Timestamp>,
        /// Inputs as given.
        inputs: BTreeMap<String, String>,
        /// Inputs of the deployment before, as `${previous…}` knows them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        previous: BTreeMap<String, String>,
        /// Paths of the policies, in the order of their contents.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        policy_files: Vec<String>,
        /// Contents of the policies that it was held against.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        policies: Vec<Digest>,
        /// Steps in order, as many as one event can hold.
        steps: Vec<PlannedStep>,
        /// How many further ones stand in `planned` events right behind this one.
        #[serde(default, skip_serializing_if = "is_zero")]
        further: u64,
    },
    /// Further planned steps of a run that has more than its first event can hold. Written with it, as one.
    Planned {
        /// Steps in order.
        steps: Vec<PlannedStep>,
    },
    /// A step's turn has come.
    StepStarted {
        /// The step.
        step: StepId,
        /// Its stage.
        stage: Stage,
        /// Its plugin.
        plugin: PluginIdentity,
        /// Settings after references were resolved; their sha256.
        settings_digest: Digest,
    },
    /// An attempt begins. Durable with whatever is durable next: at the latest with `touched`, before the first effect.
    AttemptStarted {
        /// The step.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// Stable over attempts.
        idempotency_key: String,
    },
    /// The attempt is about to make its first effectful call. Written before that call.
    Touched {
        /// The step.
        step: StepId,
        /// From 1.
        attempt: u32,
    },
    /// A capability was used.
    Used {
        /// The step.
        step: StepId,
        /// What.
        #[serde(rename = "use")]
        used: Use,
    },
    /// A capability was refused.
    Denied {
        /// The step.
        step: StepId,
        /// What.
        refusal: Refusal,
    },
    /// The plugin, or a program it started, said something.
    Logged {
        /// The step.
        step: StepId,
        /// How much it matters.
        level: LogLevel,
        /// One line.
        message: String,
        /// Named values.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<String, String>,
    },
    /// How far a long task has come. Never journaled.
    Progress {
        /// The step.
        step: StepId,
        /// What.
        message: String,
        /// How much.
        done: u64,
        /// Of how much.
        total: Option<u64>,
    },
    /// A receipt was saved.
    CheckpointSaved {
        /// The step.
        step: StepId,
        /// Its key.
        key: String,
        /// Its content.
        digest: Digest,
        /// Size, in bytes.
        bytes: u64,
        /// For the person who must go on by hand.
        summary: String,
    },
    /// An artifact was stored.
    ArtifactStored {
        /// The step.
        step: StepId,
        /// What.
        artifact: Artifact,
    },
    /// The host saw an artifact verified.
    ArtifactVerified {
        /// The step.
        step: StepId,
        /// What was seen.
        verification: Verification,
    },
    /// An attempt ended.
    AttemptFailed {
        /// The step.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// How long until the next attempt, in milliseconds; nothing where there is none.
        retry_in_ms: Option<u64>,
    },
    /// A step ended. Durable before the next one starts.
    StepFinished {
        /// The step.
        step: StepId,
        /// How.
        status: StepStatus,
        /// What it reported, where it succeeded.
        report: Option<StageReport>,
        /// Why it failed, where it did.
        failure: Option<Failure>,
        /// How long it took over all attempts, in milliseconds.
        duration_ms: u64,
    },
    /// Undoing begins.
    RollbackStarted {
        /// What made it necessary.
        reason: String,
        /// What will be undone or run, in order.
        entries: Vec<StepId>,
    },
    /// A step's undo begins. Written before the call.
    UndoStarted {
        /// The step.
        step: StepId,
    },
    /// A step's undo ended.
    UndoFinished {
        /// The step.
        step: StepId,
        /// What was taken back, where it succeeded.
        report: Option<StageReport>,
        /// Why it failed, where it did.
        failure: Option<Failure>,
        /// Summaries of the step's receipts, for a person to go on, where it failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        summaries: Vec<String>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// A notification was sent, or was not. Never changes the outcome.
    Notified {
        /// The notification.
        step: StepId,
        /// What it was about.
        about: String,
        /// Channels that accepted.
        delivered: Vec<String>,
        /// Why it failed, where it did.
        failure: Option<Failure>,
    },
    /// The run ended.
    RunFinished {
        /// How.
        outcome: Outcome,
        /// Why, where it did not succeed.
        reason: Option<String>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The run stops without an end: it can be resumed. One that is killed has no such event.
    RunPaused {
        /// What it waits for, or who stopped it.
        why: String,
    },
    /// Another process goes on with the run.
    RunResumed {
        /// Who: user and host.
        actor: String,
        /// Version of `pipe`.
        pipe_version: String,
        /// Identity of the machine's start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
    },
    /// Somebody said what becomes of an attempt that was cut off after it had touched something.
    InFlightDecided {
        /// The step.
        step: StepId,
        /// What: `retry` or `undo`.
        decision: InFlight,
        /// Who.
        actor: String,
    },
    /// Somebody asked for the run to be undone.
    RollbackRequested {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// Somebody says how a step stands after a repair by hand.
    Resolved {
        /// The step.
        step: StepId,
        /// How it stands.
        resolution: Resolution,
        /// Who says so.
        actor: String,
        /// Why.
        reason: String,
    },
    /// Somebody gives the run up: what it started stays as it is. `run-finished` follows.
    Abandoned {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },

    // Waves, guards and watches.
    /// A wave of a release begins.
    WaveStarted {
        /// The step.
        step: StepId,
        /// Which.
        wave: Wave,
    },
    /// A wave was released. Durable before anything else happens: it is never released again.
    WaveReleased {
        /// The step.
        step: StepId,
        /// Which.
        wave: Wave,
        /// What the release reported.
        report: StageReport,
    },
    /// A wave is held: from here on it holds in full, whatever was before.
    WaveHolding {
        /// The step.
        step: StepId,
        /// Which.
        wave: Wave,
        /// How long, in milliseconds.
        hold_ms: u64,
    },
    /// How long a wave is still held. Never journaled.
    Holding {
        /// The step.
        step: StepId,
        /// Which wave.
        wave: Wave,
        /// How much longer, in milliseconds.
        left_ms: u64,
    },
    /// A check of the guard was made while a wave was held.
    GuardChecked {
        /// The step.
        step: StepId,
        /// Which wave.
        wave: Wave,
        /// What the check said.
        checked: Checked,
    },
    /// A check of the guard was not met, and that has consequences. Durable.
    GuardBreached {
        /// The step.
        step: StepId,
        /// Which wave.
        wave: Wave,
        /// What follows.
        breach: Breach,
        /// The check, and what it saw.
        failure: Failure,
    },
    /// A wave has held. Durable before the next one starts.
    WaveFinished {
        /// The step.
        step: StepId,
        /// Which.
        wave: Wave,
    },
    /// Every step succeeded, and the deployment is to be watched from here on.
    WatchOpened {
        /// How long, in milliseconds.
        for_ms: u64,
        /// When that is over, by the wall clock.
        until: jiff::Timestamp,
    },
    /// A check was made while the deployment was watched.
    WatchChecked {
        /// What it said.
        checked: Checked,
    },
    /// A check of the watch was not met, and that has consequences. Durable.
    WatchBreached {
        /// What follows.
        breach: Breach,
        /// The check, and what it saw.
        failure: Failure,
    },
    /// A person has seen to a breach: the deployment is watched again.
    WatchContinued {
        /// Who.
        actor: String,
    },
    /// The deployment is not watched any more.
    WatchEnded {
        /// How that came.
        #[serde(flatten)]
        end: WatchEnd,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl EventKind {
    /// The steps that this event says are planned. All of a run's: those of each of its events, in order.
    #[must_use]
    pub fn planned_steps(&self) -> &[PlannedStep] {
        match self {
            Self::RunStarted { steps, .. } | Self::Planned { steps } => steps,
            _ => &[],
        }
    }

    /// The word of the `event` field: `step-finished`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run-started",
            Self::Planned { .. } => "planned",
            Self::StepStarted { .. } => "step-started",
            Self::AttemptStarted { .. } => "attempt-started",
            Self::Touched { .. } => "touched",
            Self::Used { .. } => "used",
            Self::Denied { .. } => "denied",
            Self::Logged { .. } => "logged",
            Self::Progress { .. } => "progress",
            Self::CheckpointSaved { .. } => "checkpoint-saved",
            Self::ArtifactStored { .. } => "artifact-stored",
            Self::ArtifactVerified { .. } => "artifact-verified",
            Self::AttemptFailed { .. } => "attempt-failed",
            Self::StepFinished { .. } => "step-finished",
            Self::RollbackStarted { .. } => "rollback-started",
            Self::UndoStarted { .. } => "undo-started",
            Self::UndoFinished { .. } => "undo-finished",
            Self::Notified { .. } => "notified",
            Self::RunFinished { .. } => "run-finished",
            Self::RunPaused { .. } => "run-paused",
            Self::RunResumed { .. } => "run-resumed",
            Self::InFlightDecided { .. } => "in-flight-decided",
            Self::RollbackRequested { .. } => "rollback-requested",
            Self::Resolved { .. } => "resolved",
            Self::Abandoned { .. } => "abandoned",
            Self::WaveStarted { .. } => "wave-started",
            Self::WaveReleased { .. } => "wave-released",
            Self::WaveHolding { .. } => "wave-holding",
            Self::Holding { .. } => "holding",
            Self::GuardChecked { .. } => "guard-checked",
            Self::GuardBreached { .. } => "guard-breached",
            Self::WaveFinished { .. } => "wave-finished",
            Self::WatchOpened { .. } => "watch-opened",
            Self::WatchChecked { .. } => "watch-checked",
            Self::WatchBreached { .. } => "watch-breached",
            Self::WatchContinued { .. } => "watch-continued",
            Self::WatchEnded { .. } => "watch-ended",
        }
    }
}
