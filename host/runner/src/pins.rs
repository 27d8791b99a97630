//! Copies of what a run was begun with, by content, in the state directory: so that it ends as it began, whatever becomes of the
//! originals in between.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use pipe_core::digest::Digest;

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
        // It was kept under this name once it was whole; that it still is what it was is checked when it is read.
        if fs::metadata(&path).is_ok_and(|known| known.is_file() && known.len() == bytes.len() as u64) {
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
}
