//! The schemas that plugins bring for their settings. They are untrusted: bounded before they are compiled, and before they
//! are let loose on settings.

mod encryption;
mod explain;
mod graph;
mod restoring;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

pub(crate) use self::explain::{Openness, Problem};
use self::graph::Graph;
pub use self::{
    encryption::{ENCRYPTS, Encryption, EncryptionReader},
    restoring::{RESTORES, Restoring, RestoringReader},
};
use crate::pipeline::Step;

/// Largest schema, in bytes.
const MAXIMUM_SCHEMA: usize = 256 << 10;
/// Problems of one step that are worth reading.
const MAXIMUM_PROBLEMS: usize = 20;
/// Memory of one compiled pattern, in bytes.
const PATTERN_MEMORY: usize = 1 << 20;

/// A schema that is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings schema is refused: {0}")]
pub struct SchemaRefused(pub String);

/// Reads the schema that a plugin describes its settings with: JSON Schema 2020-12.
///
/// # Errors
///
/// More than 256 KiB, JSON that is nested too deep or none at all, another dialect, a reference to another document, one that
/// leads to itself, and patterns that cannot be matched in linear time (look-around, back-references).
pub fn compile_schema(text: &str) -> Result<Value, SchemaRefused> {
    let schema = read_schema(text)?;
    Compiled::new(&schema)?;
    Ok(schema)
}

/// The same without compiling it, which takes a millisecond: for
/// [`check_against_plugins`](crate::check_against_plugins), which compiles every schema anyway.
///
/// # Errors
///
/// More than 256 KiB, JSON that is nested too deep or none at all.
pub fn read_schema(text: &str) -> Result<Value, SchemaRefused> {
    if text.len() > MAXIMUM_SCHEMA {
        return Err(SchemaRefused(format!("it is larger than {} KiB", MAXIMUM_SCHEMA >> 10)));
    }
    // The reader itself stops at 128 levels.
    serde_json::from_str(text).map_err(|error| SchemaRefused(format!("not JSON: {error}")))
}

/// Validates settings whose references have been resolved, right before the step is called.
///
/// # Errors
///
/// What is wrong with them, in one line.
pub fn validate_resolved(step: &Step, schema: &Value, settings: &Value) -> Result<(), String> {
    let compiled = Compiled::new(schema).map_err(|refused| refused.to_string())?;
    let problems = compiled.problems(settings, &|_| Openness::Closed);
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.place(), problem.message)).collect();
    Err(format!("the settings of `{}` do not fit once their references are resolved: {}", step.id, lines.join("; ")))
}

/// A schema that is ready to validate.
pub(crate) struct Compiled<'s> {
    schema: &'s Value,
    graph: Graph<'s>,
    validator: Validator,
}

impl<'s> Compiled<'s> {
    pub(crate) fn new(schema: &'s Value) -> Result<Self, SchemaRefused> {
        let graph = Graph::new(schema).map_err(SchemaRefused)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_MEMORY).dfa_size_limit(PATTERN_MEMORY))
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .offline()
            .build(schema)
            .map_err(|error| SchemaRefused(explain::short(&error.to_string())))?;
        Ok(Self { schema, graph, validator })
    }

    /// What is wrong with `settings`. `open` says what is only known later.
    pub(crate) fn problems(&self, settings: &Value, open: &dyn Fn(&[String]) -> Openness) -> Vec<Problem> {
        if !self.graph.affordable(settings) {
            return vec![Problem::at(Vec::new(), "the plugin's schema is too complex for these settings")];
        }
        let mut problems: Vec<Problem> = Vec::new();
        for error in self.validator.iter_errors(settings) {
            let mut explained = explain::explain(self.schema, &error, open);
            // Only what is not known yet excuses an error.
            if explained.is_empty() && open(&[]) == Openness::Closed {
                explained.push(explain::other(&error));
            }
            for problem in explained {
                if !problems.iter().any(|known| known.same(&problem)) {
                    problems.push(problem);
                }
            }
            if problems.len() >= MAXIMUM_PROBLEMS {
                break;
            }
        }
        problems
    }

    /// Where in `settings` a subschema applies that says `keyword: true`, as JSON pointers.
    fn marked(&self, settings: &Value, keyword: &str) -> Vec<Vec<String>> {
        if !self.graph.affordable(settings) {
            return Vec::new();
        }
        let mut found: Vec<Vec<String>> = Vec::new();
        for entry in self.validator.evaluate(settings).iter_annotations() {
            let pointer = explain::words(entry.instance_location.as_str());
            if entry.annotations.value().get(keyword) == Some(&Value::Bool(true)) && !found.contains(&pointer) {
                found.push(pointer);
            }
        }
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> String {
        compile_schema(&schema.to_string()).unwrap_err().0
    }

    #[test]
    fn schemas_that_could_hurt_are_refused() {
        assert!(compile_schema(&format!("\"{}\"", "x".repeat(MAXIMUM_SCHEMA))).unwrap_err().0.contains("KiB"));
        assert!(compile_schema("{").unwrap_err().0.contains("JSON"));
        assert!(compile_schema(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).is_err());
        for reference in ["https://example.com/x", "other.json", "/etc/passwd", "file:///etc/passwd", "x#/y"] {
            for keyword in ["$ref", "$dynamicRef"] {
                let why = refused(&json!({ "properties": { "a": { keyword: reference } } }));
                assert!(why.contains("another document"), "{why}");
            }
        }
        assert!(refused(&json!({ "$ref": "#/nowhere" })).contains("nothing"));
        assert!(refused(&json!({ "$schema": "http://json-schema.org/draft-07/schema#" })).contains("2020-12"));
        assert!(refused(&json!({ "properties": { "a": { "$id": "https://x.example/" } } })).contains("$id"));
        for pattern in ["(?=a)b", "(?<!a)b", r"(a)\1", "("] {
            refused(&json!({ "pattern": pattern }));
            refused(&json!({ "patternProperties": { pattern: true } }));
        }
        for cycle in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "not": { "$ref": "#/$defs/b" } }, "b": { "$ref": "#/$defs/a" } } }),
        ] {
            assert!(refused(&cycle).contains("itself"), "{cycle}");
        }
        refused(&json!({ "type": "wrong" }));
    }

    #[test]
    fn recursion_that_descends_is_welcome() {
        let schema = json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": {
                "type": "object",
                "properties": { "left": { "$ref": "#/$defs/node" }, "right": { "$ref": "#/$defs/node" } },
                "additionalProperties": false,
            } },
        });
        let schema = compile_schema(&schema.to_string()).unwrap();
        let mut deep = json!({});
        for _ in 0..30 {
            deep = json!({ "left": deep.clone(), "right": {} });
        }
        assert!(Compiled::new(&schema).unwrap().problems(&deep, &|_| Openness::Closed).is_empty());
    }

    #[test]
    fn schemas_that_double_at_every_step_do_not_run() {
        let mut definitions = serde_json::Map::new();
        for index in 0..60 {
            let next = format!("#/$defs/d{}", index + 1);
            definitions.insert(format!("d{index}"), json!({ "allOf": [{ "$ref": next }, { "$ref": next }] }));
        }
        definitions.insert("d60".to_owned(), json!({ "type": "object" }));
        let deep = json!({ "$ref": "#/$defs/d0", "$defs": definitions });
        if let Ok(compiled) = Compiled::new(&deep) {
            let problems = compiled.problems(&json!({}), &|_| Openness::Closed);
            assert!(problems[0].message.contains("too complex"));
        }
        // The same over the levels of the settings.
        let wide = json!({ "allOf": [{ "$ref": "#/$defs/n" }, { "$ref": "#/$defs/n" }],
            "$defs": { "n": { "additionalProperties": { "$ref": "#" } } } });
        let mut settings = json!({});
        for _ in 0..31 {
            settings = json!({ "a": settings });
        }
        let problems = Compiled::new(&wide).unwrap().problems(&settings, &|_| Openness::Closed);
        assert!(problems[0].message.contains("too complex"));
    }
}
