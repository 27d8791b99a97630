//! What the settings of a backup say about encryption, where the plugin's schema says which setting that is.

use serde_json::Value;

use super::Compiled;
use crate::pipeline::Step;

/// Keyword of a settings schema. Where it is `true`, the setting is the name of the secret that artifacts are encrypted with;
/// left out, or anything but a text, it means that they are not.
pub const ENCRYPTS: &str = "x-pipe-encrypts";

/// Whether what a step stores will be encrypted, as far as its settings tell before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The schema does not say which setting it is, or its value is known only later.
    Unknown,
    /// With these secrets, by their names.
    With(Vec<String>),
    /// Not at all.
    Never {
        /// Line of the pipeline file that says so, from 1.
        line: usize,
        /// The setting on it. Nothing where it is left out.
        setting: Option<String>,
    },
}

/// Reads it off the settings of each step of one plugin.
pub struct EncryptionReader<'s>(Option<Compiled<'s>>);

impl<'s> EncryptionReader<'s> {
    /// For the schema of a plugin, from [`read_schema`](crate::read_schema). One that is refused tells nothing.
    #[must_use]
    pub fn new(schema: &'s Value) -> Self {
        Self(if declares(schema, ENCRYPTS) { Compiled::new(schema).ok() } else { None })
    }

    /// What the settings of a step say. `line` tells the line of a byte of the pipeline file.
    #[must_use]
    pub fn of(&self, step: &Step, line: impl Fn(usize) -> usize) -> Encryption {
        let Some(schema) = &self.0 else { return Encryption::Unknown };
        let settings = step.settings.with_placeholders();
        let mut secrets = Vec::new();
        let mut plain = None;
        for pointer in schema.marked(&settings, ENCRYPTS) {
            let here = step.settings.locate(&pointer);
            if here.is_open() {
                return Encryption::Unknown;
            }
            let place = pointer.iter().try_fold(&settings, |value, word| match value {
                Value::Array(items) => items.get(word.parse::<usize>().ok()?),
                value => value.get(word),
            });
            match place {
                Some(Value::String(name)) => secrets.push(name.clone()),
                value => {
                    let key = pointer.last().cloned().unwrap_or_default();
                    plain.get_or_insert((here.span.start, value.map(|value| format!("{key} = {value}"))));
                }
            }
        }
        if !secrets.is_empty() {
            return Encryption::With(secrets);
        }
        match plain {
            // Whatever is open may turn out to be what the schema asks for.
            None if step.settings.has_open_references() => Encryption::Unknown,
            None => Encryption::Never { line: line(step.span.start), setting: None },
            Some((at, setting)) => Encryption::Never { line: line(at), setting },
        }
    }
}

/// Whether the keyword stands anywhere in a schema. The reader of schemas bounds how deep that is.
pub(super) fn declares(schema: &Value, keyword: &str) -> bool {
    let within = |part: &Value| declares(part, keyword);
    match schema {
        Value::Object(object) => object.get(keyword) == Some(&Value::Bool(true)) || object.values().any(within),
        Value::Array(items) => items.iter().any(within),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_found_behind_conditions_and_references_and_only_where_they_apply() {
        let schema = json!({
            "if": { "properties": { "kind": { "const": "a" } }, "required": ["kind"] },
            "then": { "properties": { "encrypt": { "$ref": "#/$defs/encrypt" } } },
            "else": { "properties": { "item": { "type": "array", "items": { "properties": {
                "key": { "type": ["string", "boolean"], "x-pipe-encrypts": true },
                "note": { "x-pipe-encrypts": false },
            } } } } },
            "$defs": { "encrypt": { "x-pipe-encrypts": true } },
        });
        let compiled = Compiled::new(&schema).unwrap();
        let marked = |settings: &Value| compiled.marked(settings, ENCRYPTS);
        assert_eq!(marked(&json!({ "kind": "a", "encrypt": "k" })), [["encrypt"]]);
        assert_eq!(marked(&json!({ "kind": "a", "key": "k" })), [[""; 0]; 0]);
        assert_eq!(marked(&json!({ "kind": "b", "encrypt": "k" })), [[""; 0]; 0]);
        let items = json!({ "item": [{ "note": "k" }, { "key": false }, { "key": "k" }] });
        assert_eq!(marked(&items), [["item", "1", "key"], ["item", "2", "key"]]);
        let says_no = json!({ "properties": { "key": { ENCRYPTS: false } } });
        assert!(declares(&schema, ENCRYPTS) && !declares(&says_no, ENCRYPTS));
    }
}
