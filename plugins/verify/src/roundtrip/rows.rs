//! The marker as a row of a table.

use pipe_sdk::sql::{Connection, Rows, Value};
use pipe_sdk::{Error, Failure, Finding};

/// The three statements. `$1` is the marker in each.
pub(super) struct Statements<'s> {
    pub(super) insert: &'s str,
    pub(super) select: &'s str,
    pub(super) delete: &'s str,
}

impl Statements<'_> {
    /// A `delete` that does not name the marker would remove more than the marker.
    pub(super) fn validate(&self) -> Result<(), Failure> {
        for (name, statement) in [("insert", self.insert), ("select", self.select), ("delete", self.delete)] {
            let mut parts = statement.split("$1").skip(1);
            if !parts.any(|after| !after.starts_with(|c: char| c.is_ascii_digit())) {
                return Err(Failure::settings(format!("`{name}` must name the marker, which is $1")));
            }
        }
        Ok(())
    }
}

/// What runs a statement.
pub(super) trait Database {
    fn query(&self, statement: &str, marker: &str) -> Result<Rows, Error>;
}

impl Database for Connection {
    fn query(&self, statement: &str, marker: &str) -> Result<Rows, Error> {
        Self::query(self, statement, &[Value::from(marker)])
    }
}

/// Writes, looks and removes. What was written is removed whatever else happens.
pub(super) fn roundtrip(
    database: &impl Database,
    statements: &Statements<'_>,
    marker: &str,
) -> Result<Finding, Failure> {
    // What an earlier attempt left behind.
    database.query(statements.delete, marker)?;
    let written = database.query(statements.insert, marker);
    let found = match &written {
        Ok(_) => Some(database.query(statements.select, marker)),
        Err(_) => None,
    };
    let removed = database.query(statements.delete, marker).and_then(|_| database.query(statements.select, marker));
    written?;
    let found = found.transpose()?.is_some_and(|rows| !rows.rows.is_empty());
    let left =
        removed.map_err(|error| Failure::from(error).within(format!("the marker {marker:?} may still be there")))?;
    Ok(if !found {
        Finding::fail("the marker was written, but not found").with_observed("not found")
    } else if !left.rows.is_empty() {
        Finding::fail(format!("the marker {marker:?} was found, but could not be removed")).with_observed("not removed")
    } else {
        Finding::pass("the marker was written, found and removed").with_observed("written, found and removed")
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use pipe_sdk::{ErrorKind, Status};

    use super::*;

    /// A table of markers. `broken` names the statement that goes wrong, or does nothing.
    struct Table {
        rows: RefCell<Vec<String>>,
        fails: &'static str,
        idles: &'static str,
    }

    impl Database for Table {
        fn query(&self, statement: &str, marker: &str) -> Result<Rows, Error> {
            if statement.starts_with(self.fails) && !self.fails.is_empty() {
                return Err(Error { kind: ErrorKind::Failed, message: "no".into(), hint: None, code: None });
            }
            let mut rows = Rows { columns: Vec::new(), rows: Vec::new(), affected: 0 };
            if statement.starts_with(self.idles) && !self.idles.is_empty() {
                return Ok(rows);
            }
            let mut table = self.rows.borrow_mut();
            match statement.split(' ').next() {
                Some("insert") => table.push(marker.to_owned()),
                Some("delete") => table.retain(|row| row != marker),
                _ => {
                    rows.rows =
                        table.iter().filter(|row| *row == marker).map(|row| vec![Value::from(row.as_str())]).collect();
                }
            }
            Ok(rows)
        }
    }

    fn run(fails: &'static str, idles: &'static str) -> (Result<Finding, Failure>, Vec<String>) {
        let table = Table { rows: RefCell::new(vec!["pipe-probe k".into(), "other".into()]), fails, idles };
        let statements = Statements { insert: "insert $1", select: "select $1", delete: "delete $1" };
        let finding = roundtrip(&table, &statements, "pipe-probe k");
        (finding, table.rows.into_inner())
    }

    #[test]
    fn the_marker_is_always_removed() {
        let (finding, left) = run("", "");
        assert_eq!(finding.expect("it ran").status, Status::Pass);
        assert_eq!(left, ["other"]);
        let (finding, left) = run("select", "");
        assert!(finding.is_err());
        assert_eq!(left, ["other"]);
    }

    #[test]
    fn a_record_that_is_not_written_or_stays_fails() {
        assert_eq!(run("", "insert").0.expect("it ran").message, "the marker was written, but not found");
        let kept = run("", "delete").0.expect("it ran");
        assert_eq!((kept.status, kept.observed.as_deref()), (Status::Fail, Some("not removed")));
        assert!(run("insert", "").0.is_err());
    }

    #[test]
    fn a_statement_without_the_marker_is_refused() {
        let statements = |delete| Statements { insert: "insert $1", select: "select $1", delete };
        assert!(statements("delete from a where m = $1").validate().is_ok());
        for delete in ["delete from a", "delete from a where m = $10"] {
            assert!(statements(delete).validate().is_err(), "{delete}");
        }
    }
}
