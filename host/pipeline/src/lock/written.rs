//! What is hashed: the values of the file as they are written, in one spelling.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    ops::Range,
};

use pipe_core::digest::Digest;

use super::{Kind, LockedEnvironment};
use crate::{
    document::{Document, RollbackSpec, environment_nodes},
    fields::Located,
    node::{self, Node, Table, Value},
    pipeline::NO_ENVIRONMENT,
    report::Report,
};

/// What of a step decides what it may touch.
const OF_STEP: [&str; 7] = ["stage", "plugin", "check", "for_each", "irreversible", "limits", "allow"];

/// What of a gate decides who must be asked.
const OF_GATE: [&str; 2] = ["gate", "checklist"];

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
            (Kind::Roles, &[]),
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

/// Every step, gate, rollback entry, notification, and check that a guard makes: its table in the file, and its name.
fn named(document: &Document) -> impl Iterator<Item = (&'static str, usize, &Located<String>)> {
    let rollback = document.rollback.iter().flatten().enumerate().filter_map(|(at, entry)| match entry {
        RollbackSpec::Run(step) => Some(("rollback", at, &step.name)),
        RollbackSpec::Gate(gate) | RollbackSpec::Undo { gate: Some(gate), .. } => Some(("rollback", at, &gate.name)),
        RollbackSpec::Undo { gate: None, .. } => None,
    });
    let steps = document.steps.iter().map(|step| ("step", step.at, &step.name));
    let gates = document.gates.iter().map(|gate| ("step", gate.at, &gate.name));
    let notifications = document.notifications.iter().map(|entry| ("notify", entry.step.at, &entry.step.name));
    let checks = document.checks.iter().filter(|check| document.guards_with(&check.name.value));
    let checks = checks.map(|check| ("check", check.at, &check.name));
    steps.chain(gates).chain(rollback).chain(notifications).chain(checks)
}

/// Where a step has its name.
pub(super) fn span(document: &Document, step: &str) -> Option<Range<usize>> {
    named(document).find(|(_, _, name)| name.value == step).map(|(_, _, name)| name.span.clone())
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
    let hash = |(name, index, own_name): (&str, usize, &Located<String>)| {
        let mut text = format!("{name}\nlimits {limits}\n");
        let check = |check: &str| document.checks.iter().find(|known| known.name.value == check).map(|known| known.at);
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
            for key in OF_GATE {
                if let Some(entry) = table.get(key) {
                    let _ = writeln!(text, "{key} {}", spelled(&entry.node, &[]));
                }
            }
        }
        (own_name.value.clone(), Digest::of(text.as_bytes()))
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
