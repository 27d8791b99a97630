//! Why a stage failed.

use std::fmt;
use std::io;

use crate::{Failure, FailureKind, Finding};

impl Failure {
    /// A failure of a kind. `message` is a lower-case fragment without a full stop, and never holds a secret.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, FailureKind::Unavailable | FailureKind::TimedOut);
        Self { kind, message: message.into(), retryable, findings: Vec::new() }
    }

    /// The settings make no sense, though they fit the schema.
    pub fn settings(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Settings, message)
    }

    /// The host refused something.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Denied, message)
    }

    /// A server, file or program could not be reached. Retryable.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unavailable, message)
    }

    /// Something took longer than it was given. Retryable.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(FailureKind::TimedOut, message)
    }

    /// The world is not in the state that this stage may act on.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Conflict, message)
    }

    /// An expectation was not met.
    pub fn unmet(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unmet, message)
    }

    /// Anything else.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Other, message)
    }

    /// Says whether the same call may succeed when it is made again.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Adds what had been found until then.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// Puts what was being done before the message: `step: message`.
    #[must_use]
    pub fn within(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl From<io::Error> for Failure {
    /// An error of a file. [`crate::files::explain`] does better where the path is known.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::unavailable("no such file or directory").retryable(false),
            io::ErrorKind::PermissionDenied => Self::denied("permission denied"),
            io::ErrorKind::TimedOut => Self::timed_out(error.to_string()),
            _ => Self::other(error.to_string()),
        }
    }
}
