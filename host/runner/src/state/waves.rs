//! How far the waves of a release have come, and the watch over what was released.

use pipe_core::{
    event::{Breach, EventKind, WatchEnd},
    report::{Failure, StageReport},
};

use super::RunState;

/// What is known of the waves of one step.
#[derive(Clone, Debug, Default)]
pub struct WaveStanding {
    /// How many were released. None of them is released again.
    pub released: u32,
    /// How many have held.
    pub finished: u32,
    /// What was live before the first.
    pub before: Option<String>,
    /// What the last release reported.
    pub report: Option<StageReport>,
    /// Whether the wave in hand has begun to hold.
    pub holding: bool,
    /// [`RunState::resumed`] when the wave in hand was released or began to hold: another number than now means that its
    /// hold was cut off.
    pub in_hand_since: u32,
    /// The check that was not met, where that has consequences.
    pub breach: Option<Breached>,
}

/// A check that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breached {
    /// What follows.
    pub breach: Breach,
    /// The check, and what it saw.
    pub failure: Failure,
}

/// What is known of the watch over a deployment.
#[derive(Clone, Debug)]
pub struct WatchStanding {
    /// How long in all, in milliseconds.
    pub for_ms: u64,
    /// When it is over, by the wall clock.
    pub until: jiff::Timestamp,
    /// The check that was not met, where that has consequences and nobody has seen to it.
    pub breach: Option<Breached>,
    /// How it ended.
    pub end: Option<WatchEnd>,
}

impl WaveStanding {
    /// Why a person has to say whether the run goes on.
    #[must_use]
    pub fn asks(&self) -> Option<&Failure> {
        self.breach.as_ref().filter(|breached| breached.breach == Breach::Ask).map(|breached| &breached.failure)
    }
}

impl WatchStanding {
    /// Whether it is still to be watched, as far as the record says.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.end.is_none()
    }
}

impl RunState {
    /// Takes in how a gradual release goes.
    pub(super) fn apply_of_waves(&mut self, event: &EventKind) {
        let resumed = self.resumed;
        match event {
            EventKind::WaveReleased { step, wave, report } => self.with(step, |state| {
                (state.open, state.attempt_touched) = (false, false);
                (state.failures, state.last_failure, state.decision) = (0, None, None);
                let waves = &mut state.waves;
                (waves.released, waves.holding, waves.in_hand_since) = (wave.index, false, resumed);
                if wave.index == 1 {
                    waves.before.clone_from(&report.before);
                }
                waves.report = Some(report.clone());
            }),
            EventKind::WaveHolding { step, .. } => self.with(step, |state| {
                state.decision = None;
                (state.waves.holding, state.waves.in_hand_since, state.waves.breach) = (true, resumed, None);
            }),
            EventKind::GuardBreached { step, breach, failure, .. } => self.with(step, |state| {
                state.decision = None;
                state.waves.breach = Some(Breached { breach: *breach, failure: failure.clone() });
            }),
            EventKind::WaveFinished { step, wave } => self.with(step, |state| state.waves.finished = wave.index),
            _ => self.apply_of_watch(event),
        }
    }

    /// Takes in what is seen after the last step.
    fn apply_of_watch(&mut self, event: &EventKind) {
        if let EventKind::WatchOpened { for_ms, until } = event {
            self.watch = Some(WatchStanding { for_ms: *for_ms, until: *until, breach: None, end: None });
            return;
        }
        let Some(watch) = &mut self.watch else { return };
        match event {
            EventKind::WatchBreached { breach, failure } => {
                watch.breach = Some(Breached { breach: *breach, failure: failure.clone() });
            }
            EventKind::WatchContinued { .. } => watch.breach = None,
            EventKind::WatchEnded { end } => watch.end = Some(end.clone()),
            _ => {}
        }
    }
}
