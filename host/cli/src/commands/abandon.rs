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
/// Nothing is undone. For a run that cannot be resumed or rolled back any more, and whose remains somebody has seen to; and for
/// what is still to come of one that has succeeded.
#[derive(Debug, Args)]
pub(crate) struct AbandonArguments {
    #[command(flatten)]
    which: LeftRun,

    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = crate::arguments::reason)]
    reason: String,
}

/// Gives it up.
pub(crate) async fn abandon(
    arguments: &AbandonArguments,
    state: Option<&Path>,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let left = left::take(&arguments.which, state, printer)?;
    // One that has succeeded has ended, but for phases that are still to come.
    if left.begun.state.outcome != Some(Outcome::Succeeded) || left.coming().is_none_or(|coming| coming.is_over()) {
        left.needs_open()?;
    }
    let (actor, reason) = (loading::actor(), arguments.reason.clone());
    let ended = Some(format!("abandoned by {actor}: {reason}"));
    // Of a deployment that succeeded and is not being undone, what was still to come after it is given up.
    let known = &left.begun.state;
    let stands = known.succeeded && known.rollback.is_none() && known.rollback_requested.is_none();
    let outcome = if stands { Outcome::Succeeded } else { Outcome::Abandoned };
    let events =
        vec![EventKind::Abandoned { actor, reason }, EventKind::RunFinished { outcome, reason: ended, duration_ms: 0 }];
    let state = left.record(events, redactor).await?;
    printer.talk(&format!("run {} is given up: nothing was undone", left.begun.run));
    for step in state.steps.iter().filter(|step| step.touched && !step.summaries.is_empty()) {
        printer.talk(&format!("  step \"{}\" may have left:", step.step));
        step.summaries.iter().for_each(|summary| printer.talk(&format!("    {summary}")));
    }
    Ok(Exit::Succeeded)
}
