//! Ownership over several hosts: a database says whose a pipeline and environment are, as the pipeline file names it
//! (`lock = { peer = … }`). On each host the kernel lock of the state directory goes on saying which process drives.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use pipe_core::{
    diagnostic::Diagnostic,
    digest::Digest,
    event::{Artifact, EventKind, LogLevel, Refusal, Started, Use, Verification},
    redact::Redactor,
};
use pipe_effects::{
    ledger::{KnownArtifact, Ledger, LedgerError},
    sql::{Owned, SharedClaim, SharedError, SharedOwner, SharedOwnership, SharedPlace},
    world::World,
};
use pipe_journal::JournalError;
use pipe_pipeline::Pipeline;

use crate::{peers::peer, prepare::Prepared, secrets, state::RunState};

/// How old an answer may be before another file of the same attempt is written: they are written by the thousand.
pub(crate) const FRESH: Duration = Duration::from_millis(250);

/// The database that says whose a pipeline and environment are.
pub struct Shared {
    place: SharedPlace,
    at: String,
}

impl Shared {
    /// Of a pipeline; nothing where the state directory alone says so. Only the secrets of that peer are resolved.
    ///
    /// # Errors
    ///
    /// A secret of the peer is missing.
    pub fn of(
        pipeline: &Pipeline,
        environment: &BTreeMap<String, String>,
        redactor: &Redactor,
    ) -> Result<Option<Self>, Vec<Diagnostic>> {
        let Some(name) = &pipeline.lock else { return Ok(None) };
        let Some(spec) = pipeline.peers.get(name) else { return Ok(None) };
        let mut bare = pipeline.clone();
        bare.secrets.retain(|secret, _| spec.secrets().any(|used| used == secret));
        bare.peers.retain(|known, _| known == name);
        let world = World {
            peers: BTreeMap::from([(name.clone(), peer(name, spec))]),
            secrets: secrets::resolve(&bare, environment, redactor)?,
            redactor: redactor.clone(),
            base: pipeline.base.clone(),
            ..World::empty()
        };
        let owned = Owned { pipeline: pipeline.name.clone(), environment: pipeline.environment.clone() };
        let place = SharedPlace::new(&Arc::new(world), Arc::new(Unrecorded), name, owned);
        Ok(Some(Self { place, at: spec.url.to_string() }))
    }

    /// Name of the peer, and where it is.
    #[must_use]
    pub fn at(&self) -> (&str, &str) {
        (self.place.peer(), &self.at)
    }

    /// Says goodbye to the server. What is owned stays so.
    pub async fn close(&self) {
        self.place.close().await;
    }

    /// Takes it for a run of this state directory. To be called with the ownership of that.
    ///
    /// # Errors
    ///
    /// Another run has it, or has had it since, or the database cannot be asked.
    pub async fn take(self, claim: &SharedClaim) -> Result<Arc<SharedOwnership>, JournalError> {
        let named = Named::of(&self.place);
        let taken = self.place.take(claim).await;
        Ok(Arc::new(taken.map_err(|error| named.error(error))?))
    }

    /// Who has it. Nothing where nobody ever has.
    ///
    /// # Errors
    ///
    /// The database cannot be asked.
    pub async fn look(&self) -> Result<Option<SharedOwner>, JournalError> {
        self.place.look().await.map_err(|error| Named::of(&self.place).error(error))
    }

    /// Makes it nobody's; a run of the state directory `place` can go on. The epoch that begins with that.
    ///
    /// # Errors
    ///
    /// Another one has it by now, or the database cannot be asked.
    pub async fn unlock(&self, seen: &SharedOwner, owner: &str, place: &str, note: &str) -> Result<u64, JournalError> {
        self.place.unlock(seen, owner, place, note).await.map_err(|error| Named::of(&self.place).error(error))
    }
}

/// Who asks for it: a run of a state directory.
///
/// # Errors
///
/// The state directory has no key to be known by.
pub fn claim(state_dir: &Path, run: &str, actor: &str, held: Option<u64>) -> Result<SharedClaim, JournalError> {
    Ok(SharedClaim {
        run: run.to_owned(),
        place: place(state_dir, actor)?,
        owner: actor.to_owned(),
        state: std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned()).display().to_string(),
        held,
    })
}

/// Names a state directory on its host, and tells nothing of it. A copy on another host is another one.
///
/// # Errors
///
/// It has no key to be known by.
pub fn place(state_dir: &Path, actor: &str) -> Result<String, JournalError> {
    let host = actor.rsplit('@').next().unwrap_or_default();
    let name = pipe_journal::place_name(state_dir)?;
    Ok(Digest::of(format!("{name}\0{host}").as_bytes()).to_string()[..32].to_owned())
}

/// What is owned where, for errors.
struct Named {
    owned: Owned,
    peer: String,
}

impl Named {
    fn of(place: &SharedPlace) -> Self {
        Self { owned: place.owned().clone(), peer: place.peer().to_owned() }
    }

    fn error(&self, error: SharedError) -> JournalError {
        let (Owned { pipeline, environment }, peer) = (self.owned.clone(), &self.peer);
        let (why, advice) = match error {
            SharedError::Unproven(error) => (
                format!("is not known to be this run's, for {peer} cannot be asked: {error}"),
                error.hint.unwrap_or_else(|| {
                    "nothing is begun until the database answers; `pipe resume` goes on with a run that was cut off".to_owned()
                }),
            ),
            other => (
                format!("is not this run's, says {peer}: {other}"),
                "it goes on where its record is; `pipe unlock FILE|RUN --reason TEXT` here makes it nobody's, for good where that \
                 host is lost"
                    .to_owned(),
            ),
        };
        JournalError::NotShared { pipeline, environment, why, advice }
    }
}

/// Why it is not owned any more, as an error of the record: nothing is written from then on.
pub(crate) fn lost(ownership: &SharedOwnership, error: SharedError) -> JournalError {
    Named { owned: ownership.owned().clone(), peer: ownership.peer().to_owned() }.error(error)
}

impl Prepared {
    /// The run has the pipeline and environment by a database too: it is asked before every effect.
    pub fn own(&mut self, shared: Option<Arc<SharedOwnership>>) {
        self.shared = shared;
    }

    /// By which database it has them, where there is one.
    #[must_use]
    pub const fn shared(&self) -> Option<&Arc<SharedOwnership>> {
        self.shared.as_ref()
    }

    /// Says by which database the run has the pipeline and environment, where there is one.
    pub(crate) fn lock_taken(&self) -> Option<EventKind> {
        let shared = self.shared.as_ref()?;
        let at = self.pipeline.peers.get(shared.peer()).map(|peer| peer.url.to_string()).unwrap_or_default();
        Some(EventKind::LockTaken { peer: shared.peer().to_owned(), at, epoch: shared.epoch() })
    }
}

impl RunState {
    /// Takes in who drives, by the database.
    pub(crate) fn apply_of_shared(&mut self, event: &EventKind) {
        if let EventKind::LockTaken { peer, at, epoch } | EventKind::LockFreed { peer, at, epoch, .. } = event {
            (self.shared_epoch, self.shared_at) = (Some(*epoch), Some(format!("{peer} ({at})")));
        }
    }
}

/// The record of what happens outside of a run: none. What matters of it is in the run's own events.
struct Unrecorded;

#[async_trait]
impl Ledger for Unrecorded {
    async fn used(&self, _: Use) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn used_together(&self, _: Vec<Use>) -> Result<(), LedgerError> {
        Ok(())
    }

    fn used_at_once(&self, _: Use) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn denied(&self, _: Refusal) {}

    fn logged(&self, _: LogLevel, _: String, _: BTreeMap<String, String>) {}

    fn progress(&self, _: String, _: u64, _: Option<u64>) {}

    async fn checkpoint(&self, _: &str, _: &[u8], _: &str) -> Result<(), LedgerError> {
        Err(LedgerError("nothing is saved here".to_owned()))
    }

    async fn artifact_stored(&self, _: Artifact) -> Result<(), LedgerError> {
        Err(LedgerError("nothing is stored here".to_owned()))
    }

    async fn artifact_verified(&self, _: Verification) -> Result<(), LedgerError> {
        Err(LedgerError("nothing is verified here".to_owned()))
    }

    async fn artifact(&self, _: &Digest) -> Option<KnownArtifact> {
        None
    }

    async fn started(&self, _: Started) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn unmarked(&self, _: &str, _: &str) -> Result<(), LedgerError> {
        Ok(())
    }
}
