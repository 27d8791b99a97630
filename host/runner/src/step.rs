//! One step: its settings resolved, its attempts made, its report durable before anything else happens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use pipe_core::{
    digest::Digest,
    event::{EventKind, StepStatus, Wave},
    id::StepId,
    proof::ProofKey,
    report::{Failure, FailureKind, StageReport},
    stage::Stage,
};
use pipe_effects::session::Session;
use pipe_journal::JournalError;
use pipe_pipeline::{OnInterrupt, Step, validate_resolved};
use pipe_sandbox::{BackupArtifact, Call, CallContext};
use tokio_util::sync::CancellationToken;

use crate::{
    course::Leg,
    ledger::StepLedger,
    prepare::Prepared,
    record::Recorder,
    state::{ArtifactState, StepState},
};

/// Whether an interrupt has stopped the run where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    No,
    /// A step is left open.
    Here,
}

/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Runs the steps of one run.
pub(crate) struct Stepper<'r> {
    pub(crate) prepared: &'r Prepared,
    pub(crate) recorder: &'r Recorder,
    pub(crate) interrupt: &'r CancellationToken,
    /// When this process began each step.
    pub(crate) began: &'r Mutex<BTreeMap<StepId, Instant>>,
}

impl Stepper<'_> {
    /// Makes the next attempt of a step, and ends the step with it where it succeeds. Says whether an interrupt stopped it
    /// on the way and left it open: it is then for whoever resumes the run.
    pub(crate) async fn attempt_next(&self, step: &Step, leg: &Leg) -> Result<Stopped, JournalError> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).entry(step.id.clone()).or_insert_with(Instant::now);
        let known = self.recorder.state().step(&step.id).cloned();
        let settings = self.settings(step, &BTreeMap::new());
        if known.is_none() {
            self.recorder
                .soon(EventKind::StepStarted {
                    step: step.id.clone(),
                    stage: step.stage,
                    plugin: self.prepared.identity(step),
                    settings_digest: Digest::of(settings.as_deref().unwrap_or_default().as_bytes()),
                })
                .await?;
        }
        let settings = match settings {
            Ok(settings) => settings,
            Err(failure) => return self.finish(step, Err(failure)).await,
        };
        if let Some(failure) = self.unready(step) {
            return self.finish(step, Err(failure)).await;
        }
        if known.is_none() {
            self.waive(step).await?;
        }
        let failures = known.as_ref().map_or(0, |known| known.failures);
        if failures > 0 && known.as_ref().is_some_and(|known| known.last_failure.is_some()) {
            tokio::select! {
                () = tokio::time::sleep(backoff(step.retry.backoff, failures)) => {}
                () = self.interrupt.cancelled() => return self.interrupted(step).await,
            }
        }
        let attempt = known.map_or(0, |known| known.attempt) + 1;
        // Not durable by itself: an attempt that touched nothing is as good as none, and `touched` is durable before the
        // first effect, with everything before it.
        let wave = self.next_wave(step);
        let key = self.key(step, wave);
        self.recorder.soon(EventKind::AttemptStarted { step: step.id.clone(), attempt, idempotency_key: key }).await?;
        if let Some(wave) = wave {
            self.recorder.soon(EventKind::WaveStarted { step: step.id.clone(), wave }).await?;
        }
        match self.attempt(step, attempt, &settings, self.call(step, wave)).await {
            Ok(report) => match wave {
                Some(wave) => self.wave_released(step, wave, report).await,
                None => self.finish(step, Ok(report)).await,
            },
            Err(failure) if failure.kind == FailureKind::Interrupted && self.interrupt.is_cancelled() => {
                if self.stops() { Ok(Stopped::Here) } else { self.failed(step, leg, attempt, failure).await }
            }
            Err(failure) => self.failed(step, leg, attempt, failure).await,
        }
    }

    /// Writes down that an attempt failed, and whether another follows.
    async fn failed(&self, step: &Step, leg: &Leg, attempt: u32, failure: Failure) -> Result<Stopped, JournalError> {
        let again = self.recorder.state().step(&step.id).is_some_and(|known| {
            let after = StepState { failures: known.failures + 1, ..known.clone() };
            leg.may_repeat(&after, &failure)
        });
        let wait = backoff(step.retry.backoff, attempt);
        let retry_in_ms = again.then(|| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self.recorder.soon(EventKind::AttemptFailed { step: step.id.clone(), attempt, failure, retry_in_ms }).await?;
        Ok(Stopped::No)
    }

    /// The operator's interrupt came while the step waited for its next attempt.
    pub(crate) async fn interrupted(&self, step: &Step) -> Result<Stopped, JournalError> {
        if self.stops() {
            return Ok(Stopped::Here);
        }
        let last = self.recorder.state().step(&step.id).and_then(|known| known.last_failure.clone());
        let failure = last.unwrap_or_else(|| refused("interrupted by the operator".to_owned()));
        self.finish(step, Err(failure)).await
    }

    /// Whether an interrupt leaves the run as it stands.
    pub(crate) fn stops(&self) -> bool {
        self.prepared.pipeline.on_interrupt == OnInterrupt::Stop && self.recorder.state().rollback.is_none()
    }

    /// Ends a step. Durable before anything else happens.
    pub(crate) async fn finish(
        &self,
        step: &Step,
        result: Result<StageReport, Failure>,
    ) -> Result<Stopped, JournalError> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner).remove(&step.id);
        let (status, report, failure) = match result {
            Ok(report) => (StepStatus::Succeeded, Some(report), None),
            Err(failure) => (StepStatus::Failed, None, Some(failure)),
        };
        let duration_ms = began.map_or(0, milliseconds);
        self.recorder
            .durable(EventKind::StepFinished { step: step.id.clone(), status, report, failure, duration_ms })
            .await?;
        Ok(Stopped::No)
    }

    /// Makes one call in a session of its own.
    pub(crate) async fn attempt(
        &self,
        step: &Step,
        attempt: u32,
        settings: &str,
        call: Call,
    ) -> Result<StageReport, Failure> {
        let Some(plugin) = self.prepared.plugin(step) else {
            return Err(refused("its plugin was not loaded".to_owned()));
        };
        let ledger = Arc::new(StepLedger::new(self.recorder.clone(), step.id.clone(), attempt));
        let session = Session::new(
            step.id.clone(),
            self.prepared.grant(step),
            Arc::clone(&self.prepared.world),
            Arc::<StepLedger>::clone(&ledger),
        );
        let session = Arc::new(self.marked(session.limited(step.limits), step, &call));
        let wave = if let Call::Release { wave } = &call { *wave } else { None };
        let context = self.context(step, attempt, settings, self.key(step, wave));
        let made = self.prepared.sandbox.call(plugin, call, context, Arc::clone(&session), step.timeout);
        tokio::pin!(made);
        let result = loop {
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !session.cancellation().is_cancelled() => session.cancellation().cancel(),
                result = &mut made => break result,
            }
        };
        let hint = ledger.last_refusal().and_then(|refusal| refusal.hint);
        let halted = ledger.halted();
        result.map_err(|failure| match halted {
            Some(message) => Failure { kind: FailureKind::Unavailable, message, retryable: false, ..failure },
            None => Failure { hint: failure.hint.clone().or(hint), ..failure },
        })
    }

    /// A wave is an act of its own: a server that knows its key would not do the next.
    fn key(&self, step: &Step, wave: Option<Wave>) -> String {
        let wave = wave.map(|wave| format!("\0wave {}", wave.index)).unwrap_or_default();
        idempotency_key(
            self.prepared.world.proofs.as_ref(),
            self.recorder.run().as_str(),
            &format!("{}{wave}", step.id),
        )
    }

    fn context(&self, step: &Step, attempt: u32, settings: &str, idempotency_key: String) -> CallContext {
        let pipeline = &self.prepared.pipeline;
        CallContext {
            run: self.recorder.run().to_string(),
            pipeline: pipeline.name.clone(),
            environment: pipeline.environment.clone(),
            step: step.id.name.clone(),
            instance: step.id.instance.clone(),
            attempt,
            idempotency_key,
            started_unix_ms: u64::try_from(self.prepared.started.as_millisecond()).unwrap_or_default(),
            settings: settings.to_owned(),
        }
    }

    /// What the stage is asked, beside its settings.
    fn call(&self, step: &Step, wave: Option<Wave>) -> Call {
        match step.stage {
            Stage::Precheck => Call::Precheck,
            Stage::Backup => Call::Backup,
            Stage::Release => Call::Release { wave },
            Stage::Verify => Call::Verify,
            Stage::Migrate => Call::Migrate { backups: self.backups() },
            Stage::Notify => Call::Notify {
                event: "step".to_owned(),
                headline: format!("{} in {}", self.prepared.pipeline.name, self.prepared.pipeline.environment),
                steps: crate::notify::summaries(&self.recorder.state()),
            },
        }
    }

    /// The order rule: why a migration may not begin. A verified backup of the same run comes first, encrypted where a policy
    /// requires that; or somebody accepts that there is none, which no policy of that kind does.
    fn unready(&self, step: &Step) -> Option<Failure> {
        let encrypted = self.prepared.encrypted_backup;
        if step.stage != Stage::Migrate || (step.without_backup.is_some() && !encrypted) {
            return None;
        }
        let state = self.recorder.state();
        let of_backup = |step: &StepId| state.step(step).is_some_and(|known| known.stage == Stage::Backup);
        let safe = |known: &ArtifactState| {
            (known.artifact.encrypted || !encrypted) && known.verification.is_some() && of_backup(&known.step)
        };
        if state.artifacts.iter().any(safe) {
            return None;
        }
        let (message, hint) = match encrypted {
            true => (
                "the policy requires a backup of this run that is encrypted and verified, and there is none",
                "let the backup step encrypt and verify what it stores",
            ),
            false => ("no backup of this run has been verified", "let the backup step verify what it stores"),
        };
        let hint = Some(hint.to_owned());
        Some(Failure { kind: FailureKind::Denied, hint, ..refused(message.to_owned()) })
    }

    /// Writes down who accepts that there is no backup.
    async fn waive(&self, step: &Step) -> Result<(), JournalError> {
        let Some(waiver) = &step.without_backup else { return Ok(()) };
        let (role, reason) = (waiver.role.clone(), waiver.reason.clone());
        let actor = self.prepared.actor.clone();
        let rule = "backup".to_owned();
        self.recorder.durable(EventKind::Waived { step: step.id.clone(), rule, role, reason, actor }).await
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

/// Doubles with every attempt, up to a minute.
fn backoff(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_BACKOFF.max(first))
}

/// The same for every attempt of a step of a run, or of one of its waves, and for nothing else. Without the key of the record nobody
/// can compute that of another step, and use it up at a server that both call.
fn idempotency_key(secret: Option<&ProofKey>, run: &str, step: &str) -> String {
    let text = format!("{run}\0{step}");
    let digest = secret.map_or_else(|| Digest::of(text.as_bytes()), |key| key.of("idempotency", text.as_bytes()));
    digest.to_string()[..32].to_owned()
}

pub(crate) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn settings_failure(message: String) -> Failure {
    Failure { kind: FailureKind::Settings, ..refused(message) }
}

pub(crate) fn refused(message: String) -> Failure {
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
    fn idempotency_keys_differ_by_run_and_step() {
        let secret = ProofKey::new(&[7; 32]);
        let keys = [("a", "bc"), ("ab", "c"), ("a", "b")].map(|(run, step)| idempotency_key(Some(&secret), run, step));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        assert_eq!(keys[0].len(), 32);
        let other = idempotency_key(Some(&ProofKey::new(&[8; 32])), "a", "b");
        assert!(other != keys[2] && other != idempotency_key(None, "a", "b"));
    }
}
