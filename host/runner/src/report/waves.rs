//! The waves of a release and the watch over it: when each moved, what the checks said meanwhile, and what that led to.

use jiff::Timestamp;
use pipe_core::{
    event::{Breach, Checked, EventKind, WatchEnd, Wave},
    id::StepId,
    report::FindingStatus,
};
use serde::Serialize;

use super::Report;

/// A wave of a release.
#[derive(Clone, Debug, Serialize)]
pub struct WaveReport {
    /// Which, and how much of the traffic.
    pub wave: Wave,
    /// When it began first.
    pub started: Timestamp,
    /// When it was released. Nothing where it never was.
    pub released: Option<Timestamp>,
    /// How long it was to be held, in milliseconds. Nothing where no hold began.
    pub hold_ms: Option<u64>,
    /// How often a hold began: more than once where a process ended in the middle of one.
    pub holds: u32,
    /// What the guard saw.
    #[serde(flatten)]
    pub seen: Seen,
    /// When it had held.
    pub ended: Option<Timestamp>,
}

/// The watch over a deployment.
#[derive(Clone, Debug, Serialize)]
pub struct WatchReport {
    /// When it was opened.
    pub opened: Timestamp,
    /// When its time is over, by the wall clock.
    pub until: Timestamp,
    /// What it saw.
    #[serde(flatten)]
    pub seen: Seen,
    /// What was not met, where that has consequences and nobody has seen to it.
    pub waits: Option<String>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How.
    pub end: Option<WatchEnd>,
}

/// What checks said over a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Every check, in the order in which they were made first.
    pub checks: Vec<Tally>,
    /// What was not met, and had consequences.
    pub breaches: Vec<Breached>,
}

/// What one check said, as often as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The check.
    pub check: StepId,
    /// How often it was met.
    pub met: u64,
    /// How often it was met with a warning.
    pub warned: u64,
    /// How often it was not met, or said nothing.
    pub not_met: u64,
    /// What it said last.
    pub last: String,
}

/// A check that was not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breached {
    /// When.
    pub at: Timestamp,
    /// What followed.
    pub breach: Breach,
    /// The check, and what it saw.
    pub message: String,
}

impl Seen {
    fn checked(&mut self, checked: &Checked) {
        let at = self.checks.iter().position(|known| known.check == checked.check).unwrap_or_else(|| {
            let (check, last) = (checked.check.clone(), String::new());
            self.checks.push(Tally { check, met: 0, warned: 0, not_met: 0, last });
            self.checks.len() - 1
        });
        let tally = &mut self.checks[at];
        match checked.status {
            FindingStatus::Pass => tally.met += 1,
            FindingStatus::Warn => tally.warned += 1,
            FindingStatus::Fail | FindingStatus::Skip => tally.not_met += 1,
        }
        tally.last.clone_from(&checked.message);
    }

    fn breached(&mut self, at: Timestamp, breach: Breach, message: &str) {
        self.breaches.push(Breached { at, breach, message: message.to_owned() });
    }
}

impl Report {
    /// Takes in an event of a wave or of the watch; says whether it was one.
    pub(super) fn apply_of_waves(&mut self, at: Timestamp, event: &EventKind) -> bool {
        match event {
            EventKind::WaveStarted { step, wave } => self.with_wave(at, step, *wave, |_| {}),
            EventKind::WaveReleased { step, wave, .. } => {
                self.with_wave(at, step, *wave, |known| known.released = Some(at));
            }
            EventKind::WaveHolding { step, wave, hold_ms } => self.with_wave(at, step, *wave, |known| {
                known.hold_ms = Some(*hold_ms);
                known.holds += 1;
            }),
            EventKind::GuardChecked { step, wave, checked } => {
                self.with_wave(at, step, *wave, |known| known.seen.checked(checked));
            }
            EventKind::GuardBreached { step, wave, breach, failure } => {
                self.with_wave(at, step, *wave, |known| known.seen.breached(at, *breach, &failure.message));
            }
            EventKind::WaveFinished { step, wave } => self.with_wave(at, step, *wave, |known| known.ended = Some(at)),
            EventKind::WatchOpened { until, .. } => {
                let (seen, waits, ended, end) = (Seen::default(), None, None, None);
                self.watch = Some(WatchReport { opened: at, until: *until, seen, waits, ended, end });
            }
            _ => return self.apply_of_watch(at, event),
        }
        true
    }

    fn apply_of_watch(&mut self, at: Timestamp, event: &EventKind) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        match event {
            EventKind::WatchChecked { checked } => watch.seen.checked(checked),
            EventKind::WatchBreached { breach, failure } => {
                watch.seen.breached(at, *breach, &failure.message);
                watch.waits = Some(failure.message.clone());
            }
            EventKind::WatchContinued { .. } => watch.waits = None,
            EventKind::WatchEnded { end } => (watch.ended, watch.end) = (Some(at), Some(end.clone())),
            _ => return false,
        }
        true
    }

    fn with_wave(&mut self, at: Timestamp, step: &StepId, wave: Wave, change: impl FnOnce(&mut WaveReport)) {
        let Some(step) = self.steps.iter_mut().find(|known| known.step == *step) else { return };
        let index = step.waves.iter().position(|known| known.wave.index == wave.index).unwrap_or_else(|| {
            let (seen, released, hold_ms, ended) = (Seen::default(), None, None, None);
            step.waves.push(WaveReport { wave, started: at, released, hold_ms, holds: 0, seen, ended });
            step.waves.len() - 1
        });
        change(&mut step.waves[index]);
    }
}
