//! What can go wrong with a journal. The advice is apart, in [`JournalError::hint`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_core::id::RunId;
use rusqlite::{ErrorCode, ffi};

use crate::{chain::ChainBroken, ownership::Holder};

/// Why the journal could not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The state directory is not there and cannot be made, or cannot be entered.
    #[error("cannot use the state directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Nothing has been recorded there.
    #[error("there is no journal at {}", path.display())]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// Files there are shared between machines.
    #[error("the state directory {} is on a network file system ({kind})", path.display())]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// Which one.
        kind: &'static str,
    },
    /// A later version of `pipe` made it.
    #[error("the journal {} has format {found}, and this pipe knows formats up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest that is known here.
        known: i64,
    },
    /// An earlier version of `pipe` made it, in a way that this one no longer writes.
    #[error("the journal {} has format {found}, which holds receipts in clear text; this pipe knows format {known}", path.display())]
    Older {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The one that is known here.
        known: i64,
    },
    /// A database that something else made.
    #[error("{} is a database, but not a journal", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// What is in it cannot be what was written.
    #[error("the journal {} is damaged: {detail}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was seen.
        detail: String,
    },
    /// The chain of its entries is broken.
    #[error("the journal {} was changed: {broken}", path.display())]
    Changed {
        /// The database.
        path: PathBuf,
        /// Where.
        broken: ChainBroken,
    },
    /// Somebody else can change what is in its directory.
    #[error("the state directory {} is not this user's alone: {detail}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// In what way.
        detail: String,
    },
    /// It may be read only.
    #[error("cannot write the journal {}: {detail}", path.display())]
    NotWritable {
        /// The database.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// It may not even be read.
    #[error("cannot read the journal {}: {detail}", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// No room.
    #[error("cannot write the journal {}: the disk is full", path.display())]
    DiskFull {
        /// The database.
        path: PathBuf,
    },
    /// Another process would not let go of it.
    #[error("the journal {} is locked by another process", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Any other failure of the storage.
    #[error("the journal {} failed: {source}", path.display())]
    Storage {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// The run has other events than the writer believed. Nothing was written.
    #[error("run {run} has gone on: its last event is {found}, expected {expected}")]
    Conflict {
        /// The run.
        run: RunId,
        /// The last event that the writer knew of; 0 for none.
        expected: u64,
        /// The last event there is; 0 for none.
        found: u64,
    },
    /// More than an entry or a receipt can hold. Nothing was written.
    #[error("{what} of {bytes} bytes is too large for the journal: at most {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// An event that is no JSON. Nothing was written.
    #[error("cannot encode an event: {0}")]
    Encoding(String),
    /// More events wait than may wait. The event was not taken.
    #[error("too many events wait to be written")]
    Backlog,
    /// The key beside the journal cannot be used.
    #[error("cannot use the key {}: {detail}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// There is no key beside the journal.
    #[error("there is no key at {}", path.display())]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// What lies sealed beside the record cannot be opened.
    #[error("receipts and outputs cannot be opened with {}: {detail}", path.display())]
    Sealed {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another process drives the runs of this pipeline in this environment.
    #[error("another run of {pipeline} in {environment} is going on")]
    Owned {
        /// The pipeline.
        pipeline: String,
        /// The environment.
        environment: String,
        /// Who, as far as the journal says.
        holder: Option<Box<Holder>>,
    },
    /// This process drove the runs of a pipeline in an environment, and no longer does. Nothing was written.
    #[error("this process no longer drives {pipeline} in {environment}: it was unlocked, and epoch {epoch} is over")]
    Superseded {
        /// The pipeline.
        pipeline: String,
        /// The environment.
        environment: String,
        /// The epoch of this process.
        epoch: u64,
    },
    /// No process drives the runs of this pipeline in this environment, so that nothing needs to be unlocked.
    #[error("{pipeline} in {environment} is not locked: no process holds it")]
    NotOwned {
        /// The pipeline.
        pipeline: String,
        /// The environment.
        environment: String,
        /// Who did last, as far as the journal says.
        holder: Option<Box<Holder>>,
    },
    /// The owner changed while it was being unlocked. Nothing was done.
    #[error("{pipeline} in {environment} has just changed hands")]
    ChangedHands {
        /// The pipeline.
        pipeline: String,
        /// The environment.
        environment: String,
    },
    /// The disk has no room for the reserve that a rollback may need.
    #[error("cannot set {bytes} bytes aside in {}: the disk is full", path.display())]
    NoReserve {
        /// The file of the reserve.
        path: PathBuf,
        /// How much it should have.
        bytes: u64,
    },
    /// The run has no events.
    #[error("the journal knows no run {0}")]
    UnknownRun(RunId),
    /// The export's target failed.
    #[error("cannot write the export: {0}")]
    Export(Arc<io::Error>),
    /// The journal was closed, or its thread is gone.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// Advice. Nothing where there is none.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Directory { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(path);
                format!("only the last folder of the path is made by pipe: create {} first", parent.display())
            }
            Self::Directory { .. } => "`state` must name a folder that this user may enter and write".to_owned(),
            Self::Missing { .. } => {
                "nothing was run with this `state` folder yet, or `state` names another one".to_owned()
            }
            Self::NetworkFileSystem { .. } => {
                "set `state` to a folder on a local disk; to read a journal, copy its files (journal.db*) to one"
                    .to_owned()
            }
            Self::NotOurs { path, .. } => format!(
                "`chmod go-w {}` where it is yours; a run that another user began is gone on with by that user",
                path.display()
            ),
            Self::Newer { .. } => "use the version of pipe that wrote it, or a later one".to_owned(),
            Self::Older { .. } => {
                "read it with the version of pipe that wrote it, and set `state` to another folder for new runs".to_owned()
            }
            Self::Sealed { path, .. } => format!(
                "put {} back as it was, from a backup of the state folder; until then steps of earlier runs cannot be undone by \
                 pipe",
                path.display()
            ),
            Self::Owned { holder: Some(holder), .. } => format!(
                "{}; wait for it, and where it hangs for good, `pipe unlock {} --reason TEXT` (and `--state` as here) takes its place",
                holder.tell(),
                holder.run.as_ref().map_or_else(|| "FILE --env NAME".to_owned(), ToString::to_string)
            ),
            Self::Superseded { .. } => {
                "somebody gave `pipe unlock`: whoever drives the run now goes on from what is recorded".to_owned()
            }
            Self::NotOwned { holder: Some(holder), .. } => {
                format!("the kernel freed the lock when its process ended: {}", holder.tell())
            }
            Self::ChangedHands { .. } => "look again before you unlock it".to_owned(),
            Self::NoReserve { .. } => {
                "free some space on that file system: without a reserve, a run whose disk fills up could not even be undone"
                    .to_owned()
            }
            Self::Foreign { .. } => "set `state` to a folder of its own for pipe".to_owned(),
            Self::Damaged { path, .. } => format!(
                "keep all files {path}* as they are and work on copies: `sqlite3 {path} .recover` saves what can be read, earlier exports can still be verified; new runs need \
                 another `state` folder",
                path = path.display()
            ),
            Self::Changed { .. } => {
                "entries before that place are as they were written; compare with an earlier export, or with \
                                     a head that was noted elsewhere"
                    .to_owned()
            }
            Self::NotWritable { .. } => {
                "this user must be able to write the folder and every journal.db* file in it".to_owned()
            }
            Self::Unreadable { path, .. } => {
                format!("copy {0} and {0}-wal to a folder of your own and read them there", path.display())
            }
            Self::DiskFull { .. } => "free some space on that file system; what was acknowledged is safe".to_owned(),
            Self::Busy { path } => format!("`fuser {}` names the processes that have it open", path.display()),
            Self::Key { path, .. } => format!(
                "`chmod 600 {0}` makes it this user's alone; without {0} a new one is made, and what was recorded until now can \
                 no longer be proven",
                path.display()
            ),
            Self::NoKey { .. } => "the first run with this `state` folder makes it".to_owned(),
            Self::TooLarge { .. }
            | Self::Storage { .. }
            | Self::Conflict { .. }
            | Self::Encoding(_)
            | Self::Owned { holder: None, .. }
            | Self::NotOwned { holder: None, .. }
            | Self::Backlog
            | Self::UnknownRun(_)
            | Self::Export(_)
            | Self::Closed => return None,
        })
    }

    pub(crate) fn unusable(path: &Path, source: io::Error) -> Self {
        Self::Directory { path: path.to_owned(), source: Arc::new(source) }
    }
}

/// An error before it is known which file it is about.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Damaged(String),
    Told(JournalError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    pub(crate) fn at(self, path: &Path) -> JournalError {
        let path = path.to_owned();
        let is_full_disk = self.is_full_disk();
        match self {
            Self::Sqlite(_) if is_full_disk => JournalError::DiskFull { path },
            Self::Told(error) => error,
            Self::Damaged(detail) => JournalError::Damaged { path, detail },
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    JournalError::Damaged { path, detail: error.to_string() }
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => JournalError::Busy { path },
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    JournalError::NotWritable { path, detail: error.to_string() }
                }
                _ => JournalError::Storage { path, source: Arc::new(error) },
            },
        }
    }

    /// Whether there is no room: more room would help. The memory that connections share is a file as well.
    pub(crate) fn is_full_disk(&self) -> bool {
        match self {
            Self::Told(JournalError::DiskFull { .. }) => true,
            Self::Sqlite(error @ rusqlite::Error::SqliteFailure(ffi::Error { extended_code, .. }, _)) => {
                error.sqlite_error_code() == Some(ErrorCode::DiskFull) || *extended_code == ffi::SQLITE_IOERR_SHMSIZE
            }
            _ => false,
        }
    }

    /// Whether it is unknown what reached the disk: after a failed fsync the kernel forgets what it could not write, and a
    /// second fsync that succeeds says nothing.
    pub(crate) fn is_failed_sync(&self) -> bool {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error { extended_code, .. }, _)) = self else {
            return false;
        };
        matches!(*extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    }
}
