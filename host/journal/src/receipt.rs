//! Receipts: what a step saved before it acted, so that it can be undone.

use pipe_core::{
    digest::Digest,
    id::{RunId, StepId},
};
use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::{
    JournalError,
    error::Fault,
    events::{number, odd},
};

/// A receipt as it was saved last under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The plugin's own name for it.
    pub key: String,
    /// As the plugin gave it.
    pub data: Vec<u8>,
    /// One line for the person who must go on by hand. Secrets are masked.
    pub summary: String,
}

/// A receipt on its way into the database.
#[derive(Debug)]
pub(crate) struct NewReceipt {
    pub(crate) step: String,
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
}

/// The part of `checkpoint-saved` that a receipt needs.
#[derive(Deserialize)]
struct Saved {
    digest: Digest,
    summary: String,
}

/// A step as the `step` column names it: JSON, since `a[b]` may be an instance or a name.
pub(crate) fn column(step: &StepId) -> Result<String, JournalError> {
    serde_json::to_string(step).map_err(|error| JournalError::Encoding(error.to_string()))
}

/// Saves a receipt beside its event, instead of an earlier one with its key.
pub(crate) fn save(
    connection: &Connection,
    run: &RunId,
    receipt: &NewReceipt,
    seq: u64,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO receipts (run, step, key, first, seq, data) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
         ON CONFLICT (run, step, key) DO UPDATE SET seq = excluded.seq, data = excluded.data",
    )?;
    statement.execute(params![run.as_str(), receipt.step, receipt.key, seq.cast_signed(), receipt.data])?;
    Ok(())
}

/// The receipts of a step, in the order in which their keys were saved first. Each is checked against its event.
pub(crate) fn of_step(connection: &Connection, run: &RunId, step: &str) -> Result<Vec<Receipt>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT r.seq, r.key, r.data, e.body FROM receipts r JOIN events e ON e.seq = r.seq
         WHERE r.run = ?1 AND r.step = ?2 ORDER BY r.first",
    )?;
    let mut rows = statement.query([run.as_str(), step])?;
    let mut receipts = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = number(row, 0)?;
        let (data, body): (Vec<u8>, String) = (row.get(2)?, row.get(3)?);
        let saved: Saved = serde_json::from_str(&body).map_err(|error| odd(seq, &error.to_string()))?;
        if Digest::of(&data) != saved.digest {
            return Err(odd(seq, "the receipt is not the one that was saved"));
        }
        receipts.push(Receipt { key: row.get(1)?, data, summary: saved.summary });
    }
    Ok(receipts)
}

/// Checks every receipt against its event.
pub(crate) fn verify(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection
        .prepare("SELECT r.seq, r.data, e.body ->> '$.digest' FROM receipts r LEFT JOIN events e ON e.seq = r.seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq = number(row, 0)?;
        let data = row.get_ref(1)?.as_blob().map_err(|_| odd(seq, "its receipt is no data"))?;
        let digest: Option<String> = row.get(2)?;
        if digest.as_deref() != Some(&Digest::of(data).to_string()) {
            return Err(odd(seq, "the receipt is not the one that was saved"));
        }
    }
    Ok(())
}
