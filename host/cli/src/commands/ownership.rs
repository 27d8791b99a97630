//! One run at a time for a pipeline and environment.

use std::{path::Path, sync::Arc};

use pipe_core::{event::Outcome, id::RunId};
use pipe_journal::{Claim, Ownership};
use pipe_pipeline::Pipeline;

use super::loading;
use crate::{failure::Failure, printer::Printer};

/// Takes it for a run, before anything is set up. Held until the last handle is dropped.
///
/// # Errors
///
/// Another process has it, or the journal cannot be used.
pub(crate) fn take(state: &Path, pipeline: &Pipeline, run: &RunId) -> Result<Arc<Ownership>, Failure> {
    let (pipeline, environment, actor) = (&pipeline.name, &pipeline.environment, loading::actor());
    let claim = Claim { pipeline, environment, run, actor: &actor };
    Ok(Arc::new(Ownership::take(state, claim)?))
}

/// Warns of a run before this one that did not end: what it started may still stand, and this run will not undo it. What it
/// left half written among its artifacts is removed: with the lock, nobody is writing it.
///
/// # Errors
///
/// The record of it cannot be read.
pub(crate) fn warn_of_unfinished(ownership: &Ownership, state: &Path, printer: Printer) -> Result<(), Failure> {
    if let Some(dead) = ownership.unfinished()? {
        let partial = pipe_effects::artifact::remove_partial(&state.join("artifacts").join(dead.run.as_str()));
        if let Err(error) = partial {
            printer.warning(&format!("what run {} left half written stays: {error}", dead.run));
        }
        printer.warning(&format!(
            "run {0} was cut off: what it started still stands, and this run will not undo it; \
             `pipe show {0} --state {1}` says what that is",
            dead.run,
            state.display()
        ));
    }
    if let Some(failed) = ownership.last_run()?.filter(|run| run.outcome == Some(Outcome::RollbackFailed)) {
        printer.warning(&format!(
            "run {0} could not be undone: what it left still stands, unless somebody has seen to it; \
             `pipe show {0} --state {1}` says what that is",
            failed.run,
            state.display()
        ));
    }
    Ok(())
}
