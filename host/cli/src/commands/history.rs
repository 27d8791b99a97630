//! `pipe history`.

use std::path::{Path, PathBuf};

use clap::Args;
use pipe_core::event::Outcome;
use pipe_journal::{Reader, RunFilter, RunSummary};

use super::loading;
use crate::{
    exit::Exit,
    failure::Failure,
    printer::{BAD, CAREFUL, GOOD, Printer, QUIET, STRONG, styled},
    reporter::took,
};

/// List the runs, newest first
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
    let runs = Reader::open(&state)?.runs(&filter)?;
    if runs.is_empty() && !printer.json() {
        let of = arguments
            .env
            .as_ref()
            .map_or_else(String::new, |environment| format!(" in the environment `{environment}`"));
        printer.talk(&format!("no runs{of} in {}", state.display()));
    }
    for run in &runs {
        if printer.json() {
            printer.value(&as_json(run));
        } else {
            printer.result(&line(run));
        }
    }
    Ok(Exit::Succeeded)
}

/// One run for programs.
pub(crate) fn as_json(run: &RunSummary) -> serde_json::Value {
    serde_json::json!({
        "schema": "pipe.run/v1", "run": run.run, "pipeline": run.pipeline, "environment": run.environment,
        "started": run.started, "finished": run.finished, "outcome": run.outcome, "actor": run.actor,
        "inputs": run.inputs, "reason": run.reason,
    })
}

fn line(run: &RunSummary) -> String {
    let lasted = run.finished.map_or_else(String::new, |finished| {
        let milliseconds = finished.duration_since(run.started).as_millis();
        format!(" in {}", took(u64::try_from(milliseconds).unwrap_or_default()))
    });
    let inputs: String = run.inputs.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let reason = run.reason.as_ref().map_or_else(String::new, |reason| format!("\n    {reason}"));
    format!(
        "{}  {}  {} {}{}{}{}",
        styled(STRONG, run.run.as_str()),
        outcome(run.outcome),
        run.pipeline,
        run.environment,
        inputs,
        styled(QUIET, &lasted),
        styled(QUIET, &reason),
    )
}

/// How a run ended, as wide as the longest.
pub(crate) fn outcome(outcome: Option<Outcome>) -> String {
    let (style, word) = match outcome {
        None => (CAREFUL, "unfinished"),
        Some(Outcome::Succeeded) => (GOOD, "succeeded"),
        Some(Outcome::Failed) => (BAD, "failed"),
        Some(Outcome::RolledBack) => (CAREFUL, "rolled-back"),
        Some(Outcome::RollbackFailed) => (BAD, "rollback-failed"),
        Some(Outcome::Interrupted) => (CAREFUL, "interrupted"),
        Some(Outcome::Abandoned) => (BAD, "abandoned"),
    };
    styled(style, &format!("{word:<15}"))
}
