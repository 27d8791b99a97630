//! Why a path cannot be granted.

use std::{io, path::PathBuf};

use pipe_capability::word::Word;

/// A `read`, `write` or `disk` rule that cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// There is nothing at the path.
    #[error("`{written}` does not exist")]
    Missing {
        /// The word of the rule.
        word: Word,
        /// The rule as written.
        written: String,
        /// Where it points.
        path: PathBuf,
    },
    /// The path is a device, a FIFO or a socket.
    #[error("`{written}` is neither a file nor a directory")]
    Special {
        /// The word of the rule.
        word: Word,
        /// The rule as written.
        written: String,
    },
    /// The path goes through something that is no directory.
    #[error("`{written}` goes through a file as if it were a directory")]
    NotADirectory {
        /// The word of the rule.
        word: Word,
        /// The rule as written.
        written: String,
    },
    /// A guest with this grant could reach `pipe` itself, its records, its keys or its plugins.
    #[error("`{written}` reaches {protected}, which belongs to pipe itself", protected = protected.display())]
    Protected {
        /// The word of the rule.
        word: Word,
        /// The rule as written.
        written: String,
        /// What it reaches.
        protected: PathBuf,
    },
    /// The path is, holds or lies in a file system of the kernel.
    #[error("`{written}` reaches {system}, which is the machine itself")]
    System {
        /// The word of the rule.
        word: Word,
        /// The rule as written.
        written: String,
        /// What it reaches.
        system: &'static str,
    },
    /// The operating system said no.
    #[error("`{written}`: {source}")]
    Io {
        /// The word of the rule.
        word: Word,
        /// The rule as written.
        written: String,
        /// What it said.
        source: io::Error,
    },
}

impl PathError {
    /// The rule as it stands in the pipeline file.
    #[must_use]
    pub fn written(&self) -> &str {
        match self {
            Self::Missing { written, .. }
            | Self::Special { written, .. }
            | Self::NotADirectory { written, .. }
            | Self::Protected { written, .. }
            | Self::System { written, .. }
            | Self::Io { written, .. } => written,
        }
    }

    /// The word whose rule it is.
    #[must_use]
    pub const fn word(&self) -> Word {
        match self {
            Self::Missing { word, .. }
            | Self::Special { word, .. }
            | Self::NotADirectory { word, .. }
            | Self::Protected { word, .. }
            | Self::System { word, .. }
            | Self::Io { word, .. } => *word,
        }
    }

    /// What would be right.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { word: Word::Write, path, .. } => {
                let parent = path.parent().unwrap_or(path);
                Some(format!(
                    "create {} first: a step makes what its `write` names, and nothing before it",
                    parent.display()
                ))
            }
            Self::Missing { path, .. } => Some(format!("nothing is at {}", path.display())),
            Self::Protected { .. } => Some("grant a directory of its own to the step".to_owned()),
            Self::System { .. } => Some("grant the directory that the step needs".to_owned()),
            Self::Special { .. } | Self::NotADirectory { .. } | Self::Io { .. } => None,
        }
    }
}
