//! One call of a guest, seen from outside: its grant, its record, and its end.

use std::{future::Future, sync::Arc};

use pipe_capability::{denial::Denial, grant::Grant, word::Word};
use pipe_core::{digest::Digest, event::Use, id::StepId, limits::Limits};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::traffic::Overrun;
use crate::{
    egress::Egress,
    error::{EffectError, ErrorKind},
    ledger::{Forgetful, Ledger, LedgerError},
    sql::{Marking, Marks},
    traffic::Traffic,
    world::World,
};

/// What a call may touch and where it is written down. One per call of a guest; shared by everything the call starts.
///
/// Other modules of this crate add the effects as further `impl` blocks.
pub struct Session {
    /// The step that is called.
    pub step: StepId,
    /// What it may touch. Its paths are canonical.
    pub grant: Arc<Grant>,
    /// What exists outside.
    pub world: Arc<World>,
    /// Where uses and refusals go.
    pub ledger: Arc<dyn Ledger>,
    /// What the call has resolved and trusts.
    pub(crate) egress: Egress,
    pub(crate) traffic: Traffic,
    /// Which transactions the call need not repeat.
    pub(crate) marks: Marks,
    operations: TaskTracker,
}

impl Session {
    /// A session in which nothing has happened yet, with the usual limits.
    #[must_use]
    pub fn new(step: StepId, grant: Arc<Grant>, world: Arc<World>, ledger: Arc<dyn Ledger>) -> Self {
        Self {
            step,
            grant,
            world,
            ledger,
            egress: Egress::default(),
            traffic: Traffic::new(Limits::default()),
            marks: Marks::default(),
            operations: TaskTracker::new(),
        }
    }

    /// The same session, before anything has happened in it, with other limits.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { traffic: Traffic::new(limits), ..self }
    }

    /// The same session, before anything has happened in it, whose transactions take effect once: see [`Marking`]. Needs
    /// the key of [`World::proofs`]; without one nothing is marked.
    #[must_use]
    pub fn marked(self, marking: Marking) -> Self {
        Self { marks: Marks::new(marking), ..self }
    }

    /// A session with nothing granted, nothing outside, and nobody who writes anything down: for `describe`.
    #[must_use]
    pub fn powerless() -> Self {
        Self::new(StepId::new("describe"), Arc::default(), Arc::new(World::empty()), Arc::new(Forgetful))
    }

    /// What one call may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.traffic.limits()
    }

    /// Counts bytes that came in for the guest.
    ///
    /// # Errors
    ///
    /// They are more than the call may take in. It is then being ended.
    pub fn received(&self, bytes: u64) -> Result<(), EffectError> {
        self.traffic.received(bytes)
    }

    /// Counts bytes that the guest is about to give out.
    ///
    /// # Errors
    ///
    /// They are more than the call may give out: they must not go, and the call is being ended.
    pub fn sent(&self, bytes: u64) -> Result<(), EffectError> {
        self.traffic.sent(bytes)
    }

    /// Cancelled when the call must end. Long operations select on it.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        self.traffic.cancellation()
    }

    /// Why the call ends itself, where it does.
    #[must_use]
    pub fn overrun(&self) -> Option<Overrun> {
        self.traffic.overrun()
    }

    /// Where every task that outlives a single poll is spawned: connections, pumps, blocking work.
    #[must_use]
    pub fn operations(&self) -> &TaskTracker {
        &self.operations
    }

    /// Cancels every operation and returns once each has ended. After it nothing of the call is going on outside.
    pub async fn close(&self) {
        self.cancellation().cancel();
        self.operations.close();
        self.operations.wait().await;
    }

    /// Runs `operation` until it ends or the session is cancelled, whichever comes first.
    ///
    /// # Errors
    ///
    /// What the operation returns, or [`EffectError::cancelled`].
    pub async fn until_cancelled<T>(
        &self,
        operation: impl Future<Output = Result<T, EffectError>>,
    ) -> Result<T, EffectError> {
        tokio::select! {
            biased;
            () = self.cancellation().cancelled() => Err(EffectError::cancelled()),
            result = operation => result,
        }
    }

    /// Writes a use down. To be called after the decision and before the effect.
    ///
    /// # Errors
    ///
    /// The journal cannot be written, or the session has been cancelled: then nothing may happen.
    pub async fn used(&self, word: &str, subject: String, rule: String, effect: bool) -> Result<(), EffectError> {
        self.record(Use { word: word.to_owned(), subject, rule, effect, proof: None, fence: None }).await
    }

    /// The same for a use that is put together already, with a proof of what its subject leaves out.
    pub(crate) async fn record(&self, used: Use) -> Result<(), EffectError> {
        let used = self.recordable(used)?;
        self.ledger.used(used).await.map_err(journal_failed)
    }

    /// The same for several uses that become one effect: all of them are written, or the effect does not happen.
    pub(crate) async fn record_together(&self, uses: Vec<Use>) -> Result<(), EffectError> {
        let uses = uses.into_iter().map(|used| self.recordable(used)).collect::<Result<_, _>>()?;
        self.ledger.used_together(uses).await.map_err(journal_failed)
    }

    /// The same for a use without an effect, from where nobody can wait.
    pub(crate) fn record_at_once(&self, used: Use) -> Result<(), EffectError> {
        let used = self.recordable(used)?;
        self.ledger.used_at_once(used).map_err(journal_failed)
    }

    /// Writes down that the host uses a secret on behalf of the guest: its name, and for what. `rule` is the line that led
    /// there: a slot, or the one that grants the peer whose login it is.
    pub(crate) async fn secret_used(&self, secret: &str, for_what: &str, rule: &str) -> Result<(), EffectError> {
        self.used(Word::Secrets.as_str(), format!("{secret} {for_what}"), rule.to_owned(), false).await
    }

    /// Proves a text that the record leaves out or masks.
    pub(crate) fn proof(&self, word: Word, text: &[u8]) -> Option<Digest> {
        self.world.proofs.as_ref().map(|key| key.of(word.as_str(), text))
    }

    /// A use as it may be written: counted, without secrets, and only while the session lives.
    fn recordable(&self, used: Use) -> Result<Use, EffectError> {
        if self.cancellation().is_cancelled() {
            return Err(EffectError::cancelled());
        }
        self.traffic.used()?;
        Ok(Use { subject: self.world.redactor.redact(&used.subject).into_owned(), ..used })
    }

    /// Saves a receipt. Durable when it returns. Needs no grant: a step may always remember what it is about to do. A preview
    /// is about to do nothing.
    ///
    /// # Errors
    ///
    /// It is a preview, the journal cannot be written, or the session has been cancelled: then the act must not follow.
    pub async fn checkpoint(&self, key: &str, data: &[u8], summary: &str) -> Result<(), EffectError> {
        if self.grant.is_for_preview {
            return Err(EffectError::new(
                ErrorKind::Denied,
                "a preview saves no receipt: nothing follows that could be undone",
            ));
        }
        if self.cancellation().is_cancelled() {
            return Err(EffectError::cancelled());
        }
        self.ledger.checkpoint(key, data, summary).await.map_err(journal_failed)
    }

    /// Writes a refusal down and turns it into the error that the guest sees.
    pub async fn refuse(&self, denial: Denial) -> EffectError {
        if let Err(ended) = self.traffic.refused() {
            return ended;
        }
        self.ledger.denied(denial.to_refusal(&self.world.redactor)).await;
        denial.into()
    }
}

/// A journal that cannot be written stops the effect, whatever it is.
pub(crate) fn journal_failed(error: LedgerError) -> EffectError {
    EffectError::new(ErrorKind::Unavailable, error.to_string())
}
