//! `with`: the settings of a step, in bounds.

use std::ops::Range;

use serde_json::Number;

use crate::{
    fields::{Located, table},
    node::{Node, Table, Value},
    reference::Template,
    report::Report,
};

/// Tables and arrays within each other.
const MAXIMUM_DEPTH: usize = 32;
/// Values of one step.
const MAXIMUM_VALUES: usize = 10_000;
/// Bytes of one string, before and after its references are resolved.
pub(crate) const MAXIMUM_STRING: usize = 64 << 10;

/// A value of the settings.
#[derive(Clone, Debug)]
pub(crate) struct With {
    pub(crate) span: Range<usize>,
    pub(crate) value: WithValue,
}

#[derive(Clone, Debug)]
pub(crate) enum WithValue {
    Boolean(bool),
    Number(Number),
    Text(Template),
    Array(Vec<With>),
    Table(Vec<(Located<String>, With)>),
}

impl With {
    /// No settings, for a step whose table begins at `span`.
    pub(crate) const fn empty(span: Range<usize>) -> Self {
        Self { span, value: WithValue::Table(Vec::new()) }
    }

    /// Reads the table that `node` must be.
    pub(super) fn read(report: &Report, node: &Node) -> Option<Self> {
        table(report, node)?;
        let mut values = 0;
        value(report, node, 0, &mut values)
    }
}

fn value(report: &Report, node: &Node, depth: usize, values: &mut usize) -> Option<With> {
    let too_large = |what: &str| {
        report.error("too-large", what, node.span.clone(), "");
        None
    };
    *values += 1;
    if *values == MAXIMUM_VALUES + 1 {
        return too_large(&format!("the settings of a step have more than {MAXIMUM_VALUES} values"));
    }
    if *values > MAXIMUM_VALUES {
        return None;
    }
    if depth > MAXIMUM_DEPTH {
        return too_large(&format!("settings stand more than {MAXIMUM_DEPTH} tables and arrays deep"));
    }
    let value = match &node.value {
        Value::String(text) if text.len() > MAXIMUM_STRING => {
            return too_large(&format!("a string of the settings is longer than {} KiB", MAXIMUM_STRING >> 10));
        }
        Value::String(text) => {
            WithValue::Text(Template::read(report, &Located { value: text.clone(), span: node.span.clone() })?)
        }
        Value::Integer(integer) => WithValue::Number((*integer).into()),
        Value::Float(float) => match Number::from_f64(*float) {
            Some(number) => WithValue::Number(number),
            None => {
                report.error("bad-value", "settings are JSON, which has no `inf` and no `nan`", node.span.clone(), "");
                return None;
            }
        },
        Value::Boolean(boolean) => WithValue::Boolean(*boolean),
        Value::Datetime => {
            let hint = format!("put it in quotes: `\"{}\"`", report.source(&node.span));
            report.advise("wrong-type", "settings are JSON, which has no dates and times", node.span.clone(), hint);
            return None;
        }
        Value::Array(items) => {
            // Every element is read before giving up, so that each error is reported.
            let items: Vec<Option<With>> = items.iter().map(|item| value(report, item, depth + 1, values)).collect();
            WithValue::Array(items.into_iter().collect::<Option<_>>()?)
        }
        Value::Table(table) => WithValue::Table(entries(report, table, depth, values)?),
    };
    Some(With { span: node.span.clone(), value })
}

fn entries(report: &Report, table: &Table, depth: usize, values: &mut usize) -> Option<Vec<(Located<String>, With)>> {
    let mut entries = Vec::with_capacity(table.entries.len());
    let mut sound = true;
    for entry in &table.entries {
        if entry.key.contains("${") {
            report.error(
                "reference-not-here",
                "references are resolved in values, not in keys",
                entry.key_span.clone(),
                "",
            );
            sound = false;
        }
        match value(report, &entry.node, depth + 1, values) {
            Some(value) => entries.push((Located { value: entry.key.clone(), span: entry.key_span.clone() }, value)),
            None => sound = false,
        }
    }
    sound.then_some(entries)
}
