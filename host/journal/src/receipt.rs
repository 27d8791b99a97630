//! Receipts: what a step saved before it acted, so that it can be undone. They lie sealed beside the record.

use pipe_core::{digest::Digest, id::RunId};
use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::{
    error::Fault,
    events::{number, odd},
    seal::{Label, Sealer},
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

/// A receipt on its way into the database: sealed.
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

/// How a receipt is labelled when it is sealed.
pub(crate) const fn label<'l>(run: &'l RunId, step: &'l str, key: &'l str) -> Label<'l> {
    Label { what: "receipt", run, step, key }
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

/// The receipts of a step: oldest first, the latest data under each key. The key is asked for where there is one, and not before.
/// What was saved and is not there is an error, and not nothing: a step of which nothing is known counts as undone.
pub(crate) fn of_step(
    connection: &Connection,
    run: &RunId,
    step: &str,
    sealer: impl FnOnce() -> Result<Sealer, Fault>,
) -> Result<Vec<Receipt>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT r.seq, r.key, r.data, e.body FROM receipts r JOIN events e ON e.seq = r.seq
         WHERE r.run = ?1 AND r.step = ?2 ORDER BY r.first",
    )?;
    let mut rows = statement.query([run.as_str(), step])?;
    all_there(connection, Some(run))?;
    let mut sealed = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = number(row, 0)?;
        let (key, data, body): (String, Vec<u8>, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let saved: Saved = serde_json::from_str(&body).map_err(|error| odd(seq, &error.to_string()))?;
        if Digest::of(&data) != saved.digest {
            return Err(odd(seq, "the receipt is not the one that was saved"));
        }
        sealed.push((seq, key, data, saved.summary));
    }
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    let sealer = sealer()?;
    let open = |(seq, key, data, summary): (u64, String, Vec<u8>, String)| {
        let opened = sealer.open(label(run, step, &key), &data);
        let data = opened.ok_or_else(|| odd(seq, "its receipt was sealed with another key"))?;
        Ok(Receipt { key, data, summary })
    };
    sealed.into_iter().map(open).collect()
}

/// Checks every receipt against its event, and that the latest under each key is there. Needs no key.
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
    all_there(connection, None)
}

/// Whether the latest receipt under each key lies where its event says: of a run, or of all.
fn all_there(connection: &Connection, run: Option<&RunId>) -> Result<(), Fault> {
    let mut latest = connection.prepare_cached(
        "SELECT max(seq) AS latest FROM events e WHERE kind = 'checkpoint-saved' AND (?1 IS NULL OR run = ?1)
         GROUP BY run, body ->> '$.step', body ->> '$.key' HAVING NOT EXISTS
         (SELECT 1 FROM receipts r WHERE r.seq = latest AND r.run = e.run AND r.step = e.body ->> '$.step'
          AND r.key = e.body ->> '$.key')",
    )?;
    let mut missing = latest.query([run.map(RunId::as_str)])?;
    match missing.next()? {
        Some(row) => Err(odd(number(row, 0)?, "its receipt is missing")),
        None => Ok(()),
    }
}
