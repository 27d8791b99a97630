//! How an effect says no, and how it says that something went wrong. One type for all effects, as guests see it.

use pipe_capability::denial::Denial;

/// What kind of error. The words of `pipe:host/errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The grant does not cover the call.
    Denied,
    /// The call makes no sense.
    Invalid,
    /// The other side could not be reached.
    Unavailable,
    /// Cancelled, or past the deadline.
    TimedOut,
    /// A limit of the step was reached.
    Limit,
    /// The other side answered with an error.
    Failed,
}

/// An effect that did not happen, or not wholly. Its texts never hold a secret: they pass the redactor where they are made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EffectError {
    /// What kind.
    pub kind: ErrorKind,
    /// Lower-case fragment.
    pub message: String,
    /// The line that would allow it, or advice.
    pub hint: Option<String>,
    /// SQLSTATE, SQLite result code, or the reply code of a mail server.
    pub code: Option<String>,
}

impl EffectError {
    /// An error without hint and code.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, code: None }
    }

    /// Cancelled by the host: the step's deadline, or an interrupt.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::TimedOut, "cancelled at the step's deadline")
    }

    /// Adds advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Denial> for EffectError {
    fn from(denial: Denial) -> Self {
        Self { kind: ErrorKind::Denied, message: denial.to_string(), hint: denial.hint, code: None }
    }
}
