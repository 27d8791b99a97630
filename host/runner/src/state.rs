//! What a run has come to: a pure fold over its events. The same fold serves a running process and a journal.

mod phases;
mod waves;

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::{
    digest::Digest,
    event::{Artifact, EventKind, GateEnd, InFlight, Outcome, Resolution, StepStatus, Verification},
    id::StepId,
    report::{Failure, StageReport},
    stage::Stage,
};

pub use self::{
    phases::PhasesStanding,
    waves::{Breached, WatchStanding, WaveStanding},
};

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStanding {
    /// An attempt has begun.
    Started,
    /// It reported success.
    Succeeded,
    /// It failed after all its attempts.
    Failed,
    /// It was undone.
    Undone,
    /// Undoing it failed.
    UndoFailed,
}

/// What is known of one step.
#[derive(Clone, Debug)]
pub struct StepState {
    /// The step.
    pub step: StepId,
    /// Its stage.
    pub stage: Stage,
    /// How far.
    pub standing: StepStanding,
    /// Whether it may have changed something outside.
    pub touched: bool,
    /// What it reported.
    pub report: Option<StageReport>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// How many receipts it saved.
    pub receipts: usize,
    /// How many bytes they have in all, those that were saved again among them.
    pub receipt_bytes: u64,
    /// Summaries of its receipts, oldest first.
    pub summaries: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Number of its last attempt; 0 before the first.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Whether its last attempt has begun and not ended.
    pub open: bool,
    /// Whether its last attempt may have changed something outside.
    pub attempt_touched: bool,
    /// Words of the capabilities with which its attempts may have changed something; `sql-unmarked` for SQL whose effect no
    /// marker tells of.
    pub effects: BTreeSet<String>,
    /// How often it was undone, by its plugin or by hand.
    pub undone: u32,
    /// Why its last attempt failed.
    pub last_failure: Option<Failure>,
    /// What a person said becomes of its last attempt.
    pub decision: Option<InFlight>,
    /// Why it could not be undone.
    pub undo_failure: Option<Failure>,
    /// [`RunState::resumed`] when it, or its undo, failed.
    pub failed_in: u32,
    /// How far its waves have come.
    pub waves: WaveStanding,
}

/// An artifact and what became of it.
#[derive(Clone, Debug)]
pub struct ArtifactState {
    /// Who stored it.
    pub step: StepId,
    /// What it is.
    pub artifact: Artifact,
    /// Set once the host saw it read back to its end.
    pub verification: Option<Verification>,
}

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    /// Steps in the order in which they started.
    pub steps: Vec<StepState>,
    /// Artifacts in the order in which they were stored.
    pub artifacts: Vec<ArtifactState>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: Option<String>,
    /// Set once undoing has begun.
    pub rollback: Option<Rollback>,
    /// Why somebody asked for the run to be undone.
    pub rollback_requested: Option<String>,
    /// How often another process went on with it.
    pub resumed: u32,
    /// What it waits for, where it stopped without an end.
    pub paused: Option<String>,
    /// Whether every step without a later phase has succeeded at some time. Said once, to people as well.
    pub succeeded: bool,
    /// Its phases.
    pub phases: PhasesStanding,
    /// The gates that were opened.
    pub gates: BTreeMap<StepId, GateStanding>,
    /// Notifications that were sent since it last ended: which, and about what.
    pub notified: BTreeSet<(StepId, String)>,
    /// The watch over what it released, once every step has succeeded.
    pub watch: Option<WatchStanding>,
}

/// How far a gate has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStanding {
    /// Who decides.
    pub role: String,
    /// How it ended; nothing while it waits.
    pub ended: Option<GateEnd>,
    /// What was said where it was rejected.
    pub rejection: Option<String>,
    /// [`RunState::resumed`] when it ended.
    pub ended_in: u32,
    /// A plugin was replaced since: what was decided on is not what would be done now.
    pub stale: bool,
}

/// A rollback that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// What made it necessary.
    pub reason: String,
    /// What is undone or run, in order.
    pub entries: Vec<StepId>,
}

impl RunState {
    /// The state of a run with these events.
    pub fn of<'e>(events: impl IntoIterator<Item = &'e EventKind>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::StepStarted { step, stage, .. } => self.started(step, *stage),
            EventKind::AttemptStarted { step, attempt, .. } => self.with(step, |state| {
                (state.attempt, state.open, state.attempt_touched) = (*attempt, true, false);
                state.standing = StepStanding::Started;
                (state.decision, state.last_failure, state.failure) = (None, None, None);
            }),
            EventKind::Touched { step, .. } => {
                self.with(step, |state| (state.touched, state.attempt_touched) = (true, true));
            }
            EventKind::Used { step, used } if used.effect => self.with(step, |state| {
                state.effects.insert(used.word.clone());
            }),
            EventKind::SqlUnmarked { step, .. } => self.with(step, |state| {
                state.effects.insert(event.word().to_owned());
            }),
            EventKind::AttemptFailed { step, failure, .. } => self.with(step, |state| {
                state.open = false;
                state.failures += 1;
                state.last_failure = Some(failure.clone());
            }),
            EventKind::CheckpointSaved { step, summary, bytes, .. } => self.with(step, |state| {
                state.receipts += 1;
                state.receipt_bytes += bytes;
                state.summaries.push(summary.clone());
            }),
            EventKind::ArtifactStored { step, artifact } => {
                self.artifacts.push(ArtifactState {
                    step: step.clone(),
                    artifact: artifact.clone(),
                    verification: None,
                });
            }
            EventKind::ArtifactVerified { verification, .. } => {
                for known in self.artifacts.iter_mut().filter(|known| known.artifact.digest == verification.digest) {
                    known.verification = Some(verification.clone());
                }
            }
            EventKind::StepFinished { step, status, report, failure, duration_ms } => {
                let resumed = self.resumed;
                self.with(step, |state| {
                    state.standing = match status {
                        StepStatus::Succeeded => StepStanding::Succeeded,
                        StepStatus::Failed => StepStanding::Failed,
                    };
                    (state.open, state.failed_in) = (false, resumed);
                    state.report.clone_from(report);
                    state.failure.clone_from(failure);
                    state.duration_ms = *duration_ms;
                });
            }
            EventKind::RollbackStarted { reason, entries } => {
                self.rollback = Some(Rollback { reason: reason.clone(), entries: entries.clone() });
                self.withdraw_gates();
            }
            EventKind::UndoFinished { step, failure, .. } => {
                let resumed = self.resumed;
                self.with(step, |state| {
                    state.standing = if failure.is_none() { StepStanding::Undone } else { StepStanding::UndoFailed };
                    state.undone += u32::from(failure.is_none());
                    state.undo_failure.clone_from(failure);
                    state.failed_in = resumed;
                });
            }
            EventKind::Notified { step, about, .. } => {
                self.notified.insert((step.clone(), about.clone()));
            }
            EventKind::RunFinished { outcome, reason, .. } => {
                self.outcome = Some(*outcome);
                self.succeeded |= *outcome == Outcome::Succeeded;
                self.reason.clone_from(reason);
                self.notified.clear();
                self.withdraw_gates();
            }
            _ => self.apply_of_people(event),
        }
    }

    /// Nobody is asked any more whether something may be done that will not be.
    fn withdraw_gates(&mut self) {
        self.gates.retain(|_, gate| gate.ended.is_some());
    }

    /// Takes in what people did with the run.
    fn apply_of_people(&mut self, event: &EventKind) {
        match event {
            EventKind::RunPaused { why } => self.paused = Some(why.clone()),
            EventKind::RunResumed { .. } => {
                (self.outcome, self.reason, self.paused) = (None, None, None);
                self.resumed += 1;
            }
            EventKind::InFlightDecided { step, decision, .. } => {
                self.with(step, |state| state.decision = Some(*decision));
            }
            EventKind::GateOpened { step, role, .. } => {
                let opened =
                    GateStanding { role: role.clone(), ended: None, rejection: None, ended_in: 0, stale: false };
                self.gates.insert(step.clone(), opened);
            }
            EventKind::GateClosed { step, how, why, .. } => {
                let resumed = self.resumed;
                if let Some(gate) = self.gates.get_mut(step) {
                    (gate.ended, gate.ended_in) = (Some(*how), resumed);
                    gate.rejection.clone_from(why);
                }
            }
            EventKind::PluginReplaced { .. } => self.gates.values_mut().for_each(|gate| gate.stale = true),
            EventKind::RollbackRequested { reason, .. } => {
                (self.rollback_requested, self.watch) = (Some(reason.clone()), None);
            }
            EventKind::Resolved { step, resolution, .. } => self.resolved(step, *resolution),
            _ => {
                self.phases.apply(event);
                self.apply_of_waves(event);
            }
        }
    }

    /// After a repair by hand: done, undone, or as if it had never begun.
    fn resolved(&mut self, step: &StepId, resolution: Resolution) {
        let rolling_back = self.rollback.is_some();
        self.with(step, |state| {
            state.open = false;
            state.undone += u32::from(resolution == Resolution::Undone);
            match (resolution, rolling_back) {
                (Resolution::Done, _) => {
                    state.standing = StepStanding::Succeeded;
                    state.failure = None;
                }
                (Resolution::Undone, true) => state.standing = StepStanding::Undone,
                (Resolution::Undone, false) => {
                    state.standing = StepStanding::Started;
                    (state.touched, state.attempt_touched) = (false, false);
                    (state.failure, state.last_failure) = (None, None);
                    state.effects.clear();
                    state.waves = WaveStanding::default();
                }
            }
        });
    }

    /// What is known of a step, if it has started.
    #[must_use]
    pub fn step(&self, step: &StepId) -> Option<&StepState> {
        self.steps.iter().find(|state| state.step == *step)
    }

    /// Outputs of the steps that succeeded, by step.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        self.steps
            .iter()
            .filter(|state| state.standing == StepStanding::Succeeded)
            .filter_map(|state| Some((state.step.to_string(), state.report.as_ref()?.outputs.clone())))
            .collect()
    }

    /// The artifact with this digest.
    #[must_use]
    pub fn artifact(&self, digest: &Digest) -> Option<&ArtifactState> {
        self.artifacts.iter().find(|known| known.artifact.digest == *digest)
    }

    /// A step's turn comes once; a process that goes on with it begins no new one.
    fn started(&mut self, step: &StepId, stage: Stage) {
        if self.step(step).is_some() {
            return;
        }
        self.steps.push(StepState {
            step: step.clone(),
            stage,
            standing: StepStanding::Started,
            touched: false,
            report: None,
            failure: None,
            receipts: 0,
            receipt_bytes: 0,
            summaries: Vec::new(),
            duration_ms: 0,
            attempt: 0,
            failures: 0,
            open: false,
            attempt_touched: false,
            effects: BTreeSet::new(),
            undone: 0,
            last_failure: None,
            decision: None,
            undo_failure: None,
            failed_in: 0,
            waves: WaveStanding::default(),
        });
    }

    fn with(&mut self, step: &StepId, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.steps.iter_mut().find(|state| state.step == *step) {
            change(state);
        }
    }
}
