//! Events as they are read back.

use jiff::Timestamp;
use pipe_core::{digest::Digest, event::EventKind, id::RunId};
use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;

use crate::error::Fault;

/// An event of the journal.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its place in the journal, over all runs.
    pub seq: u64,
    /// The run.
    pub run: RunId,
    /// Wall clock.
    pub at: Timestamp,
    /// Milliseconds since the machine started: see [`boot_id`](crate::boot_id()).
    pub boot_ms: u64,
    /// What happened.
    pub event: Recorded,
    /// Hash of the entry.
    pub hash: Digest,
}

/// What happened, as far as this version knows it.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is known")]
pub enum Recorded {
    /// An event that this version knows.
    Known(EventKind),
    /// One that a later version wrote.
    Unknown(Box<RawValue>),
}

impl Recorded {
    /// The event, where this version knows it.
    #[must_use]
    pub const fn known(&self) -> Option<&EventKind> {
        match self {
            Self::Known(kind) => Some(kind),
            Self::Unknown(_) => None,
        }
    }

    fn read(body: &str) -> Result<Self, serde_json::Error> {
        match serde_json::from_str(body) {
            Ok(kind) => Ok(Self::Known(kind)),
            Err(_) => serde_json::from_str(body).map(Self::Unknown),
        }
    }
}

/// The events of a run from a place on, in order.
pub(crate) fn of_run(connection: &Connection, run: &RunId, from: u64) -> Result<Vec<StoredEvent>, Fault> {
    let mut events = Vec::new();
    each_of_run(connection, run, from, |event| events.push(event))?;
    Ok(events)
}

/// The events of a run from a place on, in order and one at a time.
pub(crate) fn each_of_run(
    connection: &Connection,
    run: &RunId,
    from: u64,
    mut take: impl FnMut(StoredEvent),
) -> Result<(), Fault> {
    let mut statement = connection
        .prepare_cached("SELECT seq, at, body, hash, boot_ms FROM events WHERE run = ?1 AND seq >= ?2 ORDER BY seq")?;
    let mut rows = statement.query(params![run.as_str(), from.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let seq = number(row, 0)?;
        let body = row.get_ref(2)?.as_str().map_err(|_| odd(seq, "its event is no text"))?;
        take(StoredEvent {
            seq,
            run: run.clone(),
            at: moment(row, 1, seq)?,
            event: Recorded::read(body).map_err(|error| odd(seq, &error.to_string()))?,
            hash: digest(row, 3, seq)?,
            boot_ms: number(row, 4)?,
        });
    }
    Ok(())
}

/// Place of the last event of a run; 0 for none.
pub(crate) fn last_of_run(connection: &Connection, run: &RunId) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached("SELECT max(seq) FROM events WHERE run = ?1")?;
    let last: Option<i64> = statement.query_row([run.as_str()], |row| row.get(0))?;
    Ok(last.unwrap_or(0).cast_unsigned())
}

pub(crate) fn number(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Fault::Damaged(format!("{number} where no negative number can be")))
}

pub(crate) fn moment(row: &Row<'_>, column: usize, seq: u64) -> Result<Timestamp, Fault> {
    let text = row.get_ref(column)?.as_str().map_err(|_| odd(seq, "its time is no text"))?;
    text.parse().map_err(|_| odd(seq, "its time is no time"))
}

pub(crate) fn digest(row: &Row<'_>, column: usize, seq: u64) -> Result<Digest, Fault> {
    let bytes = row.get_ref(column)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Digest::from_bytes).ok_or_else(|| odd(seq, "its hash is no hash"))
}

pub(crate) fn odd(seq: u64, what: &str) -> Fault {
    Fault::Damaged(format!("entry {seq}: {what}"))
}
