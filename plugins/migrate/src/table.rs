//! The version table: a row for each migration that is applied.

use std::time::Duration;

use pipe_sdk::{
    Error, Failure,
    sql::{Dialect, RowsExt, Value},
};
use sha2::{Digest, Sha256};

use crate::{
    database::Database,
    identifier::{Identifier, TableName},
    plan::Applied,
    trust,
};

/// The table in one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionTable {
    dialect: Dialect,
    /// With its schema, in PostgreSQL: a migration that sets another search path must not hide the table.
    name: TableName,
}

impl VersionTable {
    /// Finds out where the table is, or would be made.
    pub(crate) fn find(database: &dyn Database, name: &TableName) -> Result<Self, Failure> {
        let dialect = database.dialect();
        let schema = match (dialect, &name.schema) {
            (Dialect::Postgresql, Some(schema)) => Some(schema.clone()),
            (Dialect::Postgresql, None) => Some(current_schema(database)?),
            (Dialect::Sqlite, Some(schema)) if schema.as_str() != "main" => {
                return Err(Failure::settings(format!("table {name}: SQLite has no schema {schema}")));
            }
            (Dialect::Sqlite, _) => None,
        };
        Ok(Self { dialect, name: TableName { schema, table: name.table.clone() } })
    }

    /// The table as a receipt remembers it.
    pub(crate) fn remembered(dialect: Dialect, schema: Option<&str>, table: &str) -> Option<Self> {
        let schema = match schema {
            Some(schema) => Some(Identifier::from_database(schema)?),
            None => None,
        };
        Some(Self { dialect, name: TableName { schema, table: Identifier::from_database(table)? } })
    }

    /// Schema and table.
    pub(crate) fn parts(&self) -> (Option<String>, String) {
        let schema = self.name.schema.as_ref().map(|schema| schema.as_str().to_owned());
        (schema, self.name.table.as_str().to_owned())
    }

    /// Whether it is there.
    pub(crate) fn exists(&self, database: &dyn Database) -> Result<bool, Error> {
        let table = self.name.table.as_str().into();
        let rows = match (&self.name.schema, self.dialect) {
            (Some(schema), Dialect::Postgresql) => database.query(
                "SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n \
                 ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                 WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) $1::pg_catalog.text \
                 AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) $2::pg_catalog.text \
                 AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog.\"char\"[])",
                &[schema.as_str().into(), table],
            )?,
            _ => database
                .query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1 COLLATE NOCASE", &[table])?,
        };
        Ok(!rows.rows.is_empty())
    }

    /// Every row, in the order in which they were applied. None where there is no table. One that is not as this plugin makes it
    /// is refused before it is read.
    pub(crate) fn rows(&self, database: &dyn Database) -> Result<Vec<Applied>, Failure> {
        if !self.exists(database)? {
            return Ok(Vec::new());
        }
        if self.dialect == Dialect::Postgresql {
            trust::check(database, &self.name)?;
        }
        let statement = format!(
            "SELECT version, name, checksum, down_checksum, position, run_id, step FROM {} ORDER BY position",
            self.name.quoted()
        );
        let rows = database.query(&statement, &[])?.rows;
        let unreadable = || Failure::conflict(format!("{} is not a version table of pipe", self.name));
        rows.iter().map(|row| applied(row).ok_or_else(unreadable)).collect()
    }

    /// Makes it where it is missing.
    pub(crate) fn ensure(&self, database: &dyn Database) -> Result<(), Error> {
        if self.exists(database)? {
            return Ok(());
        }
        let (integer, applied_at) = match self.dialect {
            Dialect::Postgresql => ("bigint", "timestamptz NOT NULL DEFAULT now()"),
            Dialect::Sqlite => ("INTEGER", "TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"),
        };
        let statement = format!(
            "CREATE TABLE {} (version {integer} PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, \
             down_checksum text, position {integer} NOT NULL UNIQUE, run_id text NOT NULL, step text NOT NULL, \
             applied_at {applied_at})",
            self.name.quoted()
        );
        database.query(&statement, &[]).map(|_| ())
    }

    /// Keeps everybody else who migrates out until the transaction ends, and the table as it is. SQLite's transactions do so by
    /// themselves. The first that a transaction does: what it sees afterwards is how it is behind the locks.
    pub(crate) fn lock(&self, database: &dyn Database, timeout: Duration) -> Result<(), Failure> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        database.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", &[])?;
        let timeout = format!("{}ms", timeout.as_millis());
        database.query("SELECT pg_catalog.set_config('lock_timeout', $1, true)", &[timeout.into()])?;
        // In `FROM`, since the function returns nothing that could be a value.
        let statement = "SELECT 1 AS locked FROM pg_catalog.pg_advisory_xact_lock($1::bigint)";
        let locked = database.query(statement, &[self.lock_key().into()]);
        locked.map_err(|error| Failure::from(error).within("waiting for another migration"))?;
        if self.exists(database)? { trust::keep(database, &self.name) } else { Ok(()) }
    }

    fn lock_key(&self) -> i64 {
        let digest = Sha256::digest(format!("pipe:migrate:{}", self.name.quoted()));
        let mut key = [0; 8];
        key.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(key)
    }

    /// Adds a row.
    pub(crate) fn insert(&self, database: &dyn Database, row: &Applied) -> Result<(), Error> {
        let statement = format!(
            "INSERT INTO {} (version, name, checksum, down_checksum, position, run_id, step) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            self.name.quoted()
        );
        let values = [
            row.version.into(),
            row.name.as_str().into(),
            row.checksum.as_str().into(),
            row.down_checksum.clone().map_or(Value::Null, Value::Text),
            row.position.into(),
            row.run.as_str().into(),
            row.step.as_str().into(),
        ];
        database.query(&statement, &values).map(|_| ())
    }

    /// Removes the row of a migration.
    pub(crate) fn delete(&self, database: &dyn Database, version: i64) -> Result<(), Failure> {
        let statement = format!("DELETE FROM {} WHERE version = $1", self.name.quoted());
        match database.query(&statement, &[version.into()])?.affected {
            1 => Ok(()),
            count => Err(Failure::conflict(format!("{count} rows of {} have version {version}, not one", self.name))),
        }
    }
}

fn current_schema(database: &dyn Database) -> Result<Identifier, Failure> {
    let rows = database.query("SELECT pg_catalog.current_schema()::pg_catalog.text", &[])?;
    let schema = rows.scalar().and_then(Value::as_text).and_then(|schema| Identifier::from_database(&schema));
    schema.ok_or_else(|| Failure::conflict("the database has no current schema; name the table as schema.table"))
}

fn applied(row: &[Value]) -> Option<Applied> {
    let [version, name, checksum, down_checksum, position, run, step] = row else { return None };
    Some(Applied {
        version: version.as_integer()?,
        name: name.as_text()?,
        checksum: checksum.as_text()?,
        down_checksum: down_checksum.as_text(),
        position: position.as_integer()?,
        run: run.as_text()?,
        step: step.as_text()?,
    })
}
