//! Notifications: sent at least once, and never able to change how a run ends.

use std::collections::BTreeMap;

use pipe_core::{
    event::EventKind,
    report::{Failure, StageReport},
};
use pipe_journal::JournalError;
use pipe_pipeline::{NotifyEvent, Step};
use pipe_sandbox::{Call, StepSummary};
use tokio_util::sync::CancellationToken;

use crate::{
    state::{RunState, StepStanding},
    step::Stepper,
};

/// What a notification is about.
struct Occasion<'o> {
    event: NotifyEvent,
    headline: String,
    outcome: &'o str,
    reason: &'o str,
}

impl Stepper<'_> {
    /// Tells everybody who waits for this.
    pub(crate) async fn announce(&self, event: NotifyEvent, outcome: &str, reason: &str) -> Result<(), JournalError> {
        let pipeline = &self.prepared.pipeline;
        let mut headline = format!("{} in {}: {outcome}", pipeline.name, pipeline.environment);
        if !reason.is_empty() {
            headline = format!("{headline} ({reason})");
        }
        // A notification is sent even after an interrupt: that is when people need it.
        let patient = CancellationToken::new();
        let stepper = Stepper { interrupt: &patient, ..*self };
        stepper.notify(&Occasion { event, headline, outcome, reason }).await
    }

    async fn notify(&self, occasion: &Occasion<'_>) -> Result<(), JournalError> {
        let about = occasion.event.word();
        for notification in self.prepared.pipeline.notifications.iter().filter(|n| n.on.contains(&occasion.event)) {
            // The process before this one may have sent it.
            let key = (notification.step.id.clone(), about.to_owned());
            if self.recorder.state().notified.contains(&key) {
                continue;
            }
            let result = self.send(&notification.step, occasion).await;
            let (delivered, failure) = match result {
                Ok(report) => (report.done, None),
                Err(failure) => (Vec::new(), Some(failure)),
            };
            let (step, about) = key;
            self.recorder.durable(EventKind::Notified { step, about, delivered, failure }).await?;
        }
        Ok(())
    }

    async fn send(&self, step: &Step, occasion: &Occasion<'_>) -> Result<StageReport, Failure> {
        let late = BTreeMap::from([
            ("run.outcome".to_owned(), occasion.outcome.to_owned()),
            ("run.reason".to_owned(), occasion.reason.to_owned()),
        ]);
        let settings = self.settings(step, &late)?;
        let mut attempt = 1;
        loop {
            let call = Call::Notify {
                event: occasion.event.word().to_owned(),
                headline: occasion.headline.clone(),
                steps: summaries(&self.recorder.state()),
            };
            match self.attempt(step, attempt, &settings, call).await {
                Err(failure) if failure.retryable && attempt < step.retry.attempts => {
                    tokio::time::sleep(step.retry.backoff).await;
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }
}

/// How far the run has come, as a notification is told. Outputs never travel this way.
pub(crate) fn summaries(state: &RunState) -> Vec<StepSummary> {
    state
        .steps
        .iter()
        .map(|step| StepSummary {
            step: step.step.to_string(),
            stage: step.stage.to_string(),
            status: match step.standing {
                StepStanding::Started => "started",
                StepStanding::Succeeded => "succeeded",
                StepStanding::Failed => "failed",
                StepStanding::Undone => "undone",
                StepStanding::UndoFailed => "undo-failed",
            }
            .to_owned(),
            message: step.failure.as_ref().map(|failure| failure.message.clone()),
            duration_ms: step.duration_ms,
            findings: match (&step.report, &step.failure) {
                (Some(report), _) => report.findings.clone(),
                (None, Some(failure)) => failure.findings.clone(),
                (None, None) => Vec::new(),
            },
        })
        .collect()
}
