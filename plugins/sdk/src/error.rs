//! Errors of host calls.

use std::fmt;

use crate::Failure;
use crate::bindings::host::pipe::host::errors;

pub use errors::ErrorKind;

/// A host call that was refused or went wrong. `?` turns it into a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// A lower-case fragment. Never a secret.
    pub message: String,
    /// For a refusal: the line of the pipeline file which would allow the call. Else advice, or nothing.
    pub hint: Option<String>,
    /// SQLSTATE, SQLite's extended result code in decimal, or the reply code of a mail server.
    pub code: Option<String>,
}

impl Error {
    /// Whether the same call may succeed later: the other side was away, too slow or busy.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        // Serialization failure, deadlock, lock not available, server shutting down; SQLite busy and locked.
        const BUSY: [&str; 8] = ["40001", "40P01", "55P03", "57P01", "57P02", "57P03", "5", "6"];
        match self.kind {
            ErrorKind::Unavailable | ErrorKind::TimedOut => true,
            ErrorKind::Failed => self.code.as_deref().is_some_and(|code| BUSY.contains(&code)),
            ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Limit => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        match (&self.hint, self.kind) {
            // The host knows which line would allow it, and prints that itself.
            (_, ErrorKind::Denied) | (None, _) => Ok(()),
            (Some(hint), _) => write!(f, "; {hint}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<errors::Error> for Error {
    fn from(error: errors::Error) -> Self {
        Self { kind: error.kind, message: error.message, hint: error.hint, code: error.code }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let failure = match error.kind {
            ErrorKind::Denied => Self::denied(message),
            ErrorKind::Invalid => Self::settings(message),
            ErrorKind::Unavailable => Self::unavailable(message),
            ErrorKind::TimedOut => Self::timed_out(message),
            ErrorKind::Limit | ErrorKind::Failed => Self::other(message),
        };
        Self { retryable: error.is_retryable(), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    #[test]
    fn a_refusal_says_what_was_refused_and_leaves_the_advice_to_the_host() {
        let failure = Failure::from(Error {
            kind: ErrorKind::Denied,
            message: "http GET k8s:/version: not granted".into(),
            hint: Some(r#"allow.http = ["GET k8s:/version"]"#.into()),
            code: None,
        });
        assert_eq!(failure.kind, FailureKind::Denied);
        assert!(!failure.retryable);
        assert_eq!(failure.message, "http GET k8s:/version: not granted");
    }

    #[test]
    fn a_deadlock_may_be_tried_again_and_a_syntax_error_not() {
        let error = |code: &str| Error {
            kind: ErrorKind::Failed,
            message: "statement failed".into(),
            hint: None,
            code: Some(code.into()),
        };
        assert!(Failure::from(error("40P01")).retryable);
        assert!(!Failure::from(error("42601")).retryable);
    }
}
