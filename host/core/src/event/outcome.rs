//! How steps and runs end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It did what it was asked to.
    Succeeded,
    /// It did not, after all its attempts.
    Failed,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step succeeded.
    Succeeded,
    /// A step failed and there was nothing to undo.
    Failed,
    /// A step failed, and what had been started was undone.
    RolledBack,
    /// A step failed, and not everything could be undone.
    RollbackFailed,
    /// The operator stopped it.
    Interrupted,
    /// Somebody gave it up: what it had started stays as it is.
    Abandoned,
}

impl Outcome {
    /// The word in pipeline files and output: `rolled-back`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::RollbackFailed => "rollback-failed",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
