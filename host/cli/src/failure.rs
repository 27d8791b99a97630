//! What a command ends with when it does not succeed: what happened, advice, and the exit code. One conversion a layer.

use pipe_core::diagnostic::Diagnostic;
use pipe_journal::JournalError;
use pipe_runner::{PinError, PrepareError, RunError};
use pipe_sandbox::{LoadError, SandboxError};

use crate::exit::Exit;

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Files that people wrote are wrong; each place is shown.
    Diagnostics(Vec<Diagnostic>),
    /// One sentence, perhaps advice.
    Message {
        /// Which code.
        exit: Exit,
        /// Lower-case fragment.
        message: String,
        /// What would help.
        hint: Option<String>,
    },
}

impl Failure {
    /// A failure with a message alone.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Message { exit, message: message.into(), hint: None }
    }

    /// Adds advice.
    pub(crate) fn hint(self, advice: impl Into<String>) -> Self {
        match self {
            Self::Message { exit, message, .. } => Self::Message { exit, message, hint: Some(advice.into()) },
            other => other,
        }
    }

    /// What happened, on one line.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Diagnostics(diagnostics) => {
                diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>().join("; ")
            }
            Self::Message { message, .. } => message.clone(),
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Diagnostics(diagnostics) => Exit::of_diagnostics(diagnostics),
            Self::Message { exit, .. } => *exit,
        }
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self::Diagnostics(diagnostics)
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Invalid(diagnostics) => Self::Diagnostics(diagnostics),
            PrepareError::Journal(error) => error.into(),
            PrepareError::Directory { .. } | PrepareError::Pin(_) | PrepareError::Copy(_) | PrepareError::NoRoom => {
                Self::new(Exit::Internal, error.to_string())
            }
            PrepareError::NotResumable(_) => Self::new(Exit::Invalid, error.to_string()),
        }
    }
}

impl From<PinError> for Failure {
    fn from(error: PinError) -> Self {
        Self::new(Exit::Internal, error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Journal(error) => Self::from(error),
            RunError::Unknown(_) => Self::new(Exit::Invalid, error.to_string()),
            RunError::Remains(ref remains) => {
                let failure = Self::new(Exit::Locked, error.to_string());
                match remains.hint() {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let hint = error.hint();
        let exit = match error {
            // The record itself is not what was written; anything else is a file that cannot be used.
            JournalError::Changed { .. } => Exit::Invalid,
            // Another process drives what this one wanted to drive, or drove.
            // That nobody knows is no leave to go on.
            JournalError::Owned { .. } | JournalError::Superseded { .. } | JournalError::NotShared { .. } => {
                Exit::Locked
            }
            JournalError::NotOwned { .. } | JournalError::ChangedHands { .. } => Exit::Usage,
            _ => Exit::Internal,
        };
        let failure = Self::new(exit, error.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::new(Exit::Internal, error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let failure = Self::new(Exit::Invalid, error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Internal, error.to_string())
    }
}
