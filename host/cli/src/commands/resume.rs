//! `pipe resume`.

use std::path::Path;

use clap::Args;
use pipe_core::{
    event::{EventKind, InFlight, Outcome, PluginIdentity},
    redact::Redactor,
};
use pipe_runner::{
    Coming, Pins,
    course::{Bar, Next},
};
use pipe_sandbox::Sandbox;
use tokio_util::sync::CancellationToken;

use super::{
    left::{self, Left, LeftRun},
    loading,
    run::{Display, watched},
};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Go on with a run that was cut off, waits, or could not be undone
///
/// Uses what the run was begun with: the pipeline, plugins and policies of then, from their copies. A step whose report is in
/// the journal does not run again. One that was cut off before it changed anything is tried again; one that was cut off later
/// follows its `in_flight`, and where that is `ask`, `--retry` or `--undo` answers. Where its next phase is not due yet, nothing is
/// done, and the record stays as it is.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::TABLE)]
pub(crate) struct ResumeArguments {
    #[command(flatten)]
    which: LeftRun,

    /// Make another attempt of this step, which was cut off after it had begun to change something; or let its guard, which
    /// was not met, look again: it must pass, then the wave holds in full
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

    /// Let the next phase begin although it is too late for it, or what came before is too old
    #[arg(long, requires = "reason")]
    late: bool,

    /// Why the plugin is replaced, or the phase begins late
    #[arg(long, value_name = "TEXT", value_parser = crate::arguments::reason)]
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
    if arguments.reason.is_some() && arguments.replace.is_empty() && !arguments.late {
        return Err(Failure::new(Exit::Usage, "`--reason` is for `--replace` or `--late`"));
    }
    let mut left = left::take(&arguments.which, state, printer)?;
    let bar = barred(&left)?;
    let late = late(arguments, &left, bar.as_ref())?;
    let replaced = replaced(arguments, &left)?;
    replaced.iter().for_each(|event| left.begun.replace(event));
    let answers = [(&arguments.retry, InFlight::Retry), (&arguments.undo, InFlight::Undo)];
    let decisions = answers.into_iter().filter_map(|(step, decision)| Some((step.as_ref()?, decision)));
    let decisions = decisions.map(|(step, decision)| decided(&left, step, decision));
    let decisions: Vec<_> = late.into_iter().chain(replaced).map(Ok).chain(decisions).collect::<Result<_, _>>()?;
    match bar {
        // Where it is written down already that there is nothing to do, that is only said.
        Some(bar) if decisions.is_empty() && (has_succeeded(&left) || left.begun.state.paused.is_some()) => {
            Ok(told(&left, &bar, printer))
        }
        _ => go_on(&left, decisions, Display { state: &left.state, verbose, printer }, redactor).await,
    }
}

fn has_succeeded(left: &Left) -> bool {
    left.begun.state.outcome == Some(Outcome::Succeeded)
}

/// Why the next phase does not begin. Refuses a run that has ended with its later phases, or has been superseded.
fn barred(left: &Left) -> Result<Option<Bar>, Failure> {
    let succeeded = has_succeeded(left);
    if !succeeded {
        left.needs_open()?;
    }
    let coming = left.coming();
    if succeeded {
        if coming.as_ref().is_none_or(Coming::is_over) {
            left.needs_open()?;
        }
        if let Some(newer) = left.followed_by()? {
            let message = format!("run {} is superseded by run {newer}", left.begun.run);
            let hint = "its later phases would look at another deployment";
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        }
    }
    Ok(coming.and_then(|coming| match coming.next {
        Next::Barred(bar) => Some(bar),
        _ => None,
    }))
}

/// That somebody lets a phase begin late.
fn late(arguments: &ResumeArguments, left: &Left, bar: Option<&Bar>) -> Result<Option<EventKind>, Failure> {
    let (true, Some(reason)) = (arguments.late, &arguments.reason) else { return Ok(None) };
    let refused = |message: String| Failure::new(Exit::Usage, message).hint("`pipe status` says what it waits for");
    match bar {
        Some(bar) if bar.passes() => Err(refused(format!("run {} is not late: it {bar}", left.begun.run))),
        Some(bar) => {
            let (actor, reason) = (loading::actor(), reason.clone());
            Ok(Some(EventKind::LateAccepted { phase: bar.phase(), actor, reason }))
        }
        None => Err(refused(format!("run {} is not late for anything", left.begun.run))),
    }
}

/// Says why nothing is done, and leaves the record as it is.
fn told(left: &Left, bar: &Bar, printer: Printer) -> Exit {
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.waiting/v1", "run": left.begun.run, "phase": bar.phase(), "why": bar.to_string(),
        }));
    } else {
        printer.talk(&format!("run {}: {bar}", left.begun.run));
        if !bar.passes() {
            let (run, state) = (&left.begun.run, crate::places::in_shell(&left.state));
            printer
                .talk(&format!("  `pipe resume {run} --late --reason '…' --state {state}` lets it begin all the same"));
            printer.talk(&format!("  `pipe abandon {run} --reason '…' --state {state}` leaves everything as it is"));
            printer.talk(&format!("  `pipe rollback {run} --reason '…' --state {state}` undoes the run"));
        }
    }
    Exit::Waiting
}

/// Goes on with a run, with what people said of it.
pub(super) async fn go_on(
    left: &Left,
    decisions: Vec<EventKind>,
    display: Display<'_>,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let (prepared, journal) = left.prepare(display.printer, redactor).await?;
    let begun = left.begun.state.clone();
    let decisions: Vec<EventKind> = left.accepted().into_iter().chain(decisions).collect();
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
    if !known.roles.is_empty() && !known.roles.contains_key(role) {
        let roles: Vec<&str> = known.roles.keys().map(String::as_str).collect();
        return Err(Failure::new(Exit::Usage, format!("the pipeline has no role `{role}`"))
            .hint(format!("it has {}", roles.join(", "))));
    }
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
    if !left.begun.state.step(&step).is_some_and(|known| known.open || known.waves.asks().is_some()) {
        let message =
            format!("step \"{step}\" was not cut off, nor does its guard ask: nothing to {}", decision.word());
        return Err(Failure::new(Exit::Usage, message).hint("`pipe status` says what the run waits for"));
    }
    Ok(EventKind::InFlightDecided { step, decision, actor: loading::actor() })
}
