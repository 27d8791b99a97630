//! `pipe audit`.

mod html;
pub(super) mod markdown;
mod sarif;
pub(super) mod text;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use pipe_journal::{JournalError, Reader};
use pipe_pipeline::Document;
use pipe_runner::{Audit, AuditSources, AuditedPlugin, CheckText, Finding, Reach, Reached, RunsSeen, Severity};

use super::{loading, lock::Locking, output_file};
use crate::{
    arguments::Selection,
    exit::Exit,
    failure::Failure,
    printer::{Printer, count, harmless_json, visible},
};

/// Say what every plugin of a pipeline may do, can do and did do, and what of it wants a look
///
/// Touches nothing and runs no stage: plugins are described with nothing granted, the pipeline file is read for one
/// environment, and the last runs in the state directory say what was used and refused. There is one row for each step,
/// rollback step and notification, with its plugin, the interfaces that the binary imports, what its vendor says it needs,
/// and each rule of its grant with its line and last use.
#[derive(Debug, Args)]
#[command(after_help = checks_explained())]
pub(crate) struct AuditArguments {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    locking: Locking,

    /// Format of the report [default: text, or json with `--output json`]
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    report_format: Option<ReportFormat>,

    /// Write the report to a file
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// End with exit code 9 where there is a finding this bad or worse
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
}

/// A format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a terminal
    Text,
    /// For programs
    Json,
    /// For a comment on a change
    Markdown,
    /// One page, for people who decide
    Html,
    /// For code scanning: SARIF 2.1.0
    Sarif,
}

/// The least severity that makes the command fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// What should not be deployed as it is
    Error,
    /// What wants a look and an answer
    Warning,
    /// Everything
    Note,
    /// Nothing
    Never,
}

/// Audits the pipeline.
pub(crate) async fn audit(arguments: &AuditArguments, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let policies = loading::policies(&arguments.selection)?;
    let loaded = loading::load(&arguments.selection, arguments.locking, state, printer)?;
    let document = loading::document(&arguments.selection.file)?;
    let (pipeline, state) = (&loaded.checked.pipeline, &loaded.state);
    let seen = look_back(state, &document, &pipeline.environment);
    let untrusted = seen.as_ref().err().map(|error| (error.to_string(), error.hint()));
    let sandbox = loading::sandbox(printer)?;
    let sources = AuditSources {
        policies: &policies,
        seen: seen.as_ref().ok().and_then(Option::as_ref),
        untrusted: untrusted.as_ref().map(|(why, hint)| (why.as_str(), hint.as_deref())),
        made: loaded.started,
        pipe_version: env!("CARGO_PKG_VERSION"),
    };
    let audit = pipe_runner::audit(pipeline, &sandbox, crate::standard::component, sources).await?;
    let format =
        arguments.report_format.unwrap_or(if printer.json() { ReportFormat::Json } else { ReportFormat::Text });
    let report = report(&audit, format, printer.json())?;
    match &arguments.out {
        Some(path) => {
            let plain = anstream::adapter::strip_str(&report).to_string();
            output_file::write(path, &[&arguments.selection.file, state], |file| Ok(writeln!(file, "{plain}")?))?;
        }
        None => printer.result(&report),
    }
    let failed = arguments.fail_on.least().is_some_and(|least| audit.findings.iter().any(|one| one.severity >= least));
    Ok(if failed { Exit::Found } else { Exit::Succeeded })
}

impl FailOn {
    const fn least(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Note => Some(Severity::Note),
            Self::Never => None,
        }
    }
}

/// What earlier runs say. An audit goes on where there is no record. One that cannot be read, or is not what was written, is a
/// finding of its own, and nothing is told from it.
fn look_back(state: &Path, document: &Document, environment: &str) -> Result<Option<RunsSeen>, JournalError> {
    match Reader::open(state).and_then(|reader| pipe_runner::look_back(&reader, document, environment)) {
        Err(JournalError::Missing { .. }) => Ok(None),
        seen => seen,
    }
}

/// The report in a format, without a line's end after it. JSON for programs that read lines is one line.
fn report(audit: &Audit, format: ReportFormat, lines: bool) -> Result<String, Failure> {
    let json = |value: serde_json::Result<String>| match value {
        Ok(text) => Ok(harmless_json(text)),
        Err(error) => Err(Failure::new(Exit::Internal, format!("cannot write the report as JSON: {error}"))),
    };
    match format {
        ReportFormat::Text => Ok(text::report(audit)),
        ReportFormat::Json if lines => json(serde_json::to_string(audit)),
        ReportFormat::Json => json(serde_json::to_string_pretty(audit)),
        ReportFormat::Markdown => Ok(markdown::report(audit)),
        ReportFormat::Html => Ok(html::report(audit)),
        ReportFormat::Sarif => json(serde_json::to_string_pretty(&sarif::report(audit))),
    }
}

/// The policies above a pipeline: `no policy`, or their files.
fn policies(audit: &Audit) -> String {
    let files: Vec<String> = audit.policies.iter().map(|policy| visible(&policy.file.display().to_string())).collect();
    if files.is_empty() { "no policy".to_owned() } else { format!("policy {}", files.join(" and ")) }
}

/// Why no run is told of.
fn no_runs(audit: &Audit) -> &'static str {
    match audit.record_problem {
        Some(_) => "the record of earlier runs is not to be trusted",
        None => "no finished run to look at",
    }
}

/// Whom a finding is about: `step "backup"`, with names as `name` writes them.
fn whom(finding: &Finding, name: impl Fn(&str) -> String) -> String {
    match &finding.peer {
        Some(peer) => format!("peer {}", name(peer)),
        None if finding.steps.is_empty() => "the record".to_owned(),
        None => format!("step {}", name(&some_steps(&finding.steps))),
    }
}

/// The names of `steps`, but not without end.
fn some_steps(steps: &[String]) -> String {
    const MOST: usize = 4;
    let named: Vec<String> = steps.iter().take(MOST).map(|step| visible(step)).collect();
    match steps.len().saturating_sub(MOST) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Things of one kind that are touched in the same way by the same steps, told together: their names, and one of them for
/// all.
fn grouped(reach: &Reach) -> Vec<(Vec<&str>, &Reached)> {
    let mut groups: Vec<(Vec<&str>, &Reached)> = Vec::new();
    for thing in &reach.things {
        let alike = |other: &Reached| {
            let addressless = other.address.is_none() && thing.address.is_none();
            addressless && other.how == thing.how && other.steps == thing.steps && other.flag == thing.flag
        };
        match groups.iter_mut().find(|(_, other)| alike(other)) {
            Some((names, _)) => names.push(&thing.what),
            None => groups.push((vec![&thing.what], thing)),
        }
    }
    groups
}

/// The words that a plugin's imports are good for, each once. Files are not told from imports.
fn imported(plugin: &AuditedPlugin) -> Vec<&str> {
    let mut words: Vec<&str> = plugin.imports.iter().filter_map(|import| import.word).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The words that a plugin says it will ask for, each once.
fn asked(plugin: &AuditedPlugin) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    for request in &plugin.requests {
        if !words.contains(&request.word.as_str()) {
            words.push(&request.word);
        }
    }
    words
}

/// What is asked, for `pipe audit --help`.
fn checks_explained() -> String {
    let line = |check: CheckText| format!("  {:<8} {:<24} {}", check.severity.word(), check.id, check.title);
    let checks: Vec<String> = pipe_runner::audit_checks().into_iter().map(line).collect();
    format!(
        "Findings, with their usual severity:\n{}\n\n\
         What a policy covers is decided: reveals-secret, secret-in-reach, native-code, in-the-clear, \
         wide-pattern and write then count one step less. Imports say which words a binary can use at all: pipe:host/sql, \
         process, artifact, disk, environment, secret, tls and mail, wasi:http/outgoing-handler and wasi:sockets. Every plugin \
         imports wasi:cli, wasi:clocks, wasi:filesystem, wasi:io and wasi:random, which therefore tell nothing: files and \
         variables can be used by each.",
        checks.join("\n")
    )
}
