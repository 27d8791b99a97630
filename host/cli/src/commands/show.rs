//! `pipe show`.

use std::path::{Path, PathBuf};

use clap::Args;
use pipe_journal::{Reader, Recorded};

use super::{history, loading};
use crate::{
    exit::Exit,
    failure::Failure,
    printer::{Printer, QUIET, styled},
    reporter,
};

/// Show one run: what happened, in order, with every refusal; `--verbose` adds every use of a capability
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The run: its name or the beginning of it, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,

    /// The pipeline file whose `state` directory holds it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Shows the run.
pub(crate) fn show(
    arguments: &ShowArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
) -> Result<Exit, Failure> {
    let reader = Reader::open(&loading::reading_state(state, arguments.file.as_deref())?)?;
    let run = loading::find_run(&reader, &arguments.run)?;
    let events = reader.events(&run.run)?;
    if printer.json() {
        for event in &events {
            let what = match &event.event {
                Recorded::Known(kind) => serde_json::to_value(kind).unwrap_or_default(),
                Recorded::Unknown(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
            };
            printer.value(&serde_json::json!({
                "schema": pipe_core::event::SCHEMA, "run": event.run, "seq": event.seq, "at": event.at, "what": what,
            }));
        }
        return Ok(Exit::Succeeded);
    }
    printer.result(&format!("{}  {} {} {}", run.run, history::outcome(run.outcome), run.pipeline, run.environment));
    let inputs: Vec<String> = run.inputs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !inputs.is_empty() {
        printer.result(&format!("inputs {}", inputs.join(" ")));
    }
    if let Some(reason) = &run.reason {
        printer.result(&format!("reason {reason}"));
    }
    printer.result("");
    for event in &events {
        let lines = match &event.event {
            Recorded::Known(kind) => reporter::event_lines(kind, verbose),
            Recorded::Unknown(_) => vec!["an event that a later version of pipe wrote".to_owned()],
        };
        let mut at = event.at.strftime("%H:%M:%S").to_string();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            printer.result(&format!("{} {line}", styled(QUIET, &at)));
            at = " ".repeat(8);
        }
    }
    Ok(Exit::Succeeded)
}
