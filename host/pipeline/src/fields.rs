//! Reads a table key by key, with an error at the right place for everything that is not as it should be.

use std::{ops::Range, time::Duration};

use pipe_core::{
    diagnostic::Diagnostic,
    limits::Limit,
    units::{ByteSize, UnitError, parse_duration},
};

use crate::{
    closest::closest,
    keys::{self, comes_later},
    node::{self, Entry, Node, Table, Value},
    report::Report,
};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A table of which the possible keys are known.
pub(crate) struct Fields<'n> {
    report: &'n Report,
    table: &'n Table,
    /// Where the table begins, for what is missing in it.
    pub(crate) span: Range<usize>,
    /// Whether a word of a later version stands in it. Then what is missing is not worth a word.
    incomplete: bool,
    /// Keys that are there, but misspelt.
    misspelt: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Reports every key of `table` that is not in `keys`.
    pub(crate) fn of_table(report: &'n Report, table: &'n Table, span: Range<usize>, keys: &[&'static str]) -> Self {
        let mut incomplete = false;
        let mut misspelt = Vec::new();
        for entry in &table.entries {
            if keys.contains(&entry.key.as_str()) {
                continue;
            }
            if comes_later(keys, &entry.key) {
                incomplete = true;
                let message = format!("`{}` is not supported by this version", entry.key);
                let hint = "leave it out: nothing would enforce it";
                report.advise("not-yet", message, entry.key_span.clone(), hint);
            } else {
                let message = format!("unknown key `{}`", entry.key);
                misspelt.extend(closest(&entry.key, keys.iter().copied()));
                report.unknown("unknown-key", message, &entry.key, keys.iter().copied(), entry.key_span.clone());
            }
        }
        Self { report, table, span, incomplete, misspelt }
    }

    /// The same for a value that must be a table.
    pub(crate) fn of(report: &'n Report, node: &'n Node, keys: &[&'static str]) -> Option<Self> {
        table(report, node).map(|table| Self::of_table(report, table, node.span.clone(), keys))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'n Entry> {
        self.table.get(key)
    }

    pub(crate) fn string(&self, key: &str) -> Option<Located<String>> {
        string(self.report, &self.get(key)?.node)
    }

    /// A string that must be there.
    pub(crate) fn required(&self, key: &str, example: &str) -> Option<Located<String>> {
        self.needs(key, example)?;
        self.string(key)
    }

    /// Whether the absence of a key is worth an error of its own.
    pub(crate) fn misses(&self, key: &str) -> bool {
        !self.incomplete && !self.misspelt.contains(&key)
    }

    /// The entry, or an error that it is missing.
    pub(crate) fn needs(&self, key: &str, example: &str) -> Option<&'n Entry> {
        let entry = self.get(key);
        if entry.is_none() && self.misses(key) {
            self.report.advise("missing-key", format!("`{key}` is missing"), self.span.clone(), example);
        }
        entry
    }

    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        let node = &self.get(key)?.node;
        match node.value {
            Value::Boolean(boolean) => Some(boolean),
            _ => wrong_type(self.report, node, "true or false"),
        }
    }

    /// A duration with its unit, more than nothing and at most `most`.
    pub(crate) fn duration(&self, key: &str, most: Duration) -> Option<Duration> {
        let node = &self.get(key)?.node;
        let text = match &node.value {
            Value::String(text) => text,
            Value::Integer(number) => {
                let hint = format!("`{key} = \"{number}s\"` if it is seconds");
                self.report.advise("bad-unit", format!("`{number}` has no unit"), node.span.clone(), hint);
                return None;
            }
            _ => return wrong_type(self.report, node, "a duration such as \"300s\""),
        };
        match parse_duration(text) {
            Ok(duration) if duration.is_zero() || duration > most => {
                let most = pipe_core::units::format_duration(most);
                let message = format!("`{text}` is not more than nothing and at most {most}");
                self.report.error("bad-value", message, node.span.clone(), "");
                None
            }
            Ok(duration) => Some(duration),
            Err(error) => {
                let hint = match &error {
                    UnitError::Missing(text) => format!("`{key} = \"{text}s\"` if it is seconds"),
                    _ => "a number and one of `ms`, `s`, `m`, `h`, `d`, `w`".to_owned(),
                };
                self.report.advise("bad-unit", error.to_string(), node.span.clone(), hint);
                None
            }
        }
    }

    /// A size with its unit.
    pub(crate) fn bytes(&self, key: &str) -> Option<u64> {
        let node = &self.get(key)?.node;
        let text = match &node.value {
            Value::String(text) => text,
            Value::Integer(number) => {
                let hint = format!("`{key} = \"{number}MiB\"` if it is mebibytes");
                self.report.advise("bad-unit", format!("`{number}` has no unit"), node.span.clone(), hint);
                return None;
            }
            _ => return wrong_type(self.report, node, "a size such as \"512MiB\""),
        };
        match text.parse::<ByteSize>() {
            Ok(size) => Some(size.0),
            Err(error) => {
                let hint = "a number and one of `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`";
                self.report.advise("bad-unit", error.to_string(), node.span.clone(), hint);
                None
            }
        }
    }

    /// A number of things, not less than none.
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        let node = &self.get(key)?.node;
        let number = number(self.report, node)?;
        if number < 0 {
            self.report.error("bad-value", "there cannot be less than none", node.span.clone(), "");
        }
        u64::try_from(number).ok()
    }

    /// What a call may take of something: bytes or things, at least one and at most what the host gives.
    pub(crate) fn limit(&self, limit: Limit) -> Option<u64> {
        let (key, most) = (limit.word(), limit.most());
        let amount = if limit.is_bytes() { self.bytes(key) } else { self.count(key) }?;
        if (1..=most).contains(&amount) {
            return Some(amount);
        }
        let span = self.get(key)?.node.span.clone();
        let message = format!("{} is not what a call can be given", self.report.source(&span));
        self.report.advise("bad-value", message, span, format!("more than nothing and at most {}", limit.shown(most)));
        None
    }

    /// The elements of an array, none where the key is absent.
    pub(crate) fn array(&self, key: &str) -> &'n [Node] {
        let Some(entry) = self.get(key) else { return &[] };
        if matches!(entry.node.value, Value::Table(_)) && keys::LISTED.contains(&key) {
            let message = format!("`[{key}]` is a single table");
            self.report.advise("wrong-type", message, entry.node.span.clone(), node::two_brackets(key));
            return &[];
        }
        array(self.report, &entry.node)
    }

    /// A key that makes no sense without another.
    pub(crate) fn exclude_without(&self, key: &str, needed: &str) {
        if let Some(entry) = self.get(key) {
            self.report.error("conflict", format!("`{key}` needs `{needed}`"), entry.key_span.clone(), "");
        }
    }

    /// Two keys that exclude each other: an error at the second.
    pub(crate) fn exclude(&self, one: &str, others: &[&str]) {
        let Some(first) = self.get(one) else { return };
        for second in others.iter().filter_map(|other| self.get(other)) {
            self.report.push(
                Diagnostic::error("conflict", format!("`{}` does not go with `{one}`", second.key))
                    .at(self.report.file(), second.key_span.clone(), "")
                    .at(self.report.file(), first.key_span.clone(), "because of this"),
            );
        }
    }
}

/// The table that `node` must be.
pub(crate) fn table<'n>(report: &Report, node: &'n Node) -> Option<&'n Table> {
    match &node.value {
        Value::Table(table) => Some(table),
        _ => wrong_type(report, node, "a table"),
    }
}

/// The elements of the array that `node` must be.
pub(crate) fn array<'n>(report: &Report, node: &'n Node) -> &'n [Node] {
    match &node.value {
        Value::Array(items) => items,
        Value::String(_) => {
            let hint = format!("put it in brackets: `[{}]`", report.source(&node.span));
            report.advise("wrong-type", "expected an array, found a string", node.span.clone(), hint);
            &[]
        }
        _ => wrong_type(report, node, "an array").unwrap_or(&[]),
    }
}

/// The string that `node` must be.
pub(crate) fn string(report: &Report, node: &Node) -> Option<Located<String>> {
    match &node.value {
        Value::String(text) => Some(Located { value: text.clone(), span: node.span.clone() }),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            let hint = format!("put it in quotes: `\"{}\"`", report.source(&node.span));
            let message = format!("expected a string, found {}", node.value.kind());
            report.advise("wrong-type", message, node.span.clone(), hint);
            None
        }
        _ => wrong_type(report, node, "a string"),
    }
}

/// The whole number that `node` must be.
pub(crate) fn number(report: &Report, node: &Node) -> Option<i64> {
    match node.value {
        Value::Integer(number) => Some(number),
        _ => wrong_type(report, node, "a whole number"),
    }
}

fn wrong_type<T>(report: &Report, node: &Node, expected: &str) -> Option<T> {
    let message = format!("expected {expected}, found {}", node.value.kind());
    report.error("wrong-type", message, node.span.clone(), "");
    None
}
