//! What is hashed: the values of the file as they are written, in one spelling.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    ops::Range,
};

use pipe_core::digest::Digest;

use super::{Kind, LockedEnvironment};
use crate::{
    document::{Document, RollbackSpec, StepSpec, environment_nodes},
    node::{self, Node, Table, Value},
    pipeline::NO_ENVIRONMENT,
    report::Report,
};

/// What of a step decides what it may touch.
const OF_STEP: [&str; 7] = ["stage", "plugin", "check", "for_each", "irreversible", "limits", "allow"];

/// The hashes of every environment.
pub(super) fn environments(document: &Document) -> BTreeMap<String, LockedEnvironment> {
    let Some(root) = node::tree(&Report::new(&document.file)) else { return BTreeMap::new() };
    let steps = steps(document, &root);
    let one = |environment: Option<&str>| {
        let nodes = environment_nodes(&root, environment);
        let mut locked = BTreeMap::from([(Kind::Steps, steps.clone())]);
        for (kind, left_out) in [
            (Kind::Peers, &[][..]),
            (Kind::Secrets, &[]),
            (Kind::Sets, &[]),
            // A default is a value.
            (Kind::Inputs, &["default", "description"]),
        ] {
            locked.insert(kind, entries(&nodes, kind.table(), left_out));
        }
        (environment.unwrap_or(NO_ENVIRONMENT).to_owned(), LockedEnvironment(locked))
    };
    let names: Vec<&str> = document.environments().collect();
    if names.is_empty() {
        return [one(None)].into();
    }
    names.into_iter().map(|name| one(Some(name))).collect()
}

/// Every step, rollback entry and notification with its name, and every check that a guard makes.
fn named(document: &Document) -> impl Iterator<Item = (&'static str, usize, &StepSpec)> {
    let rollback = document.rollback.iter().flatten().enumerate().filter_map(|(index, entry)| match entry {
        RollbackSpec::Run(step) => Some(("rollback", index, step)),
        RollbackSpec::Undo { .. } => None,
    });
    let steps = document.steps.iter().enumerate().map(|(index, step)| ("step", index, step));
    let notifications = document.notifications.iter().enumerate().map(|(index, entry)| ("notify", index, &entry.step));
    let checks = document.checks.iter().enumerate().filter(|(_, check)| document.guards_with(&check.name.value));
    steps.chain(rollback).chain(notifications).chain(checks.map(|(index, check)| ("check", index, check)))
}

/// Where a step has its name.
pub(super) fn span(document: &Document, step: &str) -> Option<Range<usize>> {
    named(document).find(|(_, _, spec)| spec.name.value == step).map(|(_, _, spec)| spec.name.span.clone())
}

fn steps(document: &Document, root: &Table) -> BTreeMap<String, Digest> {
    let section = |name: &str, index: usize| match &root.get(name)?.node.value {
        Value::Array(items) => match &items.get(index)?.value {
            Value::Table(table) => Some(table),
            _ => None,
        },
        _ => None,
    };
    let limits = root.get("limits").map(|entry| spelled(&entry.node, &[])).unwrap_or_default();
    let hash = |(name, index, spec): (&str, usize, &StepSpec)| {
        let mut text = format!("{name}\nlimits {limits}\n");
        let check = |check: &str| document.checks.iter().position(|known| known.name.value == check);
        let own = section(name, index);
        let of_check = own.and_then(|own| own.get("check")).and_then(|entry| match &entry.node.value {
            Value::String(name) => section("check", check(name)?),
            _ => None,
        });
        for table in own.into_iter().chain(of_check) {
            for key in OF_STEP {
                let value = table.get(key).map(|entry| spelled(&entry.node, &[])).unwrap_or_default();
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{key} {value}");
            }
        }
        (spec.name.value.clone(), Digest::of(text.as_bytes()))
    };
    named(document).map(hash).collect()
}

fn entries(nodes: &HashMap<&str, Node>, section: &str, left_out: &[&str]) -> BTreeMap<String, Digest> {
    let Some(Value::Table(table)) = nodes.get(section).map(|node| &node.value) else { return BTreeMap::new() };
    let hash = |entry: &node::Entry| (entry.key.clone(), Digest::of(spelled(&entry.node, left_out).as_bytes()));
    table.entries.iter().map(hash).collect()
}

/// A value in its one spelling: keys in the order of the alphabet, without comments and white space.
fn spelled(node: &Node, left_out: &[&str]) -> String {
    match &node.value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime => "datetime".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| spelled(item, &[])).collect::<Vec<_>>().join(","))
        }
        Value::Table(table) => {
            let entries = table.entries.iter().filter(|entry| !left_out.contains(&entry.key.as_str()));
            let sorted: BTreeMap<&str, String> =
                entries.map(|entry| (entry.key.as_str(), spelled(&entry.node, &[]))).collect();
            let written: Vec<String> = sorted.into_iter().map(|(key, value)| format!("{key:?}={value}")).collect();
            format!("{{{}}}", written.join(","))
        }
    }
}
