//! What the runner needs of a journal. SQLite is one way to have it.

use pipe_core::{event::EventKind, id::RunId};

use crate::{Appended, Journal, JournalError, StoredEvent};

/// Append-only events, in one order over all runs.
pub trait EventStore: Send + Sync {
    /// Appends events to a run whose last event is `expected_last` (0 for a new run). Durable when it returns, all or none.
    /// Says where they are; nothing where there are none.
    ///
    /// # Errors
    ///
    /// [`JournalError::Conflict`] where the run has another last event; then, and on every other error, nothing was written.
    fn append(
        &self,
        run: &RunId,
        expected_last: u64,
        kinds: Vec<EventKind>,
    ) -> impl Future<Output = Result<Option<Appended>, JournalError>> + Send;

    /// The events of a run from a sequence on, in order.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    fn read(&self, run: &RunId, from: u64) -> impl Future<Output = Result<Vec<StoredEvent>, JournalError>> + Send;
}

impl EventStore for Journal {
    async fn append(
        &self,
        run: &RunId,
        expected_last: u64,
        kinds: Vec<EventKind>,
    ) -> Result<Option<Appended>, JournalError> {
        self.append_expecting(run, expected_last, kinds).await
    }

    async fn read(&self, run: &RunId, from: u64) -> Result<Vec<StoredEvent>, JournalError> {
        self.events_from(run, from).await
    }
}
