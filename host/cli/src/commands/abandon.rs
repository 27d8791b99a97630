//! `pipe abandon`.

use std::path::Path;

use clap::Args;
use pipe_core::{
    event::{EventKind, Outcome},
    redact::Redactor,
};

use super::{
    left::{self, LeftRun},
    loading,
};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Give a run up: what it started stays as it is, and the next run may begin
///
/// Nothing is undone. For a run that cannot be resumed or rolled back any more, and whose remains somebody has seen to.
#[derive(Debug, Args)]
pub(crate) struct AbandonArguments {
    #[command(flatten)]
    which: LeftRun,

    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Gives it up.
pub(crate) async fn abandon(
    arguments: &AbandonArguments,
    state: Option<&Path>,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let left = left::take(&arguments.which, state)?;
    left.needs_open()?;
    let (actor, reason) = (loading::actor(), arguments.reason.clone());
    let note = format!("abandoned: {reason}");
    let ended = Some(format!("abandoned by {actor}: {reason}"));
    let events = vec![
        EventKind::Abandoned { actor, reason },
        EventKind::RunFinished { outcome: Outcome::Abandoned, reason: ended, duration_ms: 0 },
    ];
    let state = left.record(events, redactor.clone()).await?;
    if state.shared_epoch.is_some() {
        // It is given up here in any case: that must not depend on a server.
        if let Err(failure) = left.give_up(&note, &redactor).await {
            let run = &left.begun.run;
            printer.warning(&format!("the database may still say that run {run} has it: {}", failure.message()));
        }
    }
    printer.talk(&format!("run {} is given up: nothing was undone", left.begun.run));
    for step in state.steps.iter().filter(|step| step.touched && !step.summaries.is_empty()) {
        printer.talk(&format!("  step \"{}\" may have left:", step.step));
        step.summaries.iter().for_each(|summary| printer.talk(&format!("    {summary}")));
    }
    Ok(Exit::Succeeded)
}
