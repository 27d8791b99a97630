//! A journal that is written: the handle that callers share, in front of the thread that writes.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    Appended, Head, JournalError, Ownership, Reader, body,
    clock::Moment,
    key, outputs, place,
    queue::{Append, Queue, Task},
    receipt::{self, NewReceipt},
    schema,
    seal::{self, Sealer, step_text},
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

/// A receipt that is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedReceipt {
    /// Where its event is.
    pub appended: Appended,
    /// The digest in its event: of the receipt as it lies beside the record, sealed.
    pub digest: Digest,
}

/// The journal of a state directory. Any number of processes may have it open; each call is all or nothing.
///
/// The order of the events is the order of the calls; a call whose future is dropped may still count. Every string of an
/// event, and every key, passes the redactor; [`EventKind::Progress`] is left out. Calls that wait at the same moment share one
/// transaction, and so one fsync.
///
/// Receipts, and the outputs of steps, are not in the events: they lie beside them, sealed with the key in `seal.key`, and the
/// events hold their digests. A journal that was opened with an [`Ownership`] writes nothing more once that is over.
///
/// On a full disk it gives back what [`set_aside`](crate::set_aside) took, so that a rollback can still be written.
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
    ownership: Option<Arc<Ownership>>,
    /// Which key values were sealed with before this was opened.
    known_seal: Option<Digest>,
    sealer: OnceLock<Sealer>,
    short_of_room: Arc<AtomicBool>,
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
        Self::start(state_dir, path, connection, None, redactor)
    }

    /// Opens the journal of a state directory for the process that drives a run: what it writes is written only as long as the
    /// ownership holds.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub fn open_owned(ownership: Arc<Ownership>, redactor: Redactor) -> Result<Self, JournalError> {
        let state_dir = ownership.state_dir().to_owned();
        let path = place::prepare(&state_dir)?;
        let connection = ownership.connection(&path)?;
        Self::start(&state_dir, path, connection, Some(ownership), redactor)
    }

    fn start(
        state_dir: &Path,
        path: PathBuf,
        connection: rusqlite::Connection,
        ownership: Option<Arc<Ownership>>,
        redactor: Redactor,
    ) -> Result<Self, JournalError> {
        let known_seal = seal::known(&connection).map_err(|fault| fault.at(&path))?;
        let queue = Arc::new(Queue::default());
        let short_of_room = Arc::new(AtomicBool::new(false));
        let epoch = ownership.as_ref().map(|ownership| ownership.epoch_to_check());
        let writer = Writer::new(connection, &path, state_dir, Arc::clone(&queue), epoch, Arc::clone(&short_of_room));
        let (ended, end) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("pipe-journal".to_owned())
            .spawn(move || {
                writer.run();
                drop(ended);
            })
            .map_err(|error| JournalError::unusable(state_dir, error))?;
        let thread = Mutex::new(Some((thread, end)));
        Ok(Self {
            queue,
            thread,
            redactor,
            state_dir: state_dir.to_owned(),
            path,
            ownership,
            known_seal,
            sealer: OnceLock::new(),
            short_of_room,
        })
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
        key::make(&self.state_dir, key::AUDIT).map(|key| ProofKey::new(&key))
    }

    /// Makes sure that receipts and outputs can be sealed: better known before a run than in the middle of it. Makes `seal.key`
    /// (0600) beside the database where nothing was sealed yet.
    ///
    /// # Errors
    ///
    /// [`JournalError::Sealed`] where the key is gone or another one, and whatever keeps it from being made or read.
    pub fn ready_to_seal(&self) -> Result<(), JournalError> {
        self.sealer().map(drop)
    }

    /// Whether this process still drives: to be asked before every call that changes something. Costs about a microsecond. Always
    /// so, where the journal was opened without an ownership.
    ///
    /// # Errors
    ///
    /// [`JournalError::Superseded`] where it does not.
    pub fn check_ownership(&self) -> Result<(), JournalError> {
        self.ownership.as_ref().map_or(Ok(()), |ownership| ownership.check())
    }

    /// With what it was opened.
    #[must_use]
    pub const fn ownership(&self) -> Option<&Arc<Ownership>> {
        self.ownership.as_ref()
    }

    /// Whether the disk was full, and the journal lives from its reserve: nothing new should be begun, and what was begun be undone.
    #[must_use]
    pub fn is_short_of_room(&self) -> bool {
        self.short_of_room.load(Ordering::SeqCst)
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
    /// key. The data is kept as it is, and sealed; secrets in the summary are masked.
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
    ) -> Result<SavedReceipt, JournalError> {
        if data.len() > MAXIMUM_RECEIPT {
            return Err(JournalError::TooLarge { what: "receipt", bytes: data.len(), limit: MAXIMUM_RECEIPT });
        }
        let column = step_text(step)?;
        let sealer = self.sealer()?;
        let sealed = sealer.seal(receipt::label(run, &column, key), data)?;
        let digest = Digest::of(&sealed);
        let saved = EventKind::CheckpointSaved {
            step: step.clone(),
            key: key.to_owned(),
            digest,
            bytes: data.len() as u64,
            summary: summary.to_owned(),
        };
        let receipt = NewReceipt { step: column, key: key.to_owned(), data: sealed };
        let append = Append { receipt: Some(receipt), sealed_with: Some(sealer.id()), ..self.encode(run, &[saved])? };
        let appended = self.written(append).await?.appended.ok_or(JournalError::Closed)?;
        Ok(SavedReceipt { appended, digest })
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
            outputs: Vec::new(),
            sealed_with: None,
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
        let (mut bodies, mut beside, mut sealed_with) = (Vec::with_capacity(kinds.len()), Vec::new(), None);
        for kind in kinds.iter().filter(|kind| !matches!(kind, EventKind::Progress { .. })) {
            if outputs::any(kind) {
                let sealer = self.sealer()?;
                let (bare, sealed) = outputs::take_out(run, bodies.len(), kind, sealer, &self.redactor)?;
                bodies.push(body::encode(&bare, &self.redactor)?);
                beside.extend(sealed);
                sealed_with = Some(sealer.id());
            } else {
                bodies.push(body::encode(kind, &self.redactor)?);
            }
        }
        Ok(Append {
            run: run.clone(),
            moment: Moment::now(),
            bodies,
            expected: None,
            receipt: None,
            outputs: beside,
            sealed_with,
            reply: None,
        })
    }

    /// The key, at the first need of it.
    fn sealer(&self) -> Result<&Sealer, JournalError> {
        match self.sealer.get() {
            Some(sealer) => Ok(sealer),
            // Two callers at once find the same key.
            None => Sealer::make(&self.state_dir, self.known_seal).map(|made| self.sealer.get_or_init(|| made)),
        }
    }

    async fn written(&self, append: Append) -> Result<Placed, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Task::Append(Box::new(Append { reply: Some(reply), ..append })))?;
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
