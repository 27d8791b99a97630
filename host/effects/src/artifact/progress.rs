//! How far a long task has come, not told too often.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::ledger::Ledger;

const EVERY: Duration = Duration::from_millis(200);

/// Tells the ledger how much content has passed.
pub(super) struct Progress {
    ledger: Arc<dyn Ledger>,
    message: String,
    total: Option<u64>,
    told: Instant,
}

impl Progress {
    /// Nothing is told before the first interval has passed.
    pub(super) fn new(ledger: &Arc<dyn Ledger>, message: String, total: Option<u64>) -> Self {
        Self { ledger: Arc::clone(ledger), message, total, told: Instant::now() }
    }

    /// `done` bytes of content have passed.
    pub(super) fn at(&mut self, done: u64) {
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            self.ledger.progress(self.message.clone(), done, self.total);
        }
    }
}
