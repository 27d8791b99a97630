//! Markers in PostgreSQL: where they are read, where their table is made, and how one is put beside what it marks.

use std::collections::BTreeMap;

use pipe_core::event::LogLevel;
use tokio::time::timeout;
use tokio_postgres::{
    SimpleQueryMessage,
    types::{ToSql, Type},
};

use super::{
    super::marker::{
        self, Book, COLUMNS, DEFINITION, KEY, MARKER_TABLE, MOST_MARKERS, Marker, Reserved, administrator_hint,
    },
    CONNECT, Server, failure,
    login::Login,
    shape::{AS_LOGIN, READING, WRITING},
};
use crate::{
    egress,
    error::{EffectError, ErrorKind},
    session::Session,
};

/// The login may not.
pub(super) const NO_RIGHT: &str = "42501";

/// There is no such schema.
const NO_SCHEMA: &str = "3F000";

/// Somebody else has made it meanwhile, or is about to.
const EXISTS: [&str; 3] = ["42P07", "42710", "23505"];

/// Reads what a step has marked, if there is a table. Whether there is one. Costs three round trips more than the reading.
///
/// # Errors
///
/// The table is not one to be trusted.
pub(super) async fn learn(session: &Session, server: &Server, login: &Login, book: &Book) -> Result<bool, EffectError> {
    let late = || egress::failure::connect_timed_out(&login.endpoint, CONNECT);
    let failed = |error: tokio_postgres::Error| {
        let mut failed = failure::set_up(&login.endpoint, &error);
        if error.code().is_some_and(|code| code.code() == NO_RIGHT) {
            failed = no_right(login, "may not read");
        }
        failed
    };
    if !timeout(CONNECT, server.has_markers()).await.map_err(|_| late())?.map_err(failed)? {
        return Ok(false);
    }
    // The table is not looked at before nobody can make something else of it.
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {AS_LOGIN}; {READING}");
    timeout(CONNECT, server.client.batch_execute(&begin)).await.map_err(|_| late())?.map_err(failed)?;
    timeout(CONNECT, server.shape()).await.map_err(|_| late())?.map_err(failed)?.usable(login)?;
    let statement = format!(
        "SELECT digest, occurrence, first, statements, seal FROM public.{MARKER_TABLE} \
         WHERE run OPERATOR(pg_catalog.=) $1 AND step OPERATOR(pg_catalog.=) $2 AND phase OPERATOR(pg_catalog.=) $3 \
         ORDER BY at, occurrence LIMIT {}",
        MOST_MARKERS + 1
    );
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&book.run, Type::TEXT), (&book.step, Type::TEXT), (&book.phase, Type::TEXT)];
    let asked = timeout(CONNECT, server.client.query_typed(&statement, &parameters)).await;
    let rows = asked.map_err(|_| late())?.map_err(failed)?;
    timeout(CONNECT, server.client.batch_execute("ROLLBACK")).await.map_err(|_| late())?.map_err(failed)?;
    let marker = |row: &tokio_postgres::Row| {
        Ok(Marker {
            digest: row.try_get(0)?,
            occurrence: row.try_get(1)?,
            first: row.try_get(2)?,
            statements: row.try_get(3)?,
            seal: row.try_get(4)?,
        })
    };
    let copies = book.learn(rows.iter().map(marker).collect::<Result<_, _>>().map_err(failed)?)?;
    if copies > 0 {
        session.ledger.logged(LogLevel::Warning, marker::copied(book, copies), BTreeMap::new());
    }
    Ok(true)
}

impl Server {
    /// Whether there is a table for markers.
    pub(super) async fn has_markers(&self) -> Result<bool, tokio_postgres::Error> {
        let statement = format!("SELECT pg_catalog.to_regclass('public.{MARKER_TABLE}') IS NOT NULL");
        let rows = self.client.query_typed(&statement, &[]).await?;
        rows.first().map_or(Ok(false), |row| row.try_get(0))
    }

    /// Makes the table, in a transaction of its own.
    pub(super) async fn make_markers(&self, login: &Login) -> Result<(), EffectError> {
        let made = self.client.batch_execute(&format!("BEGIN; {AS_LOGIN}; {}; COMMIT", table())).await;
        let Err(error) = made else { return Ok(()) };
        // The error has to be told, whatever becomes of this.
        let _ = self.client.batch_execute("ROLLBACK").await;
        match error.code().map(|code| code.code()) {
            Some(NO_RIGHT | NO_SCHEMA) => Err(no_right(login, "may not make")),
            Some(code) if EXISTS.contains(&code) && self.has_markers().await.unwrap_or(false) => Ok(()),
            _ => Err(failure::set_up(&login.endpoint, &error)),
        }
    }

    /// Whether the transaction has changed anything.
    pub(super) async fn wrote(&self) -> Result<bool, tokio_postgres::Error> {
        let statement = "SELECT pg_catalog.txid_current_if_assigned() IS NOT NULL";
        let rows = self.client.query_typed(statement, &[]).await?;
        rows.first().map_or(Ok(false), |row| row.try_get(0))
    }

    /// Begins a transaction that is to be marked. From its begin on, before it sees anything, nobody but itself can put a trigger
    /// on the table. So what [`Self::put`] sees at its end is how it is, however the guest has isolated the transaction.
    pub(super) async fn begin_marked(&self) -> Result<(), tokio_postgres::Error> {
        let begin = format!("BEGIN; SHOW role; SET LOCAL ROLE NONE; {WRITING}");
        let answer = self.client.simple_query(&begin).await?;
        let role = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        match role {
            Some(role) if role != "none" => {
                let role = role.replace('"', "\"\"");
                self.client.batch_execute(&format!("SET LOCAL ROLE \"{role}\"")).await
            }
            _ => Ok(()),
        }
    }

    /// Puts a marker into the open transaction, where the table is one to be trusted. Costs four round trips.
    pub(super) async fn put(
        &self,
        login: &Login,
        book: &Book,
        marker: &Marker,
        table: bool,
    ) -> Result<Put, tokio_postgres::Error> {
        let make = if table { String::new() } else { format!("{};", self::table()) };
        self.client.batch_execute(&format!("{AS_LOGIN}; {make} {WRITING}")).await?;
        let number = match self.shape().await?.usable(login) {
            Ok(number) => number,
            Err(refused) => return Ok(Put::Refused(refused)),
        };
        let text = |value| -> (&(dyn ToSql + Sync), Type) { (value, Type::TEXT) };
        let parameters = [
            text(&book.run),
            text(&book.step),
            text(&book.phase),
            text(&marker.digest),
            (&marker.occurrence, Type::INT8),
            text(&marker.first),
            text(&marker.statements),
            text(&marker.seal),
        ];
        let insert = format!(
            "INSERT INTO public.{MARKER_TABLE} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING 1"
        );
        if self.client.query_typed(&insert, &parameters).await?.len() != 1 {
            return Ok(Put::Lost);
        }
        // What the insert answered is not what is there.
        let there = format!(
            "SELECT 1 FROM public.{MARKER_TABLE} WHERE run = $1 AND step = $2 AND phase = $3 AND digest = $4 \
             AND occurrence = $5 AND first = $6 AND statements = $7 AND seal = $8 AND tableoid::pg_catalog.int8 = $9"
        );
        let table: (&(dyn ToSql + Sync), Type) = (&number, Type::INT8);
        let parameters: Vec<_> = parameters.into_iter().chain([table]).collect();
        let there = self.client.query_typed(&there, &parameters).await?;
        Ok(if there.len() == 1 { Put::There } else { Put::Lost })
    }
}

/// What became of a marker.
pub(super) enum Put {
    /// It is in the table.
    There,
    /// The table took it, and it is not there.
    Lost,
    /// The table is not one to be trusted.
    Refused(EffectError),
}

fn table() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS public.{MARKER_TABLE} ({DEFINITION}, \
         at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), {KEY})"
    )
}

/// The login lacks what it takes to mark.
pub(super) fn no_right(login: &Login, may_not: &str) -> EffectError {
    let what = format!(
        "{}: the login `{}` {may_not} the table public.{MARKER_TABLE}, in which pipe marks what a step has committed",
        login.endpoint, login.user
    );
    let refused = EffectError::new(ErrorKind::Failed, what).with_hint(administrator_hint(&login.user));
    EffectError { code: Some(NO_RIGHT.to_owned()), ..refused }
}

/// Tells that something was not done again.
pub(super) fn tell(session: &Session, book: &Book) {
    let line = marker::told(book);
    session.ledger.logged(LogLevel::Info, line, BTreeMap::new());
}

/// A marker that the database did not take.
pub(super) fn not_put(login: &Login, reserved: &Reserved) -> EffectError {
    let what = format!(
        "{}: {MARKER_TABLE} did not take the marker of this transaction ({}), so it was rolled back",
        login.peer, reserved.marker.occurrence
    );
    EffectError::new(ErrorKind::Failed, what).with_hint("is there a trigger or a rule on that table?")
}
