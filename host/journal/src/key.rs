//! The keys of a state directory. They lie beside the journal and never in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use nix::libc::O_NOFOLLOW;
use pipe_core::{digest::Digest, proof::KEY_BYTES};
use zeroize::Zeroizing;

use crate::{JournalError, place};

/// Proves what the record leaves out.
pub(crate) const AUDIT: &str = "audit.key";

/// Seals receipts and outputs. A file of its own: whoever may prove need not be able to read.
pub(crate) const SEAL: &str = "seal.key";

/// A key, forgotten when it is dropped.
pub(crate) type Bytes = Zeroizing<[u8; KEY_BYTES]>;

/// A key of a state directory, made by the first process that needs one. The directory exists.
pub(crate) fn make(state_dir: &Path, name: &str) -> Result<Bytes, JournalError> {
    match find(state_dir, name) {
        Err(JournalError::NoKey { .. }) => {}
        found => return found,
    }
    create(state_dir, name).map_err(|error| odd(state_dir, name, &error))?;
    find(state_dir, name)
}

/// A key of a state directory. Nothing is made.
pub(crate) fn find(state_dir: &Path, name: &str) -> Result<Bytes, JournalError> {
    let path = state_dir.join(name);
    let mut file = match OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(JournalError::NoKey { path }),
        Err(error) => return Err(odd(state_dir, name, &error)),
    };
    let metadata = file.metadata().map_err(|error| odd(state_dir, name, &error))?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(JournalError::Key { path, detail: "others than this user can read it".to_owned() });
    }
    let mut key = Bytes::new([0; KEY_BYTES]);
    let whole = metadata.len() == KEY_BYTES as u64 && file.read_exact(&mut *key).is_ok();
    if whole { Ok(key) } else { Err(JournalError::Key { path, detail: format!("it does not hold {KEY_BYTES} bytes") }) }
}

/// Whole under its name or not there at all. Another process may be faster: its key counts.
fn create(state_dir: &Path, name: &str) -> io::Result<()> {
    let mut key = Bytes::new([0; KEY_BYTES]);
    File::open("/dev/urandom")?.read_exact(&mut *key)?;
    let unique = jiff::Timestamp::now().as_nanosecond();
    let partial = state_dir.join(format!(".{name}.{}.{unique}", std::process::id()));
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(&*key)?;
        file.sync_all()?;
        fs::hard_link(&partial, state_dir.join(name))
    };
    let linked = written();
    let removed = fs::remove_file(&partial);
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && state_dir.join(name).exists() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => removed.and_then(|()| place::sync(state_dir)),
    }
}

/// Names a state directory, and tells nothing of what is in it: the digest of a key that it has. Made where there is none yet.
///
/// # Errors
///
/// The key can neither be read nor made.
pub fn place_name(state_dir: &Path) -> Result<String, JournalError> {
    let key = make(state_dir, AUDIT)?;
    let mut named = Zeroizing::new(b"pipe place\0".to_vec());
    named.extend_from_slice(&*key);
    Ok(Digest::of(&named).to_string())
}

fn odd(state_dir: &Path, name: &str, error: &io::Error) -> JournalError {
    JournalError::Key { path: state_dir.join(name), detail: error.to_string() }
}
