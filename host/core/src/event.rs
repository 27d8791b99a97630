//! What happens in a run, as facts. The runner emits them, the journal keeps them, reporters read them.

mod decision;
mod gate;
mod outcome;
mod parts;
mod started;
mod wave;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    decision::{InFlight, Resolution},
    gate::{CheckedItem, ChecklistItem, GateEnd, ItemState, Moment, SignedApproval},
    outcome::{Outcome, StepStatus},
    parts::{Artifact, LogLevel, Part, PlannedStep, PluginIdentity, Refusal, Use, Verification},
    started::{Started, StartedProgram, StartedSession},
    wave::{Breach, Checked, NotBreach, Share, WatchEnd, Wave},
};
use crate::{
    digest::Digest,
    id::{RunId, StepId},
    phase::Phase,
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
        /// Manifest of the copies that were made of what migrations and releases read; nothing where they read nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copies: Option<Digest>,
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
        /// sha256 of what lies beside the record: the receipt, sealed.
        digest: Digest,
        /// Size of the receipt, in bytes.
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
        /// How often the pipeline and environment were taken or unlocked until then.
        #[serde(default, skip_serializing_if = "is_zero")]
        epoch: u64,
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
    /// From here on the step calls another plugin than the one that the run was begun with.
    PluginReplaced {
        /// The step; every instance of a repeated one.
        step: String,
        /// The plugin: the path that was named, and its content.
        plugin: PluginIdentity,
        /// The role in which somebody wants that.
        role: String,
        /// Why.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Somebody gives the run up: what it started stays as it is. `run-finished` follows.
    Abandoned {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },

    /// A rule of the runner is not kept, and somebody accepts that. Written before the step begins.
    Waived {
        /// The step.
        step: StepId,
        /// The rule: `backup`.
        rule: String,
        /// The role in which somebody accepts it, by the pipeline file.
        role: String,
        /// Why, by the pipeline file.
        reason: String,
        /// Who runs it.
        actor: String,
    },

    // What becomes of what a run has kept.
    /// The file of an artifact is removed. Written before that: one whose file is still there was cut off here.
    ArtifactPruned {
        /// The step that stored it.
        step: StepId,
        /// The artifact.
        digest: Digest,
        /// Its name for people.
        name: String,
        /// Who: user and host.
        actor: String,
        /// What allows it: `older than 90d`.
        reason: String,
        /// Whether there was a file to remove.
        found: bool,
    },
    /// Copies of what runs were begun with are removed: nothing that can be resumed or rolled back needs them. Written before.
    CopiesPruned {
        /// Their contents.
        copies: Vec<Digest>,
        /// Runs whose own copies, of what their migrations and releases read, are removed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        runs: Vec<RunId>,
        /// Who: user and host.
        actor: String,
        /// What allows it.
        reason: String,
    },

    // What could outlive the process, its end, and what of SQL takes effect once.
    /// A program is about to begin. Durable before it begins.
    ProgramStarted {
        /// The step.
        step: StepId,
        /// By its supervisor.
        program: StartedProgram,
    },
    /// A database session that may write was opened. Durable before its first statement that writes.
    SessionOpened {
        /// The step.
        step: StepId,
        /// At the server.
        session: StartedSession,
    },
    /// Something that a dead process of the run had started is still there, and is about to be ended. Written before.
    RemainFound {
        /// The step that started it.
        step: StepId,
        /// What.
        started: Started,
    },
    /// Nothing is left of what dead processes of the run had started.
    RemainsEnded {
        /// Programs that were looked for.
        programs: u64,
        /// Database sessions that were looked for.
        sessions: u64,
        /// How many of both were still there.
        ended: u64,
    },
    /// A statement is about to run that cannot share a transaction with its marker: whether it took effect cannot be told
    /// from the database after a crash. Written before.
    SqlUnmarked {
        /// The step.
        step: StepId,
        /// The peer.
        peer: String,
        /// The statement, without its literals.
        statement: String,
    },

    // Who drives the run.
    /// Somebody took the place of the process that drove the run: it can record nothing more.
    Unlocked {
        /// Name of the pipeline.
        pipeline: String,
        /// Environment.
        environment: String,
        /// Who unlocked it: user and host.
        actor: String,
        /// Why.
        reason: String,
        /// The epoch that began with it.
        epoch: u64,
        /// Who held it, as people say it; empty where nobody knows.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        holder: String,
    },

    // Gates: what people decide.
    /// Who may decide, fixed when the run was accepted. Written with `run-started`, where the pipeline has gates.
    RolesPinned {
        /// Who asked for the run, as far as that is known. None of them may approve it.
        requesters: Vec<String>,
        /// The signers file of each role, whole: public keys alone.
        signers: BTreeMap<String, String>,
    },
    /// A gate waits for people.
    GateOpened {
        /// The gate.
        step: StepId,
        /// Who may decide.
        role: String,
        /// How many different people must approve.
        quorum: u32,
        /// Names this opening: an approval of another one, or one made before, does not hold it.
        opening: String,
        /// When, by both clocks.
        opened: Moment,
        /// How long it waits, in milliseconds.
        expires_ms: u64,
        /// When that is over, by the wall clock.
        expires_at: jiff::Timestamp,
        /// Hash of the plan that is decided on.
        plan_digest: Digest,
        /// What is to be seen to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checklist: Vec<ChecklistItem>,
        /// The signers of the role, as OpenSSH's `allowed_signers`.
        signers: String,
        /// None of them may approve.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        requesters: Vec<String>,
    },
    /// Somebody approved. Recorded by whoever had the signature, while the run waits or not.
    Approved {
        /// The gate.
        step: StepId,
        /// The decision and its proof.
        approval: SignedApproval,
        /// Who recorded it: user and host.
        actor: String,
        /// When, by both clocks.
        recorded: Moment,
    },
    /// Somebody rejected. The gate fails at once.
    Rejected {
        /// The gate.
        step: StepId,
        /// The decision and its proof.
        approval: SignedApproval,
        /// Who recorded it: user and host.
        actor: String,
        /// When, by both clocks.
        recorded: Moment,
    },
    /// A decision was handed in that does not hold.
    ApprovalRefused {
        /// The gate.
        step: StepId,
        /// Why.
        reason: String,
        /// The key that signed it, where that much could be read: `SHA256:…`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Who handed it in: user and host.
        actor: String,
    },
    /// A gate ended.
    GateClosed {
        /// The gate.
        step: StepId,
        /// How.
        how: GateEnd,
        /// Who decided it, by principal.
        by: Vec<String>,
        /// What was said where it was rejected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// What became of its checklist.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checklist: Vec<CheckedItem>,
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
    /// The journal was not as it was written, and somebody goes on all the same. Written before anything else.
    ChangedRecordAccepted {
        /// Who: user and host.
        actor: String,
        /// What was found.
        found: String,
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

    // Phases of a window.
    /// A phase begins: its first step or gate has been reached, and is due. Written before that.
    PhaseBegan {
        /// Which.
        phase: Phase,
        /// When it was due.
        due: jiff::Timestamp,
        /// When it began, by the wall clock: its results are as old as this.
        at: jiff::Timestamp,
    },
    /// Somebody lets a phase begin although it is too late for it, or what came before is too old.
    LateAccepted {
        /// Which.
        phase: Phase,
        /// Who: user and host.
        actor: String,
        /// Why.
        reason: String,
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

    /// What this event says was started and could outlive the process, and by which step.
    #[must_use]
    pub fn started(&self) -> Option<(&StepId, Started)> {
        match self {
            Self::ProgramStarted { step, program } => Some((step, Started::Program(program.clone()))),
            Self::SessionOpened { step, session } => Some((step, Started::DatabaseSession(session.clone()))),
            _ => None,
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
            Self::PluginReplaced { .. } => "plugin-replaced",
            Self::Abandoned { .. } => "abandoned",
            Self::Waived { .. } => "waived",
            Self::ArtifactPruned { .. } => "artifact-pruned",
            Self::CopiesPruned { .. } => "copies-pruned",
            Self::ProgramStarted { .. } => "program-started",
            Self::SessionOpened { .. } => "session-opened",
            Self::RemainFound { .. } => "remain-found",
            Self::RemainsEnded { .. } => "remains-ended",
            Self::SqlUnmarked { .. } => "sql-unmarked",
            Self::Unlocked { .. } => "unlocked",
            Self::RolesPinned { .. } => "roles-pinned",
            Self::GateOpened { .. } => "gate-opened",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::ApprovalRefused { .. } => "approval-refused",
            Self::GateClosed { .. } => "gate-closed",
            Self::WaveStarted { .. } => "wave-started",
            Self::WaveReleased { .. } => "wave-released",
            Self::WaveHolding { .. } => "wave-holding",
            Self::Holding { .. } => "holding",
            Self::GuardChecked { .. } => "guard-checked",
            Self::GuardBreached { .. } => "guard-breached",
            Self::WaveFinished { .. } => "wave-finished",
            Self::ChangedRecordAccepted { .. } => "changed-record-accepted",
            Self::WatchOpened { .. } => "watch-opened",
            Self::WatchChecked { .. } => "watch-checked",
            Self::WatchBreached { .. } => "watch-breached",
            Self::WatchContinued { .. } => "watch-continued",
            Self::WatchEnded { .. } => "watch-ended",
            Self::PhaseBegan { .. } => "phase-began",
            Self::LateAccepted { .. } => "late-accepted",
        }
    }
}
