//! Phases: when a step is due, counted from the beginning of the deployment's window.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::units::{UnitError, format_duration, parse_duration};

/// Nobody prepares a deployment for longer, or looks after it.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// How long before or after the beginning of the window something is due: `t-24h`, `t`, `t+1w`. In the order of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Phase {
    /// Milliseconds after the beginning of the window; at most [`LONGEST`] away.
    offset_ms: i64,
}

/// Text that is not a phase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhaseError {
    /// It does not begin as one.
    #[error("`{0}` is not a phase")]
    NotAPhase(String),
    /// What stands behind the sign is not a duration.
    #[error(transparent)]
    Duration(#[from] UnitError),
    /// Further away than a year.
    #[error("`{0}` is more than a year away")]
    TooFar(String),
}

impl Phase {
    /// The deployment itself: `t`.
    pub const T: Self = Self { offset_ms: 0 };

    /// Whether it comes after the deployment itself.
    #[must_use]
    pub const fn is_after(self) -> bool {
        self.offset_ms > 0
    }

    /// When it is due, in a window that begins at `start`. The last moment there is where that would be later.
    #[must_use]
    pub fn moment(self, start: Timestamp) -> Timestamp {
        let otherwise = if self.is_after() { Timestamp::MAX } else { Timestamp::MIN };
        start.checked_add(SignedDuration::from_millis(self.offset_ms)).unwrap_or(otherwise)
    }
}

impl FromStr for Phase {
    type Err = PhaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_a_phase = || PhaseError::NotAPhase(text.to_owned());
        let rest = text.strip_prefix('t').ok_or_else(not_a_phase)?;
        let (sign, duration) = match (rest.strip_prefix('-'), rest.strip_prefix('+')) {
            (Some(before), _) => (-1, before),
            (None, Some(after)) => (1, after),
            (None, None) if rest.is_empty() => return Ok(Self::T),
            (None, None) => return Err(not_a_phase()),
        };
        let duration = parse_duration(duration)?;
        if duration > LONGEST {
            return Err(PhaseError::TooFar(text.to_owned()));
        }
        let ms = i64::try_from(duration.as_millis()).map_err(|_| PhaseError::TooFar(text.to_owned()))?;
        Ok(Self { offset_ms: sign * ms })
    }
}

impl TryFrom<String> for Phase {
    type Error = PhaseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Phase> for String {
    fn from(phase: Phase) -> Self {
        phase.to_string()
    }
}

impl fmt::Display for Phase {
    /// As people write it: a day is `24h`, and seven days are `1w`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: u64 = 86_400_000;
        let ms = self.offset_ms.unsigned_abs();
        let duration = match ms {
            DAY => "24h".to_owned(),
            ms if ms != 0 && ms.is_multiple_of(7 * DAY) => format!("{}w", ms / (7 * DAY)),
            ms => format_duration(Duration::from_millis(ms)),
        };
        match self.offset_ms {
            0 => f.write_str("t"),
            ..0 => write!(f, "t-{duration}"),
            1.. => write!(f, "t+{duration}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_says_how_far_it_is_from_the_window() {
        let start: Timestamp = "2026-11-28T22:00:00Z".parse().unwrap();
        for (text, due) in [
            ("t-24h", "2026-11-27T22:00:00Z"),
            ("t-30m", "2026-11-28T21:30:00Z"),
            ("t", "2026-11-28T22:00:00Z"),
            ("t+1h", "2026-11-28T23:00:00Z"),
            ("t+1w", "2026-12-05T22:00:00Z"),
        ] {
            let phase: Phase = text.parse().unwrap();
            assert_eq!(phase.to_string(), text);
            assert_eq!(phase.moment(start).to_string(), due, "{text}");
        }
        assert_eq!("t+0h".parse(), Ok(Phase::T));
        let order: Vec<Phase> = ["t-24h", "t-1h", "t", "t+1s", "t+1w"].map(|text| text.parse().unwrap()).into();
        assert!(order.is_sorted());
        assert_eq!(Phase::T.moment(start), start);
        assert_eq!("t+52w".parse::<Phase>().unwrap().moment(Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn what_is_not_a_phase_says_why() {
        for (text, why) in [
            ("t-24", "`24` has no unit"),
            ("24h", "`24h` is not a phase"),
            ("t24h", "`t24h` is not a phase"),
            ("", "`` is not a phase"),
            ("T-24h", "`T-24h` is not a phase"),
            ("t-", "`` is not a number with a unit"),
            ("t--1h", "`-1h` is not a number with a unit"),
            ("t-3parsecs", "unknown unit `parsecs` in `3parsecs`"),
            ("t+367d", "`t+367d` is more than a year away"),
            ("t+99999999999999999999d", "`99999999999999999999d` is too large"),
        ] {
            assert_eq!(text.parse::<Phase>().unwrap_err().to_string(), why);
        }
    }
}
