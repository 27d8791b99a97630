//! Undoing: as the file lists it, or in reverse; only what was started; and never past a failure unless that was allowed.

use std::{collections::BTreeMap, time::Instant};

use pipe_core::{event::EventKind, id::StepId, stage::Stage};
use pipe_journal::JournalError;
use pipe_pipeline::{NotifyEvent, RollbackEntry, Step};
use pipe_sandbox::{Call, Receipt};
use tokio_util::sync::CancellationToken;

use crate::{
    state::RunState,
    step::{Stepper, milliseconds},
};

/// How undoing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Nothing had been started that changes anything.
    NothingToDo,
    /// Everything that had been started was taken back.
    All,
    /// Something stayed. Says what, and why.
    Partly(String),
}

/// One thing to be done, in order.
enum Todo<'p> {
    Undo { step: &'p Step, continue_on_failure: bool },
    Run(&'p Step),
}

impl Todo<'_> {
    fn id(&self) -> &StepId {
        match self {
            Self::Undo { step, .. } | Self::Run(step) => &step.id,
        }
    }
}

impl Stepper<'_> {
    /// Undoes what the run has started.
    pub(crate) async fn roll_back(&self, reason: &str) -> Result<Undone, JournalError> {
        let state = self.recorder.state();
        let started: Vec<&Step> = self.prepared.pipeline.steps.iter().filter(|step| changed(&state, step)).collect();
        if started.is_empty() {
            return Ok(Undone::NothingToDo);
        }
        let todo = self.todo(&started);
        let entries = todo.iter().map(|entry| entry.id().clone()).collect();
        self.recorder.durable(EventKind::RollbackStarted { reason: reason.to_owned(), entries }).await?;
        self.announce(NotifyEvent::RollbackStarted, "rolling-back", reason).await?;
        // The operator's first interrupt is what led here. Undoing has a token of its own, which only a second one reaches.
        let patient = CancellationToken::new();
        let stepper = Stepper { interrupt: &patient, ..*self };
        let mut stayed: Vec<String> = started
            .iter()
            .filter(|step| !self.prepared.reversible(step))
            .map(|step| format!("step \"{}\" is irreversible and stays as it is", step.id))
            .collect();
        for entry in todo {
            match entry {
                Todo::Undo { step, continue_on_failure } => {
                    if let Some(why) = stepper.undo(step).await? {
                        stayed.push(format!("step \"{}\" could not be undone: {why}", step.id));
                        if !continue_on_failure {
                            break;
                        }
                    }
                }
                Todo::Run(step) => {
                    if let Err(failure) = stepper.run(step).await? {
                        stayed.push(format!("step \"{}\" failed after the rollback: {}", step.id, failure.message));
                        break;
                    }
                }
            }
        }
        Ok(if stayed.is_empty() { Undone::All } else { Undone::Partly(stayed.join("; ")) })
    }

    /// What will be done, in order: the file's list without what never started, or everything reversible in reverse.
    fn todo<'p>(&'p self, started: &[&'p Step]) -> Vec<Todo<'p>> {
        let reversed = |name: Option<&'p str>| {
            started
                .iter()
                .rev()
                .filter(move |step| name.is_none_or(|name| step.id.name == name))
                .filter(|step| self.prepared.reversible(step))
                .copied()
        };
        match &self.prepared.pipeline.rollback {
            None => reversed(None).map(|step| Todo::Undo { step, continue_on_failure: false }).collect(),
            Some(list) => list
                .iter()
                .flat_map(|entry| match entry {
                    RollbackEntry::Undo { step, continue_on_failure, .. } => reversed(Some(step.as_str()))
                        .map(|step| Todo::Undo { step, continue_on_failure: *continue_on_failure })
                        .collect::<Vec<_>>(),
                    RollbackEntry::Run(step) => vec![Todo::Run(step)],
                })
                .collect(),
        }
    }

    /// Undoes one step. Nothing means that it worked; else why it did not.
    async fn undo(&self, step: &Step) -> Result<Option<String>, JournalError> {
        let began = Instant::now();
        self.recorder.durable(EventKind::UndoStarted { step: step.id.clone() }).await?;
        let receipts = self
            .recorder
            .journal()
            .receipts(self.recorder.run(), &step.id)
            .await?
            .into_iter()
            .map(|receipt| Receipt { key: receipt.key, data: receipt.data })
            .collect::<Vec<_>>();
        let result = match self.settings(step, &BTreeMap::new()) {
            Err(failure) => Err(failure),
            Ok(settings) => {
                let mut attempt = 1;
                loop {
                    let made = self.attempt(step, attempt, &settings, Call::Undo { receipts: receipts.clone() }).await;
                    match made.result {
                        // An undo is idempotent by contract, so it may be tried again.
                        Err(failure) if failure.retryable && attempt < step.retry.attempts => {
                            tokio::time::sleep(step.retry.backoff).await;
                            attempt += 1;
                        }
                        ended => break ended,
                    }
                }
            }
        };
        let failed = result.as_ref().err().map(|failure| failure.message.clone());
        let summaries = match &failed {
            None => Vec::new(),
            Some(_) => self.recorder.state().step(&step.id).map(|known| known.summaries.clone()).unwrap_or_default(),
        };
        self.recorder
            .durable(EventKind::UndoFinished {
                step: step.id.clone(),
                report: result.as_ref().ok().cloned(),
                failure: result.err(),
                summaries,
                duration_ms: milliseconds(began),
            })
            .await?;
        Ok(failed)
    }
}

/// Whether a step may have changed something that an undo could take back. A backup leaves artifacts, which are kept.
fn changed(state: &RunState, step: &Step) -> bool {
    matches!(step.stage, Stage::Migrate | Stage::Release)
        && state.step(&step.id).is_some_and(|known| known.touched || known.receipts > 0)
}
