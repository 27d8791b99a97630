//! `pipe status`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::{event::Outcome, id::StepId};
use pipe_journal::{Reader, RunFilter, RunSummary};
use pipe_runner::{
    Begun, Pins, RunState, StepStanding,
    course::{Bar, Next},
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
    let mut later = Vec::new();
    for run in open.iter().filter(|run| run.outcome == Some(Outcome::Succeeded)) {
        let begun = Begun::of(&run.run, &reader.events(&run.run)?)?;
        later.extend(next_phase(&begun, &state).map(|next| (run.clone(), next)));
    }
    open.retain(open::is_open);
    for (run, next) in &later {
        print(run, &still_to_come(run, next, &state), printer);
    }
    if open.is_empty() && later.is_empty() && !printer.json() {
        printer.talk(&format!("every run in {} has ended", state.display()));
    }
    for run in &open {
        let begun = Begun::of(&run.run, &reader.events(&run.run)?)?;
        let mut standing = standing(run, &begun.state, &state);
        if let ("waiting", Some(Next::Barred(bar))) = (standing.word, next_phase(&begun, &state)) {
            standing.what = bar.to_string();
            if let Some(resume) = standing.next.first_mut() {
                *resume = resume_late(run, &bar, &state);
            }
        }
        print(run, &standing, printer);
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

/// What comes next where that is a matter of phases, in a run that has not ended or has succeeded. Nothing where its copies are
/// gone: then nothing comes next.
fn next_phase(begun: &Begun, state: &Path) -> Option<Next> {
    let pipeline = begun.pipeline(&Pins::of(state)).ok()?.pipeline;
    pipeline.window.as_ref()?;
    Some(begun.next(&pipeline, jiff::Timestamp::now())).filter(|next| !matches!(next, Next::End(..)))
}

/// A run that has succeeded, and has phases after that.
fn still_to_come(run: &RunSummary, next: &Next, state: &Path) -> Standing {
    let resume = format!("pipe resume {} --state {}", run.run, places::in_shell(state));
    match next {
        Next::Barred(bar) => {
            Standing { word: "succeeded", what: bar.to_string(), next: vec![resume_late(run, bar, state)] }
        }
        _ => Standing { word: "succeeded", what: "its next phase is due".to_owned(), next: vec![resume] },
    }
}

/// How somebody goes on with a run whose phase does not begin.
fn resume_late(run: &RunSummary, bar: &Bar, state: &Path) -> String {
    let late = if bar.passes() { "" } else { " --late --reason '…'" };
    format!("pipe resume {}{late} --state {}", run.run, places::in_shell(state))
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
    let asked = begun.filter(|step| step.open && step.attempt_touched);
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
        None => vec![command("resume", ""), undo()],
    };
    Standing { word: "waiting", what: why, next }
}

/// A step as one word of a command: names may hold spaces.
fn step_in_shell(step: &StepId) -> String {
    format!("'{}'", step.to_string().replace('\'', r"'\''"))
}
