//! What the validator found, in words for the person who wrote the settings.

use std::fmt::Write as _;

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

use crate::report::meant;

/// Something wrong with a value of the settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    /// Where: keys and indices from the root of the settings.
    pub(crate) pointer: Vec<String>,
    /// The key there that is meant, where it is not the value as a whole.
    pub(crate) key: Option<String>,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
    /// What would have been accepted, for joining the branches of a union.
    accepted: Accepted,
}

#[derive(Clone, Debug, PartialEq)]
enum Accepted {
    Values { written: Value, accepted: Vec<Value> },
    Types { found: &'static str, accepted: Vec<String> },
    Key(String),
    Unknown,
}

/// Whether a value is known before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Openness {
    /// Every part of it.
    Closed,
    /// It is a text that is not known yet.
    Open,
    /// Something in it is.
    Inside,
}

impl Problem {
    pub(crate) fn at(pointer: Vec<String>, message: impl Into<String>) -> Self {
        Self { pointer, key: None, message: message.into(), hints: Vec::new(), accepted: Accepted::Unknown }
    }

    /// `with.check[0].url`.
    pub(crate) fn place(&self) -> String {
        let mut place = "with".to_owned();
        for word in &self.pointer {
            // Writing to a string cannot fail.
            let _ = match word.parse::<usize>() {
                Ok(index) => write!(place, "[{index}]"),
                Err(_) => write!(place, ".{}", short(word)),
            };
        }
        place
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        self.pointer == other.pointer && self.key == other.key && self.message == other.message
    }

    fn hint(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }
}

/// A text of a plugin on one line and of bearable length.
pub(crate) fn short(text: &str) -> String {
    let mut short: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(200).is_some() {
        short.push('…');
    }
    short
}

/// Takes an error apart. Nothing where it may go away once everything is known.
pub(super) fn explain(
    schema: &Value,
    error: &ValidationError<'_>,
    open: &dyn Fn(&[String]) -> Openness,
) -> Vec<Problem> {
    let pointer = words(error.instance_path().as_str());
    let here = open(&pointer);
    let around = words(error.schema_path().as_str());
    let conditional = around.iter().any(|word| matches!(word.as_str(), "then" | "else"));
    if conditional && open(&[]) != Openness::Closed {
        return Vec::new();
    }
    let keyword = around.last().map(String::as_str).unwrap_or_default();
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let branches = context
                .iter()
                .map(|branch| branch.iter().flat_map(|error| explain(schema, error, open)).collect::<Vec<Problem>>());
            union(&pointer, branches.collect())
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = allowed_keys(schema, &around);
            let unexpected = unexpected.iter().map(|key| {
                let mut problem = Problem::at(pointer.clone(), format!("unknown key `{}`", short(key)));
                problem.key = Some(key.clone());
                problem.hint(meant(key, &known.iter().map(String::as_str).collect::<Vec<_>>()))
            });
            unexpected.collect()
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let mut problem = Problem::at(pointer, format!("`{}` is missing", short(key)));
            problem.accepted = Accepted::Key(short(key));
            vec![problem.hint(description(schema, &around, key))]
        }
        ValidationErrorKind::Enum { options } if here == Openness::Closed => {
            vec![values(pointer, error.instance(), options.as_array().cloned().unwrap_or_default())]
        }
        ValidationErrorKind::Constant { expected_value } if here == Openness::Closed => {
            vec![values(pointer, error.instance(), vec![Value::clone(expected_value)])]
        }
        ValidationErrorKind::Type { kind } => {
            let expected = match kind {
                TypeKind::Single(one) => vec![one.to_string()],
                TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).collect(),
            };
            let key = pointer.last().cloned().unwrap_or_default();
            let said = beside(schema, &around).and_then(|schema| schema.get("description")).and_then(Value::as_str);
            let hint = said.map(|said| format!("`{}`: {}", short(&key), short(said)));
            vec![types(pointer, expected, found(error.instance(), here)).hint(hint)]
        }
        _ if here != Openness::Closed => match error.kind() {
            // A text that is not known yet, or a rule about a whole of which part is not.
            ValidationErrorKind::MinItems { .. }
            | ValidationErrorKind::MaxItems { .. }
            | ValidationErrorKind::MinProperties { .. }
            | ValidationErrorKind::MaxProperties { .. }
            | ValidationErrorKind::AdditionalItems { .. } => vec![other(error)],
            _ => Vec::new(),
        },
        _ if keyword.is_empty() => vec![Problem::at(pointer, "the plugin takes no such value")],
        _ => vec![other(error)],
    }
}

/// An error in the validator's own words.
pub(super) fn other(error: &ValidationError<'_>) -> Problem {
    let pointer = words(error.instance_path().as_str());
    Problem::at(pointer, short(&error.masked_with("the value").to_string()))
}

fn found(instance: &Value, here: Openness) -> &'static str {
    match instance {
        _ if here == Openness::Open => "a reference, which is always a string",
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

/// JSON's word for a type in TOML's.
fn with_article(kind: &str) -> &str {
    match kind {
        "object" => "a table",
        "array" => "an array",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "string" => "a string",
        "null" => "nothing",
        other => other,
    }
}

fn types(pointer: Vec<String>, accepted: Vec<String>, found: &'static str) -> Problem {
    let words: Vec<&str> = accepted.iter().map(|kind| with_article(kind)).collect();
    let mut problem = Problem::at(pointer, format!("expected {}, found {found}", words.join(" or ")));
    problem.accepted = Accepted::Types { found, accepted };
    problem
}

fn values(pointer: Vec<String>, instance: &Value, accepted: Vec<Value>) -> Problem {
    let shown = |value: &Value| match value {
        Value::String(text) => short(text),
        other => short(&other.to_string()),
    };
    let written = shown(instance);
    let message = match pointer.last().filter(|word| word.parse::<usize>().is_err()) {
        Some(key) => format!("`{}` cannot be `{written}`", short(key)),
        None => format!("this cannot be `{written}`"),
    };
    let texts: Vec<String> = accepted.iter().map(shown).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut problem = Problem::at(pointer, message).hint(meant(&written, &texts));
    problem.accepted = Accepted::Values { written: instance.clone(), accepted };
    problem
}

/// A value that fits no branch: the problems of the branch that was most likely meant.
fn union(pointer: &[String], branches: Vec<Vec<Problem>>) -> Vec<Problem> {
    // With what is not known yet, one of them may fit.
    if branches.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    if let Some(missing) = missing(&branches) {
        return vec![missing];
    }
    // The same key says in each branch that it is not the one: `kind = "postgress"`.
    if let Some(joined) = joined(&branches) {
        return vec![joined];
    }
    let mismatch = |problem: &Problem| match &problem.accepted {
        Accepted::Values { .. } => true,
        Accepted::Types { .. } => problem.pointer == pointer,
        Accepted::Key(_) | Accepted::Unknown => false,
    };
    let likely = |branch: &Vec<Problem>| (branch.iter().any(mismatch), branch.len());
    branches.into_iter().min_by_key(likely).unwrap_or_default()
}

/// One problem for all branches, where each refuses the same place by value, or each by type.
fn joined(branches: &[Vec<Problem>]) -> Option<Problem> {
    let (first, others) = branches.split_first()?;
    first.iter().find_map(|candidate| {
        let same = |branch: &Vec<Problem>| {
            let mut problems = branch.iter().filter(|problem| problem.pointer == candidate.pointer);
            problems.find_map(|problem| match (&candidate.accepted, &problem.accepted) {
                (Accepted::Values { .. }, Accepted::Values { .. })
                | (Accepted::Types { .. }, Accepted::Types { .. }) => Some(problem.accepted.clone()),
                _ => None,
            })
        };
        let others: Vec<Accepted> = others.iter().map(same).collect::<Option<_>>()?;
        let pointer = candidate.pointer.clone();
        match candidate.accepted.clone() {
            Accepted::Values { written, mut accepted } => {
                for other in others {
                    if let Accepted::Values { accepted: more, .. } = other {
                        accepted.extend(more);
                    }
                }
                Some(values(pointer, &written, accepted))
            }
            Accepted::Types { found, mut accepted } => {
                for other in others {
                    if let Accepted::Types { accepted: more, .. } = other {
                        accepted.extend(more);
                    }
                }
                accepted.sort_unstable();
                accepted.dedup();
                Some(types(pointer, accepted, found))
            }
            Accepted::Key(_) | Accepted::Unknown => None,
        }
    })
}

/// One problem for all branches, where each wants nothing but one more key.
fn missing(branches: &[Vec<Problem>]) -> Option<Problem> {
    let keys: Vec<String> = branches
        .iter()
        .map(|branch| match branch.as_slice() {
            [Problem { accepted: Accepted::Key(key), .. }] => Some(format!("`{key}`")),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let pointer = branches.first()?.first()?.pointer.clone();
    Some(Problem::at(pointer, format!("one of {} is missing", keys.join(", "))))
}

/// The keys of the `properties` that stand beside the keyword at `path`.
fn allowed_keys(schema: &Value, path: &[String]) -> Vec<String> {
    let properties = beside(schema, path).and_then(|around| around.get("properties")).and_then(Value::as_object);
    properties.into_iter().flatten().map(|(key, _)| short(key)).take(100).collect()
}

/// What the schema says of a key, for somebody who has forgotten it.
fn description(schema: &Value, path: &[String], key: &str) -> Option<String> {
    let text = beside(schema, path)?.get("properties")?.get(key)?.get("description")?.as_str()?;
    Some(format!("`{}`: {}", short(key), short(text)))
}

/// The schema that holds the keyword at `path`.
fn beside<'s>(schema: &'s Value, path: &[String]) -> Option<&'s Value> {
    let (_, around) = path.split_last()?;
    around.iter().try_fold(schema, |schema, word| match schema {
        Value::Array(items) => items.get(word.parse::<usize>().ok()?),
        _ => schema.get(word),
    })
}

/// A JSON pointer as its words.
pub(super) fn words(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|word| word.replace("~1", "/").replace("~0", "~")).collect()
}
