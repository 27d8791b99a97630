//! What people, and pipeline files in their name, decide about steps that were cut off.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What becomes of an attempt that had touched something and did not end: the process died, or the attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InFlight {
    /// Another attempt is made, with the same idempotency key.
    Retry,
    /// The step counts as failed, and what was started is undone.
    Undo,
    /// A person says which of the two. An attempt that failed is not repeated.
    Ask,
}

impl InFlight {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Retry, Self::Undo, Self::Ask];

    /// The word in pipeline files: `retry`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Undo => "undo",
            Self::Ask => "ask",
        }
    }
}

/// Not one of the three words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of `retry`, `undo`, `ask`")]
pub struct NotInFlight(pub String);

impl FromStr for InFlight {
    type Err = NotInFlight;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|known| known.word() == word).ok_or_else(|| NotInFlight(word.to_owned()))
    }
}

/// How a step stands after a repair by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// What it should do is done.
    Done,
    /// Nothing of it is in effect.
    Undone,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Undone => "undone",
        })
    }
}
