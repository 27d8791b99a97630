//! `pipe resume`.

use std::path::Path;

use clap::Args;
use pipe_core::{
    event::{EventKind, InFlight, PluginIdentity},
    redact::Redactor,
};
use pipe_runner::Pins;
use pipe_sandbox::Sandbox;
use tokio_util::sync::CancellationToken;

use super::{
    left::{self, Left, LeftRun},
    loading, ownership,
    run::{Display, watched},
};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Go on with a run that was cut off, waits, or could not be undone
///
/// Uses what the run was begun with: the pipeline, plugins and policies of then, from their copies. A step whose report is in
/// the journal does not run again. One that was cut off before it changed anything is tried again; one that was cut off later
/// follows its `in_flight`, and where that is `ask`, `--retry` or `--undo` answers.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::TABLE)]
pub(crate) struct ResumeArguments {
    #[command(flatten)]
    which: LeftRun,

    /// Make another attempt of this step, which was cut off after it had begun to change something; or let its guard, which
    /// was not met, look again: it must pass, then the wave holds in full; or take this backup again, before a migration to
    /// which it has become too old
    #[arg(long, value_name = "STEP")]
    retry: Option<String>,

    /// Count this step, which was cut off after it had begun to change something or whose guard was not met, as failed, and
    /// undo the run
    #[arg(long, value_name = "STEP", conflicts_with = "retry")]
    undo: Option<String>,

    /// Let a step call the component in this file from here on, instead of the plugin that the run was begun with; can be repeated
    #[arg(long, value_name = "STEP=PLUGIN", value_parser = crate::arguments::assignment, requires_all = ["role", "reason"])]
    replace: Vec<(String, String)>,

    /// The role in which somebody wants the plugin replaced
    #[arg(long, value_name = "ROLE", requires = "replace")]
    role: Option<String>,

    /// Why the plugin is replaced
    #[arg(long, value_name = "TEXT", requires = "replace")]
    reason: Option<String>,
}

/// Goes on with the run.
pub(crate) async fn resume(
    arguments: &ResumeArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let mut left = left::take(&arguments.which, state)?;
    left.needs_open()?;
    let replaced = replaced(arguments, &left)?;
    replaced.iter().for_each(|event| left.begun.replace(event));
    let answers = [(&arguments.retry, InFlight::Retry), (&arguments.undo, InFlight::Undo)];
    let decisions = answers.into_iter().filter_map(|(step, decision)| Some((step.as_ref()?, decision)));
    let decisions = decisions.map(|(step, decision)| decided(&left, step, decision));
    let decisions = replaced.into_iter().map(Ok).chain(decisions).collect::<Result<_, _>>()?;
    go_on(&left, decisions, Display { state: &left.state, verbose, printer }, redactor).await
}

/// Goes on with a run, with what people said of it.
pub(super) async fn go_on(
    left: &Left,
    decisions: Vec<EventKind>,
    display: Display<'_>,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let (mut prepared, journal) = left.prepare(display.printer, redactor.clone()).await?;
    let begun = left.begun.state.clone();
    let held = Some(begun.shared_epoch.unwrap_or(0));
    let shared = ownership::share(&prepared.pipeline, &left.state, &left.begun.run, held, &redactor).await?;
    prepared.own(shared);
    watched(&prepared, &journal, display, async |observer, interrupt: &CancellationToken| {
        pipe_runner::resume(&prepared, begun, decisions, observer, interrupt).await
    })
    .await
}

/// The plugins that take the place of others, each with a copy of it.
fn replaced(arguments: &ResumeArguments, left: &Left) -> Result<Vec<EventKind>, Failure> {
    let (Some(role), Some(reason)) = (&arguments.role, &arguments.reason) else { return Ok(Vec::new()) };
    let pins = Pins::of(&left.state);
    let known = left.begun.pipeline(&pins)?.pipeline;
    let one = |(step, file): &(String, String)| {
        if !known.calls().any(|call| call.id.name == *step) {
            return Err(Failure::new(Exit::Usage, format!("the pipeline has no step \"{step}\"")));
        }
        let path = std::path::absolute(file)?;
        let bytes = Sandbox::read_file(&path)?;
        let name = path.to_string_lossy().into_owned();
        let digest = pins.keep(&format!("plugin {name}"), &bytes)?;
        let plugin = PluginIdentity { name, version: String::new(), digest };
        let (role, reason, actor) = (role.clone(), reason.clone(), loading::actor());
        Ok(EventKind::PluginReplaced { step: step.clone(), plugin, role, reason, actor })
    };
    arguments.replace.iter().map(one).collect()
}

fn decided(left: &Left, step: &str, decision: InFlight) -> Result<EventKind, Failure> {
    let step = left.step(step)?;
    let again = decision == InFlight::Retry && left.begun.state.may_be_taken_again(&step);
    if !again && !left.begun.state.step(&step).is_some_and(|known| known.open || known.waves.asks().is_some()) {
        let message =
            format!("step \"{step}\" was not cut off, nor does its guard ask: nothing to {}", decision.word());
        return Err(Failure::new(Exit::Usage, message).hint("`pipe status` says what the run waits for"));
    }
    Ok(EventKind::InFlightDecided { step, decision, actor: loading::actor() })
}
