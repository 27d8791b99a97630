//! The audit view of the database: exported as lines, and checked in place.

use std::{io::Write, sync::Arc};

use pipe_core::{digest::Digest, id::RunId};
use rusqlite::Connection;

use crate::{
    JournalError,
    chain::{ChainBroken, Checker, Entry, Verified},
    error::Fault,
    events::{digest, last_of_run, number, odd},
    line, outputs, receipt,
};

/// Why a verification ended early.
pub(crate) enum Failed {
    Fault(Fault),
    Broken(ChainBroken),
}

impl<E: Into<Fault>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Writes the whole journal, or the entries of one run after a header that says so. One snapshot, however long it takes.
pub(crate) fn export(connection: &Connection, writer: &mut dyn Write, run: Option<&RunId>) -> Result<(), Fault> {
    let told = |error| Fault::Told(JournalError::Export(Arc::new(error)));
    let snapshot = connection.unchecked_transaction()?;
    let mut buffer = Vec::new();
    if let Some(run) = run {
        if last_of_run(&snapshot, run)? == 0 {
            return Err(JournalError::UnknownRun(run.clone()).into());
        }
        line::write_header(run, &mut buffer).map_err(|error| Fault::Damaged(error.to_string()))?;
    }
    for_each(&snapshot, run, |entry| {
        line::write_entry(entry, &mut buffer).map_err(|error| odd(entry.seq, &error.to_string()))?;
        writer.write_all(&buffer).map_err(told)?;
        buffer.clear();
        Ok::<_, Fault>(())
    })?;
    writer.flush().map_err(told)
}

/// Checks the chain, the receipts against it, and that the indexes say what the rows say.
pub(crate) fn verify(connection: &Connection, head: Option<Digest>) -> Result<Verified, Failed> {
    let snapshot = connection.unchecked_transaction()?;
    let mut checker = Checker::new(head);
    for_each(&snapshot, None, |entry| {
        let line = checker.entries() + 1;
        checker.entry(entry).map_err(|what| Failed::Broken(ChainBroken { line, seq: Some(entry.seq), what }))
    })?;
    let line = checker.entries();
    let verified = checker.finish().map_err(|what| Failed::Broken(ChainBroken { line, seq: None, what }))?;
    receipt::verify(&snapshot)?;
    outputs::verify(&snapshot)?;
    let state: String = snapshot.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if state == "ok" { Ok(verified) } else { Err(Fault::Damaged(state).into()) }
}

fn for_each<E: From<Fault>>(
    connection: &Connection,
    run: Option<&RunId>,
    mut take: impl FnMut(&Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let sql = match run {
        None => "SELECT seq, run, at, boot_ms, body, prev, hash FROM events ORDER BY seq",
        Some(_) => "SELECT seq, run, at, boot_ms, body, prev, hash FROM events WHERE run = ?1 ORDER BY seq",
    };
    let fault = |error: rusqlite::Error| Fault::from(error);
    let mut statement = connection.prepare(sql).map_err(fault)?;
    let mut rows = statement.query(rusqlite::params_from_iter(run.map(RunId::as_str))).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let seq = number(row, 0)?;
        let text =
            |column: usize| row.get_ref(column).map_err(fault)?.as_str().map_err(|_| odd(seq, "a text is no text"));
        take(&Entry {
            seq,
            run: text(1)?,
            at: text(2)?,
            boot_ms: number(row, 3)?,
            body: text(4)?,
            prev: digest(row, 5, seq)?,
            hash: digest(row, 6, seq)?,
        })?;
    }
    Ok(())
}
