//! What the calls of a run used, and how they ended, out of its events.

use std::collections::BTreeMap;

use pipe_core::{
    event::{EventKind, StepStatus, Use},
    id::StepId,
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
    /// Well.
    Succeeded,
}

/// The activity of each step of a run, out of the run's events in their order.
#[must_use]
pub fn activity<'e>(events: impl IntoIterator<Item = &'e EventKind>) -> BTreeMap<StepId, Activity> {
    let mut steps: BTreeMap<StepId, Activity> = BTreeMap::new();
    for event in events {
        match event {
            EventKind::Used { step, used } => steps.entry(step.clone()).or_default().uses.push(used.clone()),
            EventKind::StepStarted { step, .. } => steps.entry(step.clone()).or_default().ended = Ended::Failed,
            EventKind::StepFinished { step, status, .. } => {
                let succeeded = *status == StepStatus::Succeeded;
                steps.entry(step.clone()).or_default().ended = if succeeded { Ended::Succeeded } else { Ended::Failed };
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
            _ => {}
        }
    }
    steps
}
