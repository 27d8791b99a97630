//! What a value is expected to be: `"healthy"`, `3`, `{ min = 2555 }`, `{ one_of = ["a", "b"] }`, `{ present = true }`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// What a value is expected to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// This text, number or truth value.
    Is(Value),
    /// Everything that is said here.
    Holds(Box<Conditions>),
}

/// Conditions on a value. At least one; all of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    is: Option<Value>,
    one_of: Option<Vec<Value>>,
    min: Option<f64>,
    max: Option<f64>,
    contains: Option<String>,
    present: Option<bool>,
}

/// A value that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen<'v> {
    /// Text of a source that has no types: a variable, a header, a numeric column. It may read as a number.
    Text(&'v str),
    /// A value of a source that has them. Text is never a number here.
    Typed(&'v Value),
}

impl Expectation {
    /// Whether what was seen is as expected. Nothing is never as expected, unless its absence is.
    #[must_use]
    pub fn is_met(&self, seen: Option<Seen<'_>>) -> bool {
        let Some(seen) = seen else {
            return matches!(self, Self::Holds(conditions) if conditions.present == Some(false));
        };
        match self {
            Self::Is(value) => seen.is(value),
            Self::Holds(conditions) => conditions.hold(seen),
        }
    }

    /// Whether the value itself can be told from the expectation alone: numbers and truth values can be shown, text
    /// that was expected to be something else cannot where it may be a secret.
    #[must_use]
    pub fn asks_for_number(&self) -> bool {
        match self {
            Self::Is(value) => value.is_number(),
            Self::Holds(conditions) => conditions.min.is_some() || conditions.max.is_some(),
        }
    }
}

impl Conditions {
    fn hold(&self, seen: Seen<'_>) -> bool {
        let number = seen.number();
        self.present != Some(false)
            && self.is.as_ref().is_none_or(|value| seen.is(value))
            && self.one_of.as_ref().is_none_or(|values| values.iter().any(|value| seen.is(value)))
            && self.min.is_none_or(|min| number.is_some_and(|number| number >= min))
            && self.max.is_none_or(|max| number.is_some_and(|number| number <= max))
            && self.contains.as_ref().is_none_or(|part| seen.contains(part))
    }

    /// What makes no sense, though it fits the types.
    fn problem(&self) -> Option<&'static str> {
        let others = self.is.is_some()
            || self.one_of.is_some()
            || self.min.is_some()
            || self.max.is_some()
            || self.contains.is_some();
        let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        if !others && self.present.is_none() {
            Some("an expectation needs at least one condition")
        } else if others && self.present == Some(false) {
            Some("what must be absent can have no value")
        } else if !self.is.iter().chain(self.one_of.iter().flatten()).all(scalar) {
            Some("an expected value is a text, a number or a truth value")
        } else {
            None
        }
    }
}

impl Seen<'_> {
    fn is(self, expected: &Value) -> bool {
        match (self, expected) {
            (Self::Text(text), Value::String(expected)) => text == expected,
            (Self::Text(text), Value::Bool(expected)) => {
                text.eq_ignore_ascii_case(if *expected { "true" } else { "false" })
            }
            (Self::Text(_), Value::Number(expected)) => same_number(self.number(), expected.as_f64()),
            (Self::Typed(Value::Number(seen)), Value::Number(expected)) => {
                seen == expected || same_number(seen.as_f64(), expected.as_f64())
            }
            (Self::Typed(seen), expected) => seen == expected,
            (Self::Text(_), _) => false,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Self::Typed(value) => value.as_f64(),
        }
    }

    fn contains(self, part: &str) -> bool {
        match self {
            Self::Text(text) => text.contains(part),
            Self::Typed(Value::String(text)) => text.contains(part),
            Self::Typed(Value::Array(values)) => values.iter().any(|value| value == part),
            Self::Typed(_) => false,
        }
    }
}

#[expect(clippy::float_cmp, reason = "an expected number is one that was written down")]
fn same_number(seen: Option<f64>, expected: Option<f64>) -> bool {
    matches!((seen, expected), (Some(seen), Some(expected)) if seen == expected)
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = match self {
            Self::Is(value) => return write!(f, "{value}"),
            Self::Holds(conditions) => conditions,
        };
        let mut parts: Vec<String> = Vec::new();
        parts.extend(conditions.is.iter().map(Value::to_string));
        if let Some(values) = &conditions.one_of {
            parts.push(format!("one of {}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")));
        }
        parts.extend(conditions.min.map(|min| format!("at least {min}")));
        parts.extend(conditions.max.map(|max| format!("at most {max}")));
        parts.extend(conditions.contains.iter().map(|part| format!("containing {part:?}")));
        parts.extend(conditions.present.map(|present| if present { "present" } else { "absent" }.to_owned()));
        f.write_str(&parts.join(" and "))
    }
}

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ Value::Object(_) => {
                let conditions: Conditions = serde_json::from_value(value).map_err(de::Error::custom)?;
                conditions
                    .problem()
                    .map_or(Ok(Self::Holds(Box::new(conditions))), |problem| Err(de::Error::custom(problem)))
            }
            value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => Ok(Self::Is(value)),
            _ => {
                Err(de::Error::custom("an expected value is a text, a number, a truth value or a table of conditions"))
            }
        }
    }
}

impl JsonSchema for Expectation {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Expectation")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let scalar = serde_json::json!({ "type": ["string", "number", "boolean"] });
        json_schema!({
            "description": "A value, or a table of conditions: `{ min = 3 }`, `{ one_of = [\"a\", \"b\"] }`.",
            "type": ["string", "number", "boolean", "object"],
            "minProperties": 1,
            "additionalProperties": false,
            "properties": {
                "is": { "description": "Exactly this.", "type": ["string", "number", "boolean"] },
                "one_of": { "description": "One of these.", "type": "array", "items": scalar, "minItems": 1 },
                "min": { "description": "A number, at least this.", "type": "number" },
                "max": { "description": "A number, at most this.", "type": "number" },
                "contains": { "description": "Text that holds this, or a list that does.", "type": "string", "minLength": 1 },
                "present": { "description": "`true`: there, whatever it is. `false`: not there.", "type": "boolean" },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expectation(value: Value) -> Expectation {
        serde_json::from_value(value).expect("an expectation")
    }

    #[test]
    fn values_without_types_may_read_as_numbers() {
        for (expected, text, met) in [
            (json!("require"), "require", true),
            (json!("require"), "disable", false),
            (json!(true), "TRUE", true),
            (json!(true), "1", false),
            (json!(20), "20", true),
            (json!({ "min": 2555 }), "2555", true),
            (json!({ "min": 2555 }), "2554.9", false),
            (json!({ "min": 1 }), "many", false),
            (json!({ "min": 1 }), "inf", false),
            (json!({ "min": 1, "max": 3 }), "4", false),
            (json!({ "one_of": ["a", "b"] }), "b", true),
            (json!({ "one_of": ["a", "b"] }), "c", false),
            (json!({ "contains": "31536000" }), "max-age=31536000; preload", true),
            (json!({ "present": true }), "", true),
            (json!({ "present": false }), "x", false),
        ] {
            assert_eq!(expectation(expected.clone()).is_met(Some(Seen::Text(text))), met, "{expected} {text}");
        }
    }

    #[test]
    fn values_with_types_keep_them() {
        for (expected, seen, met) in [
            (json!("healthy"), json!("healthy"), true),
            (json!(3), json!(3.0), true),
            (json!(3), json!("3"), false),
            (json!({ "contains": "a" }), json!(["b", "a"]), true),
            (json!({ "min": 2 }), json!(true), false),
        ] {
            assert_eq!(expectation(expected.clone()).is_met(Some(Seen::Typed(&seen))), met, "{expected} {seen}");
        }
    }

    #[test]
    fn nothing_is_never_as_expected() {
        for expected in [json!("x"), json!({ "present": true }), json!({ "max": 3 })] {
            assert!(!expectation(expected.clone()).is_met(None), "{expected}");
        }
        assert!(expectation(json!({ "present": false })).is_met(None));
    }

    #[test]
    fn an_expectation_expects_something() {
        for wrong in
            [json!({}), json!({ "present": false, "min": 1 }), json!({ "mim": 1 }), json!(null), json!({ "is": [] })]
        {
            assert!(serde_json::from_value::<Expectation>(wrong.clone()).is_err(), "{wrong}");
        }
        assert_eq!(expectation(json!({ "min": 1, "max": 3 })).to_string(), "at least 1 and at most 3");
    }
}
