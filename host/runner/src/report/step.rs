//! What happened to each step.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pipe_core::{
    event::{EventKind, LogLevel, Part, PlannedStep, PluginIdentity},
    id::StepId,
    report::StageReport,
    stage::Stage,
};

use super::{Attempt, AttemptEnd, Refused, Report, StepReport, StepStatus, Undo, Warning};

/// Warnings of a step beyond these are in the record alone.
const MOST_WARNINGS: usize = 20;

impl Report {
    /// Takes in an event of a step; leaves every other.
    pub(super) fn apply_of_step(&mut self, at: Timestamp, event: &EventKind) {
        match event {
            EventKind::StepStarted { step, stage, plugin, .. } => {
                let known = self.step_mut(step, *stage);
                known.plugin = plugin.clone();
                known.started.get_or_insert(at);
            }
            EventKind::AttemptStarted { step, attempt, .. } => self.with(step, |known| {
                cut_off(known);
                let (end, failure) = (AttemptEnd::Running, None);
                known.attempts.push(Attempt { attempt: *attempt, started: at, end, touched: false, failure });
            }),
            EventKind::Touched { step, .. } => self.with_attempt(step, |attempt| attempt.touched = true),
            EventKind::Used { step, used } => {
                self.with(step, |known| *known.used.entry(used.word.clone()).or_default() += 1);
            }
            EventKind::Denied { step, refusal } => {
                match self.refusals.iter_mut().find(|known| known.step == *step && known.refusal == *refusal) {
                    Some(known) => known.times += 1,
                    None => {
                        self.refusals.push(Refused { step: step.clone(), at, refusal: refusal.clone(), times: 1 });
                    }
                }
            }
            EventKind::Logged { step, level: level @ (LogLevel::Warning | LogLevel::Error), message, .. } => {
                let warning = Warning { level: *level, message: message.clone() };
                self.with(step, |known| {
                    if known.warnings.len() < MOST_WARNINGS && !known.warnings.contains(&warning) {
                        known.warnings.push(warning);
                    }
                });
            }
            EventKind::CheckpointSaved { step, summary, .. } => {
                self.with(step, |known| known.receipts.push(summary.clone()));
            }
            EventKind::AttemptFailed { step, failure, .. } => self.with_attempt(step, |attempt| {
                (attempt.end, attempt.failure) = (AttemptEnd::Failed, Some(failure.message.clone()));
            }),
            EventKind::StepFinished { step, report, failure, duration_ms, .. } => self.with(step, |known| {
                known.ended = Some(at);
                known.duration_ms = Some(*duration_ms);
                known.failure.clone_from(failure);
                known.reported(report.as_ref());
                if let Some(attempt) = known.attempts.last_mut().filter(|last| last.end == AttemptEnd::Running) {
                    attempt.end = if failure.is_none() { AttemptEnd::Succeeded } else { AttemptEnd::Failed };
                    attempt.failure = failure.as_ref().map(|failure| failure.message.clone());
                }
            }),
            EventKind::Resolved { step, resolution, actor, reason } => self.with(step, |known| {
                known.resolved = Some(format!("is {resolution}, says {actor}: {reason}"));
            }),
            EventKind::UndoStarted { step } => self.with(step, |known| {
                let times = known.undo.as_ref().map_or(0, |undo| undo.times) + 1;
                let (done, by_hand) = (Vec::new(), Vec::new());
                known.undo = Some(Undo { started: at, times, duration_ms: None, done, failure: None, by_hand });
            }),
            EventKind::UndoFinished { step, report, failure, summaries, duration_ms } => self.with(step, |known| {
                if let Some(undo) = &mut known.undo {
                    undo.duration_ms = Some(*duration_ms);
                    undo.done = report.as_ref().map(|report| report.done.clone()).unwrap_or_default();
                    undo.failure = failure.as_ref().map(|failure| failure.message.clone());
                    undo.by_hand.clone_from(summaries);
                }
            }),
            _ => {}
        }
    }

    fn step_mut(&mut self, step: &StepId, stage: Stage) -> &mut StepReport {
        let at = self.steps.iter().position(|known| known.step == *step).unwrap_or_else(|| {
            let plugin = PluginIdentity { name: String::new(), version: String::new(), digest: self.pipeline_digest };
            self.steps.push(StepReport::new(step.clone(), Part::Deployment, stage, plugin, false));
            self.steps.len() - 1
        });
        &mut self.steps[at]
    }

    fn with(&mut self, step: &StepId, change: impl FnOnce(&mut StepReport)) {
        if let Some(known) = self.steps.iter_mut().find(|known| known.step == *step) {
            change(known);
        }
    }

    fn with_attempt(&mut self, step: &StepId, change: impl FnOnce(&mut Attempt)) {
        self.with(step, |known| {
            if let Some(attempt) = known.attempts.last_mut() {
                change(attempt);
            }
        });
    }
}

impl StepReport {
    fn new(step: StepId, part: Part, stage: Stage, plugin: PluginIdentity, reversible: bool) -> Self {
        Self {
            step,
            part,
            stage,
            plugin,
            reversible,
            status: StepStatus::NotReached,
            started: None,
            ended: None,
            duration_ms: None,
            waves: Vec::new(),
            attempts: Vec::new(),
            findings: Vec::new(),
            outputs: Vec::new(),
            before: None,
            after: None,
            done: Vec::new(),
            failure: None,
            receipts: Vec::new(),
            used: BTreeMap::new(),
            warnings: Vec::new(),
            undo: None,
            resolved: None,
        }
    }

    /// Takes in what the step said at its end; of one that failed, what it had found until then.
    fn reported(&mut self, report: Option<&StageReport>) {
        match (report, &self.failure) {
            (Some(report), _) => {
                self.findings.clone_from(&report.findings);
                // The record holds names alone; the values lie sealed beside it.
                self.outputs = report.outputs.keys().chain(report.sealed.keys()).cloned().collect();
                self.before.clone_from(&report.before);
                self.after.clone_from(&report.after);
                self.done.clone_from(&report.done);
            }
            (None, Some(failure)) => self.findings.clone_from(&failure.findings),
            (None, None) => {}
        }
    }
}

/// A planned step as one that has not begun. Notifications are told of when they are sent, checks of guards when they are made.
pub(super) fn planned(planned: &PlannedStep) -> Option<StepReport> {
    let PlannedStep { step, part, stage, plugin, reversible, .. } = planned;
    (!matches!(part, Part::Notification | Part::Check))
        .then(|| StepReport::new(step.clone(), *part, *stage, plugin.clone(), *reversible))
}

/// An attempt that is still open when its process is gone was cut off.
pub(super) fn cut_off(step: &mut StepReport) {
    if let Some(attempt) = step.attempts.last_mut().filter(|last| last.end == AttemptEnd::Running) {
        attempt.end = AttemptEnd::CutOff;
    }
}
