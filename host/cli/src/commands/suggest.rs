//! `pipe suggest`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::{
    digest::Digest,
    event::{EventKind, Outcome, PlannedStep},
};
use pipe_journal::{Reader, Recorded, RunFilter, RunSummary, StoredEvent};
use pipe_pipeline::{
    Advice, Document, EntryAdvice, NO_ENVIRONMENT, RuleAdvice, RunFacts, Selection, Suggestion, activity,
};
use serde_json::{Value, json};
use similar::TextDiff;

use super::{loading, log::not_as_written};
use crate::{
    exit::Exit,
    failure::Failure,
    places,
    printer::{CAREFUL, GOOD, Printer, QUIET, STRONG, styled},
};

/// Suggest the smallest grants that would have sufficed for a run, from what it used
///
/// Says of every rule of the pipeline file whether the run used it, and what would have sufficed in its place; `--patch` prints
/// the same as a patch. Only steps that succeeded are judged. A run shows what was needed once: what an undo, another
/// environment or a bad day needs is for the reader to add.
#[derive(Debug, Args)]
pub(crate) struct SuggestArguments {
    /// The run: its name or the beginning of it, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,

    /// The pipeline file, where it has moved or changed since; its `state` directory holds the run
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print a unified diff of the pipeline file, for `patch -p0`
    #[arg(long)]
    patch: bool,
}

/// How the run began.
struct Started {
    file: Option<PathBuf>,
    digest: Digest,
    inputs: BTreeMap<String, String>,
    steps: Vec<PlannedStep>,
}

/// Suggests narrower grants.
pub(crate) fn suggest(arguments: &SuggestArguments, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let reader = Reader::open(&loading::reading_state(state, arguments.file.as_deref())?)?;
    // A record that somebody has changed would suggest what that somebody wants to be granted.
    reader.verify(None).map_err(not_as_written)?;
    let run = loading::find_run(&reader, &arguments.run)?;
    let events = reader.events(&run.run)?;
    let started = started(&run, &events)?;
    let path = arguments.file.clone().or_else(|| started.file.clone().map(near)).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("the run {} does not say which file it ran", run.run))
            .hint("name it with `--file FILE`")
    })?;
    let document = loading::document(&path)?;
    let changed = Digest::of(document.file().text.as_bytes()) != started.digest;
    if changed {
        let message = format!("{} is no longer the file that ran", path.display());
        if arguments.file.is_none() {
            let file = places::in_shell(&path);
            let hint = format!("`--file {file}` holds the run against the file as it is now");
            return Err(Failure::new(Exit::Invalid, message).hint(hint));
        }
        printer.warning(&format!("{message}: uses count for the rules that still have the same text"));
    }
    let selection = selection(&reader, &run, &document, &started)?;
    let known = events.iter().filter_map(|event| match &event.event {
        Recorded::Known(kind) => Some(kind),
        Recorded::Unknown(_) => None,
    });
    let suggestion = pipe_pipeline::suggest(&document, &selection, &activity(known))?;
    let patch = patch(&path, &document.file().text, &suggestion.text);
    if printer.json() {
        printer.value(&as_json(&run, &path, changed, &suggestion, &patch));
    } else if !arguments.patch {
        print(&run, &suggestion, &started.steps, printer);
        if !patch.is_empty() {
            let applied = match path.is_absolute() {
                true => format!("patch {}", places::in_shell(&path)),
                false => "patch -p0".to_owned(),
            };
            printer.talk(&format!("`pipe suggest {} --patch | {applied}` changes the file so", arguments.run));
        }
    } else if patch.is_empty() {
        printer.talk("nothing narrower would have sufficed: there is nothing to patch");
    } else {
        printer.result(patch.strip_suffix('\n').unwrap_or(&patch));
    }
    Ok(Exit::Succeeded)
}

/// The first event of a run.
fn started(run: &RunSummary, events: &[StoredEvent]) -> Result<Started, Failure> {
    let found = events.iter().find_map(|event| match &event.event {
        Recorded::Known(EventKind::RunStarted { file, pipeline_digest, inputs, steps, .. }) => Some(Started {
            file: file.as_ref().map(PathBuf::from),
            digest: *pipeline_digest,
            inputs: inputs.clone(),
            steps: steps.clone(),
        }),
        _ => None,
    });
    found.ok_or_else(|| {
        Failure::new(Exit::Invalid, format!("how the run {} began is not in its record", run.run))
            .hint("`pipe log verify` says whether the record is whole")
    })
}

/// The file as that run selected it.
fn selection(reader: &Reader, run: &RunSummary, document: &Document, started: &Started) -> Result<Selection, Failure> {
    let filter = RunFilter {
        pipeline: Some(run.pipeline.clone()),
        environment: Some(run.environment.clone()),
        ..RunFilter::default()
    };
    let before = reader
        .runs(&filter)?
        .into_iter()
        .find(|other| other.started < run.started && other.outcome == Some(Outcome::Succeeded) && other.run != run.run);
    let has_environments = document.environments().next().is_some();
    Ok(Selection {
        environment: (has_environments || run.environment != NO_ENVIRONMENT).then(|| run.environment.clone()),
        inputs: started.inputs.clone(),
        // Of those before the first there may be none, and no grant depends on them.
        previous: started.inputs.clone().into_iter().chain(before.map(|run| run.inputs).unwrap_or_default()).collect(),
        run: RunFacts { id: run.run.clone(), started: run.started },
    })
}

/// A path as it is named from here, where it lies below.
fn near(path: PathBuf) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).map(Path::to_owned).unwrap_or(path)
}

/// A unified diff. Empty where nothing is changed.
fn patch(path: &Path, before: &str, after: &str) -> String {
    let name = path.display().to_string();
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&format!("{name}\t"), &format!("{name}\t"))
        .to_string()
}

fn print(run: &RunSummary, suggestion: &Suggestion, planned: &[PlannedStep], printer: Printer) {
    printer.result(&format!("{}  {} {}", run.run, run.pipeline, run.environment));
    let mut counts = [0, 0, 0];
    for entry in &suggestion.entries {
        printer.result(&format!("\n{}", styled(STRONG, &entry.name)));
        if let Some(why) = &entry.unknown {
            printer.result(&styled(QUIET, &format!("  {:<6}  everything: {why}", "keep")));
            continue;
        }
        for rule in &entry.rules {
            counts[match rule.advice {
                Advice::Keep => 0,
                Advice::Narrow(_) => 1,
                Advice::Drop => 2,
            }] += 1;
            for line in lines(rule) {
                printer.result(&line);
            }
        }
    }
    let [kept, narrowed, dropped] = counts;
    printer.result(&format!("\n{kept} rules needed as they are, {narrowed} wider than needed, {dropped} not used"));
    if let Some(step) = suggestion.entries.iter().find(|entry| undo_is_unknown(entry, planned)) {
        printer.warning(&format!("nothing undid \"{}\" in this run: what that needs is not in its record", step.name));
    }
}

/// Whether less is suggested for a step that can be undone, and was not.
fn undo_is_unknown(entry: &EntryAdvice, planned: &[PlannedStep]) -> bool {
    let reversible = planned.iter().any(|planned| planned.step.name == entry.name && planned.reversible);
    reversible && !entry.undone && entry.rules.iter().any(|rule| rule.advice != Advice::Keep)
}

fn lines(rule: &RuleAdvice) -> Vec<String> {
    let uses = match rule.uses {
        1 => "1 use".to_owned(),
        uses => format!("{uses} uses"),
    };
    let one_line = rule.rule.split_whitespace().collect::<Vec<_>>().join(" ");
    let of = format!("allow.{} {one_line}", rule.word);
    match &rule.advice {
        Advice::Keep => vec![format!("  {}    {of}  {}", styled(GOOD, "keep"), styled(QUIET, &uses))],
        Advice::Drop => {
            vec![format!("  {}    {of}  {}", styled(CAREFUL, "drop"), styled(QUIET, &rule.why))]
        }
        Advice::Narrow(to) => {
            let why = styled(QUIET, &format!("{}; {uses}", rule.why));
            let to = to.iter().map(|(word, rule)| format!("      to  allow.{word} {rule}"));
            std::iter::once(format!("  {}  {of}  {why}", styled(CAREFUL, "narrow"))).chain(to).collect()
        }
    }
}

fn as_json(run: &RunSummary, path: &Path, changed: bool, suggestion: &Suggestion, patch: &str) -> Value {
    let rule = |rule: &RuleAdvice| {
        let (advice, to) = match &rule.advice {
            Advice::Keep => ("keep", Vec::new()),
            Advice::Narrow(to) => {
                ("narrow", to.iter().map(|(word, rule)| json!({ "word": word, "rule": rule })).collect())
            }
            Advice::Drop => ("drop", Vec::new()),
        };
        json!({
            "word": rule.word, "rule": rule.rule, "uses": rule.uses, "advice": advice, "to": to, "why": rule.why,
        })
    };
    let entry = |entry: &EntryAdvice| {
        json!({
            "name": entry.name, "unknown": entry.unknown, "undone": entry.undone,
            "rules": entry.rules.iter().map(rule).collect::<Vec<_>>(),
        })
    };
    json!({
        "schema": "pipe.suggestion/v1", "run": run.run, "pipeline": run.pipeline, "environment": run.environment,
        "file": path, "file_changed": changed, "entries": suggestion.entries.iter().map(entry).collect::<Vec<_>>(),
        "patch": patch,
    })
}
