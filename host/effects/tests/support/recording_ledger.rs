//! A ledger in memory, for tests.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use pipe_core::{
    digest::Digest,
    event::{Artifact, LogLevel, Refusal, Started, Use, Verification},
};
use pipe_effects::ledger::{KnownArtifact, Ledger, LedgerError};

/// What a ledger was told.
#[derive(Default)]
pub struct Records {
    pub uses: Vec<Use>,
    pub refusals: Vec<Refusal>,
    pub lines: Vec<(LogLevel, String)>,
    pub progress: Vec<(String, u64, Option<u64>)>,
    pub checkpoints: Vec<(String, Vec<u8>, String)>,
    pub stored: Vec<Artifact>,
    pub verified: Vec<Verification>,
    /// What the run knows beside what was stored.
    pub known: Vec<KnownArtifact>,
    pub started: Vec<Started>,
}

/// Remembers everything. Fails where it is told to.
pub struct RecordingLedger {
    /// Name of the step whose calls write here.
    pub step: String,
    /// Whether artifacts can be written down.
    pub full: bool,
    records: Mutex<Records>,
    when_used: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl RecordingLedger {
    pub fn new(step: &str) -> Self {
        Self { step: step.to_owned(), full: false, records: Mutex::default(), when_used: Mutex::default() }
    }

    /// One that cannot write artifacts down.
    pub fn full(step: &str) -> Self {
        Self { full: true, ..Self::new(step) }
    }

    /// What it was told until now.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something whenever a use was written down.
    pub fn when_used(&self, act: impl Fn() + Send + 'static) {
        *self.when_used.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// The uses as lines: `exec pg_dump -F c`.
    pub fn used_lines(&self) -> Vec<String> {
        self.records().uses.iter().map(|used| format!("{} {}", used.word, used.subject)).collect()
    }
}

#[async_trait]
impl Ledger for RecordingLedger {
    async fn used(&self, used: Use) -> Result<(), LedgerError> {
        self.records().uses.push(used);
        if let Some(act) = &*self.when_used.lock().unwrap_or_else(PoisonError::into_inner) {
            act();
        }
        Ok(())
    }

    async fn used_together(&self, uses: Vec<Use>) -> Result<(), LedgerError> {
        self.records().uses.extend(uses);
        Ok(())
    }

    fn used_at_once(&self, used: Use) -> Result<(), LedgerError> {
        self.records().uses.push(used);
        Ok(())
    }

    async fn denied(&self, refusal: Refusal) {
        self.records().refusals.push(refusal);
    }

    fn logged(&self, level: LogLevel, message: String, _: BTreeMap<String, String>) {
        self.records().lines.push((level, message));
    }

    fn progress(&self, message: String, done: u64, total: Option<u64>) {
        self.records().progress.push((message, done, total));
    }

    async fn checkpoint(&self, key: &str, data: &[u8], summary: &str) -> Result<(), LedgerError> {
        self.records().checkpoints.push((key.to_owned(), data.to_owned(), summary.to_owned()));
        Ok(())
    }

    async fn artifact_stored(&self, artifact: Artifact) -> Result<(), LedgerError> {
        if self.full {
            return Err(LedgerError("the disk is full".to_owned()));
        }
        self.records().stored.push(artifact);
        Ok(())
    }

    async fn artifact_verified(&self, verification: Verification) -> Result<(), LedgerError> {
        self.records().verified.push(verification);
        Ok(())
    }

    async fn artifact(&self, digest: &Digest) -> Option<KnownArtifact> {
        let records = self.records();
        let own = records.stored.iter().find(|artifact| artifact.digest == *digest);
        let own = own.map(|artifact| KnownArtifact { step: self.step.clone(), artifact: artifact.clone() });
        own.or_else(|| records.known.iter().find(|known| known.artifact.digest == *digest).cloned())
    }

    async fn started(&self, started: Started) -> Result<(), LedgerError> {
        self.records().started.push(started);
        Ok(())
    }

    async fn unmarked(&self, _: &str, _: &str) -> Result<(), LedgerError> {
        Ok(())
    }
}
