//! A host with one SQLite database in a file, for tests. It keeps receipts as the real one does.

use std::cell::{Cell, RefCell};

use pipe_sdk::{
    Error, ErrorKind, Failure,
    sql::{Access, Dialect, Rows, Value},
};
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::{
    database::{Database, Host, Work},
    undo::Receipt,
};

pub(crate) struct Sqlite {
    directory: TempDir,
    pub(crate) saved: RefCell<Vec<(String, Receipt, String)>>,
    /// Commits that still succeed; then one is lost: done, but nobody is told.
    pub(crate) commits_before_loss: Cell<u32>,
}

impl Sqlite {
    pub(crate) fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = Self { directory, saved: RefCell::default(), commits_before_loss: Cell::new(u32::MAX) };
        host.connect().execute_batch(script).unwrap();
        host
    }

    pub(crate) fn connect(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("database")).unwrap()
    }

    pub(crate) fn tables(&self) -> Vec<String> {
        let connection = self.connect();
        let mut statement =
            connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.saved.borrow().iter().map(|(_, receipt, _)| receipt.clone()).collect()
    }
}

impl Host for Sqlite {
    fn open(&self, _: &str, access: Access) -> Result<Box<dyn Database>, Error> {
        let loses = self.commits_before_loss.get() == 0;
        let connection = self.connect();
        connection.pragma_update(None, "query_only", access == Access::Read).unwrap();
        Ok(Box::new(Open { connection, loses }))
    }

    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure> {
        self.commits_before_loss.set(self.commits_before_loss.get().saturating_sub(1));
        let text = serde_json::to_string(receipt).unwrap();
        let receipt = serde_json::from_str(&text).unwrap();
        self.saved.borrow_mut().retain(|(other, _, _)| other != key);
        self.saved.borrow_mut().push((key.to_owned(), receipt, summary.to_owned()));
        Ok(())
    }
}

struct Open {
    connection: rusqlite::Connection,
    loses: bool,
}

fn failed(error: rusqlite::Error) -> Error {
    Error { kind: ErrorKind::Failed, message: error.to_string(), hint: None, code: None }
}

impl Database for Open {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
        let mut statement = self.connection.prepare(statement).map_err(failed)?;
        let columns: Vec<_> = statement.column_names().into_iter().map(str::to_owned).collect();
        let parameters = parameters.iter().map(|value| match value {
            Value::Null => rusqlite::types::Value::Null,
            Value::Boolean(value) => i64::from(*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(value) => value.clone().into(),
            Value::Bytes(value) => value.clone().into(),
        });
        let parameters = rusqlite::params_from_iter(parameters);
        if columns.is_empty() {
            let affected = statement.execute(parameters).map_err(failed)? as u64;
            return Ok(Rows { columns, rows: Vec::new(), affected });
        }
        let count = columns.len();
        let rows = statement
            .query_map(parameters, |row| {
                (0..count).map(|index| row.get_ref(index).map(value)).collect::<Result<Vec<_>, _>>()
            })
            .and_then(Iterator::collect)
            .map_err(failed)?;
        Ok(Rows { columns, rows, affected: 0 })
    }

    fn script(&self, text: &str) -> Result<(), Error> {
        self.connection.execute_batch(text).map_err(failed)
    }

    fn transaction(&self, work: &mut Work<'_>) -> Result<(), Failure> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        work(self)?;
        self.connection.execute_batch("COMMIT").map_err(failed)?;
        if self.loses { Err(Failure::timed_out("commit: cancelled")) } else { Ok(()) }
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Float(value),
        ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Value::Bytes(value.to_vec()),
    }
}
