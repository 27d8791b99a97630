//! Whether the table of the markers is what `pipe` makes, asked of the catalog before it is touched.
//!
//! Whoever may make tables in `public` could have made this one first, and everything that hangs on a table acts with the rights
//! of whoever uses it: a trigger, a rule, the function in a default or in the column of a view. So nothing is read from the
//! table and nothing put into it unless it is plain, and belongs to somebody who could act as the login anyway. A lock that
//! was taken before keeps it so until the transaction ends: [`READING`] keeps views and rules away, [`WRITING`] triggers too.
//!
//! What remains: the owner of the schema `public` can rename it and put another in its place, which no lock prevents. After
//! the insert [`super::marks`] looks whether the marker is in the very table that was looked at, and rolls back where it is not.

use super::{super::marker::MARKER_TABLE, Server, login::Login};
use crate::error::{EffectError, ErrorKind};

/// Until the end of the transaction the session is what it was after the login: whatever role, path or form of names the guest,
/// the database or the login's own settings say. Temporary tables and types come last, or they would be found first.
pub(super) const AS_LOGIN: &str =
    "SET LOCAL ROLE NONE; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off";

/// Nobody makes anything else of the table while it is read. Takes no snapshot: what is asked afterwards is how it is now.
pub(super) const READING: &str = "LOCK TABLE ONLY public.pipe_marker IN ACCESS SHARE MODE";

/// Nor puts a trigger on it: those need a lock that conflicts with this one. So do indexes before anything is put into them.
pub(super) const WRITING: &str = "LOCK TABLE ONLY public.pipe_marker IN ROW EXCLUSIVE MODE";

/// The number of the table, its owner, whether the login may trust the owner, and what is odd about it.
///
/// An owner is trusted who is the login, a superuser, or a member of the login's role: each of them can do by itself what a
/// trigger could do in the login's name. That the login is a member of the owner's role is no reason: so may others be, who
/// can become the owner and not the login.
const SHAPE: &str = "\
SELECT t.oid::pg_catalog.int8, o.rolname::pg_catalog.text, \
  (o.oid = u.oid OR o.rolsuper OR pg_catalog.pg_has_role(o.oid, u.oid, \
    CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END)), \
  pg_catalog.concat_ws(', ', \
    CASE WHEN t.relkind <> 'r' THEN 'it is no ordinary table' END, \
    CASE WHEN t.relpersistence <> 'p' THEN 'it does not outlive a crash' END, \
    CASE WHEN t.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS h \
      WHERE h.inhrelid = t.oid OR h.inhparent = t.oid) THEN 'it inherits or is inherited from' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = t.oid) THEN 'it has a trigger' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = t.oid) THEN 'it has a rule' END, \
    CASE WHEN t.relrowsecurity OR t.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p \
      WHERE p.polrelid = t.oid) THEN 'it has row security' END, \
    CASE WHEN (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum > 0) <> 9 \
      OR (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid \
        WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND a.attidentity = '' \
        AND a.attcollation = y.typcollation AND y.oid = CASE \
          WHEN a.attname IN ('run', 'step', 'phase', 'digest', 'first', 'statements', 'seal') \
            THEN 'pg_catalog.text'::pg_catalog.regtype::pg_catalog.oid \
          WHEN a.attname = 'occurrence' THEN 'pg_catalog.int8'::pg_catalog.regtype::pg_catalog.oid \
          WHEN a.attname = 'at' THEN 'pg_catalog.timestamptz'::pg_catalog.regtype::pg_catalog.oid END) <> 9 \
      THEN 'its columns are others' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_attribute AS a \
        ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = t.oid AND (a.attname = 'at' \
        AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) IN ('now()', 'clock_timestamp()')) IS NOT TRUE) \
      THEN 'a column has another default' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.confrelid = t.oid \
      OR (k.conrelid = t.oid AND k.contype NOT IN ('p', 'n'))) THEN 'it has a constraint' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = t.oid \
      AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) THEN 'it has an index on an expression' END, \
    CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = t.oid \
      AND i.indisprimary AND i.indisvalid AND i.indimmediate AND ARRAY(SELECT a.attname::pg_catalog.text \
        FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS c (number, place) \
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = c.number ORDER BY c.place) \
        = ARRAY['run', 'step', 'phase', 'digest', 'occurrence']) THEN 'its primary key is another' END) \
FROM pg_catalog.pg_class AS t JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner \
  JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user \
WHERE t.oid = pg_catalog.to_regclass('public.pipe_marker')";

/// What the catalog says of the table.
pub(super) enum Shape {
    /// It is as `pipe` makes it. Its number.
    Ours(i64),
    /// Somebody whom the login cannot trust owns it.
    Others { owner: String },
    /// It is not what it should be.
    Odd { owner: String, odd: String },
    /// It was put there after the transaction began to look at the database.
    Unseen,
}

impl Shape {
    /// The number of the table, as the server counts.
    ///
    /// # Errors
    ///
    /// It must not be used. Says what is odd, and what an administrator has to do.
    pub(super) fn usable(self, login: &Login) -> Result<i64, EffectError> {
        let refused = |what: String, hint: String| {
            let what = format!("{}: public.{MARKER_TABLE} is not used: {what}", login.endpoint);
            Err(EffectError::new(ErrorKind::Failed, what).with_hint(hint))
        };
        match self {
            Self::Ours(number) => Ok(number),
            Self::Others { owner } => refused(
                format!("its owner `{owner}` could put a trigger on it, which would run as `{}`", login.user),
                format!(
                    "if nothing is wrong with it, let a superuser run: ALTER TABLE public.{MARKER_TABLE} OWNER TO CURRENT_USER; \
                     GRANT SELECT, INSERT ON public.{MARKER_TABLE} TO {}, {}",
                    quoted(&owner),
                    quoted(&login.user)
                ),
            ),
            Self::Odd { owner, odd } => refused(
                format!("it is not as pipe makes it: {odd}; its owner is `{owner}`"),
                format!(
                    "somebody may have set a trap for `{}`: find out who, and let an administrator take away what is odd; where no \
                     run is cut off or waits, the table can be dropped, and pipe makes it anew",
                    login.user
                ),
            ),
            Self::Unseen => refused(
                "it was made while the transaction ran".to_owned(),
                "try again: the next attempt looks at it first".to_owned(),
            ),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Server {
    /// What the table is. In a transaction that is [`AS_LOGIN`], and holds a lock on the table.
    pub(super) async fn shape(&self) -> Result<Shape, tokio_postgres::Error> {
        let rows = self.client.query_typed(SHAPE, &[]).await?;
        let Some(row) = rows.first() else { return Ok(Shape::Unseen) };
        let (number, owner, trusted, odd): (i64, String, bool, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok(match (odd.is_empty(), trusted) {
            (true, true) => Shape::Ours(number),
            (true, false) => Shape::Others { owner },
            (false, _) => Shape::Odd { owner, odd },
        })
    }
}
