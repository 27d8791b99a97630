//! One run at a time for a pipeline and environment: on this host by the state directory, over several by a database.

use std::{path::Path, sync::Arc};

use pipe_core::{id::RunId, redact::Redactor};
use pipe_effects::sql::SharedOwnership;
use pipe_journal::{Claim, Ownership};
use pipe_pipeline::Pipeline;
use pipe_runner::Shared;

use super::loading;
use crate::failure::Failure;

/// Takes it for a run, before anything is set up. Held until the last handle is dropped.
///
/// # Errors
///
/// Another process has it, or the journal cannot be used.
pub(crate) fn take(
    state: &Path,
    pipeline: &str,
    environment: &str,
    run: Option<&RunId>,
) -> Result<Arc<Ownership>, Failure> {
    let actor = loading::actor();
    Ok(Arc::new(Ownership::take(state, Claim { pipeline, environment, run, actor: &actor })?))
}

/// Takes it by the database too, where the pipeline file names one. To be called with the ownership of the state directory.
/// `held` is the epoch that a run knows which goes on.
///
/// # Errors
///
/// Another run has it, or has had it since, or the database cannot be asked.
pub(crate) async fn share(
    pipeline: &Pipeline,
    state: &Path,
    run: &RunId,
    held: Option<u64>,
    redactor: &Redactor,
) -> Result<Option<Arc<SharedOwnership>>, Failure> {
    let Some(shared) = Shared::of(pipeline, &loading::variables(), redactor)? else { return Ok(None) };
    let claim = pipe_runner::claim(state, run.as_str(), &loading::actor(), held)?;
    Ok(Some(shared.take(&claim).await?))
}

/// Makes it nobody's by the database, where this run of this state directory has it there.
///
/// # Errors
///
/// The database cannot be asked.
pub(crate) async fn give_up(
    pipeline: &Pipeline,
    state: &Path,
    run: &RunId,
    reason: &str,
    redactor: &Redactor,
) -> Result<(), Failure> {
    let Some(shared) = Shared::of(pipeline, &loading::variables(), redactor)? else { return Ok(()) };
    let (actor, seen) = (loading::actor(), shared.look().await?);
    let place = pipe_runner::place(state, &actor)?;
    if let Some(seen) = seen
        && seen.run.as_deref() == Some(run.as_str())
        && seen.place.as_deref() == Some(place.as_str())
    {
        shared.unlock(&seen, &actor, &place, reason).await?;
    }
    shared.close().await;
    Ok(())
}

/// Whether a process has it.
pub(crate) fn is_held(state: &Path, pipeline: &str, environment: &str) -> bool {
    Ownership::look(state, pipeline, environment).is_ok_and(|(_, held)| held)
}
