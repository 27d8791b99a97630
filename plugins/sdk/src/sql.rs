//! Databases, by the peers of the pipeline file. Capability: `sql`. The host connects, logs in and speaks TLS.

use crate::Error;
use crate::bindings::host::pipe::host::sql as host;

pub use host::{Access, Dialect, Rows, Value};

/// A connection. Closed, and what is uncommitted rolled back, when it is dropped.
#[derive(Debug)]
pub struct Connection(host::Connection);

impl Connection {
    /// Opens a connection on which every statement runs in a read-only transaction.
    ///
    /// # Errors
    ///
    /// The host refuses a peer that is not granted, and says why one cannot be reached.
    pub fn read(peer: &str) -> Result<Self, Error> {
        Self::open(peer, Access::Read)
    }

    /// Opens a connection that may change data and schema.
    ///
    /// # Errors
    ///
    /// As [`Connection::read`].
    pub fn write(peer: &str) -> Result<Self, Error> {
        Self::open(peer, Access::Write)
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// As [`Connection::read`].
    pub fn open(peer: &str, access: Access) -> Result<Self, Error> {
        Ok(Self(host::open(peer, access)?))
    }

    /// Which database speaks there.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    /// Runs one statement. Parameters are `$1`, `$2`, … for both dialects.
    ///
    /// # Errors
    ///
    /// What the database says (with its code), a limit, or a refusal.
    pub fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
        Ok(self.0.query(statement, parameters)?)
    }

    /// Runs a script of any number of statements, as one. Transaction control in it is refused.
    ///
    /// # Errors
    ///
    /// As [`Connection::query`].
    pub fn script(&self, text: &str) -> Result<(), Error> {
        Ok(self.0.script(text)?)
    }

    /// Begins a transaction. What it does is rolled back unless [`Transaction::commit`] is called.
    ///
    /// # Errors
    ///
    /// As [`Connection::query`].
    pub fn begin(&self) -> Result<Transaction<'_>, Error> {
        self.0.begin()?;
        Ok(Transaction { connection: self, open: true })
    }
}

/// An open transaction: a [`Connection`] that is rolled back when this is dropped before it is committed.
#[derive(Debug)]
pub struct Transaction<'c> {
    connection: &'c Connection,
    open: bool,
}

impl Transaction<'_> {
    /// Commits.
    ///
    /// # Errors
    ///
    /// An error of kind [`crate::ErrorKind::TimedOut`] means that nobody knows whether it was committed.
    pub fn commit(mut self) -> Result<(), Error> {
        self.open = false;
        Ok(self.connection.0.commit()?)
    }

    /// Rolls back, and says so where it cannot.
    ///
    /// # Errors
    ///
    /// As [`Connection::query`].
    pub fn rollback(mut self) -> Result<(), Error> {
        self.open = false;
        Ok(self.connection.0.rollback()?)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // The connection rolls back what is open when it is closed, so an error here loses nothing.
            let _ = self.connection.0.rollback();
        }
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Value {
    /// The value as text; nothing for NULL. Bytes in hexadecimal.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(value) => Some(value.clone()),
            Self::Bytes(value) => Some(value.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    /// The value as a number, where it is one or reads as one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(value) => value.trim().parse().ok(),
            Self::Null | Self::Boolean(_) | Self::Bytes(_) => None,
        }
    }

    /// The value as a whole number, where it is one or reads as one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Text(value) => value.trim().parse().ok(),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// What rows are asked for most often.
pub trait RowsExt {
    /// The first column of the first row; nothing where there is no row.
    fn scalar(&self) -> Option<&Value>;

    /// The first column of every row, as text; NULL is left out.
    fn first_column(&self) -> Vec<String>;
}

impl RowsExt for Rows {
    fn scalar(&self) -> Option<&Value> {
        self.rows.first().and_then(|row| row.first())
    }

    fn first_column(&self) -> Vec<String> {
        self.rows.iter().filter_map(|row| row.first().and_then(Value::as_text)).collect()
    }
}
