//! `[env.NAME]`: what an environment changes. Entries are merged key by key before anything is read from them, so that an
//! overlay may give one key of a peer and leave the rest as it was.

use std::collections::{BTreeMap, HashMap};

use crate::{
    document::sections::{self, Sections},
    fields::{Fields, Located, table},
    keys,
    node::{Node, Table, Value},
    report::Report,
};

/// The sections of every environment; under no name where the file has no environments.
pub(super) fn sections(
    report: &Report,
    file: &Fields<'_>,
    environments: &[Located<String>],
) -> BTreeMap<Option<String>, Sections> {
    let overlays = file.get("env").and_then(|entry| table(report, &entry.node));
    for entry in overlays.map_or(&[][..], |overlays| &overlays.entries) {
        if !environments.iter().any(|known| known.value == entry.key) {
            let known = environments.iter().map(|known| known.value.as_str());
            let message = format!("`environments` does not name `{}`", entry.key);
            report.unknown("unknown-environment", message, &entry.key, known, entry.key_span.clone());
        }
        if let Some(overlay) = table(report, &entry.node) {
            refuse_steps(report, overlay);
            Fields::of_table(report, &without_steps(overlay), entry.node.span.clone(), keys::ENVIRONMENT);
        }
    }
    let base = keys::ENVIRONMENT.iter().map(|key| (*key, file.get(key).map(|entry| entry.node.clone())));
    let base: Vec<(&str, Option<Node>)> = base.collect();
    if environments.is_empty() {
        return BTreeMap::from([(None, read(report, base, None))]);
    }
    environments
        .iter()
        .map(|environment| {
            let overlay = overlays.and_then(|overlays| overlays.get(&environment.value));
            let overlay = overlay.and_then(|entry| match &entry.node.value {
                Value::Table(table) => Some(table),
                _ => None,
            });
            (Some(environment.value.clone()), read(report, base.clone(), overlay))
        })
        .collect()
}

/// Steps are the same everywhere: staging rehearses production.
fn refuse_steps(report: &Report, overlay: &Table) {
    for entry in overlay.entries.iter().filter(|entry| is_step(&entry.key)) {
        let message = format!("an environment cannot change `{}`", entry.key);
        let hint = "steps are the same in every environment; let them differ by inputs, peers, sets or secrets";
        report.advise("conflict", message, entry.key_span.clone(), hint);
    }
}

fn is_step(key: &str) -> bool {
    matches!(
        key,
        "step"
            | "check"
            | "rollback"
            | "notify"
            | "watch"
            | "defaults"
            | "plugins"
            | "state"
            | "name"
            | "retention"
            | "window"
    )
}

fn without_steps(overlay: &Table) -> Table {
    Table { entries: overlay.entries.iter().filter(|entry| !is_step(&entry.key)).cloned().collect() }
}

fn read(report: &Report, base: Vec<(&str, Option<Node>)>, overlay: Option<&Table>) -> Sections {
    sections::read(report, &merged(base, overlay))
}

/// What an environment may change, as nodes: the file's own with the environment's laid upon it.
pub(crate) fn nodes(root: &Table, environment: Option<&str>) -> HashMap<&'static str, Node> {
    let inner = |table: &'_ Table, key: &str| match table.get(key).map(|entry| entry.node.value.clone()) {
        Some(Value::Table(table)) => Some(table),
        _ => None,
    };
    let overlay = environment.and_then(|environment| inner(&inner(root, "env")?, environment));
    let base = keys::ENVIRONMENT.iter().map(|key| (*key, root.get(key).map(|entry| entry.node.clone())));
    merged(base.collect(), overlay.as_ref())
}

fn merged<'k>(base: Vec<(&'k str, Option<Node>)>, overlay: Option<&Table>) -> HashMap<&'k str, Node> {
    let merged = base.into_iter().filter_map(|(key, base)| {
        let over = overlay.and_then(|overlay| overlay.get(key)).map(|entry| &entry.node);
        // A secret has one source, so a new one replaces it. Everything else is merged key by key.
        let depth = if key == "secrets" { 1 } else { 2 };
        let node = match (base, over) {
            (Some(base), Some(over)) => merge(base, over, depth),
            (Some(base), None) => base,
            (None, over) => over?.clone(),
        };
        Some((key, node))
    });
    merged.collect()
}

/// `over` laid on `base`, entry by entry, `depth` tables deep.
fn merge(base: Node, over: &Node, depth: usize) -> Node {
    match (base.value, &over.value) {
        (Value::Table(mut table), Value::Table(over_table)) if depth > 0 => {
            let places: HashMap<String, usize> =
                table.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
            for entry in &over_table.entries {
                match places.get(&entry.key) {
                    Some(&at) => {
                        let known = &mut table.entries[at];
                        let value = std::mem::replace(&mut known.node.value, Value::Boolean(false));
                        let old = Node { span: known.node.span.clone(), value };
                        known.node = merge(old, &entry.node, depth - 1);
                        known.key_span = entry.key_span.clone();
                    }
                    None => table.entries.push(entry.clone()),
                }
            }
            Node { span: base.span, value: Value::Table(table) }
        }
        _ => over.clone(),
    }
}
