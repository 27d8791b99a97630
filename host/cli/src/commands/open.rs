//! The run that owns a pipeline and environment: the newest, as long as it has no end that leaves nothing to do.

use std::path::Path;

use pipe_core::event::Outcome;
use pipe_journal::{Ownership, RunSummary};
use pipe_pipeline::Pipeline;

use crate::{exit::Exit, failure::Failure, places};

/// Whether somebody still has to do something about a run.
pub(crate) fn is_open(run: &RunSummary) -> bool {
    matches!(run.outcome, None | Some(Outcome::RollbackFailed))
}

/// Refuses a new run while one before it is open: what that one started may still stand, and no new run would undo it.
///
/// # Errors
///
/// There is one.
pub(crate) fn refuse(ownership: &Ownership, state: &Path, pipeline: &Pipeline) -> Result<(), Failure> {
    let Some(open) = ownership.last_run()?.filter(|run| is_open(run)) else { return Ok(()) };
    let (what, first) = match open.outcome {
        None => ("has not ended", "goes on with it"),
        Some(_) => ("could not be undone", "tries again"),
    };
    let message = format!("run {} of {} in {} {what}", open.run, pipeline.name, pipeline.environment);
    let (run, state) = (&open.run, places::in_shell(state));
    Err(Failure::new(Exit::Locked, message).hint(format!(
        "`pipe resume {run} --state {state}` {first}, `pipe status --state {state}` says how it stands and what else can be done"
    )))
}
