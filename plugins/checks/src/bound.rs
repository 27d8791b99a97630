//! A number that is measured, with the unit that people read it in: `"1%"`, `"10s"`, `"1GiB"`, or a bare number of things.

use std::borrow::Cow;
use std::fmt;

use pipe_sdk::units::{Bytes, Percentage, Period};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// In the base unit: a part of one, seconds, bytes, or things.
    pub value: f64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Share,
    Seconds,
    Bytes,
    Things,
}

impl Bound {
    /// Another value as this one is written.
    #[must_use]
    pub fn like(self, value: f64) -> Self {
        Self { value, ..self }
    }

    /// Whether both are measured in the same unit.
    #[must_use]
    pub fn same_unit(self, other: Self) -> bool {
        self.unit == other.unit
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(Percentage(value)) = text.parse() {
            return Ok(Self { value, unit: Unit::Share });
        }
        if let Ok(Period(time)) = text.parse() {
            return Ok(Self { value: time.as_secs_f64(), unit: Unit::Seconds });
        }
        match text.parse() {
            Ok(Bytes(bytes)) => Ok(Self { value: bytes as f64, unit: Unit::Bytes }),
            Err(_) => Err(format!("`{text}` is not a number with `%`, a unit of time or one of size")),
        }
    }
}

impl fmt::Display for Bound {
    /// Four figures are enough to see by how much a bound was missed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Share => write!(f, "{}%", figures(self.value * 100.0)),
            Unit::Seconds if self.value.abs() < 1.0 => write!(f, "{}ms", figures(self.value * 1000.0)),
            Unit::Seconds => write!(f, "{}s", figures(self.value)),
            Unit::Bytes if self.value >= 0.0 => write!(f, "{}", Bytes(self.value as u64)),
            Unit::Bytes | Unit::Things => write!(f, "{}", figures(self.value)),
        }
    }
}

fn figures(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let places = 3 - value.abs().log10().floor().clamp(-15.0, 15.0) as i32;
    let scale = 10f64.powi(places.max(0));
    (value * scale).round() / scale
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => {
                let value = number.as_f64().ok_or_else(|| de::Error::custom("not a number"))?;
                Ok(Self { value, unit: Unit::Things })
            }
            Value::String(text) => Self::parse(&text).map_err(de::Error::custom),
            _ => Err(de::Error::custom("a bound is a number, or one with its unit: `\"1%\"`")),
        }
    }
}

impl JsonSchema for Bound {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Bound")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "pattern": r"^[0-9]+(\.[0-9]+)?(%|ms|s|m|min|h|d|w|B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
            "description": "A share (`\"1%\"` is 0.01), a time (in seconds), a size (in bytes), or a bare number of things.",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bound(value: Value) -> Bound {
        serde_json::from_value(value).expect("a bound")
    }

    #[test]
    fn a_bound_is_measured_in_the_base_unit_and_shown_in_its_own() {
        for (written, value, like, shown) in [
            (json!("1%"), 0.01, 0.042_371, "4.237%"),
            (json!("10s"), 10.0, 30.25, "30.25s"),
            (json!("500ms"), 0.5, 0.25, "250ms"),
            (json!("1KiB"), 1024.0, 2048.0, "2.0 KiB"),
            (json!(3), 3.0, 123_456.0, "123456"),
        ] {
            let bound = bound(written.clone());
            assert!((bound.value - value).abs() < 1e-9, "{written}");
            assert_eq!(bound.like(like).to_string(), shown, "{written}");
        }
    }

    #[test]
    fn what_has_no_unit_is_a_number_and_no_text() {
        for wrong in [json!("1"), json!("-1%"), json!("1 parsec"), json!(true), json!([1])] {
            assert!(serde_json::from_value::<Bound>(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(!bound(json!("1%")).same_unit(bound(json!("1s"))));
    }
}
