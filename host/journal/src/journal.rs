//! A journal that is written: the handle that callers share, in front of the thread that writes.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use pipe_core::{
    digest::Digest,
    event::EventKind,
    id::{RunId, StepId},
    proof::ProofKey,
    redact::Redactor,
};
use tokio::sync::oneshot;

use crate::{
    Appended, Head, JournalError, Reader, body,
    clock::Moment,
    key, place,
    queue::{Append, Queue, Task},
    receipt::{self, NewReceipt},
    schema,
    writer::{Placed, Writer},
};

mod reading;

/// The largest receipt, in bytes.
pub const MAXIMUM_RECEIPT: usize = 1 << 20;

/// When an event must be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before the call returns.
    Durable,
    /// With the next durable event, or within 200 ms, or when the journal is closed: whatever comes first.
    Soon,
}

/// The journal of a state directory. Any number of processes may have it open; each call is all or nothing.
///
/// The order of the events is the order of the calls; a call whose future is dropped may still count. Every string of an
/// event, and every key, passes the redactor; [`EventKind::Progress`] is left out. Calls that wait at the same moment share one
/// transaction, and so one fsync.
///
/// While it is open, nothing else in this process may open `journal.db` and close it again, not even to copy it: the kernel
/// would drop SQLite's locks. [`Journal::reader`] is safe.
///
/// Dropping it writes what waits, and blocks for that: [`Journal::close`] also says whether it could be written.
pub struct Journal {
    queue: Arc<Queue>,
    thread: Mutex<Option<(JoinHandle<()>, oneshot::Receiver<()>)>>,
    redactor: Redactor,
    state_dir: PathBuf,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of a state directory. Makes the directory (its parent must exist) and the database where they are
    /// missing, for this user alone. Works without a runtime.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written, it is on a network file system, the database is damaged, or a later version
    /// wrote it.
    pub fn open(state_dir: &Path, redactor: Redactor) -> Result<Self, JournalError> {
        let path = place::prepare(state_dir)?;
        let connection = schema::open(&path)?;
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(connection, &path, Arc::clone(&queue));
        let (ended, end) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("pipe-journal".to_owned())
            .spawn(move || {
                writer.run();
                drop(ended);
            })
            .map_err(|error| JournalError::unusable(state_dir, error))?;
        let thread = Mutex::new(Some((thread, end)));
        Ok(Self { queue, thread, redactor, state_dir: state_dir.to_owned(), path })
    }

    /// Opens the journal of a state directory for reading only. Makes and changes nothing there.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn open_read_only(state_dir: &Path) -> Result<Reader, JournalError> {
        Reader::open(state_dir)
    }

    /// A reader of the same journal: for what is long, such as an export. It sees what has been committed.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn reader(&self) -> Result<Reader, JournalError> {
        Reader::open(&self.state_dir)
    }

    /// The key that proves what the record leaves out: 32 random bytes in `audit.key` (0600) beside the database, made by the
    /// first process that needs them.
    ///
    /// # Errors
    ///
    /// It cannot be made or read, or others can read it.
    pub fn proof_key(&self) -> Result<ProofKey, JournalError> {
        key::make(&self.state_dir)
    }

    /// Appends events. Says where they are, unless they may wait (then they have no place yet) or there are none.
    ///
    /// # Errors
    ///
    /// They could not be written, or earlier events that may wait could not.
    pub async fn append(
        &self,
        run: &RunId,
        kinds: Vec<EventKind>,
        durability: Durability,
    ) -> Result<Option<Appended>, JournalError> {
        let append = self.encode(run, &kinds)?;
        match durability {
            Durability::Durable => Ok(self.written(append).await?.appended),
            Durability::Soon if append.bodies.is_empty() => Ok(None),
            Durability::Soon => self.queue.push_soon_or_wait(append).await.map(|()| None),
        }
    }

    /// Appends events that may wait, from where nobody can: never blocks.
    ///
    /// # Errors
    ///
    /// [`JournalError::Backlog`] where too many wait already, or earlier ones could not be written.
    pub fn append_soon(&self, run: &RunId, kinds: &[EventKind]) -> Result<(), JournalError> {
        let append = self.encode(run, kinds)?;
        if append.bodies.is_empty() { Ok(()) } else { self.queue.push_soon(append) }
    }

    /// Appends events, durably, to a run whose last event is `expected_last` (0 for a new run).
    ///
    /// # Errors
    ///
    /// [`JournalError::Conflict`] where the run has another last event, or they could not be written.
    pub async fn append_expecting(
        &self,
        run: &RunId,
        expected_last: u64,
        kinds: Vec<EventKind>,
    ) -> Result<Option<Appended>, JournalError> {
        let append = Append { expected: Some(expected_last), ..self.encode(run, &kinds)? };
        Ok(self.written(append).await?.appended)
    }

    /// Saves a receipt and the event that says so, in one transaction, durably. It takes the place of an earlier one with its
    /// key. The data is kept as it is; secrets in the summary are masked.
    ///
    /// # Errors
    ///
    /// The data has more than [`MAXIMUM_RECEIPT`] bytes, or could not be written.
    pub async fn save_receipt(
        &self,
        run: &RunId,
        step: &StepId,
        key: &str,
        data: &[u8],
        summary: &str,
    ) -> Result<Appended, JournalError> {
        if data.len() > MAXIMUM_RECEIPT {
            return Err(JournalError::TooLarge { what: "receipt", bytes: data.len(), limit: MAXIMUM_RECEIPT });
        }
        let saved = EventKind::CheckpointSaved {
            step: step.clone(),
            key: key.to_owned(),
            digest: Digest::of(data),
            bytes: data.len() as u64,
            summary: summary.to_owned(),
        };
        let receipt = NewReceipt { step: receipt::column(step)?, key: key.to_owned(), data: data.to_owned() };
        let append = Append { receipt: Some(receipt), ..self.encode(run, &[saved])? };
        self.written(append).await?.appended.ok_or(JournalError::Closed)
    }

    /// Writes all that waits. Returns the end of the chain.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub async fn flush(&self) -> Result<Head, JournalError> {
        // A call without events belongs to no run.
        let nothing = Append {
            run: RunId::new(jiff::Timestamp::UNIX_EPOCH),
            moment: Moment::now(),
            bodies: Vec::new(),
            expected: None,
            receipt: None,
            reply: None,
        };
        Ok(self.written(nothing).await?.head)
    }

    /// Writes all that waits, and lets go of the database. Every later call fails. Returns the end of the chain.
    ///
    /// # Errors
    ///
    /// It could not be written: what nobody waited for is lost.
    pub async fn close(&self) -> Result<Head, JournalError> {
        let flushed = self.flush().await;
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((thread, end)) = thread {
            // Ends with an error: the other side is dropped, never used.
            let _ = end.await;
            let _ = thread.join();
        }
        flushed
    }

    fn encode(&self, run: &RunId, kinds: &[EventKind]) -> Result<Append, JournalError> {
        let kept = kinds.iter().filter(|kind| !matches!(kind, EventKind::Progress { .. }));
        let bodies = kept.map(|kind| body::encode(kind, &self.redactor)).collect::<Result<_, _>>()?;
        Ok(Append { run: run.clone(), moment: Moment::now(), bodies, expected: None, receipt: None, reply: None })
    }

    async fn written(&self, append: Append) -> Result<Placed, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Task::Append(Append { reply: Some(reply), ..append }))?;
        answer.await.map_err(|_| JournalError::Closed)?
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.close();
        if let Some((thread, _)) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}
