//! Reading without writing: history, show, export, verify. Also while another process writes.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use pipe_core::{
    digest::Digest,
    id::{RunId, StepId},
    proof::ProofKey,
};
use rusqlite::Connection;

use crate::{
    JournalError,
    audit::{self, Failed},
    chain::Verified,
    error::Fault,
    events::{self, StoredEvent},
    history::{self, RunFilter, RunSummary},
    key,
    outputs::{self, Outputs},
    place,
    receipt::{self, Receipt},
    schema, seal,
    writer::{Head, head},
};

/// A journal that is only read. Sees what has been committed.
///
/// Its methods block: from async code, [`Journal`](crate::Journal) has the short ones.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    state_dir: PathBuf,
}

impl Reader {
    /// Opens the journal of a state directory. Makes and changes nothing there.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, it is on a network file system, it is damaged, or a later version wrote it.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        let path = place::find(state_dir)?;
        let connection = schema::open_read_only(&path)?;
        Ok(Self { connection, path, state_dir: state_dir.to_owned() })
    }

    /// Runs, newest first.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, JournalError> {
        self.told(history::runs(&self.connection, filter))
    }

    /// The runs whose names begin so, newest first; the newest of all where nothing is given. Other runs may be damaged.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn runs_named(&self, beginning: Option<&str>) -> Result<Vec<RunSummary>, JournalError> {
        self.told(history::named(&self.connection, beginning))
    }

    /// The previews whose names begin so, newest first: what plugins were asked before any run. With nothing to begin with, all.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn previews_named(&self, beginning: &str) -> Result<Vec<RunId>, JournalError> {
        self.told(history::previews(&self.connection, beginning))
    }

    /// The newest run of a pipeline in an environment that succeeded.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn last_succeeded(&self, pipeline: &str, environment: &str) -> Result<Option<RunSummary>, JournalError> {
        self.told(history::last_succeeded(&self.connection, pipeline, environment))
    }

    /// The events of a run, in order. None where there is no such run.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn events(&self, run: &RunId) -> Result<Vec<StoredEvent>, JournalError> {
        self.told(events::of_run(&self.connection, run, 0))
    }

    /// Hands over the events of a run in order, one at a time: a long run has more than anybody wants to hold.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn each_event(&self, run: &RunId, take: impl FnMut(StoredEvent)) -> Result<(), JournalError> {
        self.told(events::each_of_run(&self.connection, run, 0, take))
    }

    /// The events of a run, in order, with the values of outputs, of which the record holds names alone.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, an output is not the one that was saved, or the key that opens it is gone.
    pub fn events_with_outputs(&self, run: &RunId) -> Result<Vec<StoredEvent>, JournalError> {
        let mut events = self.events(run)?;
        let opener = || seal::opener(&self.connection, &self.state_dir);
        self.told(outputs::put_back(&self.connection, &mut events, opener))?;
        Ok(events)
    }

    /// The outputs of a run's steps, by step and name.
    ///
    /// # Errors
    ///
    /// As [`Reader::events_with_outputs`].
    pub fn outputs(&self, run: &RunId) -> Result<Outputs, JournalError> {
        Ok(outputs::of_events(&self.events_with_outputs(run)?))
    }

    /// The receipts of a step: oldest first, the latest data under each key.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, a receipt is not the one that was saved, or the key that opens it is gone.
    pub fn receipts(&self, run: &RunId, step: &StepId) -> Result<Vec<Receipt>, JournalError> {
        let step = seal::step_text(step)?;
        let opener = || seal::opener(&self.connection, &self.state_dir);
        self.told(receipt::of_step(&self.connection, run, &step, opener))
    }

    /// The key that proves what the record leaves out, as the journal made it.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, or others can read it.
    pub fn proof_key(&self) -> Result<ProofKey, JournalError> {
        key::find(&self.state_dir, key::AUDIT).map(|key| ProofKey::new(&key))
    }

    /// The end of the chain.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub fn head(&self) -> Result<Head, JournalError> {
        self.told(head(&self.connection))
    }

    /// Writes JSON Lines that [`verify_lines`](crate::verify_lines) can check: the whole journal, or the entries of one run.
    /// A buffered writer is faster.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, an entry is no event, the writer fails, or there is no such run.
    pub fn export(&self, mut writer: impl Write, run: Option<&RunId>) -> Result<(), JournalError> {
        self.told(audit::export(&self.connection, &mut writer, run))
    }

    /// Checks the chain, the receipts and the indexes. With `head`, a hash that was noted elsewhere, an entry must have it.
    ///
    /// # Errors
    ///
    /// [`JournalError::Changed`] where the chain is broken, [`JournalError::Damaged`] where a receipt or the database is.
    pub fn verify(&self, head: Option<Digest>) -> Result<Verified, JournalError> {
        verify(&self.connection, &self.path, head)
    }

    fn told<T>(&self, result: Result<T, Fault>) -> Result<T, JournalError> {
        result.map_err(|fault| fault.at(&self.path))
    }
}

/// Checks a database, whoever has it open.
pub(crate) fn verify(connection: &Connection, path: &Path, head: Option<Digest>) -> Result<Verified, JournalError> {
    audit::verify(connection, head).map_err(|failed| match failed {
        Failed::Fault(fault) => fault.at(path),
        Failed::Broken(broken) => JournalError::Changed { path: path.to_owned(), broken },
    })
}
