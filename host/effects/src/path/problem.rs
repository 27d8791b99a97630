//! Why a path cannot be granted.

use std::{
    io,
    path::{Path, PathBuf},
};

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
    /// The path is a single file, or something else that is no directory.
    #[error("`{written}` is not a directory")]
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
                    "create {} first: only the last directory of a `write` grant is created",
                    parent.display()
                ))
            }
            Self::Missing { path, .. } => Some(format!("nothing is at {}", path.display())),
            Self::NotADirectory { written, .. } => {
                let parent = match Path::new(written).parent() {
                    Some(parent) if parent != Path::new("") => parent.display().to_string(),
                    _ => ".".to_owned(),
                };
                Some(format!("grant the directory that holds it: `{parent}`"))
            }
            Self::Protected { .. } => Some("grant a directory of its own to the step".to_owned()),
            Self::System { .. } => Some("grant the directory that the step needs".to_owned()),
            Self::Io { .. } => None,
        }
    }
}
