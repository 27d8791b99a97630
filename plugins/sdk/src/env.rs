//! The operator's environment variables, one by one. Capability: `env`.

use crate::Error;
use crate::bindings::host::pipe::host::environment as host;

/// The value of one variable, or nothing where it is not set.
///
/// # Errors
///
/// The host refuses a name that is not granted.
pub fn variable(name: &str) -> Result<Option<String>, Error> {
    Ok(host::variable(name)?)
}
