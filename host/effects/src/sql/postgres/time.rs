//! Points in time and spans of it, as ISO 8601.

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// Microseconds in a day.
const DAY: i64 = 86_400 * SECOND;

/// Days from 0000-03-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH: i64 = 730_425;

/// `2026-11-23T02:15:00.5`, with `suffix` behind it. Microseconds since 2000.
pub(super) fn timestamp(micros: i64, suffix: &str) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        _ => format!("{}T{}{suffix}", civil(micros.div_euclid(DAY)), time(micros.rem_euclid(DAY))),
    }
}

/// `2026-11-23`. Days since 2000.
pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        _ => civil(i64::from(days)),
    }
}

/// `02:15:00.5`. Microseconds since midnight.
pub(super) fn time(micros: i64) -> String {
    let (seconds, rest) = (micros / SECOND, micros % SECOND);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{}", with_fraction(&format!("{:02}", seconds % 60), rest))
}

/// `02:15:00+01:00`. `west` is the offset in seconds west of Greenwich, as PostgreSQL counts.
pub(super) fn time_with_zone(micros: i64, west: i32) -> String {
    let sign = if west > 0 { '-' } else { '+' };
    let offset = west.unsigned_abs();
    let seconds = if offset.is_multiple_of(60) { String::new() } else { format!(":{:02}", offset % 60) };
    format!("{}{sign}{:02}:{:02}{seconds}", time(micros), offset / 3600, offset / 60 % 60)
}

/// `P1Y2M3DT4H5M6.5S`. Each part has a sign of its own.
pub(super) fn interval(micros: i64, days: i32, months: i32) -> String {
    let mut text = "P".to_owned();
    let mut part = |amount: i64, unit: char| {
        if amount != 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    };
    part(i64::from(months / 12), 'Y');
    part(i64::from(months % 12), 'M');
    part(i64::from(days), 'D');
    let (seconds, rest) = (micros / SECOND, micros % SECOND);
    if micros != 0 {
        text.push('T');
        for (amount, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
            if amount != 0 {
                text.push_str(&format!("{amount}{unit}"));
            }
        }
        if seconds % 60 != 0 || rest != 0 {
            let sign = if micros < 0 { "-" } else { "" };
            let whole = format!("{sign}{}", (seconds % 60).abs());
            text.push_str(&format!("{}S", with_fraction(&whole, rest.abs())));
        }
    }
    if text == "P" { "PT0S".to_owned() } else { text }
}

fn with_fraction(whole: &str, micros: i64) -> String {
    if micros == 0 {
        return whole.to_owned();
    }
    let fraction = format!("{micros:06}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// The proleptic Gregorian date, by whole cycles of 400 years that begin in March.
fn civil(days: i64) -> String {
    let days = days + EPOCH;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_cycle = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * cycle + year_of_cycle + i64::from(month <= 2);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        ..0 => format!("-{:04}", year.abs()),
        _ => format!("+{year}"),
    };
    format!("{year}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, text) in [
            (0, "2000-01-01"),
            (-1, "1999-12-31"),
            (59, "2000-02-29"),
            (60, "2000-03-01"),
            (366, "2001-01-01"),
            (-730_119, "0001-01-01"),
            (-730_485, "0000-01-01"),
            (-730_486, "-0001-12-31"),
            (2_921_940, "+10000-01-01"),
            (i32::MAX, "infinity"),
            (i32::MIN, "-infinity"),
        ] {
            assert_eq!(date(days), text);
        }
        for day in -800_000..800_000 {
            let next = date(day + 1);
            assert_ne!(date(day), next);
        }
    }

    #[test]
    fn points_in_time() {
        assert_eq!(timestamp(0, "Z"), "2000-01-01T00:00:00Z");
        assert_eq!(timestamp(-1, ""), "1999-12-31T23:59:59.999999");
        assert_eq!(timestamp(DAY + 1_500_000, "Z"), "2000-01-02T00:00:01.5Z");
        assert_eq!(timestamp(i64::MAX, "Z"), "infinity");
        assert_eq!(time(DAY), "24:00:00");
        assert_eq!(time_with_zone(3_600 * SECOND, -3_600), "01:00:00+01:00");
        assert_eq!(time_with_zone(0, 19_800), "00:00:00-05:30");
    }

    #[test]
    fn spans() {
        for (micros, days, months, text) in [
            (0, 0, 0, "PT0S"),
            (14_706_500_000, 3, 14, "P1Y2M3DT4H5M6.5S"),
            (-1_500_000, 0, 0, "PT-1.5S"),
            (-500_000, 0, 0, "PT-0.5S"),
            (0, -3, 0, "P-3D"),
            (i64::MIN, 0, 0, "PT-2562047788H-54.775808S"),
        ] {
            assert_eq!(interval(micros, days, months), text);
        }
    }
}
