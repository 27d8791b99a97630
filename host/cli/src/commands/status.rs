//! `pipe status`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::{event::Outcome, id::StepId};
use pipe_journal::{Reader, RunFilter, RunSummary};
use pipe_runner::{Begun, RunState, StepStanding, WatchStanding};

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
    let mut watched = Vec::new();
    for run in open.iter().filter(|run| run.outcome == Some(Outcome::Succeeded)) {
        let begun = Begun::of(&run.run, &reader.events(&run.run)?)?;
        watched.extend(begun.state.watch.filter(WatchStanding::is_open).map(|watch| (run.clone(), watch)));
    }
    open.retain(open::is_open);
    for (run, watch) in &watched {
        print(run, &watching(run, watch, &state), printer);
    }
    if open.is_empty() && watched.is_empty() && !printer.json() {
        printer.talk(&format!("every run in {} has ended", state.display()));
    }
    for run in &open {
        let begun = Begun::of(&run.run, &reader.events(&run.run)?)?;
        print(run, &standing(run, &begun.state, &state), printer);
        lock(&begun.state, printer);
    }
    Ok(Exit::Succeeded)
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
    let here = begun.map_or_else(|| "between two steps".to_owned(), |step| format!("in step \"{}\"", step.step));
    if ownership::is_held(state, &run.pipeline, &run.environment) {
        return Standing { word: "running", what: here, next: vec![] };
    }
    if run.outcome.is_some() {
        let failed = known.steps.iter().filter(|step| step.standing == StepStanding::UndoFailed);
        let by_hand =
            failed.map(|step| command("resolve", &format!(" {} --undone --reason '…'", step_in_shell(&step.step))));
        let next = std::iter::once(command("resume", "")).chain(by_hand).collect();
        return Standing { word: "rollback-failed", what: known.reason.clone().unwrap_or_default(), next };
    }
    let Some(why) = known.paused.clone() else {
        return Standing { word: "cut-off", what: here, next: vec![command("resume", ""), undo()] };
    };
    let asked = begun.filter(|step| step.open && step.attempt_touched || step.waves.asks().is_some());
    let gate = known.gates.iter().find(|(_, gate)| gate.ended.is_none());
    let decide = gate.map(|(gate, standing)| {
        let key = "--key ~/.ssh/id_ed25519 --reason '…'";
        command("approve", &format!(" {} --role {} {key}", step_in_shell(gate), standing.role))
    });
    let next = match asked {
        None if decide.is_some() => decide.into_iter().chain([command("resume", ""), undo()]).collect(),
        Some(step) => ["retry", "undo"]
            .map(|answer| command("resume", &format!(" --{answer} {}", step_in_shell(&step.step))))
            .into(),
        None if known.stale.is_some() => {
            let again = known.stale.iter().map(|step| command("resume", &format!(" --retry {}", step_in_shell(step))));
            again.chain([undo()]).collect()
        }
        None => vec![command("resume", ""), undo()],
    };
    Standing { word: "waiting", what: why, next }
}

/// A step as one word of a command: names may hold spaces.
fn step_in_shell(step: &StepId) -> String {
    format!("'{}'", step.to_string().replace('\'', r"'\''"))
}
