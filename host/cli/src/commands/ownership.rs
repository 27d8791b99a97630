//! One run at a time for a pipeline and environment on this machine, by a lock that the kernel frees with the process.

use std::{
    fs::{DirBuilder, File},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use pipe_core::event::Outcome;
use pipe_journal::{Reader, RunFilter};
use pipe_pipeline::Pipeline;

use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Takes the lock, before anything is set up. Held until the returned file is dropped.
///
/// # Errors
///
/// Another process holds it, or the lock file cannot be made.
pub(crate) fn take(state: &Path, pipeline: &Pipeline) -> Result<File, Failure> {
    let folder = state.join("locks");
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(state, &error)),
        _ => {}
    }
    let (pipeline, environment) = (&pipeline.name, &pipeline.environment);
    let file = File::create(folder.join(format!("{pipeline}@{environment}")));
    let file = file.map_err(|error| unusable(state, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::Error(error)) => Err(unusable(state, &error)),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!("another run of {pipeline} in {environment} is going on");
            Err(Failure::new(Exit::Locked, message).hint(format!(
                "`pipe history --state {}` lists the runs; wait for the unfinished one",
                state.display()
            )))
        }
    }
}

fn unusable(state: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Internal, format!("cannot write the state directory {}: {error}", state.display()))
        .hint("`--state DIR` names another one")
}

/// Warns of a run before this one that did not end: what it started may still stand, and this run will not undo it. What it
/// left half written among its artifacts is removed: with the lock, nobody is writing it.
pub(crate) fn warn_of_unfinished(state: &Path, pipeline: &Pipeline, printer: Printer) {
    let filter = RunFilter {
        pipeline: Some(pipeline.name.clone()),
        environment: Some(pipeline.environment.clone()),
        limit: Some(1),
    };
    let last = Reader::open(state).and_then(|reader| reader.runs(&filter)).unwrap_or_default();
    if let Some(dead) = last.iter().find(|run| run.outcome.is_none()) {
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
    if let Some(failed) = last.iter().find(|run| run.outcome == Some(Outcome::RollbackFailed)) {
        printer.warning(&format!(
            "run {0} could not be undone: what it left still stands, unless somebody has seen to it; \
             `pipe show {0} --state {1}` says what that is",
            failed.run,
            state.display()
        ));
    }
}
