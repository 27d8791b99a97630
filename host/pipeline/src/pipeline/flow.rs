//! How a step goes: in waves, under a guard, side by side, and when somebody interrupts it.

use std::time::Duration;

use pipe_core::{event::Breach, id::StepId};

/// One part of a gradual release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wave {
    /// Share of the traffic after it, in hundredths of a per cent: 10000 is all.
    pub weight: u32,
    /// How long it is left alone before the next one.
    pub hold: Duration,
}

/// Checks that are made again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Which, in order. At least one.
    pub checks: Vec<GuardCheck>,
    /// How often.
    pub every: Duration,
}

/// A check, and what follows when it is not met or says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCheck {
    /// One of [`Pipeline::checks`](super::Pipeline::checks).
    pub check: StepId,
    /// What follows.
    pub breach: Breach,
}

/// How a deployment is watched once every step has succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// How long.
    pub lasts: Duration,
    /// What is looked at.
    pub guard: Guard,
}

/// How the instances of a repeated step run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// How many at the same time, at least 1.
    pub at_once: usize,
    /// What becomes of the others where one fails.
    pub on_failure: OnFailure,
}

impl Default for Repetition {
    fn default() -> Self {
        Self { at_once: 1, on_failure: OnFailure::default() }
    }
}

/// What becomes of the other instances of a repeated step where one fails. Those that run are not stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// No other begins.
    #[default]
    Stop,
    /// All others run before the step counts as failed.
    Continue,
}

impl OnFailure {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stop, Self::Continue];

    /// The word in pipeline files: `stop`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Continue => "continue",
        }
    }
}

/// What an interrupt of the operator leads to, once the step in hand is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInterrupt {
    /// What was started is undone.
    #[default]
    Rollback,
    /// The run stops, and can be resumed or rolled back.
    Stop,
}

impl OnInterrupt {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rollback, Self::Stop];

    /// The word in pipeline files: `rollback`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Stop => "stop",
        }
    }
}
