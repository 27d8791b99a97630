//! `pipe resolve`.

use std::path::Path;

use clap::{ArgGroup, Args};
use pipe_core::{
    event::{EventKind, Resolution},
    redact::Redactor,
};
use pipe_pipeline::RollbackEntry;
use pipe_runner::{Pins, StepStanding};

use super::{
    left::{self, LeftRun},
    loading,
};
use crate::{exit::Exit, failure::Failure, places, printer::Printer};

/// Say how a step stands after a repair by hand
///
/// `--done`: what the step should do is done, and the run goes on behind it. `--undone`: nothing of it is in effect; in a
/// rollback it counts as undone, before one it is tried again. Nothing else happens until `pipe resume`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("how").required(true).args(["done", "undone"])))]
pub(crate) struct ResolveArguments {
    #[command(flatten)]
    which: LeftRun,

    /// The step
    #[arg(value_name = "STEP")]
    step: String,

    /// What the step should do is done
    #[arg(long)]
    done: bool,

    /// Nothing of the step is in effect
    #[arg(long)]
    undone: bool,

    /// What was repaired and how, for the record
    #[arg(long, value_name = "TEXT", value_parser = crate::arguments::reason)]
    reason: String,
}

/// Writes it down.
pub(crate) async fn resolve(
    arguments: &ResolveArguments,
    state: Option<&Path>,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let left = left::take(&arguments.which, state, printer)?;
    left.needs_open()?;
    let step = left.step(&arguments.step)?;
    let resolution = if arguments.done { Resolution::Done } else { Resolution::Undone };
    let run = &left.begun.run;
    let standing = left.begun.state.step(&step).map(|known| known.standing);
    // What the rollback runs itself can be done by hand like any step.
    let own = left.begun.pipeline(&Pins::of(&left.state))?.pipeline.rollback;
    let own = own.iter().flatten().any(|entry| matches!(entry, RollbackEntry::Run(run) if run.id == step));
    let rolling_back = left.begun.state.rollback.is_some() && !own;
    let refused = match (standing, resolution, rolling_back) {
        (_, Resolution::Done, true) => Some("the run is being undone: a step can only be `--undone` in it".to_owned()),
        (Some(StepStanding::Undone), Resolution::Undone, _) => Some(format!("step \"{step}\" is undone already")),
        (Some(StepStanding::Succeeded), _, false) => {
            Some(format!("step \"{step}\" has succeeded: `pipe rollback {run} --reason TEXT` undoes the run"))
        }
        _ => None,
    };
    if let Some(refused) = refused {
        return Err(Failure::new(Exit::Usage, refused));
    }
    let (actor, reason) = (loading::actor(), arguments.reason.clone());
    left.record(vec![EventKind::Resolved { step: step.clone(), resolution, actor, reason }], redactor).await?;
    let state = places::in_shell(&left.state);
    printer.talk(&format!(
        "step \"{step}\" of run {run} counts as {resolution}; `pipe resume {run} --state {state}` goes on"
    ));
    Ok(Exit::Succeeded)
}
