//! SQLite: the connection lives on a thread of its own, opened for what the grant says, behind an authorizer.

mod authorizer;
mod functions;
mod marks;
mod once;
mod place;
mod value;

use std::{sync::Arc, time::Duration};

use pipe_core::redact::Redactor;
use rusqlite::{Connection, OpenFlags, config::DbConfig, ffi, limits::Limit};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use self::{authorizer::Authorizer, once::Marked, place::Place};
use super::{
    Access, Dialect, SqlRows, SqlValue,
    marker::Course,
    statement::single,
    work::{Counted, Failure, Request, Work},
};
use crate::{
    error::{EffectError, ErrorKind},
    ledger::Ledger,
    session::Session,
    world::Peer,
};

/// How long to wait for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(5);

/// How long between two looks at such a lock, and at the cancellation.
const BUSY_STEP: Duration = Duration::from_millis(10);

/// The most bytes of one value or row.
const MOST_VALUE_BYTES: i32 = 16 * 1024 * 1024;

/// The longest pattern of LIKE and GLOB, in bytes. Comparing takes the length of the pattern times that of the value.
const LONGEST_PATTERN: i32 = 200;

/// The most arguments of a function. Each may cost a copy of the value.
const MOST_ARGUMENTS: i32 = 100;

/// How many instructions of SQLite's machine run between two looks at the cancellation. Each may be a function that takes as
/// long as a value of [`MOST_VALUE_BYTES`] does.
const INSTRUCTIONS: i32 = 100;

/// Opens the file of a peer.
pub(super) async fn open(
    session: &Arc<Session>,
    peer: &Peer,
    access: Access,
    permit: OwnedSemaphorePermit,
) -> Result<mpsc::Sender<Request>, EffectError> {
    let (requests, receiver) = mpsc::channel(1);
    let (ready, opened) = oneshot::channel();
    let (path, protected, name) = (peer.path()?, session.world.protected.clone(), peer.name.clone());
    let pinned = peer.pinned.clone();
    let (token, runtime) = (session.cancellation().clone(), Handle::current());
    let redactor = session.world.redactor.clone();
    let book = if access == Access::Write { session.markers(&peer.name) } else { None };
    let (marked, ledger) = (book.map(|book| Marked { book, course: None }), Arc::clone(&session.ledger));
    session.operations().spawn_blocking(move || {
        let _permit = permit;
        let worker = Place::find(&path, access, &protected).and_then(|place| place.still(pinned.as_deref()));
        let worker = worker.and_then(|place| Ok(Worker::open(&place, access, token, name, redactor, ledger)?));
        let worker = worker.map(|worker| Worker { marked, ..worker });
        match worker.and_then(|worker| worker.learn().map(|()| worker)) {
            Ok(worker) => {
                if ready.send(Ok(())).is_ok() {
                    worker.serve(receiver, &runtime);
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    let opened = session.until_cancelled(async { Ok(opened.await) }).await?;
    match opened.unwrap_or_else(|_| Err(EffectError::cancelled().into())) {
        Ok(()) => Ok(requests),
        Err(Failure::Effect(error)) => Err(error),
        Err(Failure::Refused { reason, .. }) => Err(session.refuse_sql(peer, reason).await),
    }
}

struct Worker {
    peer: String,
    access: Access,
    connection: Connection,
    authorizer: Authorizer,
    token: CancellationToken,
    redactor: Redactor,
    ledger: Arc<dyn Ledger>,
    /// Whether the guest has begun a transaction and not ended it.
    began: bool,
    /// What was committed takes effect once.
    marked: Option<Marked>,
}

impl Worker {
    fn open(
        place: &Place,
        access: Access,
        token: CancellationToken,
        peer: String,
        redactor: Redactor,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Self, EffectError> {
        let flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let authorizer = Authorizer::new(access);
        let set_up = || {
            let mut connection = Connection::open_with_flags(&place.file, flags)?;
            let (looked_at, waiting) = (token.clone(), token.clone());
            connection.busy_handler(Some(move |times| wait(times, &waiting)))?;
            set_up(&connection, access)?;
            connection.progress_handler(INSTRUCTIONS, Some(move || looked_at.is_cancelled()))?;
            connection.authorizer(Some(authorizer.hook()))?;
            Ok(connection)
        };
        let connection = set_up().map_err(|error: rusqlite::Error| {
            let shown = place.file.display();
            let mut failed = EffectError::new(ErrorKind::Unavailable, format!("{peer}: cannot open {shown}: {error}"));
            failed.code = extended_code(&error).map(|code| code.to_string());
            failed
        })?;
        Ok(Self { peer, access, connection, authorizer, token, redactor, ledger, began: false, marked: None })
    }

    /// Works until nobody asks any more, or the session ends. Then SQLite rolls back what is open.
    fn serve(mut self, mut requests: mpsc::Receiver<Request>, runtime: &Handle) {
        let token = self.token.clone();
        loop {
            let next = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = token.cancelled() => None,
                    request = requests.recv() => request,
                }
            });
            let Some(Request { work, reply }) = next else { return };
            // Whoever asked may have gone.
            let _ = reply.send(self.work(work));
        }
    }

    fn work(&mut self, work: Work) -> Result<SqlRows, Failure> {
        self.authorizer.take_denied();
        match work {
            Work::Query { statement, parameters } => {
                self.check_transaction()?;
                self.query_once(&statement, &parameters)
            }
            Work::Script { text, statements } => {
                self.check_transaction()?;
                self.script_once(&text, statements)
            }
            Work::Begin if self.began => Err(invalid("a transaction is open already").into()),
            Work::Begin => {
                self.control("BEGIN IMMEDIATE")?;
                self.began = true;
                if let Some(marked) = &mut self.marked {
                    marked.course = Some(Course::default());
                }
                Ok(SqlRows::default())
            }
            Work::Commit | Work::Rollback if !self.began => Err(invalid("no transaction is open").into()),
            Work::Commit => {
                self.check_transaction().inspect_err(|_| self.began = false)?;
                if let Some(committed) = self.commit_once()? {
                    return Ok(committed);
                }
                let committed = self.control("COMMIT");
                // A commit that waited for a lock in vain leaves the transaction open.
                self.began = !self.connection.is_autocommit();
                committed.map(|()| SqlRows::default())
            }
            Work::Rollback => {
                self.began = false;
                if let Some(marked) = &mut self.marked {
                    marked.course = None;
                }
                if !self.connection.is_autocommit() {
                    self.control("ROLLBACK")?;
                }
                Ok(SqlRows::default())
            }
        }
    }

    /// Some errors make SQLite roll back by itself. What the guest still takes for a transaction must not commit piecemeal.
    fn check_transaction(&self) -> Result<(), EffectError> {
        if self.began && self.connection.is_autocommit() {
            let what = format!("{}: the transaction was rolled back by an earlier error", self.peer);
            return Err(EffectError::new(ErrorKind::Failed, what));
        }
        Ok(())
    }

    fn query(&self, text: &str, parameters: &[SqlValue]) -> Result<SqlRows, Failure> {
        let verb = single(text, Dialect::Sqlite).map(|statement| statement.verb()).unwrap_or_default();
        let changes = matches!(verb.as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE");
        let mut statement = self.prepare(text)?;
        value::bind(&mut statement, parameters)?;
        // Rows that are too many must not leave their changes behind.
        let whole = changes && statement.column_count() > 0 && self.connection.is_autocommit();
        if whole {
            self.control("BEGIN IMMEDIATE")?;
        }
        let result = self.rows(&mut statement, changes);
        drop(statement);
        if whole {
            self.control(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        }
        result
    }

    fn prepare(&self, text: &str) -> Result<rusqlite::Statement<'_>, Failure> {
        self.connection.prepare(text).map_err(|error| self.failed(error))
    }

    fn rows(&self, statement: &mut rusqlite::Statement<'_>, changes: bool) -> Result<SqlRows, Failure> {
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let (mut rows, mut counted) = (Vec::new(), Counted::default());
        let mut found = statement.raw_query();
        while let Some(row) = found.next().map_err(|error| self.failed(error))? {
            let values: Vec<SqlValue> = (0..columns.len())
                .map(|at| row.get_ref(at).map(value::decoded).map_err(|error| self.failed(error)))
                .collect::<Result<_, _>>()?;
            counted.row(&values)?;
            rows.push(values);
        }
        drop(found);
        Ok(SqlRows { columns, rows, affected: if changes { self.connection.changes() } else { 0 } })
    }

    /// Runs a script as one: in a transaction of its own, or as a part of the guest's that fails as a whole.
    fn script(&self, text: &str, statements: usize) -> Result<SqlRows, Failure> {
        let (before, after, failed) = match (self.connection.is_autocommit(), statements) {
            (true, 1) => (None, None, None),
            (true, _) => (Some("BEGIN IMMEDIATE"), Some("COMMIT"), Some("ROLLBACK")),
            (false, _) => (Some("SAVEPOINT pipe"), Some("RELEASE pipe"), Some("ROLLBACK TO pipe; RELEASE pipe")),
        };
        before.map_or(Ok(()), |sql| self.control(sql))?;
        match self.connection.execute_batch(text).map_err(|error| self.failed(error)) {
            Ok(()) => after.map_or(Ok(()), |sql| self.control(sql)).map(|()| SqlRows::default()),
            Err(error) => {
                if !self.connection.is_autocommit() {
                    failed.map_or(Ok(()), |sql| self.control(sql))?;
                }
                Err(error)
            }
        }
    }

    /// Runs transaction control of our own, which the authorizer lets no guest run.
    fn control(&self, sql: &str) -> Result<(), Failure> {
        let _own = self.authorizer.own();
        self.connection.execute_batch(sql).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> Failure {
        let denied = self.authorizer.take_denied();
        let Some(extended) = extended_code(&error) else {
            let kind = if matches!(error, rusqlite::Error::MultipleStatement) {
                ErrorKind::Invalid
            } else {
                ErrorKind::Failed
            };
            return EffectError::new(kind, format!("{}: {error}", self.peer)).into();
        };
        let code = Some(extended.to_string());
        let message = match &error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
            rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
            other => other.to_string(),
        };
        let message: String = self.redactor.redact(&message).chars().take(2_000).collect();
        // A function that is denied is an ordinary error to SQLite, anything else that is denied is not.
        if let (ffi::SQLITE_AUTH | ffi::SQLITE_ERROR, Some(reason)) = (extended & 0xff, denied) {
            return Failure::Refused { reason, code };
        }
        let (kind, what, hint) = match extended & 0xff {
            ffi::SQLITE_AUTH => return Failure::Refused { reason: message, code },
            ffi::SQLITE_READONLY if self.access == Access::Read => return Failure::Refused { reason: message, code },
            ffi::SQLITE_INTERRUPT if self.token.is_cancelled() => return EffectError::cancelled().into(),
            ffi::SQLITE_INTERRUPT => (ErrorKind::TimedOut, message, None),
            ffi::SQLITE_BUSY if self.token.is_cancelled() => return EffectError::cancelled().into(),
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
                let hint = format!("waited {} seconds for it", BUSY.as_secs());
                (ErrorKind::Unavailable, "the database is locked by another process".to_owned(), Some(hint))
            }
            ffi::SQLITE_CANTOPEN => (ErrorKind::Unavailable, message, None),
            ffi::SQLITE_TOOBIG | ffi::SQLITE_NOMEM => (ErrorKind::Limit, message, None),
            _ => (ErrorKind::Failed, message, None),
        };
        EffectError { kind, message: format!("{}: {what}", self.peer), hint, code }.into()
    }
}

/// Whether SQLite should look at the lock of another process once more.
fn wait(times: i32, token: &CancellationToken) -> bool {
    let waited = BUSY_STEP * u32::try_from(times).unwrap_or(u32::MAX);
    if waited >= BUSY || token.is_cancelled() {
        return false;
    }
    std::thread::sleep(BUSY_STEP);
    true
}

fn set_up(connection: &Connection, access: Access) -> rusqlite::Result<()> {
    functions::replace_slow_ones(connection)?;
    // No way to write beside the tables, and no function call that hides in a schema.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // `"…"` is a name and never a string: the record shows names, and no strings.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_PATTERN)?;
    connection.set_limit(Limit::SQLITE_LIMIT_FUNCTION_ARG, MOST_ARGUMENTS)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.pragma_update(None, "query_only", access == Access::Read)?;
    // The first look at the file: it may be no database at all.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.extended_code),
        other => other.sqlite_extended_error_code(),
    }
}

fn invalid(what: &str) -> EffectError {
    EffectError::new(ErrorKind::Invalid, what)
}
