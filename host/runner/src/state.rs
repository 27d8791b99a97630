//! What a run has come to: a pure fold over its events. The same fold serves a running process and a journal.

use std::collections::BTreeMap;

use pipe_core::{
    digest::Digest,
    event::{Artifact, EventKind, Outcome, StepStatus, Verification},
    id::StepId,
    report::{Failure, StageReport},
    stage::Stage,
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
    /// Summaries of its receipts, oldest first.
    pub summaries: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
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
    /// Whether undoing has begun.
    pub rolling_back: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: Option<String>,
}

impl RunState {
    /// Takes an event in.
    pub fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::StepStarted { step, stage, .. } => self.started(step, *stage),
            EventKind::RollbackStarted { .. } => self.rolling_back = true,
            EventKind::Touched { step, .. } => self.with(step, |state| state.touched = true),
            EventKind::CheckpointSaved { step, summary, .. } => self.with(step, |state| {
                state.receipts += 1;
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
            EventKind::StepFinished { step, status, report, failure, duration_ms } => self.with(step, |state| {
                state.standing = match status {
                    StepStatus::Succeeded => StepStanding::Succeeded,
                    StepStatus::Failed => StepStanding::Failed,
                };
                state.report.clone_from(report);
                state.failure.clone_from(failure);
                state.duration_ms = *duration_ms;
            }),
            EventKind::UndoFinished { step, failure, .. } => self.with(step, |state| {
                state.standing = if failure.is_none() { StepStanding::Undone } else { StepStanding::UndoFailed };
            }),
            EventKind::RunFinished { outcome, reason, .. } => {
                self.outcome = Some(*outcome);
                self.reason.clone_from(reason);
            }
            _ => {}
        }
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

    fn started(&mut self, step: &StepId, stage: Stage) {
        self.steps.push(StepState {
            step: step.clone(),
            stage,
            standing: StepStanding::Started,
            touched: false,
            report: None,
            failure: None,
            receipts: 0,
            summaries: Vec::new(),
            duration_ms: 0,
        });
    }

    fn with(&mut self, step: &StepId, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.steps.iter_mut().find(|state| state.step == *step) {
            change(state);
        }
    }
}
