//! The run that owns a pipeline and environment: the newest, as long as it has no end that leaves nothing to do.

use std::path::Path;

use pipe_core::event::Outcome;
use pipe_journal::{Ownership, Reader, RunSummary};
use pipe_pipeline::Pipeline;
use pipe_runner::{Begun, Pins, WatchStanding};

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

/// What a new run puts an end to: the run before it has succeeded, and would still be looked after. Nothing where that run cannot
/// be read: then nobody looks after it.
pub(crate) fn superseded(ownership: &Ownership, state: &Path) -> Option<String> {
    let last = ownership.last_run().ok()??;
    if last.outcome != Some(Outcome::Succeeded) {
        return None;
    }
    let begun = Begun::of(&last.run, &Reader::open(state).ok()?.events(&last.run).ok()?).ok()?;
    let phases = begun.coming(&Pins::of(state), jiff::Timestamp::now()).is_some_and(|coming| !coming.is_over());
    let watched = begun.state.watch.as_ref().is_some_and(WatchStanding::is_open);
    let ends: Vec<&str> = [(phases, "its later phases do not begin any more"), (watched, "it is not watched any more")]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
        .collect();
    (!ends.is_empty()).then(|| format!("run {} is superseded: {}", last.run, ends.join(", ")))
}
