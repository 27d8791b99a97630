//! `pipe rollback`.

use std::path::Path;

use clap::Args;
use pipe_core::{
    event::{EventKind, Outcome},
    redact::Redactor,
};
use pipe_journal::{Reader, RunFilter};

use super::{
    left::{self, Left, LeftRun},
    loading, resume,
    run::Display,
};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Undo a run: one that was cut off or waits, or the last that succeeded
///
/// What the run started is undone as its pipeline lists it, else in reverse. It can be interrupted and resumed like the run.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::TABLE)]
pub(crate) struct RollbackArguments {
    #[command(flatten)]
    which: LeftRun,

    /// Why, for the record and for those who are told
    #[arg(long, value_name = "TEXT", value_parser = crate::arguments::reason)]
    reason: String,
}

/// Undoes the run.
pub(crate) async fn rollback(
    arguments: &RollbackArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let left = left::take(&arguments.which, state, printer)?;
    if left.begun.state.outcome == Some(Outcome::Succeeded) {
        newest(&left)?;
    } else {
        left.needs_open()?;
    }
    go_back(&left, &arguments.reason, Display { state: &left.state, verbose, printer }, redactor).await
}

/// Undoes a run of this process, and says why.
pub(super) async fn go_back(
    left: &Left,
    reason: &str,
    display: Display<'_>,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let actor = loading::actor();
    let reason = format!("{reason} ({actor})");
    // One that has begun goes on as it began.
    let begun = left.begun.state.rollback.is_some();
    if begun {
        display
            .printer
            .warning("it is being undone already: the reason that began it stays in the record, and not this one");
    }
    let requested = (!begun).then_some(EventKind::RollbackRequested { actor, reason });
    resume::go_on(left, requested.into_iter().collect(), display, redactor).await
}

/// A run that others have followed is not undone beneath them. Those of which nothing is left do not count.
fn newest(left: &Left) -> Result<(), Failure> {
    let filter = RunFilter {
        pipeline: Some(left.begun.pipeline.clone()),
        environment: Some(left.begun.environment.clone()),
        limit: None,
    };
    let runs = Reader::open(&left.state)?.runs(&filter)?;
    let mut later = runs.iter().take_while(|run| run.run != left.begun.run);
    match later.find(|run| !leaves_nothing(run.outcome)) {
        None => Ok(()),
        Some(later) => {
            let message = format!("run {} has been followed by run {}", left.begun.run, later.run);
            Err(Failure::new(Exit::Usage, message)
                .hint("only the newest run of a pipeline and environment that left something can be undone"))
        }
    }
}

/// Whether everything is as it was before a run that ended so.
const fn leaves_nothing(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Failed | Outcome::Interrupted | Outcome::RolledBack))
}
