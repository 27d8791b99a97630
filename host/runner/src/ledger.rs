//! The record of one attempt: what its effects write down goes to the journal, with the attempt's first effect announced
//! before it happens.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pipe_core::{
    digest::Digest,
    event::{Artifact, EventKind, LogLevel, Refusal, Started, Use, Verification},
    id::StepId,
    units::ByteSize,
};
use pipe_effects::ledger::{KnownArtifact, Ledger, LedgerError};
use pipe_journal::{Durability, JournalError};
use tokio::sync::OnceCell;

use crate::record::Recorder;

/// The most bytes of receipts of one step, over all its attempts. An undo gets them all at once, in the memory of its plugin.
const MOST_RECEIPT_BYTES: u64 = 32 << 20;

/// How often progress is passed on at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The ledger of one attempt.
pub(crate) struct StepLedger {
    recorder: Recorder,
    step: StepId,
    attempt: u32,
    announced: OnceCell<()>,
    wrote: AtomicBool,
    last_refusal: Mutex<Option<Refusal>>,
    last_progress: Mutex<Option<Instant>>,
    broken: Mutex<Option<String>>,
    halted: Mutex<Option<String>>,
}

impl StepLedger {
    /// A ledger in which nothing is written yet.
    pub(crate) fn new(recorder: Recorder, step: StepId, attempt: u32) -> Self {
        Self {
            recorder,
            step,
            attempt,
            announced: OnceCell::new(),
            wrote: AtomicBool::new(false),
            last_refusal: Mutex::default(),
            last_progress: Mutex::default(),
            broken: Mutex::default(),
            halted: Mutex::default(),
        }
    }

    /// What was refused last.
    pub(crate) fn last_refusal(&self) -> Option<Refusal> {
        self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why nothing more could be begun. The guest has only seen that a call failed.
    pub(crate) fn halted(&self) -> Option<String> {
        self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Before every effect.
    fn may_act(&self) -> Result<(), LedgerError> {
        self.recorder.may_act().map_err(|error| {
            let why = error.to_string();
            *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
            LedgerError(why)
        })
    }

    /// What could not be kept, where nobody is told, is told to whoever uses a capability next.
    fn keep(&self, kept: Result<(), JournalError>) {
        if let Err(error) = kept {
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }

    fn check(&self) -> Result<(), LedgerError> {
        match self.broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(broken) => Err(LedgerError(broken)),
            None => Ok(()),
        }
    }

    fn event(&self, used: Use) -> EventKind {
        EventKind::Used { step: self.step.clone(), used }
    }

    async fn touch(&self) -> Result<(), JournalError> {
        // Whoever comes next writes it where this one could not: until it is written, nothing is touched.
        let touched = EventKind::Touched { step: self.step.clone(), attempt: self.attempt };
        self.announced.get_or_try_init(|| self.recorder.durable(touched)).await?;
        Ok(())
    }
}

fn ledger_error(error: JournalError) -> LedgerError {
    LedgerError(error.to_string())
}

#[async_trait]
impl Ledger for StepLedger {
    async fn used(&self, used: Use) -> Result<(), LedgerError> {
        self.check()?;
        let effect = used.effect;
        if effect {
            self.may_act()?;
            self.touch().await.map_err(ledger_error)?;
        }
        // Files are written by the thousand. The attempt is known to write before the first of them; the others follow.
        let repeated = used.word == "write" && self.wrote.swap(true, Ordering::SeqCst);
        let durable = used.effect && !repeated;
        let kind = self.event(used);
        let written = if durable { self.recorder.durable(kind).await } else { self.recorder.soon(kind).await };
        written.map_err(ledger_error)?;
        // Once more, as close to the effect as can be: this process may have been stopped while it wrote, and replaced.
        if effect { self.may_act() } else { Ok(()) }
    }

    async fn used_together(&self, uses: Vec<Use>) -> Result<(), LedgerError> {
        self.check()?;
        let effect = uses.iter().any(|used| used.effect);
        if effect {
            self.may_act()?;
            self.touch().await.map_err(ledger_error)?;
        }
        let kinds = uses.into_iter().map(|used| self.event(used)).collect();
        let durability = if effect { Durability::Durable } else { Durability::Soon };
        self.recorder.all(kinds, durability).await.map_err(ledger_error)?;
        if effect { self.may_act() } else { Ok(()) }
    }

    fn used_at_once(&self, used: Use) -> Result<(), LedgerError> {
        self.check()?;
        if used.effect {
            self.may_act()?;
        }
        self.recorder.at_once(self.event(used)).map_err(ledger_error)
    }

    async fn denied(&self, refusal: Refusal) {
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.clone());
        self.keep(self.recorder.soon(EventKind::Denied { step: self.step.clone(), refusal }).await);
    }

    fn logged(&self, level: LogLevel, message: String, fields: BTreeMap<String, String>) {
        self.keep(self.recorder.at_once(EventKind::Logged { step: self.step.clone(), level, message, fields }));
    }

    fn progress(&self, message: String, done: u64, total: Option<u64>) {
        let mut last = self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) {
            *last = Some(Instant::now());
            drop(last);
            self.recorder.tell(EventKind::Progress { step: self.step.clone(), message, done, total });
        }
    }

    async fn checkpoint(&self, key: &str, data: &[u8], summary: &str) -> Result<(), LedgerError> {
        // What comes before an act is not written from the reserve either: that is there to undo what was begun.
        self.may_act()?;
        if self.recorder.receipt_bytes(&self.step) + data.len() as u64 > MOST_RECEIPT_BYTES {
            let most = ByteSize(MOST_RECEIPT_BYTES);
            return Err(LedgerError(format!("the receipts of a step have at most {most}, over all its attempts")));
        }
        self.recorder.receipt(&self.step, key, data, summary).await.map_err(ledger_error)
    }

    async fn artifact_stored(&self, artifact: Artifact) -> Result<(), LedgerError> {
        let kind = EventKind::ArtifactStored { step: self.step.clone(), artifact };
        self.recorder.durable(kind).await.map_err(ledger_error)
    }

    async fn artifact_verified(&self, verification: Verification) -> Result<(), LedgerError> {
        let kind = EventKind::ArtifactVerified { step: self.step.clone(), verification };
        self.recorder.durable(kind).await.map_err(ledger_error)
    }

    async fn artifact(&self, digest: &Digest) -> Option<KnownArtifact> {
        let state = self.recorder.state();
        let known = state.artifact(digest)?;
        Some(KnownArtifact { step: known.step.name.clone(), artifact: known.artifact.clone() })
    }

    async fn started(&self, started: Started) -> Result<(), LedgerError> {
        let step = self.step.clone();
        let kind = match started {
            Started::Program(program) => EventKind::ProgramStarted { step, program },
            Started::DatabaseSession(session) => EventKind::SessionOpened { step, session },
        };
        self.recorder.soon(kind).await.map_err(ledger_error)
    }

    async fn unmarked(&self, peer: &str, statement: &str) -> Result<(), LedgerError> {
        let (step, peer, statement) = (self.step.clone(), peer.to_owned(), statement.to_owned());
        self.recorder.durable(EventKind::SqlUnmarked { step, peer, statement }).await.map_err(ledger_error)
    }
}
