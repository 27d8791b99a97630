//! The record of a preview: every use and refusal goes to the journal, as in a run. Nothing that it cannot have may happen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use pipe_core::{
    digest::Digest,
    event::{Artifact, EventKind, LogLevel, Refusal, Started, Use, Verification},
    id::{RunId, StepId},
};
use pipe_effects::ledger::{KnownArtifact, Ledger, LedgerError};
use pipe_journal::{Durability, Journal, JournalError};

/// Refusals of one preview that are shown. The record has all of them.
const MOST_SHOWN: usize = 10;

/// The ledger of one preview.
pub(super) struct PreviewLedger {
    journal: Arc<Journal>,
    preview: RunId,
    step: StepId,
    refused: Mutex<Refused>,
    broken: Mutex<Option<String>>,
}

/// What was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    /// The first ones.
    pub(super) shown: Vec<Refusal>,
    /// How many there were beside them.
    pub(super) further: u64,
}

impl PreviewLedger {
    /// A ledger in which nothing is written yet.
    pub(super) fn new(journal: Arc<Journal>, preview: RunId, step: StepId) -> Self {
        Self { journal, preview, step, refused: Mutex::default(), broken: Mutex::default() }
    }

    /// What was refused until now.
    pub(super) fn refused(&self) -> Refused {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes uses down. The grant lets nothing through that changes something; where it did all the same, it ends here.
    fn uses(&self, uses: Vec<Use>) -> Result<Vec<EventKind>, LedgerError> {
        if let Some(broken) = self.broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(LedgerError(broken));
        }
        if self.journal.is_short_of_room() {
            return Err(LedgerError("the disk is full, and what is left is kept for undoing".to_owned()));
        }
        if let Some(used) = uses.iter().find(|used| used.effect) {
            return Err(never(&format!("uses `{}` for anything but reading", used.word)));
        }
        Ok(uses.into_iter().map(|used| EventKind::Used { step: self.step.clone(), used }).collect())
    }

    /// What could not be kept, where nobody is told, is told to whoever uses a capability next.
    fn keep(&self, kept: Result<(), JournalError>) {
        if let Err(error) = kept {
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }
}

fn ledger_error(error: JournalError) -> LedgerError {
    LedgerError(error.to_string())
}

fn never(what: &str) -> LedgerError {
    LedgerError(format!("a preview never {what}"))
}

#[async_trait]
impl Ledger for PreviewLedger {
    async fn used(&self, used: Use) -> Result<(), LedgerError> {
        self.used_together(vec![used]).await
    }

    async fn used_together(&self, uses: Vec<Use>) -> Result<(), LedgerError> {
        let kinds = self.uses(uses)?;
        self.journal.append(&self.preview, kinds, Durability::Soon).await.map(drop).map_err(ledger_error)
    }

    fn used_at_once(&self, used: Use) -> Result<(), LedgerError> {
        let kinds = self.uses(vec![used])?;
        self.journal.append_soon(&self.preview, &kinds).map_err(ledger_error)
    }

    async fn denied(&self, refusal: Refusal) {
        {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.shown.len() < MOST_SHOWN {
                refused.shown.push(refusal.clone());
            } else {
                refused.further += 1;
            }
        }
        let denied = EventKind::Denied { step: self.step.clone(), refusal };
        self.keep(self.journal.append(&self.preview, vec![denied], Durability::Soon).await.map(drop));
    }

    fn logged(&self, level: LogLevel, message: String, fields: BTreeMap<String, String>) {
        let logged = EventKind::Logged { step: self.step.clone(), level, message, fields };
        self.keep(self.journal.append_soon(&self.preview, &[logged]));
    }

    fn progress(&self, _: String, _: u64, _: Option<u64>) {}

    async fn checkpoint(&self, _: &str, _: &[u8], _: &str) -> Result<(), LedgerError> {
        Err(never("saves a receipt"))
    }

    async fn artifact_stored(&self, _: Artifact) -> Result<(), LedgerError> {
        Err(never("stores an artifact"))
    }

    async fn artifact_verified(&self, _: Verification) -> Result<(), LedgerError> {
        Err(never("verifies an artifact"))
    }

    async fn artifact(&self, _: &Digest) -> Option<KnownArtifact> {
        None
    }

    async fn started(&self, _: Started) -> Result<(), LedgerError> {
        Err(never("starts what could outlive it"))
    }

    async fn unmarked(&self, _: &str, _: &str) -> Result<(), LedgerError> {
        Err(never("runs a statement that writes"))
    }
}

#[cfg(test)]
mod tests {
    use pipe_core::redact::Redactor;
    use pipe_journal::Reader;

    use super::*;

    fn used(effect: bool) -> Use {
        Use {
            word: "http".to_owned(),
            subject: "POST k8s:/".to_owned(),
            rule: "* k8s:/".to_owned(),
            effect,
            ..Use::default()
        }
    }

    /// Whatever a grant lets through.
    #[test]
    fn what_changes_something_is_not_written_down_and_so_does_not_happen() {
        let folder = std::env::temp_dir().join(format!("pipe-preview-ledger-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let preview = RunId::new(jiff::Timestamp::now());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let journal = Arc::new(Journal::open(&folder, Redactor::default()).unwrap());
            let ledger = PreviewLedger::new(Arc::clone(&journal), preview.clone(), StepId::new("a"));
            ledger.used(used(false)).await.unwrap();
            for refused in [
                ledger.used(used(true)).await,
                ledger.used_together(vec![used(false), used(true)]).await,
                ledger.used_at_once(used(true)),
                ledger.checkpoint("key", b"", "").await,
                ledger.unmarked("main", "CREATE INDEX").await,
            ] {
                let why = refused.unwrap_err().to_string();
                assert!(why.contains("a preview never "), "{why}");
            }
            journal.close().await.unwrap();
        });
        let events = Reader::open(&folder).unwrap().events(&preview).unwrap();
        assert_eq!(events.len(), 1, "of two uses as one, neither");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_first_refusals_are_shown_and_all_are_counted() {
        let folder = std::env::temp_dir().join(format!("pipe-preview-refusals-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let journal = Arc::new(Journal::open(&folder, Redactor::default()).unwrap());
            let preview = RunId::new(jiff::Timestamp::now());
            let ledger = PreviewLedger::new(Arc::clone(&journal), preview, StepId::new("a"));
            for number in 0..MOST_SHOWN + 3 {
                let (word, subject, reason) = ("env".to_owned(), number.to_string(), "no rule names it".to_owned());
                ledger.denied(Refusal { word, subject, reason, hint: None }).await;
            }
            let Refused { shown, further } = ledger.refused();
            assert_eq!((shown.len(), shown[0].subject.as_str(), further), (MOST_SHOWN, "0", 3));
            journal.close().await.unwrap();
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
