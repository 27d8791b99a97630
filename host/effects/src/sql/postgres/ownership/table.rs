//! The table that says who owns what, over one connection.

use tokio::time::timeout;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{OWNERSHIP_TABLE, Owned, SharedError, SharedOwner};
use crate::{
    egress,
    error::{EffectError, ErrorKind},
    session::Session,
    sql::postgres::{CONNECT, Server, failure, login::Login, marks::NO_RIGHT, remains::PLAIN},
};

/// What is in it.
const DEFINITION: &str = "pipeline text NOT NULL, environment text NOT NULL, epoch bigint NOT NULL CHECK (epoch > 0), \
     run text, place text, owner text NOT NULL, state text NOT NULL, note text, \
     since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), PRIMARY KEY (pipeline, environment)";

/// What is read of a row.
const SEEN: &str = "epoch, run, place, owner, state, note, \
     pg_catalog.to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"') AS since, \
     pg_catalog.pg_is_in_recovery() AS standby";

/// The row of a pipeline and environment.
pub(super) const ROW: &str = "pipeline OPERATOR(pg_catalog.=) $1 AND environment OPERATOR(pg_catalog.=) $2";

/// Somebody else has made the table meanwhile, or is about to.
const EXISTS: [&str; 3] = ["42P07", "42710", "23505"];

/// A connection that is logged in.
pub(super) struct Connected {
    pub(super) server: Server,
    pub(super) login: Login,
}

/// A value and its type.
pub(super) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

impl Connected {
    pub(super) const fn new(server: Server, login: Login) -> Self {
        Self { server, login }
    }

    /// Whatever follows means what it says.
    pub(super) async fn plain(self, session: &Session) -> Result<Self, EffectError> {
        self.within(session, self.server.client.batch_execute(PLAIN)).await?;
        Ok(self)
    }

    /// Makes the table where it is missing, and says what an administrator has to do where the login may not.
    pub(super) async fn make(&self, session: &Session) -> Result<(), SharedError> {
        if self.has_table(session).await? {
            return Ok(());
        }
        let statement = format!("CREATE TABLE IF NOT EXISTS public.{OWNERSHIP_TABLE} ({DEFINITION})");
        match self.try_within(self.server.client.batch_execute(&statement)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match error.code().map(|code| code.code()) {
                Some(code) if EXISTS.contains(&code) && self.has_table(session).await? => Ok(()),
                _ => Err(SharedError::Unproven(self.explained(session, &error))),
            },
            Err(late) => Err(SharedError::Unproven(late)),
        }
    }

    pub(super) async fn has_table(&self, session: &Session) -> Result<bool, SharedError> {
        let statement = format!("SELECT pg_catalog.to_regclass('public.{OWNERSHIP_TABLE}') IS NOT NULL");
        let rows = self.ask(session, &statement, &[]).await?;
        rows.first().map_or(Ok(false), |row| row.try_get(0)).map_err(|error| odd(&self.login, &error))
    }

    /// The row, from a server that can be written.
    pub(super) async fn row(&self, session: &Session, owned: &Owned) -> Result<Option<SharedOwner>, SharedError> {
        let statement = format!("SELECT {SEEN} FROM public.{OWNERSHIP_TABLE} WHERE {ROW}");
        let parameters: [Parameter<'_>; 2] = [(&owned.pipeline, Type::TEXT), (&owned.environment, Type::TEXT)];
        let rows = self.ask(session, &statement, &parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let read = || {
            let standby: bool = row.try_get("standby")?;
            let owner = SharedOwner {
                epoch: row.try_get::<_, i64>("epoch")?.cast_unsigned(),
                run: row.try_get("run")?,
                place: row.try_get("place")?,
                owner: row.try_get("owner")?,
                state: row.try_get("state")?,
                note: row.try_get("note")?,
                since: row.try_get("since")?,
            };
            Ok((standby, owner))
        };
        match read().map_err(|error: tokio_postgres::Error| odd(&self.login, &error))? {
            (false, owner) => Ok(Some(owner)),
            (true, _) => {
                let what =
                    format!("{}: this server is a standby, and may know of an earlier owner", self.login.endpoint);
                Err(SharedError::Unproven(EffectError::new(ErrorKind::Unavailable, what)))
            }
        }
    }

    pub(super) async fn ask(
        &self,
        session: &Session,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, SharedError> {
        let asked = self.server.client.query_typed(statement, parameters);
        self.within(session, asked).await.map_err(SharedError::Unproven)
    }

    async fn within<T>(
        &self,
        session: &Session,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, EffectError> {
        self.try_within(asked).await?.map_err(|error| self.explained(session, &error))
    }

    async fn try_within<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<Result<T, tokio_postgres::Error>, EffectError> {
        self.server.wire.refill();
        timeout(CONNECT, asked).await.map_err(|_| egress::failure::connect_timed_out(&self.login.endpoint, CONNECT))
    }

    /// What the server said, without secrets; and what to do where the login lacks a right.
    fn explained(&self, session: &Session, error: &tokio_postgres::Error) -> EffectError {
        let Some(said) = error.as_db_error() else {
            let what = format!("{}: the connection was lost", self.login.endpoint);
            return EffectError::new(ErrorKind::Unavailable, what);
        };
        let mut failed = failure::set_up(&self.login.endpoint, error);
        failed.message = session.world.redactor.redact(&failed.message).into_owned();
        failed.code = Some(said.code().code().to_owned());
        if said.code().code() == NO_RIGHT {
            failed.kind = ErrorKind::Failed;
            failed.message = format!(
                "{}: the login `{}` may not make, read or change the table public.{OWNERSHIP_TABLE}, in which pipe keeps who \
                 drives a pipeline",
                self.login.endpoint, self.login.user
            );
            failed.hint = Some(format!(
                "let an administrator run: CREATE TABLE IF NOT EXISTS public.{OWNERSHIP_TABLE} ({DEFINITION}); GRANT SELECT, \
                 INSERT, UPDATE ON public.{OWNERSHIP_TABLE} TO \"{}\"",
                self.login.user.replace('"', "\"\"")
            ));
        }
        failed
    }
}

pub(super) fn odd(login: &Login, error: &tokio_postgres::Error) -> SharedError {
    let what = format!("{}: public.{OWNERSHIP_TABLE} is not as pipe makes it: {error}", login.endpoint);
    SharedError::Unproven(EffectError::new(ErrorKind::Failed, what))
}
