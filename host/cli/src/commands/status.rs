//! `pipe status`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::{
    event::{GateEnd, Outcome},
    id::{RunId, StepId},
};
use pipe_journal::{Reader, RunFilter, RunSummary, StoredEvent};
use pipe_runner::{
    Begun, Due, Pins, RunState, StepStanding, WatchStanding,
    course::{Bar, Next},
    gate::{Gates, Standing as GateStands, moment},
};

use super::{loading, open, ownership};
use crate::{
    exit::Exit,
    failure::Failure,
    places,
    printer::{CAREFUL, Printer, STRONG, styled},
};

/// List the runs that have not ended, how each stands, and the next command
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The pipeline file whose `state` directory holds them
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How an open run stands.
struct Standing {
    word: &'static str,
    what: String,
    next: Vec<String>,
}

/// Lists them.
pub(crate) fn status(arguments: &StatusArguments, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let state = loading::reading_state(state, arguments.file.as_deref())?;
    let reader = Reader::open(&state)?;
    let mut seen = BTreeSet::new();
    let mut open = reader.runs(&RunFilter::default())?;
    // The newest of a pipeline and environment is the one that owns it.
    open.retain(|run| seen.insert((run.pipeline.clone(), run.environment.clone())));
    let mut after = Vec::new();
    for run in open.iter().filter(|run| run.outcome == Some(Outcome::Succeeded)) {
        let begun = Begun::of(&run.run, &reader.events(&run.run)?)?;
        after.extend(after_success(run, &begun, &state).map(|standing| (run.clone(), standing)));
    }
    open.retain(open::is_open);
    for (run, standing) in &after {
        print(run, standing, printer);
    }
    if open.is_empty() && after.is_empty() && !printer.json() {
        printer.talk(&format!("every run in {} has ended", state.display()));
    }
    for run in &open {
        let events = reader.events(&run.run)?;
        let begun = Begun::of(&run.run, &events)?;
        let mut standing = standing(run, &begun.state, &state);
        if let ("waiting", Some((gate, end))) = (standing.word, decided(&run.run, &events)) {
            standing.what = format!("the gate \"{gate}\" is {}: the run has to go on", end.word());
            standing.next.retain(|command| !command.starts_with("pipe approve "));
        }
        if let ("waiting" | "cut-off", Some(phase @ (Phase::Barred(_) | Phase::Due(_)))) =
            (standing.word, phase(&begun, &state))
        {
            standing.next = next_of_phase(run, &phase, &state);
            standing.what = still_to_come(run, &phase, &state).what;
        }
        print(run, &standing, printer);
        lock(&begun.state, printer);
    }
    Ok(Exit::Succeeded)
}

/// The gate that is decided, where the run has yet to hear of it.
fn decided(run: &RunId, events: &[StoredEvent]) -> Option<(StepId, GateEnd)> {
    let mut gates = Gates::new(run.clone());
    events.iter().filter_map(|stored| stored.event.known()).for_each(|event| gates.apply(event));
    gates.open().find_map(|gate| match gate.standing(&moment()) {
        GateStands::Decided(end) => Some((gate.opening.gate.clone(), end)),
        GateStands::Open { .. } => None,
    })
}

fn print(run: &RunSummary, standing: &Standing, printer: Printer) {
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.status/v1", "run": run.run, "pipeline": run.pipeline, "environment": run.environment,
            "started": run.started, "actor": run.actor, "standing": standing.word, "what": standing.what,
            "next": standing.next,
        }));
        return;
    }
    let (name, word) = (styled(STRONG, run.run.as_str()), styled(CAREFUL, standing.word));
    printer.result(&format!("{name}  {word}  {} {}: {}", run.pipeline, run.environment, standing.what));
    standing.next.iter().for_each(|command| printer.result(&format!("    {command}")));
}

/// How a run stands that has succeeded: nothing once there is nothing more to look at, nor to do.
fn after_success(run: &RunSummary, begun: &Begun, state: &Path) -> Option<Standing> {
    let watch = begun.state.watch.as_ref().filter(|watch| watch.is_open()).map(|watch| watching(run, watch, state));
    let phase = phase(begun, state).map(|phase| still_to_come(run, &phase, state));
    match (watch, phase) {
        (Some(watch), Some(phase)) => Some(Standing {
            word: watch.word,
            what: format!("{}; {}", watch.what, phase.what),
            // Both end with what undoes the run.
            next: watch.next.iter().take(1).chain(&phase.next).cloned().collect(),
        }),
        (watch, phase) => watch.or(phase),
    }
}

/// How the next phase of a run stands.
enum Phase {
    /// It does not begin.
    Barred(Bar),
    /// It can begin.
    Due(Due),
    /// It has begun.
    Begun,
}

/// The next phase of a run, where there is one.
fn phase(begun: &Begun, state: &Path) -> Option<Phase> {
    let coming = begun.coming(&Pins::of(state), jiff::Timestamp::now())?;
    match (coming.next, coming.begins) {
        (Next::End(..), _) => None,
        (Next::Barred(bar), _) => Some(Phase::Barred(bar)),
        (_, Some(due)) => Some(Phase::Due(due)),
        (_, None) => Some(Phase::Begun),
    }
}

fn shown(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A run that has succeeded, and has phases after that.
fn still_to_come(run: &RunSummary, phase: &Phase, state: &Path) -> Standing {
    let what = match phase {
        Phase::Barred(bar) => bar.to_string(),
        Phase::Due(due) => {
            let until = due.until.map(|until| format!(", and begins until {} or not at all", shown(until)));
            format!("phase {} is due since {}{}", due.phase, shown(due.since), until.unwrap_or_default())
        }
        Phase::Begun => "a later phase has begun".to_owned(),
    };
    let next = next_of_phase(run, phase, state);
    Standing { word: "succeeded", what, next }
}

/// What somebody can do about a phase.
fn next_of_phase(run: &RunSummary, phase: &Phase, state: &Path) -> Vec<String> {
    let command = |verb: &str, rest: &str| format!("pipe {verb} {}{rest} --state {}", run.run, places::in_shell(state));
    let undo = command("rollback", " --reason '…'");
    match phase {
        Phase::Barred(bar) if !bar.passes() => {
            let give_up = command("abandon", " --reason '…'");
            vec![command("resume", " --late --reason '…'"), give_up, undo]
        }
        _ => vec![command("resume", ""), undo],
    }
}

/// Where several hosts agree on who drives it.
fn lock(known: &RunState, printer: Printer) {
    if let (Some(at), Some(epoch), false) = (&known.shared_at, known.shared_epoch, printer.json()) {
        printer.result(&format!("    its lock is at {at}, where epoch {epoch} was its own"));
    }
}

fn watching(run: &RunSummary, watch: &WatchStanding, state: &Path) -> Standing {
    let command = |verb: &str, rest: &str| format!("pipe {verb} {}{rest} --state {}", run.run, places::in_shell(state));
    let undo = command("rollback", " --reason '…'");
    match &watch.breach {
        Some(breached) => Standing {
            word: "waiting",
            what: format!("the watch was not met: {}", breached.failure.message),
            next: vec![command("watch", " --go-on"), undo],
        },
        None => Standing {
            word: "to be watched",
            what: format!("until {}", watch.until.strftime("%Y-%m-%d %H:%M UTC")),
            next: vec![command("watch", ""), undo],
        },
    }
}

fn standing(run: &RunSummary, known: &RunState, state: &Path) -> Standing {
    let command = |verb: &str, rest: &str| format!("pipe {verb} {}{rest} --state {}", run.run, places::in_shell(state));
    let undo = || command("rollback", " --reason '…'");
    let begun = known.steps.iter().rev().find(|step| step.standing == StepStanding::Started);
    let gate = known.gates.iter().find(|(_, gate)| gate.ended.is_none());
    let decide = gate.map(|(gate, standing)| {
        let key = "--key ~/.ssh/id_ed25519 --reason '…'";
        command("approve", &format!(" {} --role {} {key}", step_in_shell(gate), standing.role))
    });
    let mut here = match (gate, begun) {
        (Some((gate, standing)), _) => format!("{} decides at the gate \"{gate}\"", standing.role),
        (None, Some(step)) => format!("in step \"{}\"", step.step),
        (None, None) => "between two steps".to_owned(),
    };
    if known.rollback.is_some() {
        here = format!("being undone, {here}");
    }
    if ownership::is_held(state, &run.pipeline, &run.environment) {
        return Standing { word: "running", what: here, next: decide.into_iter().collect() };
    }
    if run.outcome.is_some() {
        let failed = known.steps.iter().filter(|step| step.standing == StepStanding::UndoFailed);
        let by_hand =
            failed.map(|step| command("resolve", &format!(" {} --undone --reason '…'", step_in_shell(&step.step))));
        let next = std::iter::once(command("resume", "")).chain(by_hand).collect();
        return Standing { word: "rollback-failed", what: known.reason.clone().unwrap_or_default(), next };
    }
    let Some(why) = known.paused.clone() else {
        let undo = known.rollback.is_none().then(undo);
        return Standing {
            word: "cut-off",
            what: here,
            next: std::iter::once(command("resume", "")).chain(undo).collect(),
        };
    };
    let asked = begun.filter(|step| step.open && step.attempt_touched || step.waves.asks().is_some());
    let next = match asked {
        None if decide.is_some() => {
            let undo = known.rollback.is_none().then(undo);
            decide.into_iter().chain([command("resume", "")]).chain(undo).collect()
        }
        Some(step) => ["retry", "undo"]
            .map(|answer| command("resume", &format!(" --{answer} {}", step_in_shell(&step.step))))
            .into(),
        None if known.stale.is_some() => {
            let again = known.stale.iter().map(|step| command("resume", &format!(" --retry {}", step_in_shell(step))));
            again.chain([undo()]).collect()
        }
        // Of a later phase: what was deployed may as well stay as it is.
        None if known.succeeded => vec![command("resume", ""), command("abandon", " --reason '…'"), undo()],
        None => vec![command("resume", ""), undo(), command("abandon", " --reason '…'")],
    };
    Standing { word: "waiting", what: why, next }
}

/// A step as one word of a command: names may hold spaces.
fn step_in_shell(step: &StepId) -> String {
    format!("'{}'", step.to_string().replace('\'', r"'\''"))
}
