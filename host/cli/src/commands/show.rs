//! `pipe show`.

mod html;
mod markdown;
mod text;
mod told;
mod waves;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use pipe_journal::{Reader, Recorded, RunSummary, StoredEvent};
use pipe_runner::report::Report;

use super::{history, loading, output_file, ownership};
use crate::{
    exit::Exit,
    failure::Failure,
    printer::{Printer, QUIET, harmless_json, styled},
    reporter,
};

/// Report on one run: what was done, by whom, what was decided, and how it ended
///
/// The report is made of the record alone: checklist, decisions, steps with their attempts and findings, rollback, artifacts,
/// refusals, notifications. `--events` lists what happened, one event after the other.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The run: its name or the beginning of it, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,

    /// The pipeline file whose `state` directory holds it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Format of the report [default: text; with `--output json` and no format, the events as JSON lines]
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    report_format: Option<ReportFormat>,

    /// Write the report to a file
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Every event instead, in order; `--verbose` adds every use of a capability
    #[arg(long, conflicts_with_all = ["report_format", "out"])]
    events: bool,
}

/// A format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a terminal
    Text,
    /// For programs
    Json,
    /// For the ticket of the change
    Markdown,
    /// One page, to be kept
    Html,
}

/// Shows the run.
pub(crate) fn show(
    arguments: &ShowArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
) -> Result<Exit, Failure> {
    let state = loading::reading_state(state, arguments.file.as_deref())?;
    let reader = Reader::open(&state)?;
    let run = loading::find_run(&reader, &arguments.run)?;
    let running = ownership::is_held(&state, &run.pipeline, &run.environment);
    let events = reader.events(&run.run)?;
    let broken = reader.verify(None).err().map(|error| error.to_string());
    if let Some(broken) = &broken {
        printer.warning(&format!("{broken}: what follows is not to be trusted"));
    }
    let asked = arguments.report_format.is_some() || arguments.out.is_some();
    if arguments.events || printer.json() && !asked {
        list(&run, running, &events, verbose, printer);
        return Ok(Exit::Succeeded);
    }
    let mut report = Report::of(&run.run, &events, running)?;
    report.record.broken = broken;
    let written = written(&report, arguments.report_format.unwrap_or(ReportFormat::Text), printer.json())?;
    match &arguments.out {
        Some(path) => {
            let plain = anstream::adapter::strip_str(&written).to_string();
            output_file::write(path, &[&state], |file| Ok(writeln!(file, "{plain}")?))?;
        }
        None => printer.result(&written),
    }
    Ok(Exit::Succeeded)
}

/// The report in a format, without a line's end after it.
fn written(report: &Report, format: ReportFormat, lines: bool) -> Result<String, Failure> {
    let json = if lines { serde_json::to_string(report) } else { serde_json::to_string_pretty(report) };
    match format {
        ReportFormat::Text => Ok(text::report(report)),
        ReportFormat::Markdown => Ok(markdown::report(report)),
        ReportFormat::Html => Ok(html::report(report)),
        ReportFormat::Json => json
            .map(harmless_json)
            .map_err(|error| Failure::new(Exit::Internal, format!("cannot write the report as JSON: {error}"))),
    }
}

/// Every event, in order.
fn list(run: &RunSummary, running: bool, events: &[StoredEvent], verbose: bool, printer: Printer) {
    if printer.json() {
        for event in events {
            let what = match &event.event {
                Recorded::Known(kind) => serde_json::to_value(kind).unwrap_or_default(),
                Recorded::Unknown(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
            };
            printer.value(&serde_json::json!({
                "schema": pipe_core::event::SCHEMA, "run": event.run, "seq": event.seq, "at": event.at, "what": what,
            }));
        }
        return;
    }
    let conclusion = history::styled_conclusion(history::concluded(run, running, events));
    printer.result(&format!("{}  {conclusion}  {} {}", run.run, run.pipeline, run.environment));
    let inputs: Vec<String> = run.inputs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !inputs.is_empty() {
        printer.result(&format!("inputs {}", inputs.join(" ")));
    }
    if let Some(reason) = &run.reason {
        printer.result(&format!("reason {reason}"));
    }
    printer.result("");
    for event in events {
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
}
