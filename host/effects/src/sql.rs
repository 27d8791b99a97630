//! SQL on behalf of a guest: PostgreSQL and SQLite behind one connection type.
//!
//! A connection is a task of the session that owns everything and takes one piece of work at a time. So it ends with the
//! session whatever the guest does, and nothing is going on in the database once [`Session::close`] has returned.

mod fence;
mod marker;
mod postgres;
mod sqlite;
mod statement;
mod token;
mod work;

use std::{fmt, sync::Arc};

use pipe_capability::{denial::Denial, word::Word};
use pipe_core::event::Use;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub use pipe_capability::sql::Access;

use self::{
    fence::Fence,
    statement::{Statement, split},
    work::{Failure, Request, Work},
};
pub(crate) use self::{marker::Marks, postgres::sessions_at};
pub use self::{
    marker::{MARKER_TABLE, Marking, Phase},
    postgres::ownership::{
        OWNERSHIP_TABLE, Owned, SharedClaim, SharedError, SharedOwner, SharedOwnership, SharedPlace,
    },
};
use crate::{
    error::{EffectError, ErrorKind},
    session::Session,
    world::Peer,
};

/// The most rows that a statement may return.
pub const MOST_ROWS: usize = 10_000;

/// The most bytes that the rows of a statement may hold together.
pub const MOST_ROW_BYTES: usize = 8 * 1024 * 1024;

/// The most connections that one session may have open at once.
pub const MOST_CONNECTIONS: usize = 8;

/// The most bytes of a statement or script with its parameters.
pub const MOST_STATEMENT_BYTES: usize = 16 * 1024 * 1024;

/// The most statements of a script that are written down one by one.
const MOST_SHOWN: usize = 1_000;

/// A value in a statement or a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// Text, and every type that has no case of its own, in its text form.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl SqlValue {
    fn size(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) => 8,
            Self::Text(text) => text.len() + 8,
            Self::Bytes(bytes) => bytes.len() + 8,
        }
    }
}

/// What a statement returned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SqlRows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<SqlValue>>,
    /// Rows that the statement changed.
    pub affected: u64,
}

/// Which database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgresql,
    /// SQLite.
    Sqlite,
}

/// A connection to a database. Dropped, it rolls back and closes.
pub struct SqlConnection {
    session: Arc<Session>,
    peer: String,
    access: Access,
    rule: String,
    dialect: Dialect,
    requests: mpsc::Sender<Request>,
}

impl fmt::Debug for SqlConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.access, self.peer)
    }
}

impl Session {
    /// Opens a connection to a peer and logs in.
    ///
    /// # Errors
    ///
    /// `Denied` where the grant does not cover it, where the address is not allowed, and where the login could do more than
    /// read although only reading is granted. `Unavailable` where no connection came about, `Failed` where the database
    /// refused the login, `Invalid` where the peer is no database.
    pub async fn sql_open(self: &Arc<Self>, peer: &str, access: Access) -> Result<SqlConnection, EffectError> {
        let rule = match self.grant.sql(peer, access) {
            Ok(rule) => rule.to_string(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let Some(found) = self.world.peers.get(peer) else {
            return Err(EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no peer `{peer}`")));
        };
        let dialect = match found.url.scheme() {
            "postgres" | "postgresql" => Dialect::Postgresql,
            "sqlite" => Dialect::Sqlite,
            _ => return Err(found.wrong("is not of a database: `postgres://…` or `sqlite:/…`")),
        };
        self.used("sql", format!("{access} {peer}: open"), rule.clone(), false).await?;
        if let (Dialect::Postgresql, Some(secret)) = (dialect, &found.password) {
            self.secret_used(secret, &format!("to {peer} (password)"), &rule).await?;
        }
        if let (Dialect::Postgresql, Some(client)) = (dialect, &found.client) {
            self.secret_used(&client.key, &format!("to {peer} (client_key)"), &rule).await?;
        }
        let Ok(permit) = Arc::clone(&self.egress.databases).try_acquire_owned() else {
            let what = format!("more than {MOST_CONNECTIONS} database connections are open at once");
            return Err(EffectError::new(ErrorKind::Limit, what).with_hint("drop those that are done"));
        };
        let requests = match dialect {
            Dialect::Postgresql => postgres::open(self, found, access, permit).await?,
            Dialect::Sqlite => sqlite::open(self, found, access, permit).await?,
        };
        Ok(SqlConnection { session: Arc::clone(self), peer: peer.to_owned(), access, rule, dialect, requests })
    }

    /// Refuses something that the login could do, and the grant does not want.
    async fn refuse_sql(&self, peer: &Peer, reason: String) -> EffectError {
        self.refuse(Denial::new(Word::Sql, &peer.name, reason)).await
    }
}

impl SqlConnection {
    /// Which database speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs one statement. Parameters are `$1`, `$2`, … whatever the dialect.
    ///
    /// # Errors
    ///
    /// `Denied` where the access does not cover the statement, `Failed` with the database's code where it failed, `Limit`
    /// where it returned too much, `TimedOut` where nobody knows whether it took effect.
    pub async fn query(&mut self, statement: &str, parameters: Vec<SqlValue>) -> Result<SqlRows, EffectError> {
        let size = check_size(statement.len() + parameters.iter().map(SqlValue::size).sum::<usize>())?;
        let fence = match self.access {
            Access::Read => fence::read(statement, self.dialect),
            Access::Write => fence::write(statement, self.dialect),
        };
        if let Err(fence) = fence {
            return Err(self.fenced(statement, fence).await);
        }
        self.session.sent(size)?;
        self.used(&split(statement, self.dialect)).await?;
        self.run(statement, Work::Query { statement: statement.to_owned(), parameters }).await
    }

    /// Runs a script of any number of statements, as one: all of it or nothing. Needs write access.
    ///
    /// # Errors
    ///
    /// As [`Self::query`]; `Denied` where the script holds transaction control.
    pub async fn script(&mut self, text: &str) -> Result<SqlRows, EffectError> {
        let size = check_size(text.len())?;
        self.needs_write("a script").await?;
        match fence::script(text, self.dialect) {
            Err(fence) => Err(self.fenced(text, fence).await),
            Ok(0) => Ok(SqlRows::default()),
            Ok(statements) => {
                self.session.sent(size)?;
                self.used(&split(text, self.dialect)).await?;
                self.run(text, Work::Script { text: text.to_owned(), statements }).await
            }
        }
    }

    /// Begins a transaction. Needs write access.
    ///
    /// # Errors
    ///
    /// `Invalid` where one is open.
    pub async fn begin(&mut self) -> Result<(), EffectError> {
        self.control("BEGIN", Work::Begin, false).await
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// `TimedOut` where nobody knows whether it was committed; anything else means that it was not.
    pub async fn commit(&mut self) -> Result<(), EffectError> {
        self.control("COMMIT", Work::Commit, true).await
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    ///
    /// `Invalid` where none is open.
    pub async fn rollback(&mut self) -> Result<(), EffectError> {
        self.control("ROLLBACK", Work::Rollback, false).await
    }

    async fn control(&mut self, name: &str, work: Work, effect: bool) -> Result<(), EffectError> {
        self.needs_write("a transaction").await?;
        let (subject, rule) = (format!("{} {}: {name}", self.access, self.peer), self.rule.clone());
        self.session.used("sql", subject, rule, effect).await?;
        self.run(name, work).await.map(drop)
    }

    /// Writes statements down, each by itself, without its literals and with a proof of its text. Parameters are not kept.
    /// Durable before it returns where they may write.
    async fn used(&self, statements: &[Statement<'_>]) -> Result<(), EffectError> {
        let statements: Vec<_> = statements.iter().filter(|statement| !statement.is_blank()).collect();
        let entry = |shown: String, text: &str| Use {
            word: Word::Sql.as_str().to_owned(),
            subject: format!("{} {}: {shown}", self.access, self.peer),
            rule: self.rule.clone(),
            effect: self.access == Access::Write,
            proof: self.session.proof(Word::Sql, text.as_bytes()),
            fence: None,
        };
        let (each, rest) = statements.split_at(statements.len().min(MOST_SHOWN));
        let mut entries: Vec<Use> = each.iter().map(|one| entry(one.shown(), one.bare())).collect();
        if !rest.is_empty() {
            let text: Vec<&str> = rest.iter().map(|one| one.bare()).collect();
            entries.push(entry(format!("… ({} further statements)", rest.len()), &text.join(";")));
        }
        self.session.record_together(entries).await
    }

    async fn run(&mut self, statement: &str, work: Work) -> Result<SqlRows, EffectError> {
        let (reply, replied) = oneshot::channel();
        if self.requests.send(Request { work, reply }).await.is_err() {
            return Err(self.ended());
        }
        match replied.await {
            Ok(Ok(rows)) => {
                let values = rows.rows.iter().flatten();
                self.session.received(values.map(|value| value.size() as u64).sum())?;
                Ok(rows)
            }
            Ok(Err(Failure::Effect(error))) => Err(error),
            Ok(Err(Failure::Refused { reason, code })) => {
                let mut error = self.fenced(statement, Fence::NeedsWrite(reason)).await;
                error.code = code;
                Err(error)
            }
            Err(_) => Err(self.ended()),
        }
    }

    fn ended(&self) -> EffectError {
        if self.session.cancellation().is_cancelled() {
            return EffectError::cancelled();
        }
        let what = format!("the connection to `{}` has ended, and what was not committed is rolled back", self.peer);
        EffectError::new(ErrorKind::Unavailable, what).with_hint("open a new connection")
    }

    async fn needs_write(&self, what: &str) -> Result<(), EffectError> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(self.refused(what, "the connection is open for reading".to_owned(), true).await),
        }
    }

    async fn fenced(&self, statement: &str, fence: Fence) -> EffectError {
        let shown = || statement::shown(statement, self.dialect);
        match fence {
            Fence::Invalid(what) => EffectError::new(ErrorKind::Invalid, what),
            Fence::NeedsWrite(reason) => self.refused(&shown(), reason, self.access == Access::Read).await,
            Fence::Forbidden(reason) => self.refused(&shown(), reason, false).await,
        }
    }

    /// Refuses, with the line that would give write access where that helps.
    async fn refused(&self, what: &str, reason: String, writing_helps: bool) -> EffectError {
        let subject = format!("{} {}: {what}", self.access, self.peer);
        let line = self.session.grant.sql(&self.peer, Access::Write).err().and_then(|denial| denial.hint);
        let denial = Denial::new(Word::Sql, &subject, reason).with_hint(line.filter(|_| writing_helps));
        self.session.refuse(denial).await
    }
}

/// The size of a statement, if it is not too large.
fn check_size(bytes: usize) -> Result<u64, EffectError> {
    if bytes <= MOST_STATEMENT_BYTES {
        return Ok(bytes as u64);
    }
    let most = MOST_STATEMENT_BYTES >> 20;
    Err(EffectError::new(ErrorKind::Limit, format!("the statement and its parameters hold more than {most} MiB")))
}
