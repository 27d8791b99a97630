//! Work that takes effect once: each transaction is committed together with its marker, or answered as an earlier attempt was.

use super::{
    super::{
        super::{
            SqlRows, SqlValue, fence,
            marker::{Course, Done, End, Kind, Next, Reserved, is_of_session, lasts},
            statement::{Statement, shown, single, split},
            work::Failure,
        },
        failure::Stake,
        marks::{self, NO_RIGHT, Put},
    },
    Dialect, EffectError, IN_FAILED, Worker, counted, verb,
};
use crate::{
    error::ErrorKind,
    session::journal_failed,
    sql::{MARKER_TABLE, marker::Book},
};

/// The statement must be alone: not in a transaction block, or it ends transactions by itself.
const ALONE: [&str; 2] = ["25001", "2D000"];

/// Another transaction has the same key.
const SAME_KEY: &str = "23505";

impl Worker {
    pub(super) async fn query_once(
        &mut self,
        text: &str,
        parameters: Vec<SqlValue>,
        stake: Stake,
    ) -> Result<SqlRows, Failure> {
        let Some(book) = self.book() else { return self.write(text, parameters, stake).await };
        match (kind(text), self.began) {
            (Kind::Session, _) => self.write(text, parameters, stake).await,
            (Kind::Reads, true) => {
                let print = book.print("begun query", text, &parameters);
                let rows = self.write(text, parameters, stake).await?;
                self.course(|course| course.read(print));
                Ok(rows)
            }
            (Kind::Writes, true) => {
                let print = book.print("begun query", text, &parameters);
                if let Some(answer) = self.answered(&book, &print)? {
                    return Ok(answer);
                }
                let rows = self.write(text, parameters, stake).await?;
                self.course(|course| course.ran(print, &rows));
                Ok(rows)
            }
            (kind, false) => self.lone_query(&book, kind, text, parameters, stake).await,
        }
    }

    /// A statement that is a transaction by itself.
    async fn lone_query(
        &mut self,
        book: &Book,
        kind: Kind,
        text: &str,
        parameters: Vec<SqlValue>,
        stake: Stake,
    ) -> Result<SqlRows, Failure> {
        let print = book.print("query", text, &parameters);
        let digest = book.whole([print.as_str()]);
        if let Some(marker) = book.committed(&digest) {
            marks::tell(&self.session, book);
            return Ok(book.answer(&marker)?);
        }
        if kind == Kind::Writes {
            self.prepare_marking().await?;
        }
        let statement = self.prepare(text, &parameters, Stake::Nothing).await?;
        self.begin().await?;
        let rows = match self.fetch(&statement, parameters.clone(), Stake::Transaction).await {
            Ok(rows) => counted(rows, &verb(text)),
            Err(failure) => {
                self.roll_back().await?;
                if is_alone(&failure) {
                    self.unmarked(text).await?;
                    return self.write(text, parameters, stake).await;
                }
                return Err(failure);
            }
        };
        if kind == Kind::Reads && !self.wrote().await? {
            self.commit().await?;
            return Ok(rows);
        }
        let done = [Done::new(print.clone(), &rows)];
        self.commit_marked(book, book.reserve(print, digest, &done)).await?;
        Ok(rows)
    }

    pub(super) async fn script_once(&mut self, text: &str, stake: Stake) -> Result<SqlRows, Failure> {
        let Some(book) = self.book() else { return self.batch(text, stake).await.map(|()| SqlRows::default()) };
        let statements: Vec<Statement<'_>> =
            split(text, Dialect::Postgresql).into_iter().filter(|statement| !statement.is_blank()).collect();
        if statements.iter().all(is_of_session) {
            return self.batch(text, stake).await.map(|()| SqlRows::default());
        }
        if self.began {
            let print = book.print("begun script", text, &[]);
            if let Some(answer) = self.answered(&book, &print)? {
                self.lasting(&statements, stake).await?;
                return Ok(answer);
            }
            self.batch(text, stake).await?;
            self.course(|course| course.ran(print, &SqlRows::default()));
            return Ok(SqlRows::default());
        }
        let print = book.print("script", text, &[]);
        let digest = book.whole([print.as_str()]);
        if let Some(marker) = book.committed(&digest) {
            marks::tell(&self.session, &book);
            self.lasting(&statements, Stake::Nothing).await?;
            return Ok(book.answer(&marker)?);
        }
        self.prepare_marking().await?;
        self.begin().await?;
        if let Err(failure) = self.batch(text, Stake::Transaction).await {
            self.roll_back().await?;
            if is_alone(&failure) && statements.len() == 1 {
                self.unmarked(text).await?;
                return self.batch(text, stake).await.map(|()| SqlRows::default());
            }
            return Err(failure);
        }
        let done = [Done::new(print.clone(), &SqlRows::default())];
        self.commit_marked(&book, book.reserve(print, digest, &done)).await?;
        Ok(SqlRows::default())
    }

    /// Commits what the guest began.
    pub(super) async fn commit_once(&mut self, course: Course) -> Result<(), Failure> {
        let Some(book) = self.book() else { return self.commit().await };
        self.began = false;
        let end = match course.end(&book) {
            Ok(end) => end,
            Err(error) => {
                self.roll_back().await?;
                return Err(error.into());
            }
        };
        match end {
            End::Before => {
                marks::tell(&self.session, &book);
                // What seemed to read, and wrote, did so once already.
                if self.wrote().await? { self.roll_back().await } else { self.commit().await }
            }
            End::New { first, digest, done } => self.commit_marked(&book, book.reserve(first, digest, &done)).await,
            End::Reading { digest } => {
                if !self.wrote().await? {
                    return self.commit().await;
                }
                if book.committed(&digest).is_some() {
                    marks::tell(&self.session, &book);
                    return self.roll_back().await;
                }
                self.commit_marked(&book, book.reserve(digest.clone(), digest, &[])).await
            }
        }
    }

    /// Puts the marker beside what it marks, and commits both.
    async fn commit_marked(&mut self, book: &Book, reserved: Reserved) -> Result<(), Failure> {
        let table = self.marked.as_ref().is_some_and(|marked| marked.table);
        let failure = match self.server.put(&self.login, book, &reserved.marker, table).await {
            Ok(Put::There) => {
                self.batch("COMMIT", Stake::Commit).await?;
                reserved.keep();
                if let Some(marked) = &mut self.marked {
                    marked.table = true;
                }
                return Ok(());
            }
            Ok(Put::Lost) => marks::not_put(&self.login, &reserved).into(),
            Ok(Put::Refused(refused)) => refused.into(),
            Err(error) => self.failed(&error, Stake::Transaction),
        };
        self.roll_back().await?;
        Err(match failure {
            Failure::Effect(error) => match error.code.as_deref() {
                Some(IN_FAILED) => self.had_failed(),
                Some(NO_RIGHT) => marks::no_right(&self.login, "may not write to").into(),
                Some(SAME_KEY) if error.message.contains(MARKER_TABLE) => {
                    let what = format!(
                        "{}: this very transaction of the step was committed meanwhile, so it was rolled back here",
                        self.login.peer
                    );
                    EffectError { code: error.code, ..EffectError::new(ErrorKind::Failed, what) }.into()
                }
                _ => error.into(),
            },
            refused @ Failure::Refused { .. } => refused,
        })
    }

    /// Begins a transaction, of the guest or around what it sends. With a lock on the table for markers where there is one.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        if !self.marked.as_ref().is_some_and(|marked| marked.table) {
            return self.batch("BEGIN", Stake::Nothing).await;
        }
        let Err(error) = self.server.begin_marked().await else { return Ok(()) };
        let failure = self.failed(&error, Stake::Nothing);
        self.roll_back().await?;
        Err(match failure {
            Failure::Effect(error) if error.code.as_deref() == Some(NO_RIGHT) => {
                marks::no_right(&self.login, "may not write to").into()
            }
            other => other,
        })
    }

    /// Makes the table for markers where there is none.
    pub(super) async fn prepare_marking(&mut self) -> Result<(), Failure> {
        let Some(marked) = self.marked.as_ref().filter(|marked| !marked.table) else { return Ok(()) };
        let peer = marked.book.peer.clone();
        let there = self.server.has_markers().await;
        if !there.map_err(|error| self.failed(&error, Stake::Nothing))? {
            let subject = format!("write {peer}: CREATE TABLE public.{MARKER_TABLE}");
            self.session.used("sql", subject, format!("write {peer}"), true).await?;
            self.server.make_markers(&self.login).await?;
        }
        if let Some(marked) = &mut self.marked {
            marked.table = true;
        }
        Ok(())
    }

    /// Writes down that a statement runs without a marker.
    async fn unmarked(&self, text: &str) -> Result<(), Failure> {
        let statement = self.session.world.redactor.redact(&shown(text, Dialect::Postgresql)).into_owned();
        let written = self.session.ledger.unmarked(&self.login.peer, &statement).await;
        Ok(written.map_err(journal_failed)?)
    }

    /// Runs those statements of a script again that made the session what the next one finds.
    async fn lasting(&mut self, statements: &[Statement<'_>], stake: Stake) -> Result<(), Failure> {
        for statement in statements.iter().filter(|statement| lasts(statement)) {
            self.batch(statement.text, stake).await?;
        }
        Ok(())
    }

    /// What a statement of an open transaction was answered by an earlier attempt, if it was.
    fn answered(&mut self, book: &Book, print: &str) -> Result<Option<SqlRows>, EffectError> {
        let Some(course) = self.marked.as_mut().and_then(|marked| marked.course.as_mut()) else { return Ok(None) };
        match course.next(book, print)? {
            Next::Run => Ok(None),
            Next::Answer(rows) => Ok(Some(rows)),
        }
    }

    fn course(&mut self, change: impl FnOnce(&mut Course)) {
        if let Some(course) = self.marked.as_mut().and_then(|marked| marked.course.as_mut()) {
            change(course);
        }
    }

    fn book(&self) -> Option<Book> {
        self.marked.as_ref().map(|marked| marked.book.clone())
    }

    async fn wrote(&mut self) -> Result<bool, Failure> {
        let error = match self.server.wrote().await {
            Ok(wrote) => return Ok(wrote),
            Err(error) => self.failed(&error, Stake::Transaction),
        };
        self.roll_back().await?;
        Err(match error {
            Failure::Effect(error) if error.code.as_deref() == Some(IN_FAILED) => self.had_failed(),
            other => other,
        })
    }

    async fn roll_back(&mut self) -> Result<(), Failure> {
        if self.lost { Ok(()) } else { self.batch("ROLLBACK", Stake::Nothing).await }
    }
}

/// What a statement is taken for.
fn kind(text: &str) -> Kind {
    match single(text, Dialect::Postgresql) {
        Some(statement) if is_of_session(&statement) => Kind::Session,
        Some(_) if fence::read(text, Dialect::Postgresql).is_ok() => Kind::Reads,
        _ => Kind::Writes,
    }
}

fn is_alone(failure: &Failure) -> bool {
    matches!(failure, Failure::Effect(EffectError { code: Some(code), .. }) if ALONE.contains(&code.as_str()))
}
