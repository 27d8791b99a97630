//! The six stages, and the words for them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One of the six contracts that a plugin can implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Looks before anything is touched.
    Precheck,
    /// Saves what the deployment could destroy.
    Backup,
    /// Changes the shape of the data.
    Migrate,
    /// Puts a new version in front of its users.
    Release,
    /// Looks at what was released.
    Verify,
    /// Tells people and systems.
    Notify,
}

impl Stage {
    /// All six, in the order of a deployment.
    pub const ALL: [Self; 6] = [Self::Precheck, Self::Backup, Self::Migrate, Self::Release, Self::Verify, Self::Notify];

    /// The word in pipeline files: `precheck`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Precheck => "precheck",
            Self::Backup => "backup",
            Self::Migrate => "migrate",
            Self::Release => "release",
            Self::Verify => "verify",
            Self::Notify => "notify",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that names no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage `{0}`")]
pub struct UnknownStage(pub String);

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|stage| stage.word() == word).ok_or_else(|| UnknownStage(word.to_owned()))
    }
}
