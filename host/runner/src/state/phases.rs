//! What is known of the phases of a run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pipe_core::{event::EventKind, phase::Phase};

/// How far the phases of a run have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhasesStanding {
    /// Those that have begun, each with when. One that has begun has begun, whatever the clock says afterwards.
    pub began: BTreeMap<Phase, Timestamp>,
    /// Those that somebody lets begin although it is too late.
    pub accepted: BTreeSet<Phase>,
    /// Whether somebody gave up what was still to come of a run that had succeeded.
    pub given_up: bool,
    /// The latest time at which anything of the run was written down: a clock that jumps back makes nothing young again.
    pub latest: Option<Timestamp>,
}

impl PhasesStanding {
    /// Takes an event in.
    pub(super) fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::PhaseBegan { phase, at, .. } => {
                self.began.entry(*phase).or_insert(*at);
                self.seen(*at);
            }
            EventKind::LateAccepted { phase, .. } => {
                self.accepted.insert(*phase);
            }
            EventKind::Abandoned { .. } => self.given_up = true,
            _ => {}
        }
    }

    /// Something of the run was written down at this time.
    pub fn seen(&mut self, at: Timestamp) {
        self.latest = self.latest.max(Some(at));
    }
}
