//! A document, an environment and its inputs become a pipeline, or everything that stands in the way.

mod expand;
mod gates;
mod inputs;
mod timing;
mod watching;

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::{diagnostic::Diagnostic, id::RunId};

use crate::{
    check::{
        expand::{Expander, Kind},
        gates::Gates,
    },
    document::{Document, RollbackSpec, Sections},
    fields::Located,
    gate::{RoleSpec, StepGate},
    network,
    pipeline::{NO_ENVIRONMENT, Notification, PeerSpec, Pipeline, PluginSource, RollbackEntry},
    place,
    report::{Report, meant},
    reveal::Sources,
    scope::{RunValues, Scope},
    settings::Order,
};

/// What the operator chose, and what is known of this run and the last one.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The environment.
    pub environment: Option<String>,
    /// Values of inputs.
    pub inputs: BTreeMap<String, String>,
    /// Inputs of the last run that succeeded here.
    pub previous: BTreeMap<String, String>,
    /// This run.
    pub run: RunFacts,
}

/// What `${run.…}` is taken from.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Its identity.
    pub id: RunId,
    /// When it was started.
    pub started: jiff::Timestamp,
}

impl RunFacts {
    /// What `${run.started}` stands for: RFC 3339, UTC, to the second.
    #[must_use]
    pub fn started_text(&self) -> String {
        self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// A pipeline that can run, and what is worth a look all the same.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Warnings alone.
    pub warnings: Vec<Diagnostic>,
}

/// Makes a pipeline of a document.
///
/// # Errors
///
/// Everything that is wrong in this environment with these inputs, in the order of the file. Plugins are looked at later, by
/// [`check_against_plugins`](crate::check_against_plugins()).
pub fn check(document: &Document, selection: &Selection) -> Result<Checked, Vec<Diagnostic>> {
    let report = Report::new(&document.file);
    let pipeline = environment(&report, document, selection)
        .and_then(|(environment, sections)| assemble(&report, document, selection, environment, sections));
    match pipeline {
        Some(pipeline) if !report.has_errors() => Ok(Checked { pipeline, warnings: report.into_diagnostics() }),
        _ => Err(report.into_diagnostics()),
    }
}

/// The environment's name and what it changes.
fn environment<'d>(report: &Report, document: &'d Document, selection: &Selection) -> Option<(&'d str, &'d Sections)> {
    let known: Vec<&str> = document.environments().collect();
    let Some(chosen) = &selection.environment else {
        if let Some(sections) = document.sections.get(&None) {
            return Some((NO_ENVIRONMENT, sections));
        }
        let names: Vec<String> = known.iter().map(|name| format!("`--env {name}`")).collect();
        report.push(
            Diagnostic::error("missing-environment", "no environment is chosen, and there is no default")
                .hint(names.join(" or ")),
        );
        return None;
    };
    if let Some((Some(name), sections)) = document.sections.get_key_value(&Some(chosen.clone())) {
        return Some((name, sections));
    }
    let diagnostic = Diagnostic::error("unknown-environment", format!("there is no environment `{chosen}`"));
    let hint = match known.as_slice() {
        [] => Some("the file has no `environments`".to_owned()),
        known => meant(chosen, known),
    };
    report.push(hint.into_iter().fold(diagnostic, Diagnostic::hint));
    None
}

fn assemble(
    report: &Report,
    document: &Document,
    selection: &Selection,
    environment: &str,
    sections: &Sections,
) -> Option<Pipeline> {
    let inputs = inputs::values(report, &sections.inputs, &selection.inputs);
    let run = RunValues {
        id: selection.run.id.to_string(),
        started: selection.run.started_text(),
        environment: environment.to_owned(),
        pipeline: document.name.clone(),
    };
    let scope = Scope { report, inputs: &inputs, previous: &selection.previous, run: &run, each: None };
    let base = document.base();
    let secrets = Sources::read(&scope, &base, &sections.secrets);
    let peers: BTreeMap<String, PeerSpec> = sections
        .peers
        .iter()
        .filter_map(|(name, entry)| Some((name.clone(), network::peer(&scope, &base, &secrets, name, entry)?)))
        .collect();
    let peer_names: Vec<&str> = sections.peers.keys().map(String::as_str).collect();
    let lock = document.lock.as_ref().and_then(|lock| shared(report, &peers, &peer_names, lock));
    let order = order(document);
    let expander = Expander {
        document,
        sections,
        scope,
        base: &base,
        peers: &peers,
        peer_names: &peer_names,
        secrets: &secrets,
        order: &order,
        size: Default::default(),
        called: Default::default(),
    };
    let role = |(name, (span, spec)): (&String, &(std::ops::Range<usize>, crate::document::RoleSpec))| {
        let signers = place::resolve(&base, &spec.signers.value);
        (name.clone(), RoleSpec { signers, span: span.clone() })
    };
    let roles: BTreeMap<String, RoleSpec> = sections.roles.iter().map(role).collect();
    let asked = Gates { report, document, roles: &roles };
    let (mut steps, mut gates) = (Vec::new(), Vec::new());
    let mut stand_here = |above: usize, before: usize| {
        let here = document.gates.iter().filter(|spec| spec.before == above);
        gates.extend(here.map(|spec| StepGate { before, gate: asked.gate(spec, above) }));
    };
    for (place, spec) in document.steps.iter().enumerate() {
        stand_here(place, steps.len());
        steps.extend(expander.steps(spec, place, Kind::Step));
    }
    stand_here(document.steps.len(), steps.len());
    let rollback = document.rollback.as_ref().map(|entries| rollback(report, document, &expander, &asked, entries));
    let mut notifications = Vec::new();
    for spec in &document.notifications {
        let steps = expander.steps(&spec.step, usize::MAX, Kind::Notification);
        notifications.extend(steps.into_iter().map(|step| Notification { on: spec.on.clone(), step }));
    }
    let checks = watching::checks(report, document, &expander);
    unused(report, document, &expander);
    asked.unused();
    let window = document.window.as_ref().and_then(|spec| timing::window(&expander.scope, document, spec));
    let plugins = expander.called.into_inner().plugins;
    Some(Pipeline {
        name: document.name.clone(),
        environment: environment.to_owned(),
        state: document.state(),
        lock,
        inputs: inputs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        secret_spans: secrets.spans(),
        secrets: secrets.into_sources(),
        peers,
        roles,
        plugins,
        steps,
        gates,
        rollback,
        notifications,
        checks,
        watch: document.watch.as_ref().map(watching::watch),
        window,
        on_interrupt: document.on_interrupt,
        file: document.file.clone(),
        base,
    })
}

/// The peer that keeps who drives: a PostgreSQL, since the others are no servers that several hosts could ask.
fn shared(
    report: &Report,
    peers: &BTreeMap<String, PeerSpec>,
    known: &[&str],
    lock: &Located<String>,
) -> Option<String> {
    match peers.get(&lock.value) {
        Some(peer) if matches!(peer.url.scheme(), "postgres" | "postgresql") => Some(lock.value.clone()),
        Some(_) => {
            let message = format!("`{}` is no PostgreSQL: several hosts cannot agree there on who drives", lock.value);
            report.advise(
                "wrong-peer",
                message,
                lock.span.clone(),
                "a peer with `url = \"postgres://user@host/database\"`",
            );
            None
        }
        // One that is wrong in itself has been told.
        None if known.contains(&lock.value.as_str()) => None,
        None => {
            let message = format!("there is no peer `{}`", lock.value);
            report.unknown("unknown-peer", message, &lock.value, known.iter().copied(), lock.span.clone());
            None
        }
    }
}

/// Where each step stands: the steps, then the entries of the rollback.
fn order(document: &Document) -> Order<'_> {
    let rollback = document.rollback.iter().flatten().enumerate().filter_map(|(index, entry)| match entry {
        RollbackSpec::Run(step) => Some((document.steps.len() + index, step)),
        RollbackSpec::Undo { .. } | RollbackSpec::Gate(_) => None,
    });
    let steps = document.steps.iter().enumerate().chain(rollback);
    steps
        .map(|(place, step)| (step.name.value.as_str(), (place, step.for_each.as_ref().map(|set| set.value.as_str()))))
        .collect()
}

fn rollback(
    report: &Report,
    document: &Document,
    expander: &Expander<'_>,
    asked: &Gates<'_>,
    entries: &[RollbackSpec],
) -> Vec<RollbackEntry> {
    let mut rollback = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match entry {
            RollbackSpec::Run(spec) => {
                let steps = expander.steps(spec, document.steps.len() + index, Kind::Step);
                rollback.extend(steps.into_iter().map(RollbackEntry::Run));
            }
            RollbackSpec::Gate(spec) => rollback.push(RollbackEntry::Gate(asked.gate(spec, 0))),
            RollbackSpec::Undo { step, continue_on_failure, gate } => {
                match document.steps.iter().find(|spec| spec.name.value == step.value) {
                    Some(spec) if spec.irreversible => report.push(
                        Diagnostic::error(
                            "not-reversible",
                            format!("the step `{}` is declared irreversible", step.value),
                        )
                        .at(report.file(), step.span.clone(), "")
                        .at(report.file(), spec.name.span.clone(), "this step")
                        .hint("leave out one of the two"),
                    ),
                    Some(_) => {}
                    None => {
                        let known = document.steps.iter().map(|spec| spec.name.value.as_str());
                        let message = format!("there is no step `{}`", step.value);
                        report.unknown("unknown-step", message, &step.value, known, step.span.clone());
                    }
                }
                rollback.push(RollbackEntry::Undo {
                    step: step.value.clone(),
                    continue_on_failure: *continue_on_failure,
                    gate: gate.as_ref().map(|spec| asked.gate(spec, 0)),
                    span: step.span.clone(),
                });
            }
        }
    }
    rollback
}

/// Warns of what is written and never called.
fn unused(report: &Report, document: &Document, expander: &Expander<'_>) {
    let called = expander.called.borrow();
    let warn = |message: String, span: &std::ops::Range<usize>| {
        report.push(Diagnostic::warning("unused", message).at(report.file(), span.clone(), ""));
    };
    for (name, (span, _)) in &document.plugins {
        if !called.plugins.contains_key(name) {
            warn(format!("no step calls the plugin `{name}`"), span);
        }
    }
    for check in &document.checks {
        if !called.checks.contains(&check.name.value) {
            warn(format!("no step runs the check `{}`", check.name.value), &check.name.span);
        }
    }
}

/// What has been called so far.
#[derive(Default)]
struct Called {
    plugins: BTreeMap<String, PluginSource>,
    checks: BTreeSet<String>,
}

/// What the pipeline has grown to so far.
#[derive(Default)]
struct Size {
    steps: usize,
    bytes: usize,
}

/// The file of a plugin, from the directory of the pipeline file.
pub(crate) fn plugin_file(document: &Document, base: &std::path::Path, name: &str) -> Option<PluginSource> {
    let (_, spec) = document.plugins.get(name)?;
    Some(PluginSource::File { path: place::resolve(base, &spec.path.value), sha256: spec.sha256 })
}
