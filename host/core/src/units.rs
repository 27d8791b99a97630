//! Values with a unit: `"300s"`, `"1%"`, `"100GiB"`. A bare number is never one of them.

use std::{fmt, str::FromStr, time::Duration};

/// Text that is not a value with a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Digits alone.
    #[error("`{0}` has no unit")]
    Missing(String),
    /// A unit that is not one of ours.
    #[error("unknown unit `{unit}` in `{text}`")]
    Unknown {
        /// The whole text.
        text: String,
        /// What stands behind the digits.
        unit: String,
    },
    /// No digits, or digits that say no number.
    #[error("`{0}` is not a number with a unit")]
    NotANumber(String),
    /// More than the type holds.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// Splits `300s` into `300` and `s`. The number may have one decimal point.
fn split(text: &str) -> Result<(&str, &str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    if number.is_empty() || number.parse::<f64>().is_err() {
        return Err(UnitError::NotANumber(text.to_owned()));
    }
    if unit.trim().is_empty() {
        return Err(UnitError::Missing(text.to_owned()));
    }
    Ok((number, unit.trim()))
}

/// `number × scale` as a whole number, without going through floating point for whole numbers.
fn scaled(number: &str, scale: u64, text: &str) -> Result<u64, UnitError> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(|| UnitError::TooLarge(text.to_owned()));
    }
    let value: f64 = number.parse().map_err(|_| UnitError::NotANumber(text.to_owned()))?;
    let product = value * scale as f64;
    if product.is_finite() && product < u64::MAX as f64 {
        Ok(product.round() as u64)
    } else {
        Err(UnitError::TooLarge(text.to_owned()))
    }
}

/// Reads `500ms`, `30s`, `5m`, `4h`, `7d`, `1w`.
///
/// # Errors
///
/// No unit, an unknown unit, no number, or more than `u64` milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text)?;
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return Err(UnitError::Unknown { text: text.to_owned(), unit: unit.to_owned() }),
    };
    scaled(number, scale, text).map(Duration::from_millis)
}

/// The shortest of `ms`, `s`, `m`, `h`, `d` that says a duration exactly.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (scale, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms != 0 && ms.is_multiple_of(scale) {
            return format!("{}{unit}", ms / scale);
        }
    }
    format!("{ms}ms")
}

/// A number of bytes. Written with `B`, `kB`, `MB`, `GB`, `TB` (powers of ten) or `KiB`, `MiB`, `GiB`, `TiB` (powers of two).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text)?;
        let scale = match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(UnitError::Unknown { text: text.to_owned(), unit: unit.to_owned() }),
        };
        scaled(number, scale, text).map(Self)
    }
}

impl fmt::Display for ByteSize {
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

/// Reads `1%`, `0.5%` as a share of one.
///
/// # Errors
///
/// No `%`, or no number.
pub fn parse_percentage(text: &str) -> Result<f64, UnitError> {
    let (number, unit) = split(text)?;
    if unit != "%" {
        return Err(UnitError::Unknown { text: text.to_owned(), unit: unit.to_owned() });
    }
    number.parse::<f64>().map(|n| n / 100.0).map_err(|_| UnitError::NotANumber(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_a_unit() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("1.5m", 90_000), ("4h", 14_400_000), ("1w", 604_800_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse_duration("300"), Err(UnitError::Missing("300".into())));
        assert_eq!(
            parse_duration("5 parsecs"),
            Err(UnitError::Unknown { text: "5 parsecs".into(), unit: "parsecs".into() })
        );
        assert_eq!(parse_duration("-5s"), Err(UnitError::NotANumber("-5s".into())));
        assert_eq!(parse_duration("99999999999999999999d"), Err(UnitError::TooLarge("99999999999999999999d".into())));
        assert_eq!(format_duration(Duration::from_secs(7200)), "2h");
        assert_eq!(format_duration(Duration::ZERO), "0ms");
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        assert_eq!("100GB".parse(), Ok(ByteSize(100_000_000_000)));
        assert_eq!("100GiB".parse(), Ok(ByteSize(100 << 30)));
        assert_eq!("0.5KiB".parse(), Ok(ByteSize(512)));
        assert!("12".parse::<ByteSize>().is_err());
        assert_eq!(ByteSize(1_610_612_736).to_string(), "1.5 GiB");
    }

    #[test]
    fn percentages_are_shares() {
        assert_eq!(parse_percentage("1%"), Ok(0.01));
        assert!(parse_percentage("0.01").is_err());
    }
}
