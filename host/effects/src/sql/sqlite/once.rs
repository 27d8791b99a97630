//! Work that takes effect once: each transaction is committed together with its marker, or answered as an earlier attempt was.

use pipe_core::event::LogLevel;

use super::{
    super::{
        Dialect, SqlRows, SqlValue,
        marker::{Book, Course, Done, End, Kind, Next, Reserved, told},
        statement::{Statement, single, split},
        work::Failure,
    },
    Worker,
};
use crate::error::EffectError;

/// Marking on one connection.
pub(super) struct Marked {
    /// The markers of the step.
    pub(super) book: Book,
    /// The transaction that the guest has begun.
    pub(super) course: Option<Course>,
}

impl Worker {
    pub(super) fn query_once(&mut self, text: &str, parameters: &[SqlValue]) -> Result<SqlRows, Failure> {
        let Some(book) = self.book() else { return self.query(text, parameters) };
        if self.kind(text)? != Kind::Writes {
            return self.query(text, parameters);
        }
        if self.began {
            let print = book.print("begun query", text, parameters);
            if let Some(answer) = self.answered(&book, &print)? {
                return Ok(answer);
            }
            let rows = self.query(text, parameters)?;
            self.ran(print, &rows);
            return Ok(rows);
        }
        let print = book.print("query", text, parameters);
        let digest = book.whole([print.as_str()]);
        if let Some(marker) = book.committed(&digest) {
            self.tell(&book);
            return Ok(book.answer(&marker)?);
        }
        self.control("BEGIN IMMEDIATE")?;
        let rows = self.or_roll_back(self.query(text, parameters))?;
        let done = [Done::new(print.clone(), &rows)];
        self.commit_marked(&book, book.reserve(print, digest, &done))?;
        Ok(rows)
    }

    pub(super) fn script_once(&mut self, text: &str, count: usize) -> Result<SqlRows, Failure> {
        let Some(book) = self.book() else { return self.script(text, count) };
        let statements: Vec<Statement<'_>> =
            split(text, Dialect::Sqlite).into_iter().filter(|statement| !statement.is_blank()).collect();
        if statements.iter().all(is_pragma) {
            return self.script(text, count);
        }
        if self.began {
            let print = book.print("begun script", text, &[]);
            if let Some(answer) = self.answered(&book, &print)? {
                self.pragmas(&statements)?;
                return Ok(answer);
            }
            let rows = self.script(text, count)?;
            self.ran(print, &rows);
            return Ok(rows);
        }
        let print = book.print("script", text, &[]);
        let digest = book.whole([print.as_str()]);
        if let Some(marker) = book.committed(&digest) {
            self.tell(&book);
            self.pragmas(&statements)?;
            return Ok(book.answer(&marker)?);
        }
        self.control("BEGIN IMMEDIATE")?;
        let ran = self.connection.execute_batch(text).map_err(|error| self.failed(error));
        self.or_roll_back(ran)?;
        let done = [Done::new(print.clone(), &SqlRows::default())];
        self.commit_marked(&book, book.reserve(print, digest, &done))?;
        Ok(SqlRows::default())
    }

    /// Commits what the guest began, where that is to be marked. Nothing where it is not.
    pub(super) fn commit_once(&mut self) -> Result<Option<SqlRows>, Failure> {
        let Some(course) = self.marked.as_mut().and_then(|marked| marked.course.take()) else { return Ok(None) };
        let Some(book) = self.book() else { return Ok(None) };
        let end = match course.end(&book) {
            Ok(end) => end,
            Err(error) => {
                self.began = false;
                self.or_roll_back(Err(error.into()))?;
                return Ok(None);
            }
        };
        match end {
            End::Before => {
                self.tell(&book);
                Ok(None)
            }
            // Nothing that seems to read can write here.
            End::Reading { .. } => Ok(None),
            End::New { first, digest, done } => {
                self.began = false;
                self.commit_marked(&book, book.reserve(first, digest, &done))?;
                Ok(Some(SqlRows::default()))
            }
        }
    }

    /// Puts the marker beside what it marks, and commits both.
    fn commit_marked(&self, book: &Book, reserved: Reserved) -> Result<(), Failure> {
        let committed = self.put(book, &reserved.marker).and_then(|()| self.control("COMMIT"));
        self.or_roll_back(committed)?;
        reserved.keep();
        Ok(())
    }

    fn or_roll_back<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.is_err() && !self.connection.is_autocommit() {
            self.control("ROLLBACK")?;
        }
        result
    }

    /// What a statement is taken for: SQLite knows by itself what only reads.
    fn kind(&self, text: &str) -> Result<Kind, Failure> {
        if single(text, Dialect::Sqlite).is_some_and(|statement| is_pragma(&statement)) {
            return Ok(Kind::Session);
        }
        Ok(if self.prepare(text)?.readonly() { Kind::Reads } else { Kind::Writes })
    }

    /// Runs those statements of a script again that concern the connection alone.
    fn pragmas(&self, statements: &[Statement<'_>]) -> Result<(), Failure> {
        for statement in statements.iter().filter(|statement| is_pragma(statement)) {
            if self.prepare(statement.text)?.readonly() {
                self.query(statement.text, &[])?;
            }
        }
        Ok(())
    }

    fn answered(&mut self, book: &Book, print: &str) -> Result<Option<SqlRows>, EffectError> {
        let Some(course) = self.marked.as_mut().and_then(|marked| marked.course.as_mut()) else { return Ok(None) };
        match course.next(book, print)? {
            Next::Run => Ok(None),
            Next::Answer(rows) => Ok(Some(rows)),
        }
    }

    fn ran(&mut self, print: String, rows: &SqlRows) {
        if let Some(course) = self.marked.as_mut().and_then(|marked| marked.course.as_mut()) {
            course.ran(print, rows);
        }
    }

    fn book(&self) -> Option<Book> {
        self.marked.as_ref().map(|marked| marked.book.clone())
    }

    fn tell(&self, book: &Book) {
        self.ledger.logged(LogLevel::Info, told(book), std::collections::BTreeMap::new());
    }
}

/// Checked as an argument of nothing else: what it sets is set again, or the same as before.
fn is_pragma(statement: &Statement<'_>) -> bool {
    statement.verb() == "PRAGMA"
}
