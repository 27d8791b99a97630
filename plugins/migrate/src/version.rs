//! Versions and file names: `007_add_patients.up.sql`.

use std::fmt;

/// As many digits as a version may have, so that it fits a 64-bit column of either database.
const MAX_DIGITS: usize = 18;

/// The number at the beginning of a migration's file name, with the text as it was written.
///
/// Two versions are the same when their numbers are, however many zeros stand in front.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// For ordering and for the database.
    pub(crate) number: i64,
    /// As written: `007`.
    pub(crate) text: String,
}

impl Version {
    /// Reads digits, and nothing but digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten()?;
        Some(Self { number, text: text.to_owned() })
    }

    /// The version of a migration by its name: `007` of `007_add_patients`.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        name.split_once('_').and_then(|(digits, _)| Self::parse(digits))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Applies.
    Up,
    /// Takes back.
    Down,
}

/// A file name in its parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileName {
    /// `007`.
    pub(crate) version: Version,
    /// `007_add_patients`: what the two files of a migration have in common.
    pub(crate) name: String,
    /// Which of the two it is.
    pub(crate) direction: Direction,
}

/// What a name in the directory is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// A migration.
    Migration(FileName),
    /// Not SQL, and none of our business: a README.
    Other,
    /// SQL under a name that is no migration's. Never passed over: somebody means it to run.
    Misnamed,
}

impl Entry {
    /// Reads a file name.
    pub(crate) fn of(file: &str) -> Self {
        if !file.to_ascii_lowercase().ends_with(".sql") {
            return Self::Other;
        }
        migration(file).map_or(Self::Misnamed, Self::Migration)
    }
}

fn migration(file: &str) -> Option<FileName> {
    let (name, direction) = match (file.strip_suffix(".up.sql"), file.strip_suffix(".down.sql")) {
        (Some(name), _) => (name, Direction::Up),
        (None, Some(name)) => (name, Direction::Down),
        (None, None) => return None,
    };
    let (digits, rest) = name.split_once('_')?;
    let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if rest.is_empty() || !plain || name.len() > 200 {
        return None;
    }
    Some(FileName { version: Version::parse(digits)?, name: name.to_owned(), direction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_directions() {
        let Entry::Migration(up) = Entry::of("007_add_patients.up.sql") else { panic!("a migration") };
        assert_eq!((up.version.number, up.version.text.as_str()), (7, "007"));
        assert_eq!((up.name.as_str(), up.direction), ("007_add_patients", Direction::Up));
        let Entry::Migration(down) = Entry::of("20261123094501_split-name.v2.down.sql") else { panic!("a migration") };
        assert_eq!((down.version.number, down.direction), (20_261_123_094_501, Direction::Down));
        assert_eq!(down.name, "20261123094501_split-name.v2");
    }

    #[test]
    fn sql_that_is_no_migration_is_not_passed_over() {
        for name in [
            "7.up.sql",
            "007_.up.sql",
            "007-x.up.sql",
            "V7__x.sql",
            "007_x.sql",
            "007_x.UP.sql",
            "007_x.up.SQL",
            "x_7.up.sql",
            "+7_x.up.sql",
            "007_a b.up.sql",
            "1234567890123456789_x.up.sql",
            "٣_x.up.sql",
        ] {
            assert_eq!(Entry::of(name), Entry::Misnamed, "{name}");
        }
    }

    #[test]
    fn other_files_are_left_alone() {
        for name in ["README.md", "007_x.up.sql.bak", ".gitkeep", "sql"] {
            assert_eq!(Entry::of(name), Entry::Other, "{name}");
        }
    }

    #[test]
    fn zeros_in_front_make_no_other_version() {
        assert_eq!(Version::parse("7"), Version::parse("0007"));
        assert_eq!(Version::of_name("0007_x_y").map(|version| version.number), Some(7));
        assert!(Version::parse("").is_none() && Version::parse("-1").is_none() && Version::parse("1x").is_none());
    }
}
