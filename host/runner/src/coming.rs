//! What comes next in a run that another process left, by the clock: for those who ask before they go on with it.

use jiff::Timestamp;
use pipe_core::{event::EventKind, phase::Phase};

use crate::{
    begun::Begun,
    course::{Next, course_of},
    pins::Pins,
};

/// What comes next in a run with phases.
#[derive(Clone, Debug, PartialEq)]
pub struct Coming {
    /// That.
    pub next: Next,
    /// The phase that it would begin, where it is due and has not begun.
    pub begins: Option<Due>,
}

/// A phase that can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// Until when; nothing where it is never too late, or somebody lets it begin late.
    pub until: Option<Timestamp>,
}

impl Coming {
    /// Whether nothing comes any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.next, Next::End(..))
    }
}

impl Begun {
    /// What comes next at this time, as far as its pipeline alone says: not what could be undone. Nothing where it has no phases,
    /// or its copies are gone and nothing can be said of it.
    #[must_use]
    pub fn coming(&self, pins: &Pins, now: Timestamp) -> Option<Coming> {
        let pipeline = self.pipeline(pins).ok()?.pipeline;
        let window = pipeline.window.as_ref()?;
        let course = course_of(&pipeline, |_| false);
        let next = course.next(&self.state, now);
        let begins = course.begins(&next, &self.state, now).and_then(|event| match event {
            EventKind::PhaseBegan { phase, due, .. } => {
                let until = window.until(phase).filter(|_| !self.state.phases.accepted.contains(&phase));
                Some(Due { phase, since: due, until })
            }
            _ => None,
        });
        Some(Coming { next, begins })
    }
}
