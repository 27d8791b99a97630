//! Phases: what the clock has to say about what comes next. Pure: the time is handed in.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use pipe_core::{
    event::{EventKind, Outcome},
    id::StepId,
    phase::Phase,
    units::format_duration,
};
use pipe_pipeline::Window;

use crate::{
    course::{Course, Next},
    state::RunState,
};

/// Why a phase does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// It is not due yet.
    NotDue {
        /// Which.
        phase: Phase,
        /// When it is.
        due: Timestamp,
    },
    /// It could have begun, and did not.
    TooLate {
        /// Which.
        phase: Phase,
        /// Until when it could have.
        until: Timestamp,
    },
    /// What an earlier phase found is no longer to be relied upon.
    Outdated {
        /// Which does not begin.
        phase: Phase,
        /// Which is too old.
        earlier: Phase,
        /// When that one began.
        since: Timestamp,
        /// How old it may be.
        max_age: Duration,
    },
}

impl Bar {
    /// The phase that does not begin.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::NotDue { phase, .. } | Self::TooLate { phase, .. } | Self::Outdated { phase, .. } => *phase,
        }
    }

    /// Whether time alone takes it away.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::NotDue { .. })
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |moment: &Timestamp| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        match self {
            Self::NotDue { phase, due } => write!(f, "waits for phase {phase}, due at {}", shown(due)),
            Self::TooLate { phase, until } => {
                write!(f, "phase {phase} could begin until {}, and did not", shown(until))
            }
            Self::Outdated { phase, earlier, since, max_age } => write!(
                f,
                "phase {phase} does not begin: phase {earlier} began at {}, more than {} ago",
                shown(since),
                format_duration(*max_age)
            ),
        }
    }
}

impl Course {
    /// Whether a step or gate comes after the deployment itself.
    pub(super) fn is_later(&self, step: &StepId) -> bool {
        self.window.as_ref().is_some_and(|window| window.phase(&step.name).is_after())
    }

    /// What comes next at a step or gate, as far as it is time for it.
    pub(super) fn in_time(&self, step: &StepId, next: Next, state: &RunState, now: Timestamp) -> Next {
        let Some(window) = &self.window else { return next };
        let phase = window.phase(&step.name);
        if phase.is_after() && (!state.succeeded || state.phases.given_up) {
            return Next::End(Outcome::Succeeded, None);
        }
        if !matches!(next, Next::Attempt(_) | Next::SideBySide { .. } | Next::Wait(_)) {
            return next;
        }
        // A gate that is open was reached in time: it is decided, or expires, as it says itself. What comes behind it is barred.
        if let Next::Wait(gate) = &next
            && state.gates.get(gate).is_some_and(|known| known.ended.is_none())
        {
            return next;
        }
        self.bar(window, phase, state, now).map_or(next, Next::Barred)
    }

    fn bar(&self, window: &Window, phase: Phase, state: &RunState, now: Timestamp) -> Option<Bar> {
        let known = &state.phases;
        let due = window.due(phase);
        if !known.began.contains_key(&phase) && now < due {
            return Some(Bar::NotDue { phase, due });
        }
        // What has begun goes on. A gate that was reached begins nothing: it may have taken long.
        let mut started = self.steps.iter().filter(|leg| state.step(&leg.step).is_some());
        if known.accepted.contains(&phase) || started.any(|leg| window.phase(&leg.step.name) >= phase) {
            return None;
        }
        let now = known.latest.map_or(now, |latest| latest.max(now));
        if let Some(until) = window.until(phase).filter(|until| now > *until) {
            return Some(Bar::TooLate { phase, until });
        }
        let max_age = window.max_age.filter(|_| phase == Phase::T)?;
        let allowed = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let before = known.began.iter().filter(|(earlier, _)| **earlier < phase);
        let (earlier, since) = before.min_by_key(|(_, at)| **at)?;
        let outdated = now.duration_since(*since) > allowed;
        outdated.then_some(Bar::Outdated { phase, earlier: *earlier, since: *since, max_age })
    }

    /// What is to be written down before this is done: that a phase begins, where it is the first of one.
    #[must_use]
    pub fn begins(&self, next: &Next, state: &RunState, now: Timestamp) -> Option<EventKind> {
        let window = self.window.as_ref().filter(|_| state.rollback.is_none())?;
        let step = match next {
            Next::Attempt(step) | Next::Wait(step) => step,
            Next::SideBySide { steps, .. } => steps.first()?,
            _ => return None,
        };
        let phase = window.phase(&step.name);
        let new = !state.phases.began.contains_key(&phase);
        new.then(|| EventKind::PhaseBegan { phase, due: window.due(phase), at: now })
    }
}

#[cfg(test)]
mod tests;
