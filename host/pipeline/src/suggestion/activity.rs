//! What the calls of a run used, and how they ended, out of its events.

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::{
    event::{EventKind, StepStatus, Use},
    id::StepId,
    report::{FindingStatus, StageReport},
    stage::Stage,
};

/// What is recorded of one step, check or notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Every use, also by attempts that failed and while it was undone.
    pub uses: Vec<Use>,
    /// How it ended.
    pub ended: Ended,
    /// Whether undoing it began.
    pub undone: bool,
}

/// How the calls of a step ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// There were none.
    #[default]
    Never,
    /// One of them did not end well.
    Failed,
    /// Well, and a step that is there to change something changed nothing: what it needs when it does is not known.
    Idle,
    /// Well.
    Succeeded,
}

/// The activity of each step of a run, out of the run's events in their order.
#[must_use]
pub fn activity<'e>(events: impl IntoIterator<Item = &'e EventKind>) -> BTreeMap<StepId, Activity> {
    let mut steps: BTreeMap<StepId, Activity> = BTreeMap::new();
    let mut changing: BTreeSet<&StepId> = BTreeSet::new();
    for event in events {
        match event {
            EventKind::Used { step, used } => steps.entry(step.clone()).or_default().uses.push(used.clone()),
            EventKind::StepStarted { step, stage, .. } => {
                if matches!(stage, Stage::Migrate | Stage::Release) {
                    changing.insert(step);
                }
                steps.entry(step.clone()).or_default().ended = Ended::Failed;
            }
            EventKind::StepFinished { step, status, report, .. } => {
                let known = steps.entry(step.clone()).or_default();
                // What the host saw counts, and what the plugin says only where it says that there was nothing to do.
                let unchanged = report.as_ref().is_some_and(StageReport::says_unchanged)
                    || !known.uses.iter().any(|used| used.effect);
                known.ended = match status {
                    StepStatus::Succeeded if unchanged && changing.contains(step) => Ended::Idle,
                    StepStatus::Succeeded => Ended::Succeeded,
                    _ => Ended::Failed,
                };
            }
            EventKind::UndoStarted { step } => steps.entry(step.clone()).or_default().undone = true,
            EventKind::UndoFinished { step, failure: Some(_), .. } => {
                steps.entry(step.clone()).or_default().ended = Ended::Failed;
            }
            EventKind::Notified { step, failure, .. } => {
                let known = steps.entry(step.clone()).or_default();
                // Told of several things, it may have failed once.
                known.ended = match (known.ended, failure) {
                    (Ended::Failed, _) | (_, Some(_)) => Ended::Failed,
                    _ => Ended::Succeeded,
                };
            }
            EventKind::GuardChecked { checked, .. } | EventKind::WatchChecked { checked } => {
                let known = steps.entry(checked.check.clone()).or_default();
                // It looks at the same things every time: one look that was met saw them all.
                known.ended = match (known.ended, checked.status) {
                    (Ended::Succeeded, _) | (_, FindingStatus::Pass | FindingStatus::Warn) => Ended::Succeeded,
                    _ => Ended::Failed,
                };
            }
            _ => {}
        }
    }
    steps
}
