//! Which process drives the runs of a pipeline in an environment: one at a time, by a lock that the kernel frees with the process,
//! and by an epoch that tells a process whose place was taken that it was.
//!
//! The lock alone is not enough: a process that was stopped for a while still holds it, and so does one that hangs for good.
//! [`Ownership::unlock`] raises the epoch and puts a new file in the place of the locked one. Whoever holds the old one finds the
//! epoch over at its next append, and the file gone before its next effect.

mod holder;
mod lock_file;
mod unlock;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use pipe_core::id::RunId;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use self::lock_file::LockFile;
pub use self::{
    holder::{Holder, Liveness},
    unlock::{Unlocked, Unlocking},
};
use crate::{JournalError, RunFilter, RunSummary, clock::Moment, error::Fault, history, place, schema};

/// Who wants to drive what.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'c> {
    /// Name of the pipeline.
    pub pipeline: &'c str,
    /// Environment.
    pub environment: &'c str,
    /// The run that will be started or continued. Nothing for what is done between runs.
    pub run: Option<&'c RunId>,
    /// Who: user and host.
    pub actor: &'c str,
}

/// The right to drive the runs of a pipeline in an environment. Given up when it is dropped, or when the process ends, however it
/// ends; the unfinished run stays unfinished.
pub struct Ownership {
    state_dir: PathBuf,
    epoch: Epoch,
    lock: LockFile,
    last: Result<Option<RunSummary>, JournalError>,
    /// For the journal that is opened with it: opening takes longer than all else here.
    connection: Mutex<Option<Connection>>,
}

impl Ownership {
    /// Takes it, durably: from here on, every process that had it before finds its epoch over. Makes the state directory and the
    /// journal where they are missing.
    ///
    /// # Errors
    ///
    /// [`JournalError::Owned`] where another process has it, and whatever keeps the journal from being written.
    pub fn take(state_dir: &Path, claim: Claim<'_>) -> Result<Self, JournalError> {
        let path = place::prepare(state_dir)?;
        let Some(lock) = LockFile::take(state_dir, claim.pipeline, claim.environment)? else {
            let holder = schema::open_read_only(&path)
                .ok()
                .and_then(|connection| holder::find(&connection, claim.pipeline, claim.environment).ok().flatten());
            return Err(JournalError::Owned {
                pipeline: claim.pipeline.to_owned(),
                environment: claim.environment.to_owned(),
                // Where its process is gone, it is of the owner before this one, who has not written its name yet.
                holder: holder.filter(|holder| holder.liveness() != Liveness::Gone).map(Box::new),
            });
        };
        let mut connection = schema::open(&path)?;
        let epoch =
            raise(&mut connection, claim, Some(Holder::this_process(claim))).map_err(|fault| fault.at(&path))?;
        let filter = RunFilter {
            pipeline: Some(claim.pipeline.to_owned()),
            environment: Some(claim.environment.to_owned()),
            limit: Some(1),
        };
        // A record that is damaged somewhere else must not keep a run from being undone.
        let last = history::runs(&connection, &filter).map(|mut runs| runs.pop()).map_err(|fault| fault.at(&path));
        let epoch =
            Epoch { pipeline: claim.pipeline.to_owned(), environment: claim.environment.to_owned(), number: epoch };
        let ownership =
            Self { state_dir: state_dir.to_owned(), epoch, lock, last, connection: Mutex::new(Some(connection)) };
        // Stopped between lock and epoch, and unlocked meanwhile: the epoch is the later one, and the lock is not.
        ownership.check()?;
        Ok(ownership)
    }

    /// Whether it still holds. One system call, about a microsecond: made for before every call that changes something.
    ///
    /// # Errors
    ///
    /// [`JournalError::Superseded`] where another process may have it by now.
    pub fn check(&self) -> Result<(), JournalError> {
        if self.lock.is_in_place() { Ok(()) } else { Err(self.epoch.superseded()) }
    }

    /// The last run of the pipeline in the environment, as it was when this was taken.
    ///
    /// # Errors
    ///
    /// The record of it cannot be read.
    pub fn last_run(&self) -> Result<Option<&RunSummary>, JournalError> {
        self.last.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// The run that owns the pipeline and environment, since it has not ended: no other may start. Nothing where the last one has
    /// ended, however: of one whose rollback failed, [`Ownership::last_run`] says so.
    ///
    /// # Errors
    ///
    /// The record of it cannot be read.
    pub fn unfinished(&self) -> Result<Option<&RunSummary>, JournalError> {
        Ok(self.last_run()?.filter(|run| run.finished.is_none()))
    }

    /// How often it was taken or unlocked, this time included.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch.number
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    pub(crate) fn epoch_to_check(&self) -> Epoch {
        self.epoch.clone()
    }

    /// The connection with which it was taken, for the first who asks.
    pub(crate) fn connection(&self, path: &Path) -> Result<Connection, JournalError> {
        let taken = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.map_or_else(|| schema::open(path), Ok)
    }
}

impl fmt::Debug for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ownership").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// An epoch of one process.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pipeline: String,
    environment: String,
    number: u64,
}

impl Epoch {
    /// Whether it is the present one, within the transaction that depends on it.
    pub(crate) fn check(&self, connection: &Connection) -> Result<(), Fault> {
        let found = number(connection, &self.pipeline, &self.environment)?;
        if found == self.number { Ok(()) } else { Err(self.superseded().into()) }
    }

    fn superseded(&self) -> JournalError {
        JournalError::Superseded {
            pipeline: self.pipeline.clone(),
            environment: self.environment.clone(),
            epoch: self.number,
        }
    }
}

/// The present epoch; 0 where nobody has driven anything there.
fn number(connection: &Connection, pipeline: &str, environment: &str) -> Result<u64, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT epoch FROM ownership WHERE pipeline = ?1 AND environment = ?2")?;
    let found: Option<i64> = statement.query_row([pipeline, environment], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0).cast_unsigned())
}

/// Begins a new epoch in a transaction of its own.
fn raise(connection: &mut Connection, claim: Claim<'_>, process: Option<Holder>) -> Result<u64, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let epoch = raise_within(&transaction, claim, process)?;
    transaction.commit()?;
    Ok(epoch)
}

/// Begins a new epoch, and says whose it is; of no process where it only ends the one before.
fn raise_within(connection: &Connection, claim: Claim<'_>, process: Option<Holder>) -> Result<u64, Fault> {
    let Claim { pipeline, environment, run, actor } = claim;
    let epoch = number(connection, pipeline, environment)? + 1;
    let (pid, ticks, boot) = process.map_or((None, None, None), |holder| (holder.pid, holder.ticks, holder.boot));
    connection.execute(
        "INSERT OR REPLACE INTO ownership (pipeline, environment, epoch, run, pid, ticks, boot, actor, since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            pipeline,
            environment,
            epoch.cast_signed(),
            run.map(RunId::as_str),
            pid,
            ticks.map(u64::cast_signed),
            boot,
            actor,
            Moment::now().at
        ],
    )?;
    Ok(epoch)
}
