//! The file as a tree in which every key and value knows its place.

use std::{ops::Range, sync::Arc};

use pipe_core::diagnostic::{Diagnostic, SourceFile};
use toml::de::{DeTable, DeValue};

use crate::{keys, report::Report};

/// Tables and arrays within each other, over the whole file.
const MAXIMUM_DEPTH: usize = 64;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// What TOML can say.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

/// Entries in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

/// One line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Value {
    /// For messages: `a string`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads TOML. Every syntax error is reported, not only the first; then there is no tree.
pub(crate) fn tree(report: &Report) -> Option<Table> {
    let file = report.file();
    let (root, errors) = DeTable::parse_recoverable(&file.text);
    let single = errors.iter().find_map(|error| single_bracket(file, error));
    for error in errors.iter().filter(|error| single.is_none() || !is_duplicate(error)) {
        report.push(syntax_error(file, error));
    }
    single.into_iter().for_each(|diagnostic| report.push(diagnostic));
    if !errors.is_empty() {
        return None;
    }
    table(report, root.get_ref(), 0)
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message().contains("duplicate key")
}

/// The one error for all that follow from `[step]` in place of `[[step]]`: every key of it stands there twice.
fn single_bracket(file: &Arc<SourceFile>, error: &toml::de::Error) -> Option<Diagnostic> {
    let span = error.span().filter(|_| is_duplicate(error))?;
    let start = file.text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = file.text.get(start..)?.lines().next()?;
    let name = line.trim_start().strip_prefix('[')?.split_once(']')?.0.trim();
    let name = keys::LISTED.into_iter().find(|listed| *listed == name)?;
    let diagnostic = Diagnostic::error("syntax", format!("`[{name}]` is a single table, and this is another one"));
    Some(diagnostic.at(file, start..start + line.trim_end().len(), "").hint(two_brackets(name)))
}

/// Advice for a section that stands in the file as often as it is needed.
pub(crate) fn two_brackets(name: &str) -> String {
    format!("write `[[{name}]]`, with two brackets, at the head of each")
}

fn syntax_error(file: &Arc<SourceFile>, error: &toml::de::Error) -> Diagnostic {
    let diagnostic = Diagnostic::error("syntax", format!("not TOML: {}", error.message()));
    let diagnostic = diagnostic.hint(if is_duplicate(error) {
        "a key stands once in its table"
    } else {
        "one `key = value` a line; texts stand in quotes, lists in `[ ]`, tables in `{ }`"
    });
    match error.span() {
        Some(span) => {
            let end = span.end.min(file.text.len());
            diagnostic.at(file, span.start.min(end)..end, "")
        }
        None => diagnostic,
    }
}

fn table(report: &Report, table: &DeTable<'_>, depth: usize) -> Option<Table> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        entries.push(Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: node(report, value.span(), value.get_ref(), depth + 1)?,
        });
    }
    // The parser hands them out in the order of the alphabet.
    entries.sort_by_key(|entry| entry.key_span.start);
    Some(Table { entries })
}

fn node(report: &Report, span: Range<usize>, value: &DeValue<'_>, depth: usize) -> Option<Node> {
    if depth > MAXIMUM_DEPTH {
        report.error("too-large", "tables and arrays stand too deep within each other", span, "");
        return None;
    }
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => {
                report.error("bad-value", format!("`{integer}` does not fit 64 bits"), span, "");
                return None;
            }
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(float) => Value::Float(float),
            Err(_) => {
                report.error("bad-value", format!("`{float}` is not a number"), span, "");
                return None;
            }
        },
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => Value::Array(
            items.iter().map(|item| node(report, item.span(), item.get_ref(), depth + 1)).collect::<Option<_>>()?,
        ),
        DeValue::Table(entries) => Value::Table(table(report, entries, depth)?),
    };
    Some(Node { span, value })
}
