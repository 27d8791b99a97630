//! The settings of a step: JSON in which some strings are still open.

mod bind;

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Map, Value};

pub(crate) use self::bind::{Binder, Order};

/// What `with` says, with every reference resolved that can be before the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub(crate) root: Open,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Open {
    pub(crate) span: Range<usize>,
    pub(crate) value: OpenValue,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OpenValue {
    /// A string, number, boolean, or whatever [`Settings::fixed`] was given.
    Fixed(Value),
    /// A string with at least one reference that is not resolved.
    Text(Vec<Part>),
    Array(Vec<Open>),
    Table(Vec<OpenEntry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenEntry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Open,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Literal(String),
    Output { written: String, step: String, key: String },
    Late { written: String, name: &'static str },
}

/// A reference that has no value when the step's turn comes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{reference}` has no value")]
pub struct UnresolvedReference {
    /// As written: `${steps."a".outputs.x}`.
    pub reference: String,
    /// The string that holds it, in the pipeline file.
    pub span: Range<usize>,
}

impl Settings {
    /// Settings that hold no references, from nowhere in a file.
    #[must_use]
    pub const fn fixed(value: Value) -> Self {
        Self { root: Open { span: 0..0, value: OpenValue::Fixed(value) } }
    }

    /// The settings with every reference resolved.
    ///
    /// `outputs` is asked for the output of a step: by the text of its [`StepId`](pipe_core::id::StepId), `deploy` or
    /// `deploy[api]`, and the output's key. `late` holds `run.outcome` and `run.reason`.
    ///
    /// # Errors
    ///
    /// The first reference that has no value.
    pub fn resolve(
        &self,
        outputs: &dyn Fn(&str, &str) -> Option<String>,
        late: &BTreeMap<String, String>,
    ) -> Result<Value, UnresolvedReference> {
        self.root.resolve(&|part| match part {
            Part::Literal(text) => Ok(text.clone()),
            Part::Output { written, step, key } => outputs(step, key).ok_or(written),
            Part::Late { written, name } => late.get(*name).cloned().ok_or(written),
        })
    }

    /// Whether something is only known later.
    #[must_use]
    pub fn has_open_references(&self) -> bool {
        self.root.is_open()
    }

    /// The steps whose outputs are used, as [`Settings::resolve`] names them.
    #[must_use]
    pub fn needs_outputs_of(&self) -> Vec<&str> {
        let mut steps = Vec::new();
        self.root.each_part(&mut |part| {
            if let Part::Output { step, .. } = part
                && !steps.contains(&step.as_str())
            {
                steps.push(step.as_str());
            }
        });
        steps
    }

    /// The settings with a text in every place that is still open.
    pub(crate) fn with_placeholders(&self) -> Value {
        let placeholder = |part: &Part| match part {
            Part::Literal(text) => Ok(text.clone()),
            Part::Output { written, .. } | Part::Late { written, .. } => Ok::<_, &String>(written.clone()),
        };
        self.root.resolve(&placeholder).unwrap_or_default()
    }

    /// The value that a JSON pointer leads to, or the nearest above it.
    pub(crate) fn locate(&self, pointer: &[String]) -> &Open {
        let mut here = &self.root;
        for word in pointer {
            let next = match &here.value {
                OpenValue::Array(items) => word.parse::<usize>().ok().and_then(|index| items.get(index)),
                OpenValue::Table(entries) => entries.iter().find(|entry| entry.key == *word).map(|entry| &entry.value),
                OpenValue::Fixed(_) | OpenValue::Text(_) => None,
            };
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        here
    }
}

impl Open {
    fn resolve<'a, F>(&'a self, part: &F) -> Result<Value, UnresolvedReference>
    where
        F: Fn(&'a Part) -> Result<String, &'a String>,
    {
        Ok(match &self.value {
            OpenValue::Fixed(value) => value.clone(),
            OpenValue::Text(parts) => {
                let mut text = String::new();
                for piece in parts {
                    let resolved = part(piece);
                    text.push_str(&resolved.map_err(|written| UnresolvedReference {
                        reference: written.clone(),
                        span: self.span.clone(),
                    })?);
                }
                Value::String(text)
            }
            OpenValue::Array(items) => {
                Value::Array(items.iter().map(|item| item.resolve(part)).collect::<Result<_, _>>()?)
            }
            OpenValue::Table(entries) => {
                let mut object = Map::new();
                for entry in entries {
                    object.insert(entry.key.clone(), entry.value.resolve(part)?);
                }
                Value::Object(object)
            }
        })
    }

    /// Whether something in it is only known later.
    pub(crate) fn is_open(&self) -> bool {
        match &self.value {
            OpenValue::Fixed(_) => false,
            OpenValue::Text(_) => true,
            OpenValue::Array(items) => items.iter().any(Self::is_open),
            OpenValue::Table(entries) => entries.iter().any(|entry| entry.value.is_open()),
        }
    }

    /// The place of one of its keys, else its own.
    pub(crate) fn key_span(&self, key: &str) -> Range<usize> {
        let entry = match &self.value {
            OpenValue::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        };
        entry.map_or_else(|| self.span.clone(), |entry| entry.key_span.clone())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        match &self.value {
            OpenValue::Fixed(_) => {}
            OpenValue::Text(parts) => parts.iter().for_each(visit),
            OpenValue::Array(items) => items.iter().for_each(|item| item.each_part(visit)),
            OpenValue::Table(entries) => entries.iter().for_each(|entry| entry.value.each_part(visit)),
        }
    }
}
