//! A pipeline against what its plugins say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::{diagnostic::Diagnostic, stage::Stage, text::in_shell};
use serde_json::Value;

use crate::{
    pipeline::{Pipeline, PluginSource, RollbackEntry, Step},
    report::Report,
    schema::{Compiled, Openness, Problem},
    settings::OpenValue,
};

/// What is known of a plugin before it runs. Data: it comes from the sandbox.
#[derive(Clone, Debug)]
pub struct PluginFacts {
    /// The contract it implements.
    pub stage: Stage,
    /// The schema of its settings, from [`read_schema`](crate::read_schema).
    pub schema: Value,
    /// Whether it exports `undo`.
    pub reversible: bool,
}

/// Everything that a pipeline asks of its plugins and they do not offer. `facts` are by the keys of [`Pipeline::plugins`].
#[must_use]
pub fn check_against_plugins(pipeline: &Pipeline, facts: &BTreeMap<String, PluginFacts>) -> Vec<Diagnostic> {
    let report = Report::new(&pipeline.file);
    let mut compiled = BTreeMap::new();
    for (name, facts) in facts {
        match Compiled::new(&facts.schema) {
            Ok(schema) => {
                compiled.insert(name.as_str(), schema);
            }
            Err(refused) => {
                let step = pipeline.calls().find(|step| step.plugin == *name);
                let diagnostic = Diagnostic::error("plugin-schema", format!("plugin `{name}`: {refused}"));
                report.push(match step {
                    Some(step) => diagnostic.at(&pipeline.file, step.plugin_span.clone(), ""),
                    None => diagnostic,
                });
            }
        }
    }
    for step in pipeline.calls() {
        let Some(facts) = facts.get(&step.plugin) else {
            let message = format!("nothing is known about the plugin `{}`", step.plugin);
            report.error("unknown-plugin", message, step.plugin_span.clone(), "");
            continue;
        };
        if facts.stage != step.stage {
            let message =
                format!("`{}` is a plugin for the stage {}, and this calls {}", step.plugin, facts.stage, step.stage);
            report.error("wrong-stage", message, step.plugin_span.clone(), "");
        } else if let Some(schema) = compiled.get(step.plugin.as_str()) {
            settings(&report, pipeline, step, schema);
            waves(&report, step, &facts.schema);
        }
    }
    undo(&report, pipeline, facts);
    backup_first(&report, pipeline);
    report.into_diagnostics()
}

fn settings(report: &Report, pipeline: &Pipeline, step: &Step, schema: &Compiled<'_>) {
    let open = |pointer: &[String]| {
        let here = step.settings.locate(pointer);
        match here.value {
            OpenValue::Text(_) => Openness::Open,
            _ if here.is_open() => Openness::Inside,
            _ => Openness::Closed,
        }
    };
    for Problem { pointer, key, message, hints, .. } in schema.problems(&step.settings.with_placeholders(), &open) {
        let here = step.settings.locate(&pointer);
        let span = key.map_or_else(|| here.span.clone(), |key| here.key_span(&key));
        let hints = if hints.is_empty() { vec![look_up(pipeline, step)] } else { hints };
        let diagnostic = Diagnostic::error("settings", message).at(report.file(), span, "");
        report.push(hints.into_iter().fold(diagnostic, Diagnostic::hint));
    }
}

/// A plugin that takes no waves would find out in the middle of the run.
fn waves(report: &Report, step: &Step, schema: &Value) {
    if step.waves.is_empty() || takes_waves(schema, &step.settings.with_placeholders()) {
        return;
    }
    let settings = step.settings.with_placeholders();
    let kind =
        settings.get("kind").and_then(Value::as_str).map(|kind| format!(" of kind `{kind}`")).unwrap_or_default();
    let message = format!("the step `{}` has waves, and `{}`{kind} releases all at once", step.id.name, step.plugin);
    let hint = "leave `waves` out, or let a step move the traffic: `with = { kind = \"traffic-shift\", … }`";
    report.advise("no-waves", message, step.span.clone(), hint);
}

/// Whether the schema says so: `"x-waves": true`, on the whole or on the kind that the settings choose.
fn takes_waves(schema: &Value, settings: &Value) -> bool {
    let says = |part: &Value| part.get("x-waves") == Some(&Value::Bool(true));
    let chosen = |choice: &&Value| {
        let words = choice.pointer("/if/properties").and_then(Value::as_object);
        words.is_some_and(|words| {
            !words.is_empty() && words.iter().all(|(key, word)| word.get("const") == settings.get(key))
        })
    };
    let choices = schema.get("allOf").and_then(Value::as_array);
    says(schema) || choices.into_iter().flatten().filter(chosen).filter_map(|choice| choice.get("then")).any(says)
}

/// Advice for settings about which nothing better is known.
fn look_up(pipeline: &Pipeline, step: &Step) -> String {
    let plugin = match pipeline.plugins.get(&step.plugin) {
        Some(PluginSource::File { path, .. }) => path.display().to_string(),
        _ => step.plugin.clone(),
    };
    let plugin = in_shell(&plugin);
    format!("`pipe inspect {plugin} --schema` prints what the plugin takes")
}

/// The order rule: a migration has a backup of the same run before it, or somebody who accepts that there is none.
fn backup_first(report: &Report, pipeline: &Pipeline) {
    let mut backed_up = false;
    for step in &pipeline.steps {
        backed_up |= step.stage == Stage::Backup;
        if step.stage == Stage::Migrate && !backed_up && step.without_backup.is_none() {
            report.advise(
                "order-rule",
                format!("the migration `{}` has no backup before it", step.id.name),
                step.span.clone(),
                "a `[[step]]` with `stage = \"backup\"` above it, or `without_backup = { role = \"…\", reason = \"…\" }`: who \
                 accepts that there is none, and why",
            );
        }
    }
}

/// Steps that change things can be undone, and are, unless the file says otherwise.
fn undo(report: &Report, pipeline: &Pipeline, facts: &BTreeMap<String, PluginFacts>) {
    let undone: Option<BTreeSet<&str>> = pipeline.rollback.as_ref().map(|entries| {
        let undone = entries.iter().filter_map(|entry| match entry {
            RollbackEntry::Undo { step, .. } => Some(step.as_str()),
            RollbackEntry::Run(_) | RollbackEntry::Gate(_) => None,
        });
        undone.collect()
    });
    for step in &pipeline.steps {
        let Some(facts) = facts.get(&step.plugin) else { continue };
        let name = &step.id.name;
        let changes = matches!(step.stage, Stage::Migrate | Stage::Release);
        if changes && !facts.reversible && !step.irreversible {
            let message =
                format!("the step `{name}` changes things, and its plugin `{}` cannot undo that", step.plugin);
            report.advise(
                "irreversible",
                message,
                step.span.clone(),
                "`irreversible = true`, if the run may go past it",
            );
        }
        let left_out = undone.as_ref().is_some_and(|undone| !undone.contains(name.as_str()));
        if changes && facts.reversible && !step.irreversible && left_out {
            let message = format!("the rollback leaves out the step `{name}`");
            let hint =
                format!("add `[[rollback]]` with `undo = \"{name}\"`, or declare the step `irreversible = true`");
            report.advise("rollback-incomplete", message, step.span.clone(), hint);
        }
    }
    for entry in pipeline.rollback.iter().flatten() {
        let RollbackEntry::Undo { step: name, span, .. } = entry else { continue };
        match pipeline.steps.iter().find(|step| step.id.name == *name) {
            Some(step) if facts.get(&step.plugin).is_some_and(|facts| !facts.reversible) => {
                report.push(
                    Diagnostic::error("not-reversible", format!("the plugin `{}` cannot undo", step.plugin))
                        .at(&pipeline.file, span.clone(), "")
                        .at(&pipeline.file, step.span.clone(), "this step"),
                );
            }
            Some(_) => {}
            None => report.error("unknown-step", format!("there is no step `{name}`"), span.clone(), ""),
        }
    }
}
