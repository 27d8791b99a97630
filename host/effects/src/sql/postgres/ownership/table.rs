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

/// Whose the table is, whether the login may trust them, and what is odd about it: as [`super::super::shape`] asks of the markers,
/// and for its reasons. Who owns a table could let a trigger on it act as whoever writes in it.
const SOUND: &str = "\
SELECT o.rolname::pg_catalog.text, (o.oid = u.oid OR o.rolsuper OR pg_catalog.pg_has_role(o.oid, u.oid, \
    CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END)), \
  pg_catalog.concat_ws(', ', \
    CASE WHEN t.relkind <> 'r' OR t.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS h \
      WHERE h.inhrelid = t.oid OR h.inhparent = t.oid) THEN 'it is no ordinary table' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = t.oid) THEN 'it has a trigger' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = t.oid) THEN 'it has a rule' END, \
    CASE WHEN t.relrowsecurity OR t.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p \
      WHERE p.polrelid = t.oid) THEN 'it has row security' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid \
      WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attgenerated <> '' OR y.oid NOT IN \
        ('pg_catalog.text'::pg_catalog.regtype, 'pg_catalog.int8'::pg_catalog.regtype, 'pg_catalog.timestamptz'::pg_catalog.regtype))) \
      THEN 'its columns are others' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid = t.oid \
      AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) <> 'clock_timestamp()') THEN 'a column has another default' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.confrelid = t.oid OR (k.conrelid = t.oid \
      AND k.contype NOT IN ('p', 'n') AND pg_catalog.pg_get_constraintdef(k.oid) <> 'CHECK ((epoch > 0))')) \
      THEN 'it has another constraint' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = t.oid \
      AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) THEN 'it has an index on an expression' END) \
FROM pg_catalog.pg_class AS t JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner \
  JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user WHERE t.oid = pg_catalog.to_regclass('public.pipe_ownership')";

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

    /// Whether the table is there. One on which somebody may have set a trap is refused before it is touched.
    pub(super) async fn has_table(&self, session: &Session) -> Result<bool, SharedError> {
        let rows = self.ask(session, SOUND, &[]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (owner, trusted, odd): (String, bool, String) = read().map_err(|error| self::odd(&self.login, &error))?;
        let what = match (odd.is_empty(), trusted) {
            (true, true) => return Ok(true),
            (true, false) => {
                format!("its owner `{owner}` could put a trigger on it, which would run as `{}`", self.login.user)
            }
            (false, _) => format!("{odd}; its owner is `{owner}`"),
        };
        let what = format!("{}: public.{OWNERSHIP_TABLE} is not used: {what}", self.login.endpoint);
        let hint = format!(
            "find out who made it so; an administrator can drop it while nothing runs, and run: CREATE TABLE \
             public.{OWNERSHIP_TABLE} ({DEFINITION}); GRANT SELECT, INSERT, UPDATE ON public.{OWNERSHIP_TABLE} TO \"{}\"",
            self.login.user.replace('"', "\"\"")
        );
        Err(SharedError::Unproven(EffectError::new(ErrorKind::Failed, what).with_hint(hint)))
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
