//! The file whose lock says that a process drives. It is the lock of one inode: with another inode in its place, it is nobody's.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::libc::O_NOFOLLOW;

use crate::{JournalError, place};

/// How long [`is_held`] may hold a lock, and how often somebody who wants it waits that long.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: u32 = 5;

/// A lock that this process holds, or held.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    inode: (u64, u64),
    /// The kernel frees the lock when the last descriptor of it is closed.
    _file: File,
}

/// Where the lock is.
pub(super) fn path(state_dir: &Path, pipeline: &str, environment: &str) -> PathBuf {
    // Names hold no slash. One that came out of a record might.
    state_dir.join("locks").join(format!("{pipeline}@{environment}").replace('/', "%2F"))
}

impl LockFile {
    /// Takes the lock. Nothing where another process has it.
    pub(super) fn take(state_dir: &Path, pipeline: &str, environment: &str) -> Result<Option<Self>, JournalError> {
        let path = path(state_dir, pipeline, environment);
        let unusable = |error| JournalError::unusable(state_dir, error);
        match DirBuilder::new().mode(0o700).create(state_dir.join("locks")) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(error)),
            _ => {}
        }
        let mut patience = LOOKS;
        loop {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(O_NOFOLLOW).open(&path).map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if patience > 0 => {
                    // It may be somebody who only looks.
                    patience -= 1;
                    thread::sleep(LOOK);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
            let metadata = file.metadata().map_err(unusable)?;
            let lock = Self { path: path.clone(), inode: (metadata.dev(), metadata.ino()), _file: file };
            // Somebody may have put another file there between opening and locking.
            if lock.is_in_place() {
                return Ok(Some(lock));
            }
        }
    }

    /// Whether the locked file is still the one under its name. An inode that is held open is not given to another file.
    pub(super) fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
    }
}

/// Whether some process holds the lock.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).custom_flags(O_NOFOLLOW).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    // Shared, and given back at once: whoever takes it now waits that long.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Puts a new file, which nobody has locked, in the place of the old one.
pub(super) fn replace(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or("lock");
    let unique = jiff::Timestamp::now().as_nanosecond();
    let fresh = folder.join(format!(".{name}.{}.{unique}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
    made.and_then(|_| fs::rename(&fresh, path)).and_then(|()| place::sync(folder)).inspect_err(|_| {
        // The error that is told is the one that matters.
        let _ = fs::remove_file(&fresh);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_of_one_file_and_not_of_a_name() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let take = || LockFile::take(directory.path(), "hms", "production").expect("usable");
        let first = take().expect("is free");
        assert!(take().is_none(), "is held");
        let path = path(directory.path(), "hms", "production");
        assert!(is_held(&path).expect("usable") && first.is_in_place());
        replace(&path).expect("replaces");
        assert!(!first.is_in_place(), "the old file is nobody's");
        let second = take().expect("the new file is free, though the old one is still locked");
        assert!(second.is_in_place() && !first.is_in_place());
        drop(second);
        assert!(!is_held(&path).expect("usable"));
        assert_eq!(fs::read_dir(directory.path().join("locks")).expect("a folder").count(), 1, "nothing is left over");
    }
}
