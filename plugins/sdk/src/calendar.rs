//! Points in time as people write them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970-01-01.
    pub unix_seconds: i64,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The same moment as by `date --utc --iso-8601=seconds`, with `Z`: `2026-11-23T02:05:12Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// The same moment as by `date --utc` in the C locale: `Mon Nov 23 02:05:12 UTC 2026`.
    #[must_use]
    pub fn to_unix_date(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        let weekday = DAYS[usize::try_from(self.days().rem_euclid(7)).unwrap_or_default()];
        let month = MONTHS[usize::try_from(month - 1).unwrap_or_default()];
        format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} UTC {year}")
    }

    const fn days(self) -> i64 {
        self.unix_seconds.div_euclid(86_400)
    }

    const fn time(self) -> (i64, i64, i64) {
        let second = self.unix_seconds.rem_euclid(86_400);
        (second / 3_600, second / 60 % 60, second % 60)
    }

    /// Year, month and day, by Howard Hinnant's `civil_from_days`.
    const fn date(self) -> (i64, i64, i64) {
        let shifted = self.days() + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        (year_of_era + era * 400 + (month <= 2) as i64, month, day)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let unix_seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(before) => -seconds(before.duration()),
        };
        Self { unix_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_date_does() {
        for (unix_seconds, rfc3339, date) in [
            (0, "1970-01-01T00:00:00Z", "Thu Jan  1 00:00:00 UTC 1970"),
            (951_782_400, "2000-02-29T00:00:00Z", "Tue Feb 29 00:00:00 UTC 2000"),
            (1_795_399_512, "2026-11-23T02:05:12Z", "Mon Nov 23 02:05:12 UTC 2026"),
            (4_102_444_799, "2099-12-31T23:59:59Z", "Thu Dec 31 23:59:59 UTC 2099"),
            (-1, "1969-12-31T23:59:59Z", "Wed Dec 31 23:59:59 UTC 1969"),
        ] {
            let moment = Moment { unix_seconds };
            assert_eq!((moment.to_rfc3339().as_str(), moment.to_unix_date().as_str()), (rfc3339, date));
        }
    }
}
