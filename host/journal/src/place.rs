//! The state directory and the file in it, before SQLite sees them.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::{JournalError, network};

/// Name of the database in the state directory.
const FILE: &str = "journal.db";

/// The database of a state directory.
pub(crate) fn database(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Makes the directory (0700, its parent must exist) and an empty database (0600) where they are missing. Returns the database.
///
/// SQLite gives its own files beside the database the same mode.
pub(crate) fn prepare(state_dir: &Path) -> Result<PathBuf, JournalError> {
    let unusable = |error| JournalError::unusable(state_dir, error);
    match DirBuilder::new().mode(0o700).create(state_dir) {
        Ok(()) => sync(parent(state_dir)).map_err(unusable)?,
        Err(_) if state_dir.is_dir() => refuse_foreign(state_dir)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(unusable(ErrorKind::NotADirectory.into()));
        }
        Err(error) => return Err(unusable(error)),
    }
    network::refuse(state_dir)?;
    let path = database(state_dir);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(_) => sync(state_dir).map_err(unusable)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(JournalError::NotWritable { path, detail: error.to_string() }),
    }
    Ok(path)
}

/// Refuses a directory in which somebody else can put what this user would then obey: copies, keys, a journal.
fn refuse_foreign(state_dir: &Path) -> Result<(), JournalError> {
    let known = state_dir.metadata().map_err(|error| JournalError::unusable(state_dir, error))?;
    let foreign = |detail: String| Err(JournalError::NotOurs { path: state_dir.to_owned(), detail });
    if known.uid() != geteuid().as_raw() {
        return foreign(format!("it belongs to user {}, and this is user {}", known.uid(), geteuid()));
    }
    if known.mode() & 0o022 != 0 {
        return foreign(format!("others may write in it (mode {:04o})", known.mode() & 0o7777));
    }
    Ok(())
}

/// Where a read-only journal is. Nothing is made.
pub(crate) fn find(state_dir: &Path) -> Result<PathBuf, JournalError> {
    let path = database(state_dir);
    match path.metadata() {
        Ok(_) => network::refuse(state_dir).map(|()| path),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(JournalError::Missing { path })
        }
        Err(error) => Err(JournalError::Unreadable { path, detail: error.to_string() }),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a new name in a directory survive a power failure. Some file systems cannot, and say so.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}
