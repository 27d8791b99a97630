//! `pipe:host`, implemented: each call becomes one call of the session. No decision is made here.

pub(crate) mod artifact;
pub(crate) mod checkpoint;
pub(crate) mod disk;
pub(crate) mod environment;
pub(crate) mod log;
pub(crate) mod mail;
#[expect(unreachable_pub, reason = "the generated code re-exports its handle")]
pub(crate) mod process;
pub(crate) mod run;
pub(crate) mod secret;
#[expect(unreachable_pub, reason = "the generated code re-exports its handle")]
pub(crate) mod sql;
pub(crate) mod tls;

use pipe_effects::error::{EffectError, ErrorKind};

use crate::bindings::host::pipe::host::errors as wit;

impl wit::Host for crate::state::State {}

impl From<EffectError> for wit::Error {
    fn from(error: EffectError) -> Self {
        let kind = match error.kind {
            ErrorKind::Denied => wit::ErrorKind::Denied,
            ErrorKind::Invalid => wit::ErrorKind::Invalid,
            ErrorKind::Unavailable => wit::ErrorKind::Unavailable,
            ErrorKind::TimedOut => wit::ErrorKind::TimedOut,
            ErrorKind::Limit => wit::ErrorKind::Limit,
            ErrorKind::Failed => wit::ErrorKind::Failed,
        };
        Self { kind, message: error.message, hint: error.hint, code: error.code }
    }
}

/// What a host function returns: the outer error traps the guest, the inner one reaches it.
pub(crate) type HostResult<T> = wasmtime::Result<Result<T, wit::Error>>;

/// Carries an effect's error to the guest.
pub(crate) fn told<T>(result: Result<T, EffectError>) -> HostResult<T> {
    Ok(result.map_err(wit::Error::from))
}
