//! One step: its settings resolved, its attempts made, its report durable before anything else happens.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pipe_core::{
    digest::Digest,
    event::{EventKind, StepStatus},
    report::{Failure, FailureKind, StageReport},
    stage::Stage,
};
use pipe_effects::session::Session;
use pipe_journal::JournalError;
use pipe_pipeline::{Step, validate_resolved};
use pipe_sandbox::{BackupArtifact, Call, CallContext};
use tokio_util::sync::CancellationToken;

use crate::{ledger::StepLedger, prepare::Prepared, record::Recorder};

/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Runs the steps of one run.
pub(crate) struct Stepper<'r> {
    pub(crate) prepared: &'r Prepared,
    pub(crate) recorder: &'r Recorder,
    pub(crate) interrupt: &'r CancellationToken,
}

/// A call that was made: how it ended, and whether it may have changed something.
pub(crate) struct Attempt {
    pub(crate) result: Result<StageReport, Failure>,
    pub(crate) touched: bool,
}

impl Stepper<'_> {
    /// Runs a step to its end. The inner result is the step's; the outer error means that the journal is gone.
    pub(crate) async fn run(&self, step: &Step) -> Result<Result<StageReport, Failure>, JournalError> {
        let began = Instant::now();
        let settings = self.settings(step, &BTreeMap::new());
        let plugin = self.prepared.plugin(step);
        self.recorder
            .soon(EventKind::StepStarted {
                step: step.id.clone(),
                stage: step.stage,
                plugin: self.prepared.identity(step),
                settings_digest: Digest::of(settings.as_deref().unwrap_or_default().as_bytes()),
            })
            .await?;
        let result = match (settings, plugin) {
            (Ok(settings), Some(_)) => match self.unready(step) {
                Some(failure) => Err(failure),
                None => self.attempts(step, &settings).await?,
            },
            (Err(failure), _) => Err(failure),
            (Ok(_), None) => Err(refused("its plugin was not loaded".to_owned())),
        };
        let (status, report, failure) = match &result {
            Ok(report) => (StepStatus::Succeeded, Some(report.clone()), None),
            Err(failure) => (StepStatus::Failed, None, Some(failure.clone())),
        };
        let duration_ms = milliseconds(began);
        self.recorder
            .durable(EventKind::StepFinished { step: step.id.clone(), status, report, failure, duration_ms })
            .await?;
        Ok(result)
    }

    async fn attempts(&self, step: &Step, settings: &str) -> Result<Result<StageReport, Failure>, JournalError> {
        let mut attempt = 1;
        loop {
            let key = idempotency_key(self.recorder.run().as_str(), &step.id.to_string());
            // Not durable by itself: an attempt that touched nothing is as good as none, and `touched` is durable before the
            // first effect, with everything before it.
            self.recorder
                .soon(EventKind::AttemptStarted { step: step.id.clone(), attempt, idempotency_key: key })
                .await?;
            let call = self.call(step);
            let made = self.attempt(step, attempt, settings, call).await;
            let failure = match made.result {
                Ok(report) => return Ok(Ok(report)),
                Err(failure) => failure,
            };
            let again = failure.retryable && attempt < step.retry.attempts && may_repeat(step.stage, made.touched);
            let wait = backoff(step.retry.backoff, attempt);
            self.recorder
                .soon(EventKind::AttemptFailed {
                    step: step.id.clone(),
                    attempt,
                    failure: failure.clone(),
                    retry_in_ms: again.then(|| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                })
                .await?;
            if !again {
                return Ok(Err(failure));
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.interrupt.cancelled() => return Ok(Err(failure)),
            }
            attempt += 1;
        }
    }

    /// Makes one call in a session of its own.
    pub(crate) async fn attempt(&self, step: &Step, attempt: u32, settings: &str, call: Call) -> Attempt {
        let Some(plugin) = self.prepared.plugin(step) else {
            return Attempt { result: Err(refused("its plugin was not loaded".to_owned())), touched: false };
        };
        let ledger = Arc::new(StepLedger::new(self.recorder.clone(), step.id.clone(), attempt));
        let session = Session::new(
            step.id.clone(),
            self.prepared.grant(step),
            Arc::clone(&self.prepared.world),
            Arc::<StepLedger>::clone(&ledger),
        );
        let session = Arc::new(session.limited(step.limits));
        let context = self.context(step, attempt, settings);
        let made = self.prepared.sandbox.call(plugin, call, context, Arc::clone(&session), step.timeout);
        tokio::pin!(made);
        let result = loop {
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !session.cancellation().is_cancelled() => session.cancellation().cancel(),
                result = &mut made => break result,
            }
        };
        let touched = ledger.touched();
        let hint = ledger.last_refusal().and_then(|refusal| refusal.hint);
        Attempt {
            result: result.map_err(|failure| Failure { hint: failure.hint.clone().or(hint), ..failure }),
            touched,
        }
    }

    fn context(&self, step: &Step, attempt: u32, settings: &str) -> CallContext {
        let pipeline = &self.prepared.pipeline;
        CallContext {
            run: self.recorder.run().to_string(),
            pipeline: pipeline.name.clone(),
            environment: pipeline.environment.clone(),
            step: step.id.name.clone(),
            instance: step.id.instance.clone(),
            attempt,
            idempotency_key: idempotency_key(self.recorder.run().as_str(), &step.id.to_string()),
            started_unix_ms: u64::try_from(self.prepared.started.as_millisecond()).unwrap_or_default(),
            settings: settings.to_owned(),
        }
    }

    /// What the stage is asked, beside its settings.
    fn call(&self, step: &Step) -> Call {
        match step.stage {
            Stage::Precheck => Call::Precheck,
            Stage::Backup => Call::Backup,
            Stage::Release => Call::Release,
            Stage::Verify => Call::Verify,
            Stage::Migrate => Call::Migrate { backups: self.backups() },
            Stage::Notify => Call::Notify {
                event: "step".to_owned(),
                headline: format!("{} in {}", self.prepared.pipeline.name, self.prepared.pipeline.environment),
                steps: crate::notify::summaries(&self.recorder.state()),
            },
        }
    }

    /// Why a migration may not begin, where a policy requires an encrypted backup of this run before it.
    fn unready(&self, step: &Step) -> Option<Failure> {
        if !self.prepared.encrypted_backup || step.stage != Stage::Migrate {
            return None;
        }
        let state = self.recorder.state();
        let of_backup =
            |step: &pipe_core::id::StepId| state.step(step).is_some_and(|known| known.stage == Stage::Backup);
        let safe = |known: &crate::state::ArtifactState| {
            known.artifact.encrypted && known.verification.is_some() && of_backup(&known.step)
        };
        if state.artifacts.iter().any(safe) {
            return None;
        }
        let message = "the policy requires a backup of this run that is encrypted and verified, and there is none";
        let hint = "let the backup step encrypt and verify what it stores".to_owned();
        Some(Failure { kind: FailureKind::Denied, hint: Some(hint), ..refused(message.to_owned()) })
    }

    fn backups(&self) -> Vec<BackupArtifact> {
        let state = self.recorder.state();
        let of_backups =
            |step: &pipe_core::id::StepId| state.step(step).is_some_and(|known| known.stage == Stage::Backup);
        state
            .artifacts
            .iter()
            .filter(|known| of_backups(&known.step))
            .map(|known| BackupArtifact {
                step: known.step.to_string(),
                digest: known.artifact.digest,
                name: known.artifact.name.clone(),
                verified: known.verification.is_some(),
            })
            .collect()
    }

    /// The step's settings with every reference resolved, validated once more, as JSON text.
    pub(crate) fn settings(&self, step: &Step, late: &BTreeMap<String, String>) -> Result<String, Failure> {
        let outputs = self.recorder.state().outputs();
        let lookup = |name: &str, key: &str| outputs.get(name)?.get(key).cloned();
        let resolved = step.settings.resolve(&lookup, late).map_err(|error| settings_failure(error.to_string()))?;
        // What was known before the run was validated then.
        if step.settings.has_open_references()
            && let Some(schema) = self.prepared.schema(step)
        {
            validate_resolved(step, schema, &resolved).map_err(settings_failure)?;
        }
        Ok(resolved.to_string())
    }
}

/// Whether another attempt may follow by itself. A migration or release that may have changed something is not repeated
/// until somebody says so.
fn may_repeat(stage: Stage, touched: bool) -> bool {
    !touched || !matches!(stage, Stage::Migrate | Stage::Release)
}

/// Doubles with every attempt, up to a minute.
fn backoff(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_BACKOFF.max(first))
}

/// The same for every attempt of a step of a run, and for nothing else.
fn idempotency_key(run: &str, step: &str) -> String {
    Digest::of(format!("{run}\0{step}").as_bytes()).to_string()[..32].to_owned()
}

pub(crate) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn settings_failure(message: String) -> Failure {
    Failure { kind: FailureKind::Settings, ..refused(message) }
}

fn refused(message: String) -> Failure {
    Failure { kind: FailureKind::Other, message, retryable: false, findings: Vec::new(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<u64> = (1..=6).map(|attempt| backoff(Duration::from_secs(2), attempt).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60]);
        assert_eq!(backoff(Duration::from_secs(90), 3), Duration::from_secs(90));
    }

    #[test]
    fn what_may_have_changed_something_is_not_repeated() {
        assert!(may_repeat(Stage::Migrate, false));
        assert!(!may_repeat(Stage::Migrate, true));
        assert!(!may_repeat(Stage::Release, true));
        assert!(may_repeat(Stage::Backup, true));
    }

    #[test]
    fn idempotency_keys_differ_by_run_and_step() {
        let keys = [("a", "bc"), ("ab", "c"), ("a", "b")].map(|(run, step)| idempotency_key(run, step));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        assert_eq!(keys[0].len(), 32);
    }
}
