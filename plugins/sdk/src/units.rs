//! Values with a unit, for settings: `"300s"`, `"100GiB"`, `"1%"`. A bare number is never one of them. The units are
//! those of the pipeline file.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A time span: `500ms`, `30s`, `5m`, `4h`, `7d`, `1w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A number of bytes: `512B`, `1kB`, `1MB`, `1GB`, `1TB` (powers of ten), `1KiB`, `1MiB`, `1GiB`, `1TiB` (powers of two).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A share, as a part of one: `1%` is 0.01.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percentage(pub f64);

/// A number of things: `1 file`, `3 files`.
#[must_use]
pub fn count(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    match number.try_into() {
        Ok(1) => format!("1 {one}"),
        Ok(number) => format!("{number} {many}"),
        Err(_) => many.to_owned(),
    }
}

/// Splits `300s` into `300` and `s`.
fn split(text: &str) -> Result<(&str, &str), String> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    if number.parse::<f64>().is_err() {
        return Err(format!("`{text}` is not a number with a unit"));
    }
    if unit.trim().is_empty() {
        return Err(format!("`{text}` has no unit"));
    }
    Ok((number, unit.trim()))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let &(_, scale) =
        units.iter().find(|(name, _)| *name == unit).ok_or_else(|| format!("unknown unit `{unit}` in `{text}`"))?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(|| format!("`{text}` is too large"));
    }
    let product = number.parse::<f64>().unwrap_or(f64::INFINITY) * scale as f64;
    if product < u64::MAX as f64 { Ok(product.round() as u64) } else { Err(format!("`{text}` is too large")) }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, u64); 7] = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("min", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 604_800_000),
        ];
        scaled(text, &UNITS).map(|ms| Self(Duration::from_millis(ms)))
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, u64); 10] = [
            ("B", 1),
            ("kB", 1_000),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("TB", 1_000_000_000_000),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
        ];
        scaled(text, &UNITS).map(Self)
    }
}

impl FromStr for Percentage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match split(text)? {
            (number, "%") => {
                number.parse().map(|n: f64| Self(n / 100.0)).map_err(|_| format!("`{text}` is not a number"))
            }
            (_, unit) => Err(format!("unknown unit `{unit}` in `{text}`")),
        }
    }
}

impl Period {
    fn exact(&self) -> String {
        self.to_string()
    }
}

impl Bytes {
    /// Without rounding, as it would be written: `100GiB`.
    fn exact(&self) -> String {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return format!("{}{unit}", self.0 >> shift);
            }
        }
        format!("{}B", self.0)
    }
}

impl Percentage {
    fn exact(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Period {
    /// The largest unit that says it exactly: `2h`, `90s`, `1500ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (scale, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if ms != 0 && ms.is_multiple_of(scale) {
                return write!(f, "{}{unit}", ms / scale);
            }
        }
        write!(f, "{ms}ms")
    }
}

impl fmt::Display for Bytes {
    /// One decimal of the largest power of two that fits: `1.5 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift {
                return write!(f, "{:.1} {unit}", self.0 as f64 / (1_u64 << shift) as f64);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

macro_rules! text_setting {
    ($type:ident, $name:literal, $pattern:literal, $description:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.exact())
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

text_setting!(
    Period,
    "Period",
    r"^[0-9]+(\.[0-9]+)?(ms|s|m|min|h|d|w)$",
    "A time span with its unit: `500ms`, `30s`, `5m`, `4h`, `7d`."
);
text_setting!(
    Bytes,
    "Bytes",
    r"^[0-9]+(\.[0-9]+)?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
    "A size with its unit: `512MB`, `100GiB`."
);
text_setting!(Percentage, "Percentage", r"^[0-9]+(\.[0-9]+)?%$", "A share with `%`: `1%`, `0.5%`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_written() {
        assert_eq!("10s".parse(), Ok(Period(Duration::from_secs(10))));
        assert_eq!("1.5m".parse(), Ok(Period(Duration::from_secs(90))));
        assert_eq!("100GiB".parse(), Ok(Bytes(100 << 30)));
        assert_eq!("1%".parse(), Ok(Percentage(0.01)));
        for bare in ["10", "", "s", "-1s", "1 parsec"] {
            assert!(bare.parse::<Period>().is_err(), "{bare}");
        }
        assert!("12".parse::<Bytes>().is_err());
        assert!("99999999999999TiB".parse::<Bytes>().is_err());
        assert!("0.01".parse::<Percentage>().is_err());
        assert!(serde_json::from_str::<Period>("10").is_err());
    }

    #[test]
    fn units_are_shown() {
        assert_eq!(Period(Duration::from_secs(7200)).to_string(), "2h");
        assert_eq!(Bytes(1_610_612_736).to_string(), "1.5 GiB");
        assert_eq!(serde_json::to_string(&Bytes(1536)).ok().as_deref(), Some(r#""1536B""#));
        assert_eq!(serde_json::to_string(&Bytes(100 << 30)).ok().as_deref(), Some(r#""100GiB""#));
    }
}
