//! The order of a run: start, steps, rollback where it is needed, notifications, end.

use std::{sync::Arc, time::Instant};

use pipe_core::{
    event::{EventKind, Outcome},
    id::StepId,
    report::{Failure, FailureKind},
};
use pipe_journal::Durability;
use pipe_pipeline::NotifyEvent;
use tokio_util::sync::CancellationToken;

use crate::{
    error::RunError,
    prepare::Prepared,
    record::{Observer, Recorder},
    rollback::Undone,
    state::RunState,
    step::{Stepper, milliseconds},
};

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// How.
    pub outcome: Outcome,
    /// Why, where it did not succeed.
    pub reason: Option<String>,
    /// Everything that is known of it.
    pub state: RunState,
}

/// Runs a prepared pipeline to its end.
///
/// `interrupt` is the operator's wish to stop: the step in hand is cancelled, and what was started is undone.
///
/// # Errors
///
/// The journal can no longer be written. Nothing is done without it.
pub async fn run(
    prepared: &Prepared,
    observer: Observer,
    interrupt: &CancellationToken,
) -> Result<RunResult, RunError> {
    let began = Instant::now();
    let recorder = Recorder::new(prepared.run.clone(), Arc::clone(&prepared.journal), observer);
    recorder.all(prepared.started_events(), Durability::Durable).await?;
    let stepper = Stepper { prepared, recorder: &recorder, interrupt };
    stepper.announce(NotifyEvent::Started, "running", "").await?;
    let (outcome, reason) = match stepper.steps().await? {
        None => (Outcome::Succeeded, None),
        Some((step, failure)) => {
            let (outcome, reason) = stepper.after_failure(&step, &failure).await?;
            (outcome, Some(reason))
        }
    };
    let event = match outcome {
        Outcome::Succeeded => NotifyEvent::Succeeded,
        Outcome::Failed | Outcome::Interrupted => NotifyEvent::Failed,
        Outcome::RolledBack => NotifyEvent::RolledBack,
        Outcome::RollbackFailed => NotifyEvent::RollbackFailed,
    };
    stepper.announce(event, outcome.word(), reason.as_deref().unwrap_or_default()).await?;
    let duration_ms = milliseconds(began);
    recorder.durable(EventKind::RunFinished { outcome, reason: reason.clone(), duration_ms }).await?;
    Ok(RunResult { outcome, reason, state: recorder.state() })
}

impl Stepper<'_> {
    /// Runs the steps in order, until one fails.
    async fn steps(&self) -> Result<Option<(StepId, Failure)>, RunError> {
        for step in &self.prepared.pipeline.steps {
            if self.interrupt.is_cancelled() {
                return Ok(Some((step.id.clone(), interrupted())));
            }
            if let Err(failure) = self.run(step).await? {
                return Ok(Some((step.id.clone(), failure)));
            }
        }
        Ok(None)
    }

    /// Undoes what was started, and says how the run ended and why.
    async fn after_failure(&self, step: &StepId, failure: &Failure) -> Result<(Outcome, String), RunError> {
        let reason = format!("step \"{step}\": {}", failure.message);
        self.announce(NotifyEvent::StepFailed, "running", &reason).await?;
        Ok(match self.roll_back(&reason).await? {
            Undone::NothingToDo if failure.kind == FailureKind::Interrupted => (Outcome::Interrupted, reason),
            Undone::NothingToDo => (Outcome::Failed, reason),
            Undone::All => (Outcome::RolledBack, reason),
            Undone::Partly(stayed) => (Outcome::RollbackFailed, format!("{reason}; {stayed}")),
        })
    }
}

fn interrupted() -> Failure {
    Failure {
        kind: FailureKind::Interrupted,
        message: "interrupted by the operator before it began".to_owned(),
        retryable: false,
        findings: Vec::new(),
        hint: None,
    }
}
