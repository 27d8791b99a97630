//! Undoing one step: with all its receipts, and as often as it takes, since an undo is idempotent by contract.

use std::{collections::BTreeMap, time::Instant};

use pipe_core::event::EventKind;
use pipe_journal::JournalError;
use pipe_pipeline::Step;
use pipe_sandbox::{Call, Receipt};

use crate::step::{Stepper, milliseconds};

/// The most summaries of receipts in one event, and the most bytes of them.
const MOST_SUMMARIES: usize = 200;
const MOST_SUMMARY_BYTES: usize = 64 << 10;

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
            Err(_) => self.recorder.state().step(&step.id).map(|known| by_hand(&known.summaries)).unwrap_or_default(),
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

/// What a person has to see to, up to what fits into an event: all of it stands in the record
/// as it was saved.
fn by_hand(summaries: &[String]) -> Vec<String> {
    let mut bytes = 0;
    let fits = |summary: &&String| {
        bytes += summary.len();
        bytes <= MOST_SUMMARY_BYTES
    };
    let mut told: Vec<String> = summaries.iter().take(MOST_SUMMARIES).take_while(fits).cloned().collect();
    match summaries.len() - told.len() {
        0 => {}
        more => told.push(format!("and {more} more: `pipe show RUN --events` lists them all")),
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_by_hand_always_fits_into_an_event() {
        let few = vec!["rm -r www/releases/2".to_owned(), "ln -sfn releases/1 www/current".to_owned()];
        assert_eq!(by_hand(&few), few);
        let many: Vec<String> = (0..900).map(|number| format!("{number} {}", "x".repeat(4_000))).collect();
        let told = by_hand(&many);
        assert!(told.iter().map(String::len).sum::<usize>() < 2 * MOST_SUMMARY_BYTES);
        assert_eq!(
            told.last().unwrap(),
            &format!("and {} more: `pipe show RUN --events` lists them all", 901 - told.len())
        );
        let short: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
        assert_eq!(by_hand(&short).len(), MOST_SUMMARIES + 1);
    }
}
