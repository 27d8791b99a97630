//! Undoing one step: with all its receipts, and as often as it takes, since an undo is idempotent by contract.

use std::{collections::BTreeMap, time::Instant};

use pipe_core::event::EventKind;
use pipe_journal::JournalError;
use pipe_pipeline::Step;
use pipe_sandbox::{Call, Receipt};

use crate::step::{Stepper, milliseconds};

impl Stepper<'_> {
    /// Undoes one step, and writes down how that ended.
    pub(crate) async fn undo(&self, step: &Step) -> Result<(), JournalError> {
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
                    match made {
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
        let summaries = match &result {
            Ok(_) => Vec::new(),
            Err(_) => self.recorder.state().step(&step.id).map(|known| known.summaries.clone()).unwrap_or_default(),
        };
        self.recorder
            .durable(EventKind::UndoFinished {
                step: step.id.clone(),
                report: result.as_ref().ok().cloned(),
                failure: result.err(),
                summaries,
                duration_ms: milliseconds(began),
            })
            .await
    }
}
