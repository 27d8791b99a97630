//! The tables, and how a connection is made ready for them.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::{JournalError, error::Fault, reserve};

/// The format that this version reads and writes, in SQLite's `user_version`. 0 is a database without tables. Format 1, of versions
/// before there was a release, held receipts and outputs in clear text: it is refused.
const VERSION: i64 = 2;

/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(5);

/// Only `events` is the record: `kind` and the indexes are computed from it by SQLite, so that they cannot say anything else.
/// `receipts` holds what undoing needs and `outputs` what later steps need, both sealed; the digest of each is in the event that it
/// names. `seal` tells the key that they are sealed with. `ownership` says which process drives the runs of a pipeline in an
/// environment, as the lock beside the database cannot.
const TABLES: &str = "
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    run     TEXT NOT NULL,
    at      TEXT NOT NULL,
    boot_ms INTEGER NOT NULL,
    body    TEXT NOT NULL,
    prev    BLOB NOT NULL CHECK (length(prev) = 32),
    hash    BLOB NOT NULL CHECK (length(hash) = 32),
    kind    TEXT GENERATED ALWAYS AS (body ->> '$.event') VIRTUAL
) STRICT;
CREATE INDEX events_by_run ON events (run);
CREATE INDEX starts ON events (body ->> '$.pipeline', body ->> '$.environment') WHERE body ->> '$.event' = 'run-started';
CREATE INDEX ends ON events (run) WHERE body ->> '$.event' = 'run-finished';
CREATE INDEX resumes ON events (run) WHERE body ->> '$.event' = 'run-resumed';
CREATE TRIGGER events_never_change BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TABLE receipts (
    run   TEXT NOT NULL,
    step  TEXT NOT NULL,
    key   TEXT NOT NULL,
    first INTEGER NOT NULL REFERENCES events (seq),
    seq   INTEGER NOT NULL REFERENCES events (seq),
    data  BLOB NOT NULL,
    PRIMARY KEY (run, step, key)
) STRICT;
CREATE TABLE outputs (
    seq   INTEGER NOT NULL REFERENCES events (seq),
    key   TEXT NOT NULL,
    data  BLOB NOT NULL,
    PRIMARY KEY (seq, key)
) STRICT;
CREATE TABLE seal (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    key   BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;
CREATE TABLE ownership (
    pipeline    TEXT NOT NULL,
    environment TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    run         TEXT,
    pid         INTEGER,
    ticks       INTEGER,
    boot        TEXT,
    actor       TEXT NOT NULL,
    since       TEXT NOT NULL,
    PRIMARY KEY (pipeline, environment)
) STRICT, WITHOUT ROWID;
";

/// Opens an existing file for reading and writing, and makes the tables in an empty one. Where the disk is full, the reserve beside
/// the file is given back: a run that is to be undone must be able to say so.
pub(crate) fn open(path: &Path) -> Result<Connection, JournalError> {
    loop {
        match connect(path) {
            Err(fault) if fault.is_full_disk() && path.parent().is_some_and(reserve::give_back) => {}
            done => return done.map_err(|fault| fault.at(path)),
        }
    }
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    if connection.is_readonly("main")? {
        let detail = "the file is read-only".to_owned();
        return Err(JournalError::NotWritable { path: path.to_owned(), detail }.into());
    }
    // Before anything is changed: a file that is not ours stays as it is.
    if version(&connection, path)? == 0 {
        create(&mut connection, path)?;
    }
    // The log is left to SQLite's defaults: the last to close brings it into the file and deletes it. Keeping it would save some
    // syncs, and would ruin a journal whose file alone is put back from a backup.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Damaged(format!("its journal mode is `{mode}` and cannot be made `wal`")));
    }
    Ok(connection)
}

/// The format of a database, if it is one that this version can use.
pub(crate) fn version(connection: &Connection, path: &Path) -> Result<i64, Fault> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 | VERSION => Ok(found),
        1..VERSION => Err(JournalError::Older { path: path.to_owned(), found, known: VERSION }.into()),
        _ => Err(JournalError::Newer { path: path.to_owned(), found, known: VERSION }.into()),
    }
}

/// Makes the tables, unless another process does so at the same moment.
fn create(connection: &mut Connection, path: &Path) -> Result<(), Fault> {
    let foreign = "SELECT user_version = 0 AND EXISTS (SELECT 1 FROM sqlite_schema) FROM pragma_user_version";
    if connection.query_row(foreign, [], |row| row.get(0))? {
        return Err(JournalError::Foreign { path: path.to_owned() }.into());
    }
    enter_wal(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction, path)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The first change to the write-ahead log needs the file for itself, and SQLite does not wait for that by itself.
fn enter_wal(connection: &Connection) -> Result<(), rusqlite::Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Opens an existing file for reading. Nothing is made, nothing is changed.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, JournalError> {
    match connect_read_only(path) {
        Err(fault @ Fault::Sqlite(_)) => Err(match fault.at(path) {
            JournalError::NotWritable { path, detail } => JournalError::Unreadable { path, detail },
            other => other,
        }),
        other => other.map_err(|fault| fault.at(path)),
    }
}

fn connect_read_only(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let attempt = |connection: rusqlite::Result<Connection>| -> Result<Connection, Fault> {
        let connection = connection?;
        connection.busy_timeout(PATIENCE)?;
        match version(&connection, path)? {
            0 => Err(JournalError::Missing { path: path.to_owned() }.into()),
            _ => Ok(connection),
        }
    };
    match attempt(Connection::open_with_flags(path, flags)) {
        // Readers of a write-ahead log write to the shared memory beside it. Where the folder forbids that and there is no
        // log, nobody is writing, and the file alone is the whole journal.
        Err(Fault::Sqlite(error)) if is_forbidden(&error) && !has_log(path) => {
            attempt(Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI))
        }
        done => done,
    }
}

fn is_forbidden(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).metadata().is_ok_and(|log| log.len() > 0)
}

fn immutable_uri(path: &Path) -> String {
    use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _};
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?immutable=1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_means_the_path_and_nothing_else() {
        assert_eq!(immutable_uri(Path::new("/a b/?x#y%/ä")), "file:/a%20b/%3Fx%23y%25/%C3%A4?immutable=1");
    }
}
