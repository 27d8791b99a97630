//! A run as a document: for the change ticket that it belongs to, and for whoever asks in seven years what was done, by whom,
//! and how it ended. A pure function of its events: nothing is looked up, so that it says the same wherever and whenever it is
//! made.

mod checklist;
mod fold;
mod gates;
mod people;
mod record;
mod step;
mod waves;

use std::collections::BTreeMap;

use jiff::Timestamp;
use pipe_core::{
    digest::Digest,
    event::{Artifact, LogLevel, Outcome, Part, PluginIdentity, Refusal, Verification},
    id::{RunId, StepId},
    report::{Failure, Finding},
    stage::Stage,
};
use serde::{Serialize, Serializer};

pub use self::{
    checklist::{Item, Tick},
    gates::{GateReport, Signed},
    record::Record,
    waves::{Breached, Seen, Tally, WatchReport, WaveReport},
};
use crate::state::RunState;

/// Format of the report: `pipe.report/v1`.
pub const REPORT_SCHEMA: &str = "pipe.report/v1";

/// How a run stands: it has an end, or it says what it does instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// It has ended.
    Ended(Outcome),
    /// It stopped on purpose: somebody has to do something.
    Waiting,
    /// A process is at it.
    Running,
    /// Its process is gone, and nobody has gone on with it.
    CutOff,
}

impl Conclusion {
    /// Of a run that has come so far. `running` says whether a process owns its pipeline and environment.
    #[must_use]
    pub const fn of(state: &RunState, running: bool) -> Self {
        match (state.outcome, running, &state.paused) {
            (Some(outcome), _, _) => Self::Ended(outcome),
            (None, true, _) => Self::Running,
            (None, false, Some(_)) => Self::Waiting,
            (None, false, None) => Self::CutOff,
        }
    }

    /// The word in output: `cut-off`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ended(outcome) => outcome.word(),
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::CutOff => "cut-off",
        }
    }
}

impl Serialize for Conclusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Everything that a reader wants to know of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run: RunId,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
    /// How it stands.
    pub conclusion: Conclusion,
    /// Why it did not succeed, or what it waits for.
    pub reason: Option<String>,
    /// When it was accepted.
    pub started: Timestamp,
    /// When it ended or stopped last.
    pub ended: Option<Timestamp>,
    /// From start to end, pauses included, in milliseconds. Where the clock was set back in between, what its processes measured.
    pub took_ms: Option<u64>,
    /// Who started it: user and host.
    pub actor: String,
    /// Version of the `pipe` that began it.
    pub pipe_version: String,
    /// Path of the pipeline file.
    pub file: Option<String>,
    /// sha256 of the pipeline file.
    pub pipeline_digest: Digest,
    /// Hash of the plan.
    pub plan_digest: Digest,
    /// The policies that it was held against.
    pub policies: Vec<HeldAgainst>,
    /// Who asked for it, where it has gates: none of them may approve it.
    pub requesters: Vec<String>,
    /// Inputs as given.
    pub inputs: BTreeMap<String, String>,
    /// Inputs of the deployment before.
    pub previous: BTreeMap<String, String>,
    /// What was to be done, ticked from results.
    pub checklist: Vec<Item>,
    /// What people decided, in order.
    pub people: Vec<Decision>,
    /// Gates, in the order in which they were opened.
    pub gates: Vec<GateReport>,
    /// Steps in the order of the file; those of the rollback behind them.
    pub steps: Vec<StepReport>,
    /// Set once the deployment is to be watched.
    pub watch: Option<WatchReport>,
    /// Set once undoing has begun.
    pub rollback: Option<RollbackReport>,
    /// What was stored, and what has become of it.
    pub artifacts: Vec<ArtifactReport>,
    /// What was refused.
    pub refusals: Vec<Refused>,
    /// Who was told what.
    pub notifications: Vec<Told>,
    /// The processes that drove it, in order.
    pub processes: Vec<Process>,
    /// Where all this is written.
    pub record: Record,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldAgainst {
    /// Path of its file, as it was then.
    pub file: Option<String>,
    /// Its content.
    pub digest: Digest,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Its turn never came.
    NotReached,
    /// It is a part of the rollback, and there was none.
    NotNeeded,
    /// It is going on.
    Running,
    /// It began, and has no end.
    CutOff,
    /// It did what it was asked to.
    Succeeded,
    /// It did not.
    Failed,
    /// What it did is undone.
    Undone,
    /// What it did could not be undone.
    UndoFailed,
}

impl StepStatus {
    /// The word in output: `not-reached`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotReached => "not-reached",
            Self::NotNeeded => "not-needed",
            Self::Running => "running",
            Self::CutOff => "cut-off",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::UndoFailed => "undo-failed",
        }
    }
}

/// A step, from its plan to its end.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Identity.
    pub step: StepId,
    /// What it is a part of.
    pub part: Part,
    /// Stage.
    pub stage: Stage,
    /// Plugin.
    pub plugin: PluginIdentity,
    /// Whether it can be undone.
    pub reversible: bool,
    /// How it stands.
    pub status: StepStatus,
    /// When its turn came.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long it took in the process that ended it, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The waves of a release, as far as it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveReport>,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
    /// What was looked at.
    pub findings: Vec<Finding>,
    /// Names of its values for later steps. The values are the run's alone.
    pub outputs: Vec<String>,
    /// Version or revision before.
    pub before: Option<String>,
    /// Version or revision now.
    pub after: Option<String>,
    /// What was done, as the plugin says it.
    pub done: Vec<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What it saved to be undone with, as it is said to people.
    pub receipts: Vec<String>,
    /// Capabilities that it used: word and how often.
    pub used: BTreeMap<String, u64>,
    /// Warnings and errors that it logged.
    pub warnings: Vec<Warning>,
    /// How it was undone.
    pub undo: Option<Undo>,
    /// What a person said of it after a repair by hand: `is undone, says ana@ops: switched back by hand`.
    pub resolved: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptEnd {
    /// It is going on.
    Running,
    /// Its process ended before it did.
    CutOff,
    /// It did what it was asked to.
    Succeeded,
    /// It did not.
    Failed,
}

/// One attempt of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// When it began.
    pub started: Timestamp,
    /// How it ended.
    pub end: AttemptEnd,
    /// Whether it may have changed something.
    pub touched: bool,
    /// Why it failed.
    pub failure: Option<String>,
}

/// Something that a step wanted people to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Warning or error.
    pub level: LogLevel,
    /// One line.
    pub message: String,
}

/// How a step was undone.
#[derive(Clone, Debug, Serialize)]
pub struct Undo {
    /// When it began last.
    pub started: Timestamp,
    /// How often it was tried.
    pub times: u32,
    /// How long it took in the end, in milliseconds. Nothing where it did not end.
    pub duration_ms: Option<u64>,
    /// What was taken back.
    pub done: Vec<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// What a person has to see to, where it failed.
    pub by_hand: Vec<String>,
}

/// A rollback.
#[derive(Clone, Debug, Serialize)]
pub struct RollbackReport {
    /// When it began.
    pub started: Timestamp,
    /// Why.
    pub reason: String,
    /// What is undone or run, in order.
    pub entries: Vec<StepId>,
}

/// An artifact, and what has become of it.
#[derive(Clone, Debug, Serialize)]
pub struct ArtifactReport {
    /// Who stored it.
    pub step: StepId,
    /// When.
    pub stored: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// What the host saw when it read it back.
    pub verification: Option<Verification>,
    /// When its file was removed, by whom, and what allowed it.
    pub pruned: Option<Pruned>,
}

/// The end of an artifact's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// When.
    pub at: Timestamp,
    /// Who: user and host.
    pub actor: String,
    /// What allowed it.
    pub reason: String,
    /// Whether there was a file to remove.
    pub found: bool,
}

/// A refusal, as often as it happened.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// The step.
    pub step: StepId,
    /// When it happened first.
    pub at: Timestamp,
    /// What was refused, and the line that would allow it.
    #[serde(flatten)]
    pub refusal: Refusal,
    /// How often.
    pub times: u64,
}

/// A notification.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// The notification.
    pub step: StepId,
    /// What it was about.
    pub about: String,
    /// Channels that accepted.
    pub delivered: Vec<String>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// Who: user and host, or whose key signed it.
    pub who: String,
    /// The event: `resolved`.
    pub event: &'static str,
    /// What they did, as a sentence without its subject: `started the run`.
    pub did: String,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// A process that drove the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// When its first entry was written.
    pub started: Timestamp,
    /// When its last entry was written.
    pub last: Timestamp,
    /// Who started it.
    pub actor: String,
    /// Version of `pipe`.
    pub pipe_version: String,
    /// Programs and database sessions of the processes before it that it found still there, and ended before anything else.
    pub remains_ended: u64,
    /// How it left the run: an outcome, `waiting`, `running` or `cut-off`.
    pub left: Conclusion,
}

#[cfg(test)]
mod tests;
