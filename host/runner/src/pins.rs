//! Copies of what a run was begun with, by content, in the state directory: so that it ends as it began, whatever becomes of the
//! originals in between.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use pipe_core::digest::Digest;

/// How the name of a copy ends that is being removed.
const LEAVING: &str = "leaving";

/// How long a copy that was asked for stays, whoever needs it.
const WANTED_FOR: Duration = Duration::from_secs(86_400);

/// The largest copy that is read back, in bytes.
const LARGEST: u64 = 1 << 30;

/// A copy cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It cannot be written.
    #[error("cannot keep a copy of {what} in {path}: {source}")]
    Unwritable {
        /// Of what.
        what: String,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read the copy of {what} that this run was begun with, {path}: {source}")]
    Unreadable {
        /// Of what.
        what: String,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was kept.
    #[error("the copy of {what} that this run was begun with was changed: {path}")]
    Changed {
        /// Of what.
        what: String,
        /// Where.
        path: PathBuf,
    },
}

/// The copies of a state directory.
#[derive(Clone, Debug)]
pub struct Pins {
    folder: PathBuf,
}

impl Pins {
    /// The copies of this state directory.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { folder: state.join("pins") }
    }

    /// Keeps a copy. On stable storage when it returns.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn keep(&self, what: &str, bytes: &[u8]) -> Result<Digest, PinError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        if Self::is_kept(&path, bytes.len() as u64) {
            return Ok(digest);
        }
        self.write(&path, bytes).map_err(|source| PinError::Unwritable { what: what.to_owned(), path, source })?;
        Ok(digest)
    }

    /// Reads a copy.
    ///
    /// # Errors
    ///
    /// It is not there, or not what was kept.
    pub fn read(&self, what: &str, digest: &Digest) -> Result<Vec<u8>, PinError> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
        match read {
            Err(source) => Err(PinError::Unreadable { what: what.to_owned(), path, source }),
            Ok(_) if Digest::of(&bytes) != *digest => Err(PinError::Changed { what: what.to_owned(), path }),
            Ok(_) => Ok(bytes),
        }
    }

    /// It was kept under this name once it was whole; that it still is what it was is checked when it is read. Its time says
    /// that it is wanted, so that nobody removes it before the run is in the record.
    fn is_kept(path: &Path, bytes: u64) -> bool {
        let Ok(file) = File::open(path) else { return false };
        file.metadata().is_ok_and(|known| known.is_file() && known.len() == bytes)
            && file.set_modified(SystemTime::now()).is_ok()
            // Whoever was about to remove it moved it away before, or sees its time.
            && path.exists()
    }

    /// Whether a copy, or what a removal left of it, is there, and was not wanted within the last day.
    #[must_use]
    pub fn may_go(&self, digest: &Digest) -> bool {
        let path = self.path(digest);
        [path.with_extension(LEAVING), path].iter().any(|path| path.is_file() && !is_wanted(path))
    }

    /// Removes a copy that no run needs. Leaves one that was wanted within the last day: a run that is being prepared may name it.
    /// Says whether it is gone.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(&self, what: &str, digest: &Digest) -> Result<bool, PinError> {
        let path = self.path(digest);
        let leaving = path.with_extension(LEAVING);
        let removed = || -> io::Result<bool> {
            if path.is_file() {
                if is_wanted(&path) {
                    return Ok(false);
                }
                fs::rename(&path, &leaving)?;
            }
            if leaving.exists() && is_wanted(&leaving) {
                fs::rename(&leaving, &path)?;
                return Ok(false);
            }
            fs::remove_file(&leaving)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(true)
        };
        removed().map_err(|source| PinError::Unwritable { what: what.to_owned(), path: path.clone(), source })
    }

    /// Names in the folder that are no copy of these contents, nor what a removal left of one.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn strangers(&self, known: &BTreeSet<Digest>) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let is_known = |path: &PathBuf| {
            let named = path.extension().is_none_or(|end| end == LEAVING);
            let digest = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
            named && digest.is_some_and(|digest| known.contains(&digest))
        };
        Ok(paths.into_iter().filter(|path| !is_known(path)).collect())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // One name a process: two that keep the same thing do not meet.
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Whether a copy was asked for within the last day.
fn is_wanted(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|file| file.modified()).map(|time| time.elapsed());
    // A time to come is one that a clock said which was wrong.
    !matches!(age, Ok(Ok(age)) if age >= WANTED_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_was_kept_or_it_is_not_read() {
        let state = std::env::temp_dir().join(format!("pipe-pins-{}", std::process::id()));
        fs::create_dir_all(&state).unwrap();
        let pins = Pins::of(&state);
        let digest = pins.keep("the pipeline file", b"name = \"a\"").unwrap();
        assert_eq!(pins.keep("the pipeline file", b"name = \"a\"").unwrap(), digest, "once more is no matter");
        assert_eq!(pins.read("the pipeline file", &digest).unwrap(), b"name = \"a\"");
        fs::write(pins.path(&digest), b"name = \"b\"").unwrap();
        assert!(matches!(pins.read("the pipeline file", &digest), Err(PinError::Changed { .. })));
        fs::remove_file(pins.path(&digest)).unwrap();
        let missing = pins.read("the pipeline file", &digest).unwrap_err().to_string();
        assert!(missing.contains("the pipeline file") && missing.contains("No such file"), "{missing}");
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_copy_that_was_wanted_today_stays() {
        let state = std::env::temp_dir().join(format!("pipe-pins-removed-{}", std::process::id()));
        fs::create_dir_all(&state).unwrap();
        let pins = Pins::of(&state);
        let aged = |path: &Path| {
            let long_ago = SystemTime::now() - 2 * WANTED_FOR;
            File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        };
        let digest = pins.keep("a plugin", b"plugin").unwrap();
        assert!(!pins.remove("a plugin", &digest).unwrap(), "a run may be about to name it");
        aged(&pins.path(&digest));
        assert_eq!(pins.keep("a plugin", b"plugin").unwrap(), digest);
        assert!(!pins.remove("a plugin", &digest).unwrap(), "it was asked for again");
        aged(&pins.path(&digest));
        assert!(pins.may_go(&digest) && pins.remove("a plugin", &digest).unwrap() && !pins.may_go(&digest));
        // Cut off between the two steps of a removal.
        let digest = pins.keep("a plugin", b"plugin").unwrap();
        let leaving = pins.path(&digest).with_extension(LEAVING);
        fs::rename(pins.path(&digest), &leaving).unwrap();
        assert!(!pins.may_go(&digest) && !pins.remove("a plugin", &digest).unwrap());
        assert!(pins.path(&digest).is_file(), "what was wanted is put back");
        fs::rename(pins.path(&digest), &leaving).unwrap();
        aged(&leaving);
        assert!(pins.remove("a plugin", &digest).unwrap() && !leaving.exists());
        fs::write(state.join("pins/notes.txt"), "mine").unwrap();
        assert_eq!(pins.strangers(&BTreeSet::from([digest])).unwrap(), [state.join("pins/notes.txt")]);
        fs::remove_dir_all(state).unwrap();
    }
}
