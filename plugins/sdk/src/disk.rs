//! Free space. Capability: `disk`.

use crate::Error;
use crate::bindings::host::pipe::host::disk as host;

pub use host::Space;

/// The space of the file system that holds a path.
///
/// # Errors
///
/// The host refuses a path that is not granted, and says what is wrong with one that is.
pub fn free(path: &str) -> Result<Space, Error> {
    Ok(host::free(path)?)
}
