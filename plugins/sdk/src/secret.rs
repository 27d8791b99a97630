//! Secrets in plaintext. Capability: `reveal`.
//!
//! Ask for one only where the host cannot put it in by itself: a peer's login and `allow.secrets` need no plaintext here.

use crate::Error;
use crate::bindings::host::pipe::host::secret as host;

/// The plaintext of a secret of the pipeline file, without the line break that files end with.
///
/// # Errors
///
/// The host refuses a name that is not granted or not declared.
pub fn reveal(name: &str) -> Result<String, Error> {
    Ok(host::reveal(name)?)
}
