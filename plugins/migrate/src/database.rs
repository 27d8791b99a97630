//! What the plugin needs of a host: databases and receipts. Traits, so that everything else runs in native tests.

use pipe_sdk::{
    Error, Failure, checkpoint,
    sql::{Access, Connection, Dialect, Rows, Value},
};

use crate::undo::Receipt;

/// What is done in a transaction.
pub(crate) type Work<'w> = dyn FnMut(&dyn Database) -> Result<(), Failure> + 'w;

/// A connection to a database.
pub(crate) trait Database {
    /// Which database speaks there.
    fn dialect(&self) -> Dialect;
    /// Runs one statement.
    fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Error>;
    /// Runs a script.
    fn script(&self, text: &str) -> Result<(), Error>;
    /// Does the work in a transaction, which is committed where the work succeeds and rolled back where it does not.
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), Failure>;
}

impl Database for Connection {
    fn dialect(&self) -> Dialect {
        self.dialect()
    }

    fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
        self.query(statement, parameters)
    }

    fn script(&self, text: &str) -> Result<(), Error> {
        self.script(text)
    }

    fn transaction(&self, work: &mut Work<'_>) -> Result<(), Failure> {
        let transaction = self.begin()?;
        work(self)?;
        // Where nobody knows whether it was committed, the next attempt and undo look at the version table.
        transaction.commit().map_err(|error| Failure::from(error).within("commit"))
    }
}

/// What a host does for a migration.
pub(crate) trait Host {
    /// Opens a connection to a peer.
    fn open(&self, peer: &str, access: Access) -> Result<Box<dyn Database>, Error>;
    /// Saves a receipt.
    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure>;
}

/// The host itself.
pub(crate) struct Pipe;

impl Host for Pipe {
    fn open(&self, peer: &str, access: Access) -> Result<Box<dyn Database>, Error> {
        Ok(Box::new(Connection::open(peer, access)?))
    }

    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure> {
        checkpoint::save_json(key, receipt, summary)
    }
}
