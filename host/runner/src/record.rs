//! Facts, to the journal first and then to whoever looks on.

use std::sync::{Arc, Mutex, PoisonError};

use pipe_core::{
    event::{Event, EventKind},
    id::{RunId, StepId},
};
use pipe_journal::{Durability, Journal, JournalError};

use crate::state::RunState;

/// Why nothing outside may be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MayNotAct {
    /// Another process drives the run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is left of the disk is kept for undoing.
    #[error("the disk of the state directory is full: nothing new is begun, and its reserve is kept for undoing")]
    DiskFull,
}

/// Looks on. Called for every event, in order, after it has been journaled. Must return soon.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Writes the events of one run down and tells the observer.
#[derive(Clone)]
pub(crate) struct Recorder {
    run: RunId,
    journal: Arc<Journal>,
    observer: Observer,
    state: Arc<Mutex<RunState>>,
}

impl Recorder {
    /// For a run that has come so far.
    pub(crate) fn new(run: RunId, journal: Arc<Journal>, observer: Observer, state: RunState) -> Self {
        Self { run, journal, observer, state: Arc::new(Mutex::new(state)) }
    }

    /// Returns when the event is on stable storage.
    pub(crate) async fn durable(&self, kind: EventKind) -> Result<(), JournalError> {
        self.all(vec![kind], Durability::Durable).await
    }

    /// Returns when the event is accepted; it is on stable storage soon. Waits while too many others do.
    pub(crate) async fn soon(&self, kind: EventKind) -> Result<(), JournalError> {
        self.all(vec![kind], Durability::Soon).await
    }

    /// The same for several events: all of them are kept, or none.
    pub(crate) async fn all(&self, kinds: Vec<EventKind>, durability: Durability) -> Result<(), JournalError> {
        self.journal.append(&self.run, kinds.clone(), durability).await?;
        for kind in kinds {
            self.tell(kind);
        }
        Ok(())
    }

    /// The same from where nobody can wait: an error where too many others do.
    pub(crate) fn at_once(&self, kind: EventKind) -> Result<(), JournalError> {
        self.journal.append_soon(&self.run, std::slice::from_ref(&kind))?;
        self.tell(kind);
        Ok(())
    }

    /// Saves a receipt together with its event.
    pub(crate) async fn receipt(
        &self,
        step: &StepId,
        key: &str,
        data: &[u8],
        summary: &str,
    ) -> Result<(), JournalError> {
        let saved = self.journal.save_receipt(&self.run, step, key, data, summary).await?;
        self.tell(EventKind::CheckpointSaved {
            step: step.clone(),
            key: key.to_owned(),
            digest: saved.digest,
            bytes: data.len() as u64,
            summary: summary.to_owned(),
        });
        Ok(())
    }

    /// Whether something outside may be changed now: this process still drives the run, and there is room to write down what
    /// becomes of it. The reserve of a full disk is for undoing.
    pub(crate) fn may_act(&self) -> Result<(), MayNotAct> {
        self.journal.check_ownership()?;
        let full = self.journal.is_short_of_room();
        if full && self.state.lock().unwrap_or_else(PoisonError::into_inner).rollback.is_none() {
            return Err(MayNotAct::DiskFull);
        }
        Ok(())
    }

    /// How many bytes of receipts a step has saved, over all its attempts.
    pub(crate) fn receipt_bytes(&self, step: &StepId) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.step(step).map_or(0, |known| known.receipt_bytes)
    }

    /// Tells the observer of what is not kept.
    pub(crate) fn tell(&self, kind: EventKind) {
        let at = jiff::Timestamp::now();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.apply(&kind);
            state.phases.seen(at);
        }
        (self.observer)(&Event { run: self.run.clone(), at, kind });
    }

    /// What has happened so far.
    pub(crate) fn state(&self) -> RunState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }
}
