//! Markers in SQLite: where they are read, whether their table is the one that `pipe` makes, and how one is put beside what it
//! marks.

use std::collections::BTreeMap;

use pipe_core::event::LogLevel;
use rusqlite::OptionalExtension as _;

use super::{
    super::{
        marker::{Book, COLUMNS, DEFINITION, KEY, MARKER_TABLE, MOST_MARKERS, Marker, copied},
        work::Failure,
    },
    Worker,
    once::Marked,
};
use crate::error::{EffectError, ErrorKind};

/// What belongs to the table besides it and the index of its key: triggers above all, temporary ones too. The table counts as
/// well where its text is not exactly the one that [`definition`] leaves, as that of a table does that was renamed.
const ODD: &str = "\
SELECT type || ' ' || name FROM main.sqlite_schema WHERE (name = ?1 COLLATE NOCASE OR tbl_name = ?1 COLLATE NOCASE) \
  AND NOT (type = 'table' AND name = ?1 AND sql = ?2) AND NOT (type = 'index' AND sql IS NULL) \
UNION ALL \
SELECT 'temporary ' || type || ' ' || name FROM temp.sqlite_schema \
  WHERE name = ?1 COLLATE NOCASE OR tbl_name = ?1 COLLATE NOCASE LIMIT 1";

impl Worker {
    /// Reads what the step has marked, if there is a table. In one transaction: nobody makes another of the table meanwhile.
    pub(super) fn learn(&self) -> Result<(), Failure> {
        let Some(Marked { book, .. }) = &self.marked else { return Ok(()) };
        self.control("BEGIN")?;
        let markers = self.check_table().and_then(|there| if there { self.markers(book) } else { Ok(Vec::new()) });
        self.control("ROLLBACK")?;
        let copies = book.learn(markers?)?;
        if copies > 0 {
            self.ledger.logged(LogLevel::Warning, copied(book, copies), BTreeMap::new());
        }
        Ok(())
    }

    fn markers(&self, book: &Book) -> Result<Vec<Marker>, Failure> {
        let _own = self.authorizer.own();
        let markers = || -> rusqlite::Result<Vec<Marker>> {
            let mut statement = self.connection.prepare(&format!(
                "SELECT digest, occurrence, first, statements, seal FROM main.{MARKER_TABLE} \
                 WHERE run = ?1 AND step = ?2 AND phase = ?3 ORDER BY at, occurrence LIMIT {}",
                MOST_MARKERS + 1
            ))?;
            let found = statement.query_map([&book.run, &book.step, &book.phase], |row| {
                Ok(Marker {
                    digest: row.get(0)?,
                    occurrence: row.get(1)?,
                    first: row.get(2)?,
                    statements: row.get(3)?,
                    seal: row.get(4)?,
                })
            })?;
            found.collect()
        };
        markers().map_err(|error| self.failed(error))
    }

    /// Whether there is a table, which then is the one that `pipe` makes and nothing hangs on it.
    fn check_table(&self) -> Result<bool, Failure> {
        let _own = self.authorizer.own();
        let there = "SELECT count(*) FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        let looked = || -> rusqlite::Result<(i64, Option<String>)> {
            let there = self.connection.query_row(there, [MARKER_TABLE], |row| row.get(0))?;
            let odd = self.connection.query_row(ODD, [MARKER_TABLE, &definition("")], |row| row.get(0));
            Ok((there, odd.optional()?))
        };
        match looked().map_err(|error| self.failed(error))? {
            (there, None) => Ok(there > 0),
            (_, Some(odd)) => {
                let odd: String = odd.chars().filter(|c| !c.is_control()).take(100).collect();
                let what = format!("{}: {MARKER_TABLE} is not as pipe makes it, and not used: {odd}", self.peer);
                let hint = format!(
                    "find out who did that; where no run is cut off or waits, drop {MARKER_TABLE} and what hangs on it, and pipe \
                     makes it anew"
                );
                Err(EffectError::new(ErrorKind::Failed, what).with_hint(hint).into())
            }
        }
    }

    /// Puts a marker into the open transaction, and looks whether it is there.
    pub(super) fn put(&self, book: &Book, marker: &Marker) -> Result<(), Failure> {
        let make = || self.connection.execute_batch(&definition("IF NOT EXISTS main."));
        {
            let _own = self.authorizer.own();
            make().map_err(|error| self.failed(error))?;
        }
        self.check_table()?;
        let _own = self.authorizer.own();
        let put = || {
            let values = rusqlite::params![
                book.run,
                book.step,
                book.phase,
                marker.digest,
                marker.occurrence,
                marker.first,
                marker.statements,
                marker.seal
            ];
            self.connection.execute(
                &format!("INSERT INTO main.{MARKER_TABLE} ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
                values,
            )?;
            let there = format!(
                "SELECT count(*) FROM main.{MARKER_TABLE} WHERE run = ?1 AND step = ?2 AND phase = ?3 AND digest = ?4 \
                 AND occurrence = ?5 AND first = ?6 AND statements = ?7 AND seal = ?8"
            );
            self.connection.query_row(&there, values, |row| row.get::<_, i64>(0))
        };
        match put().map_err(|error| self.failed(error))? {
            1 => Ok(()),
            _ => {
                let what = format!(
                    "{}: {MARKER_TABLE} did not take the marker of this transaction, so it was rolled back",
                    self.peer
                );
                Err(EffectError::new(ErrorKind::Failed, what).into())
            }
        }
    }
}

/// What makes the table. SQLite keeps this text, without what stands before the name.
fn definition(before: &str) -> String {
    format!(
        "CREATE TABLE {before}{MARKER_TABLE} \
         ({DEFINITION}, at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), {KEY})"
    )
}
