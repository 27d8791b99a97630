//! The task that owns a connection: takes one piece of work at a time, and ends cleanly whatever happens.

mod once;

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use futures_util::TryStreamExt as _;
use pipe_core::event::LogLevel;
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::Statement;

use super::{
    super::{
        Access, Dialect, SqlRows, SqlValue,
        marker::{Book, Course},
        statement::single,
        work::{Counted, Failure, Request, Work},
    },
    GRACE, Server,
    failure::{self, Stake},
    login::Login,
    parameter, value,
};
use crate::{
    error::{EffectError, ErrorKind},
    session::Session,
};

/// A statement of the transaction has failed.
const IN_FAILED: &str = "25P02";

pub(super) struct Worker {
    session: Arc<Session>,
    login: Login,
    server: Server,
    /// Whether the guest has begun a transaction and not ended it.
    began: bool,
    /// Whether the connection can no longer be used.
    lost: bool,
    /// What was committed takes effect once.
    marked: Option<Marked>,
}

/// Marking on one connection.
pub(super) struct Marked {
    /// The markers of the step.
    pub(super) book: Book,
    /// Whether there is a table for them.
    pub(super) table: bool,
    /// The transaction that the guest has begun.
    pub(super) course: Option<Course>,
}

impl Worker {
    pub(super) fn new(session: Arc<Session>, login: Login, server: Server, marked: Option<Marked>) -> Self {
        Self { session, login, server, began: false, lost: false, marked }
    }

    /// Works until nobody asks any more, the connection is lost, or the session ends.
    pub(super) async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        let cancellation = self.session.cancellation().clone();
        let mut stop_statement = false;
        while !self.lost {
            let next = tokio::select! {
                biased;
                () = cancellation.cancelled() => None,
                request = requests.recv() => request,
            };
            let Some(Request { work, mut reply }) = next else { break };
            let (stake, commits) = (self.stake(&work), matches!(work, Work::Commit));
            let result = tokio::select! {
                biased;
                () = cancellation.cancelled() => None,
                () = reply.closed() => None,
                result = self.work(work) => Some(result),
            };
            // Whoever asked may have gone.
            match result {
                Some(result) => drop(reply.send(result)),
                None => {
                    drop(reply.send(Err(stake.cancelled(&self.login.peer).into())));
                    // A commit is let be: cut off, it could only become harder to tell.
                    stop_statement = !commits;
                    break;
                }
            }
        }
        // Whoever asks from now on is told at once.
        drop(requests);
        self.finish(stop_statement).await;
    }

    /// Stops what runs, says goodbye, and waits until the connection has ended.
    async fn finish(self, stop_statement: bool) {
        let Server { client, mut driver, address, .. } = self.server;
        if stop_statement || self.lost {
            let token = client.cancel_token();
            let stopped = timeout(GRACE / 2, async {
                let stream = self.login.again(address).await?;
                let _ = token.cancel_query_raw(stream, self.login.tls.clone()).await;
                Ok::<_, EffectError>(())
            });
            // The server may be what was lost.
            let _ = stopped.await;
        }
        // Without a client the connection ends once the server has answered what it was asked.
        drop(client);
        let ended = timeout(GRACE, &mut driver).await;
        if !matches!(ended, Ok(Ok(true))) {
            driver.abort();
            let warning = format!(
                "{}: the server did not confirm within {} s that it stopped; a statement may still run there",
                self.login.peer,
                GRACE.as_secs()
            );
            self.session.ledger.logged(LogLevel::Warning, warning, BTreeMap::new());
        }
    }

    /// What is at stake while this work is done.
    fn stake(&self, work: &Work) -> Stake {
        match work {
            _ if self.login.access == Access::Read => Stake::Nothing,
            Work::Commit => Stake::Commit,
            Work::Begin => Stake::Nothing,
            _ if self.began => Stake::Transaction,
            Work::Rollback => Stake::Nothing,
            Work::Query { .. } | Work::Script { .. } => Stake::Commit,
        }
    }

    async fn work(&mut self, work: Work) -> Result<SqlRows, Failure> {
        self.server.wire.refill();
        let stake = self.stake(&work);
        match work {
            Work::Query { statement, parameters } if self.login.access == Access::Read => {
                self.read(&statement, parameters).await
            }
            Work::Query { statement, parameters } if self.marked.is_some() => {
                self.query_once(&statement, parameters, stake).await
            }
            Work::Query { statement, parameters } => self.write(&statement, parameters, stake).await,
            Work::Script { text, .. } => {
                // What the guest may have set decides where a string ends, and so does the lexer that judged the script.
                self.batch("SET standard_conforming_strings = on; SET client_encoding = 'UTF8'", Stake::Nothing)
                    .await?;
                match self.marked {
                    Some(_) => self.script_once(&text, stake).await,
                    None => self.batch(&text, stake).await.map(|()| SqlRows::default()),
                }
            }
            Work::Begin if self.began => Err(invalid("a transaction is open already").into()),
            Work::Begin => {
                self.prepare_marking().await?;
                self.begin().await?;
                self.began = true;
                if let Some(marked) = &mut self.marked {
                    marked.course = Some(Course::default());
                }
                Ok(SqlRows::default())
            }
            Work::Commit | Work::Rollback if !self.began => Err(invalid("no transaction is open").into()),
            Work::Commit => match self.marked.as_mut().and_then(|marked| marked.course.take()) {
                Some(course) => self.commit_once(course).await.map(|()| SqlRows::default()),
                None => self.commit().await.map(|()| SqlRows::default()),
            },
            Work::Rollback => {
                self.began = false;
                if let Some(marked) = &mut self.marked {
                    marked.course = None;
                }
                self.batch("ROLLBACK", stake).await.map(|()| SqlRows::default())
            }
        }
    }

    /// One statement in a read-only transaction that is always rolled back. The first statement takes the snapshot, after
    /// which the server itself refuses to make the transaction a writing one. Locks that would outlive it are given back.
    async fn read(&mut self, text: &str, parameters: Vec<SqlValue>) -> Result<SqlRows, Failure> {
        self.batch("BEGIN READ ONLY; SELECT 1", Stake::Nothing).await?;
        let result = match self.prepare(text, &parameters, Stake::Nothing).await {
            Ok(statement) => self.fetch(&statement, parameters, Stake::Nothing).await,
            Err(error) => Err(error),
        };
        if !self.lost {
            self.batch("ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()", Stake::Nothing).await?;
        }
        result.map(|rows| SqlRows { affected: 0, ..rows })
    }

    async fn write(&mut self, text: &str, parameters: Vec<SqlValue>, stake: Stake) -> Result<SqlRows, Failure> {
        let verb = verb(text);
        let statement = self.prepare(text, &parameters, if self.began { stake } else { Stake::Nothing }).await?;
        // Rows that are too many must not leave their changes behind. A procedure may commit by itself.
        let whole = !self.began && !statement.columns().is_empty() && verb != "CALL";
        let result = if whole {
            self.batch("BEGIN", Stake::Nothing).await?;
            match self.fetch(&statement, parameters, Stake::Transaction).await {
                Ok(rows) => self.commit().await.map(|()| rows),
                Err(error) => {
                    if !self.lost {
                        self.batch("ROLLBACK", Stake::Nothing).await?;
                    }
                    Err(error)
                }
            }
        } else {
            self.fetch(&statement, parameters, stake).await
        };
        result.map(|rows| counted(rows, &verb))
    }

    /// Commits. A transaction in which something failed is rolled back by the server, which then reports success: the
    /// statement before finds out.
    async fn commit(&mut self) -> Result<(), Failure> {
        self.began = false;
        let error = match self.server.client.batch_execute("SELECT 1; COMMIT").await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match self.failed(&error, Stake::Commit) {
            Failure::Effect(EffectError { code: Some(code), .. }) if code == IN_FAILED => {
                self.batch("ROLLBACK", Stake::Nothing).await?;
                Err(self.had_failed())
            }
            failure => Err(failure),
        }
    }

    fn had_failed(&self) -> Failure {
        let what = format!("{}: a statement of the transaction had failed, so it was rolled back", self.login.peer);
        EffectError { code: Some(IN_FAILED.to_owned()), ..EffectError::new(ErrorKind::Failed, what) }.into()
    }

    async fn batch(&mut self, sql: &str, stake: Stake) -> Result<(), Failure> {
        let done = self.server.client.batch_execute(sql).await;
        done.map_err(|error| self.failed(&error, stake))
    }

    async fn prepare(&mut self, text: &str, parameters: &[SqlValue], stake: Stake) -> Result<Statement, Failure> {
        let prepared = self.server.client.prepare(text).await;
        let statement = prepared.map_err(|error| self.failed(&error, stake))?;
        parameter::check(statement.params(), parameters)?;
        Ok(statement)
    }

    async fn fetch(
        &mut self,
        statement: &Statement,
        parameters: Vec<SqlValue>,
        stake: Stake,
    ) -> Result<SqlRows, Failure> {
        let parameters = parameters.into_iter().map(parameter::Parameter).collect::<Vec<_>>();
        let started = self.server.client.query_raw(statement, parameters).await;
        let mut stream = pin!(started.map_err(|error| self.failed(&error, stake))?);
        let (mut rows, mut counted) = (Vec::new(), Counted::default());
        while let Some(row) = stream.try_next().await.map_err(|error| self.failed(&error, stake))? {
            let values = value::row(&row).and_then(|values| counted.row(&values).map(|()| values));
            match values {
                Ok(values) => rows.push(values),
                Err(error) => {
                    // The server still sends: this connection is of no use any more.
                    self.lost = true;
                    return Err(error.into());
                }
            }
        }
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        Ok(SqlRows { columns, rows, affected: stream.rows_affected().unwrap_or(0) })
    }

    fn failed(&mut self, error: &tokio_postgres::Error, stake: Stake) -> Failure {
        let redactor = &self.session.world.redactor;
        let (failure, lost) = failure::statement(&self.login.peer, self.login.access, stake, redactor, error);
        self.lost |= lost;
        if self.server.wire.is_empty() {
            let what = format!("{}: the answer is too large", self.login.peer);
            return EffectError::new(ErrorKind::Limit, what).with_hint("ask for less at a time").into();
        }
        failure
    }
}

/// What the statement does.
fn verb(text: &str) -> String {
    single(text, Dialect::Postgresql).map(|statement| statement.verb()).unwrap_or_default()
}

/// The server counts what was read, too.
fn counted(rows: SqlRows, verb: &str) -> SqlRows {
    let changes = matches!(verb, "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "CREATE");
    SqlRows { affected: if changes { rows.affected } else { 0 }, ..rows }
}

fn invalid(what: &str) -> EffectError {
    EffectError::new(ErrorKind::Invalid, what)
}
