//! Files: what WASI cannot tell, and what a failed `std::fs` call means. Capability: `read`.
//!
//! WASI shows a step only what it was granted, so a path that is not granted looks as if it did not exist. The host
//! knows better: [`explain`] asks it, and the failure carries the line which would allow the path.

use std::io;

use crate::bindings::host::pipe::host::files as host;
use crate::{Error, ErrorKind, Failure};

pub use host::Attributes;

/// Permission bits and owner of a file, without following a link at its end.
///
/// # Errors
///
/// The host refuses a path that is not granted, and says what is wrong with one that is.
#[cfg(target_family = "wasm")]
pub fn stat(path: &str) -> Result<Attributes, Error> {
    Ok(host::stat(path)?)
}

/// Permission bits and owner of a file, without a host: for native tests.
///
/// # Errors
///
/// What the system says.
#[cfg(not(target_family = "wasm"))]
pub fn stat(path: &str) -> Result<Attributes, Error> {
    use std::os::unix::fs::MetadataExt as _;
    let error = |error: io::Error| Error {
        kind: ErrorKind::Failed,
        message: format!("{path}: {error}"),
        hint: None,
        code: None,
    };
    let metadata = std::fs::symlink_metadata(path).map_err(error)?;
    Ok(Attributes { mode: metadata.mode() & 0o7777, owner: metadata.uid() })
}

/// `EILSEQ`: names are text in WASI, and this one is none.
#[cfg(target_family = "wasm")]
const NO_TEXT: i32 = 25;
/// The same on Linux, for native tests.
#[cfg(not(target_family = "wasm"))]
const NO_TEXT: i32 = 84;

/// Turns the error of a `std::fs` call into a failure that says whether the path is missing or not granted.
#[must_use]
pub fn explain(path: &str, error: &io::Error) -> Failure {
    if let Err(refusal) = stat(path)
        && refusal.kind == ErrorKind::Denied
    {
        return refusal.into();
    }
    match error.kind() {
        _ if error.raw_os_error() == Some(NO_TEXT) => {
            Failure::settings(format!("{path}: a name there is not UTF-8, and no plugin can name it"))
        }
        io::ErrorKind::NotFound => Failure::unavailable(format!("{path} does not exist")).retryable(false),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Failure::denied(format!("{path}: permission denied"))
        }
        _ => Failure::other(format!("{path}: {error}")),
    }
}

/// [`explain`] for a call that writes. The host cannot be asked beforehand what may be written, but the log of the run
/// holds the refusal, with the line that would allow it.
#[must_use]
pub fn explain_write(path: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Failure::denied(format!(
            "write {path}: refused; a step that may do it has the path in allow.write, and where the host refused it, \
             the log of the run says which line"
        )),
        io::ErrorKind::NotFound => Failure::unavailable(format!("{path} does not exist")).retryable(false),
        _ => Failure::other(format!("{path}: {error}")),
    }
}

/// The bytes of a file, at most `limit` of them.
///
/// # Errors
///
/// As [`explain`], and a file that is larger.
pub fn read(path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| explain(path, &error))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| explain(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::other(format!("{path} is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// The text of a file, at most `limit` bytes of it.
///
/// # Errors
///
/// As [`read`], and bytes that are not UTF-8.
pub fn read_text(path: &str, limit: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, limit)?).map_err(|_| Failure::conflict(format!("{path} is not UTF-8 text")))
}
