//! Gradual releases: their waves, and what is looked at while one of them holds.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{id::StepId, report::Finding, report::FindingStatus};

/// One part of a gradual release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// From 1.
    pub index: u32,
    /// How many there are.
    pub count: u32,
    /// Share of the traffic after it, in hundredths of a per cent: 10000 is all.
    pub weight: u32,
}

impl fmt::Display for Wave {
    /// `wave 1 of 3 (10%)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wave {} of {} ({})", self.index, self.count, Share(self.weight))
    }
}

/// Hundredths of a per cent, as people write them: `10%`, `0.5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

/// What follows when a check is not met, or says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breach {
    /// It is shown and written down.
    Warn,
    /// The run stops, and a person says whether it goes on.
    Ask,
    /// What was started is undone at once.
    Rollback,
}

impl Breach {
    /// All of them, the gravest first.
    pub const ALL: [Self; 3] = [Self::Rollback, Self::Ask, Self::Warn];

    /// The word in pipeline files: `rollback`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Ask => "ask",
            Self::Rollback => "rollback",
        }
    }
}

/// Not one of the three words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of `rollback`, `ask`, `warn`")]
pub struct NotBreach(pub String);

impl FromStr for Breach {
    type Err = NotBreach;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|known| known.word() == word).ok_or_else(|| NotBreach(word.to_owned()))
    }
}

/// What a check of a guard or a watch said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The check.
    pub check: StepId,
    /// Met, met with a warning, or not. A check that says nothing is not met.
    pub status: FindingStatus,
    /// One sentence: what was seen, or why nothing was.
    pub message: String,
    /// What it looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum WatchEnd {
    /// Its time is over, and every check was met.
    Passed,
    /// A later run of the pipeline took its place.
    Superseded {
        /// That run.
        by: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_printed_as_people_write_them() {
        let printed = [10_000, 1_000, 50, 5, 1_234].map(|share| Share(share).to_string());
        assert_eq!(printed, ["100%", "10%", "0.5%", "0.05%", "12.34%"]);
        assert_eq!(Wave { index: 1, count: 3, weight: 1_000 }.to_string(), "wave 1 of 3 (10%)");
    }

    #[test]
    fn the_gravest_breach_is_the_greatest() {
        assert!(Breach::Rollback > Breach::Ask && Breach::Ask > Breach::Warn);
        assert_eq!("ask".parse(), Ok(Breach::Ask));
        assert!("panic".parse::<Breach>().is_err());
    }
}
