//! Whether a version table that is there already may be used. PostgreSQL only: there, what hangs on a table acts with the rights
//! of whoever uses it, and whoever may make tables could have made this one first.
//!
//! The text is sent as it stands whatever search path the database has given the session, so every name and operator says
//! where it is from.

use pipe_sdk::{Failure, sql::Value};

use crate::{database::Database, identifier::TableName};

/// What is odd about a table, with its owner. No row where it is as the plugin makes it.
///
/// An owner is trusted who is the login, a superuser, or a member of the login's role: each of them could do by itself what a
/// trigger could do in the login's name.
const ODD: &str = "\
SELECT pg_catalog.concat_ws(', ', \
  CASE WHEN c.relkind OPERATOR(pg_catalog.<>) 'r' THEN 'it is no ordinary table' END, \
  CASE WHEN c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid OPERATOR(pg_catalog.=) c.oid \
    OR h.inhparent OPERATOR(pg_catalog.=) c.oid) THEN 'it inherits or is inherited from' END, \
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid OPERATOR(pg_catalog.=) c.oid) \
    THEN 'it has a trigger' END, \
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid) \
    THEN 'it has a rule' END, \
  CASE WHEN c.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p \
    WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid) THEN 'it has row security' END, \
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid OPERATOR(pg_catalog.=) a.atttypid \
    WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND y.typnamespace OPERATOR(pg_catalog.<>) \
      'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid) THEN 'a column has a type of somebody''s own' END, \
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid OPERATOR(pg_catalog.=) c.oid \
    AND (pg_catalog.pg_get_expr(d.adbin, d.adrelid) OPERATOR(pg_catalog.<>) ALL \
        (ARRAY['now()', 'pg_catalog.now()', 'CURRENT_TIMESTAMP']) \
      OR EXISTS (SELECT FROM pg_catalog.pg_depend AS e WHERE e.objid OPERATOR(pg_catalog.=) d.oid \
        AND e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid \
        AND e.refobjid OPERATOR(pg_catalog.<>) c.oid))) THEN 'a column has another default' END, \
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid \
    AND k.contype OPERATOR(pg_catalog.<>) ALL (ARRAY['p', 'u', 'n']::pg_catalog.\"char\"[])) THEN 'it has a constraint' END, \
  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid \
    AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) THEN 'it has an index on an expression' END, \
  CASE WHEN NOT (o.oid OPERATOR(pg_catalog.=) u.oid OR o.rolsuper OR pg_catalog.pg_has_role(o.oid, u.oid, \
    CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 160000 \
      THEN 'SET' ELSE 'MEMBER' END)) \
    THEN 'its owner could put a trigger on it, which would run as the login' END), \
  o.rolname::pg_catalog.text \
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
  JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) c.relowner \
  JOIN pg_catalog.pg_roles AS u ON u.rolname OPERATOR(pg_catalog.=) current_user \
WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) $1::pg_catalog.text \
  AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) $2::pg_catalog.text";

/// Refuses a table that is not as the plugin makes it.
pub(crate) fn check(database: &dyn Database, name: &TableName) -> Result<(), Failure> {
    let Some(schema) = &name.schema else { return Ok(()) };
    let rows = database.query(ODD, &[schema.as_str().into(), name.table.as_str().into()])?;
    let [row] = rows.rows.as_slice() else {
        return Err(Failure::conflict(format!("{name} went away while it was looked at")).retryable(true));
    };
    let text = |at: usize| row.get(at).and_then(Value::as_text).unwrap_or_default();
    match (text(0), text(1)) {
        (odd, _) if odd.is_empty() => Ok(()),
        (odd, owner) => Err(Failure::conflict(format!(
            "{name} is not a version table to be used: {odd}; its owner is {owner}. Find out who made it so; then let a superuser \
             take away what is odd, or run ALTER TABLE {} OWNER TO CURRENT_USER and grant SELECT, INSERT and DELETE",
            name.quoted()
        ))),
    }
}

/// Keeps the table as it is until the transaction ends: whatever could hang on it needs a lock that conflicts with this one.
pub(crate) fn keep(database: &dyn Database, name: &TableName) -> Result<(), Failure> {
    let lock = format!("LOCK TABLE ONLY {} IN ROW EXCLUSIVE MODE", name.quoted());
    database.query(&lock, &[]).map(|_| ()).map_err(|error| Failure::from(error).within("locking the version table"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use pipe_sdk::{
        Error,
        sql::{Dialect, Rows},
    };

    use super::*;
    use crate::database::Work;

    /// Says of every table what it was told to, and remembers what it was asked.
    struct Server {
        says: Vec<Vec<Value>>,
        asked: RefCell<Vec<(String, Vec<Value>)>>,
    }

    impl Server {
        fn new(says: &[(&str, &str)]) -> Self {
            let text = |text: &str| Value::Text(text.to_owned());
            let says = says.iter().map(|(odd, owner)| vec![text(odd), text(owner)]).collect();
            Self { says, asked: RefCell::default() }
        }
    }

    impl Database for Server {
        fn dialect(&self) -> Dialect {
            Dialect::Postgresql
        }

        fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
            self.asked.borrow_mut().push((statement.to_owned(), parameters.to_vec()));
            Ok(Rows { columns: Vec::new(), rows: self.says.clone(), affected: 0 })
        }

        fn script(&self, _: &str) -> Result<(), Error> {
            unreachable!()
        }

        fn transaction(&self, _: &mut Work<'_>) -> Result<(), Failure> {
            unreachable!()
        }
    }

    fn checked(says: &[(&str, &str)]) -> Result<(), String> {
        let name = TableName::parse("public.pipe_migrations").unwrap();
        check(&Server::new(says), &name).map_err(|failure| failure.message)
    }

    #[test]
    fn a_table_that_is_odd_is_refused_and_an_administrator_told_what_to_do() {
        assert_eq!(checked(&[("", "dba")]), Ok(()));
        let message = checked(&[("it has a trigger", "app")]).unwrap_err();
        for part in ["public.pipe_migrations is not", "it has a trigger", "its owner is app", "OWNER TO CURRENT_USER"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(checked(&[]).unwrap_err().contains("went away"));
        assert!(checked(&[("", "a"), ("", "b")]).is_err());
    }

    #[test]
    fn nothing_in_the_question_is_looked_for_along_a_path() {
        // Operators in words, or behind their schema: what is left are parentheses and commas.
        let question = ODD.replace("OPERATOR(pg_catalog.=)", "").replace("OPERATOR(pg_catalog.<>)", "");
        let question = question.replace("OPERATOR(pg_catalog.>=)", "").replace("$1::", "").replace("$2::", "");
        assert!(!question.replace("::", "").contains(['=', '<', '>', '+', '|', '~', '*']), "{question}");
        for cast in question.split("::").skip(1) {
            assert!(cast.starts_with("pg_catalog."), "{cast}");
        }
        for source in question.split("FROM ").skip(1).chain(question.split("JOIN ").skip(1)) {
            assert!(source.starts_with("pg_catalog."), "{source}");
        }
    }
}
