//! What the settings of a backup say about restoring it, where the plugin's schema says which setting that is.

use serde_json::Value;

use super::{Compiled, encryption::declares};
use crate::pipeline::Step;

/// Keyword of a settings schema. Where it is `true`, the setting says how artifacts are verified: a table says how each is
/// restored, and anything else, or nothing, that none is.
pub const RESTORES: &str = "x-pipe-restores";

/// Whether what a step stores will be restored, as far as its settings tell before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restoring {
    /// The schema does not say which setting it is, or its value is known only later.
    Unknown,
    /// It will be, or something of it.
    Restored,
    /// Not at all.
    Never {
        /// Line of the pipeline file that says so, from 1.
        line: usize,
        /// The setting on it. Nothing where it is left out.
        setting: Option<String>,
    },
}

/// Reads it off the settings of each step of one plugin.
pub struct RestoringReader<'s>(Option<Compiled<'s>>);

impl<'s> RestoringReader<'s> {
    /// For the schema of a plugin, from [`read_schema`](crate::read_schema). One that is refused tells nothing.
    #[must_use]
    pub fn new(schema: &'s Value) -> Self {
        Self(if declares(schema, RESTORES) { Compiled::new(schema).ok() } else { None })
    }

    /// What the settings of a step say. `line` tells the line of a byte of the pipeline file.
    #[must_use]
    pub fn of(&self, step: &Step, line: impl Fn(usize) -> usize) -> Restoring {
        let Some(schema) = &self.0 else { return Restoring::Unknown };
        let settings = step.settings.with_placeholders();
        let mut never = None;
        for pointer in schema.marked(&settings, RESTORES) {
            let here = step.settings.locate(&pointer);
            if here.is_open() {
                return Restoring::Unknown;
            }
            let place = pointer.iter().try_fold(&settings, |value, word| match value {
                Value::Array(items) => items.get(word.parse::<usize>().ok()?),
                value => value.get(word),
            });
            match place {
                Some(Value::Object(_)) => return Restoring::Restored,
                value => {
                    let key = pointer.last().cloned().unwrap_or_default();
                    never.get_or_insert((here.span.start, value.map(|value| format!("{key} = {value}"))));
                }
            }
        }
        match never {
            // Whatever is open may turn out to be what the schema asks for.
            _ if step.settings.has_open_references() => Restoring::Unknown,
            None => Restoring::Never { line: line(step.span.start), setting: None },
            Some((at, setting)) => Restoring::Never { line: line(at), setting },
        }
    }
}
