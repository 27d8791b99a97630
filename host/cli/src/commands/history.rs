//! `pipe history`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use pipe_core::event::Outcome;
use pipe_journal::{Reader, RunFilter, RunSummary, StoredEvent};
use pipe_runner::{RunState, report::Conclusion};

use super::{loading, ownership};
use crate::{
    exit::Exit,
    failure::Failure,
    printer::{BAD, CAREFUL, GOOD, Printer, QUIET, STRONG, styled, visible},
    reporter::took,
};

/// List the runs, newest first: how each stands, when it began, how long it took, who started it and with which inputs
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// Only runs of this pipeline file, and its `state` directory
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Only runs in this environment
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,

    /// At most so many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Format of the list [default: text, or json with `--output json`]
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    list_format: Option<ListFormat>,
}

/// A format of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For a terminal
    Text,
    /// For programs: one line each
    Json,
    /// An entry of a few lines each, as the history plugin writes them
    Markdown,
}

/// A run, and how it stands. Nothing where a later version ended it in a way that this one does not know.
struct Listed {
    run: RunSummary,
    conclusion: Option<Conclusion>,
}

/// Lists the runs.
pub(crate) fn history(arguments: &HistoryArguments, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let state = loading::reading_state(state, arguments.file.as_deref())?;
    let pipeline = match &arguments.file {
        Some(path) => Some(loading::document(path)?.name().to_owned()),
        None => None,
    };
    let filter =
        RunFilter { pipeline, environment: arguments.env.clone(), limit: usize::try_from(arguments.limit).ok() };
    let reader = Reader::open(&state)?;
    let format = arguments.list_format.unwrap_or(if printer.json() { ListFormat::Json } else { ListFormat::Text });
    let mut newer = BTreeSet::new();
    let mut listed = Vec::new();
    for run in reader.runs(&filter)? {
        // Only the newest of a pipeline and environment can be the one that a process is at.
        let newest = newer.insert((run.pipeline.clone(), run.environment.clone()));
        let conclusion = match (run.finished, run.outcome) {
            (Some(_), outcome) => outcome.map(Conclusion::Ended),
            (None, _) => {
                let running = newest && ownership::is_held(&state, &run.pipeline, &run.environment);
                concluded(&run, running, &reader.events(&run.run)?)
            }
        };
        listed.push(Listed { run, conclusion });
    }
    if listed.is_empty() && format != ListFormat::Json {
        let of = arguments
            .env
            .as_ref()
            .map_or_else(String::new, |environment| format!(" in the environment `{environment}`"));
        printer.talk(&format!("no runs{of} in {}", state.display()));
    }
    match format {
        ListFormat::Json => listed.iter().for_each(|one| printer.value(&as_json(one))),
        ListFormat::Text => table(&listed).iter().for_each(|line| printer.result(line)),
        ListFormat::Markdown => listed.iter().for_each(|one| printer.result(&entry(one))),
    }
    Ok(Exit::Succeeded)
}

/// How a run stands, by its events.
pub(crate) fn concluded(run: &RunSummary, running: bool, events: &[StoredEvent]) -> Option<Conclusion> {
    if run.finished.is_some() && run.outcome.is_none() {
        return None;
    }
    let state = RunState::of(events.iter().filter_map(|stored| stored.event.known()));
    Some(Conclusion::of(&state, running))
}

/// One run for programs.
fn as_json(one: &Listed) -> serde_json::Value {
    let run = &one.run;
    serde_json::json!({
        "schema": "pipe.run/v1", "run": run.run, "pipeline": run.pipeline, "environment": run.environment,
        "started": run.started, "finished": run.finished, "took_ms": took_ms(run), "outcome": run.outcome,
        "standing": word(one.conclusion), "actor": run.actor, "inputs": run.inputs, "reason": run.reason,
    })
}

/// From its start to its last end, pauses included.
fn took_ms(run: &RunSummary) -> Option<u64> {
    run.finished.map(|finished| u64::try_from(finished.duration_since(run.started).as_millis()).unwrap_or_default())
}

/// One line for each run, in columns, and below it why it did not succeed.
fn table(listed: &[Listed]) -> Vec<String> {
    let rows: Vec<[String; 7]> = listed.iter().map(columns).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut lines = Vec::new();
    for (one, row) in listed.iter().zip(&rows) {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let padded = format!("{cell:<width$}");
            match column {
                0 => styled(STRONG, &padded),
                1 => styled(style(one.conclusion), &padded),
                4 | 5 => styled(QUIET, &padded),
                _ => padded,
            }
        });
        let inputs: String =
            one.run.inputs.iter().map(|(name, value)| format!("  {}={}", visible(name), visible(value))).collect();
        lines.push(format!("{}{inputs}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned());
        lines.extend(one.run.reason.iter().map(|reason| styled(QUIET, &format!("    {}", visible(reason)))));
    }
    lines
}

fn columns(one: &Listed) -> [String; 7] {
    let run = &one.run;
    [
        run.run.to_string(),
        word(one.conclusion).to_owned(),
        visible(&run.pipeline),
        visible(&run.environment),
        run.started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        took_ms(run).map_or_else(|| "-".to_owned(), took),
        visible(&run.actor),
    ]
}

/// As the runbooks keep it. The version is the input of that name, else all inputs.
fn entry(one: &Listed) -> String {
    let run = &one.run;
    let all = || run.inputs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let version = run.inputs.get("version").cloned().unwrap_or_else(all);
    let status = match one.conclusion {
        None => "Ended",
        Some(Conclusion::Running) => "Running",
        Some(Conclusion::Waiting) => "Waiting",
        Some(Conclusion::CutOff) => "Cut Off",
        Some(Conclusion::Ended(outcome)) => match outcome {
            Outcome::Succeeded => "Successful",
            Outcome::Failed => "Failed",
            Outcome::RolledBack => "Rolled Back",
            Outcome::RollbackFailed => "Rollback Failed",
            Outcome::Interrupted => "Interrupted",
            Outcome::Abandoned => "Abandoned",
        },
    };
    let date = run.finished.unwrap_or(run.started).strftime("%a %b %e %H:%M:%S UTC %Y");
    let reason = run.reason.as_ref().map(|reason| format!("  Reason: {}\n", visible(reason))).unwrap_or_default();
    format!(
        "- Deployment ID: {}\n  Date: {date}\n  Version: {}\n  Status: {status}\n{reason}",
        run.run,
        visible(&version)
    )
}

const fn word(conclusion: Option<Conclusion>) -> &'static str {
    match conclusion {
        Some(conclusion) => conclusion.word(),
        None => "ended",
    }
}

const fn style(conclusion: Option<Conclusion>) -> anstyle::Style {
    match conclusion {
        Some(Conclusion::Ended(Outcome::Succeeded)) => GOOD,
        Some(
            Conclusion::Ended(Outcome::RolledBack | Outcome::Interrupted) | Conclusion::Waiting | Conclusion::Running,
        ) => CAREFUL,
        _ => BAD,
    }
}

/// How a run stands, to be printed.
pub(crate) fn styled_conclusion(conclusion: Option<Conclusion>) -> String {
    styled(style(conclusion), word(conclusion))
}
