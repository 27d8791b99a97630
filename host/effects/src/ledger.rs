//! Where effects write down what they do. The runner implements it over the journal.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pipe_core::{
    digest::Digest,
    event::{Artifact, LogLevel, Refusal, Started, Use, Verification},
};

/// The record could not be written. The effect must then not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot write the journal: {0}")]
pub struct LedgerError(pub String);

/// An artifact of this run, and who stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownArtifact {
    /// Name of the step that stored it.
    pub step: String,
    /// What it is.
    pub artifact: Artifact,
}

/// The record of one call. Every method returns once the record is as durable as its doc comment says.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// A capability is about to be used. Durable before it returns when `used.effect`; else soon.
    async fn used(&self, used: Use) -> Result<(), LedgerError>;

    /// Capabilities are about to be used as one: as [`Self::used`], all of them or none.
    async fn used_together(&self, uses: Vec<Use>) -> Result<(), LedgerError>;

    /// A capability is about to be used without an effect. Durable soon. Never waits: too much that waits is an error.
    fn used_at_once(&self, used: Use) -> Result<(), LedgerError>;

    /// A capability was refused. Durable soon. A failure to write it is reported by the next `used`.
    async fn denied(&self, refusal: Refusal);

    /// The guest or its program said something. Already redacted, one line, no control characters.
    fn logged(&self, level: LogLevel, message: String, fields: BTreeMap<String, String>);

    /// How far a long task has come. Not kept.
    fn progress(&self, message: String, done: u64, total: Option<u64>);

    /// Saves a receipt. Durable before it returns.
    async fn checkpoint(&self, key: &str, data: &[u8], summary: &str) -> Result<(), LedgerError>;

    /// An artifact was stored under its final name. Durable before it returns.
    async fn artifact_stored(&self, artifact: Artifact) -> Result<(), LedgerError>;

    /// An artifact was read back to its end. Durable before it returns.
    async fn artifact_verified(&self, verification: Verification) -> Result<(), LedgerError>;

    /// An artifact of this run, by digest.
    async fn artifact(&self, digest: &Digest) -> Option<KnownArtifact>;

    /// Something was started that could outlive this process. Durable with whatever is durable next: before its first effect,
    /// which is written down as a use.
    async fn started(&self, started: Started) -> Result<(), LedgerError>;

    /// A statement is about to run at a peer that cannot share a transaction with its marker. Durable before it returns.
    async fn unmarked(&self, peer: &str, statement: &str) -> Result<(), LedgerError>;
}

/// A ledger that keeps nothing and lets nothing happen: for calls that may not touch anything.
pub struct Forgetful;

#[async_trait]
impl Ledger for Forgetful {
    async fn used(&self, _: Use) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be used here".to_owned()))
    }

    async fn used_together(&self, _: Vec<Use>) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be used here".to_owned()))
    }

    fn used_at_once(&self, _: Use) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be used here".to_owned()))
    }

    async fn denied(&self, _: Refusal) {}

    fn logged(&self, _: LogLevel, _: String, _: BTreeMap<String, String>) {}

    fn progress(&self, _: String, _: u64, _: Option<u64>) {}

    async fn checkpoint(&self, _: &str, _: &[u8], _: &str) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be saved here".to_owned()))
    }

    async fn artifact_stored(&self, _: Artifact) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be stored here".to_owned()))
    }

    async fn artifact_verified(&self, _: Verification) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be verified here".to_owned()))
    }

    async fn artifact(&self, _: &Digest) -> Option<KnownArtifact> {
        None
    }

    async fn started(&self, _: Started) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be started here".to_owned()))
    }

    async fn unmarked(&self, _: &str, _: &str) -> Result<(), LedgerError> {
        Err(LedgerError("nothing may be run here".to_owned()))
    }
}
