//! `pipe unlock`.

use std::path::{Path, PathBuf};

use clap::Args;
use pipe_core::redact::Redactor;
use pipe_journal::{Holder, JournalError, Liveness, Ownership, Reader, Unlocking};

use super::loading;
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Take the place of a process that drives a run and hangs
///
/// A process that ends frees its lock, however it ends: this is for one that is still there, or was stopped, and will not go on.
/// From then on it can record nothing more and begins no further effect; what it is in the middle of goes on, and `kill -9` ends
/// that. The next command that drives the run goes on from what is recorded. Who did this, and why, is recorded too.
#[derive(Debug, Args)]
pub(crate) struct UnlockArguments {
    /// The pipeline file; or a run: its name or the beginning of it, or `last`
    #[arg(value_name = "FILE|RUN")]
    what: String,

    /// The environment, where a pipeline file is given
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,

    /// Why; it is recorded
    #[arg(long, value_name = "TEXT", value_parser = crate::arguments::reason)]
    reason: String,
}

/// Unlocks.
pub(crate) fn unlock(
    arguments: &UnlockArguments,
    state: Option<&Path>,
    printer: Printer,
    redactor: &Redactor,
) -> Result<Exit, Failure> {
    let (state, pipeline, environment) = place(arguments, state)?;
    let actor = loading::actor();
    let unlocking =
        Unlocking { pipeline: &pipeline, environment: &environment, actor: &actor, reason: &arguments.reason };
    let unlocked = Ownership::unlock(&state, unlocking, redactor).map_err(|error| {
        let holder = Ownership::look(&state, &pipeline, &environment).ok().and_then(|(holder, _)| holder);
        match (error, holder.and_then(|holder| holder.pid)) {
            (error @ JournalError::Busy { .. }, Some(pid)) => Failure::from(error).hint(format!(
                "the process that holds it may have been stopped while it wrote: `kill -9 {pid}` ends it and frees both"
            )),
            (error, _) => error.into(),
        }
    })?;
    if let Some(holder) = &unlocked.holder {
        printer.warning(&still_there(holder));
    }
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.unlocked/v1", "pipeline": pipeline, "environment": environment, "run": unlocked.run,
            "epoch": unlocked.epoch, "pid": unlocked.holder.as_ref().and_then(|holder| holder.pid),
        }));
    } else {
        let (run, epoch) = (&unlocked.run, unlocked.epoch);
        printer.result(&format!("unlocked {pipeline} in {environment}: epoch {epoch} begins, run {run} is nobody's"));
    }
    Ok(Exit::Succeeded)
}

/// State directory, pipeline and environment, of a pipeline file or of a run.
fn place(arguments: &UnlockArguments, state: Option<&Path>) -> Result<(PathBuf, String, String), Failure> {
    let path = Path::new(&arguments.what);
    if path.extension().is_none_or(|end| end != "toml") && !path.is_file() {
        let state = loading::reading_state(state, None)?;
        let run = loading::find_run(&Reader::open(&state)?, &arguments.what)?;
        return Ok((state, run.pipeline, run.environment));
    }
    let document = loading::document(path)?;
    let state = loading::reading_state(state, Some(path))?;
    let known: Vec<&str> = document.environments().collect();
    match arguments.env.as_deref() {
        Some(environment) if known.contains(&environment) => {
            Ok((state, document.name().to_owned(), environment.to_owned()))
        }
        _ => {
            let message = "which environment is to be unlocked?";
            Err(Failure::new(Exit::Usage, message).hint(format!("`--env` takes one of: {}", known.join(", "))))
        }
    }
}

fn still_there(holder: &Holder) -> String {
    let whose = holder.tell();
    let pid = holder.pid.unwrap_or_default();
    match holder.liveness() {
        Liveness::Gone => format!(
            "the process that took it has ended, and yet something of it holds the lock ({whose}): a program that it started may be \
             at work"
        ),
        Liveness::Unknown => format!("nobody can tell whether its process is still at work ({whose})"),
        Liveness::Running => format!(
            "its process is still at work ({whose}): it begins nothing more, and what it has begun goes on; `kill -9 {pid}` ends \
             that with all its programs"
        ),
        Liveness::Stopped => format!(
            "its process was stopped ({whose}): once continued it begins nothing more, but its programs may be at work; `kill -9 \
             {pid}` ends them all"
        ),
    }
}
