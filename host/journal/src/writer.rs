//! The one thread of a journal that writes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_core::digest::Digest;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::{
    JournalError, chain,
    error::Fault,
    events::{digest, last_of_run, number},
    queue::{Append, Queue, Task},
    receipt,
};

/// Where the events of one call are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Place of the first.
    pub first_seq: u64,
    /// Place of the last.
    pub last_seq: u64,
    /// Hash of the last.
    pub head: Digest,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Place of the last entry; 0 where there is none.
    pub seq: u64,
    /// Its hash; [`chain::GENESIS`] where there is none.
    pub hash: Digest,
}

/// What became of the events of a call: where they are, and the end of the chain behind them. A call without events has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) appended: Option<Appended>,
    pub(crate) head: Head,
}

/// The end of the chain.
pub(crate) fn head(connection: &Connection) -> Result<Head, Fault> {
    let mut statement = connection.prepare_cached("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")?;
    let last =
        statement.query_row([], |row| Ok(number(row, 0).and_then(|seq| Ok(Head { seq, hash: digest(row, 1, seq)? }))));
    last.optional()?.unwrap_or(Ok(Head { seq: 0, hash: chain::GENESIS }))
}

pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    queue: Arc<Queue>,
    /// Set when it is unknown what is on the disk. Nothing is written after that.
    lost: Option<JournalError>,
}

/// However the thread ends, callers must not wait for it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        // Whoever still waits in the queue hears that nobody will answer: dropping a task drops its reply.
        drop(self.queue.take());
    }
}

impl Writer {
    pub(crate) fn new(connection: Connection, path: &Path, queue: Arc<Queue>) -> Self {
        Self { connection, path: path.to_owned(), queue, lost: None }
    }

    /// Until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(tasks) = self.queue.take() {
            let mut group = Vec::with_capacity(tasks.len());
            for task in tasks {
                match task {
                    Task::Append(append) => group.push(append),
                    Task::Read(read) => {
                        // What fails stays in the group, before all that comes later; reading goes on without it.
                        let _ = self.write(&mut group);
                        read(&self.connection);
                    }
                }
            }
            match self.write(&mut group) {
                Ok(()) => self.queue.written(),
                Err(error) => {
                    tracing::warn!(%error, "events could not be written yet");
                    let lost = self.queue.put_back(group, error);
                    if lost > 0 {
                        tracing::error!(
                            events = lost,
                            "events are lost: the journal was closed and could not be written"
                        );
                    }
                }
            }
        }
    }

    /// Writes a group of calls in one transaction, and tells those who wait. Calls that nobody waits for stay in the group
    /// when it fails.
    fn write(&mut self, group: &mut Vec<Append>) -> Result<(), JournalError> {
        if group.is_empty() {
            return Ok(());
        }
        let outcome = match &self.lost {
            Some(lost) => Err(lost.clone()),
            None => commit(&mut self.connection, group).map_err(|fault| {
                let is_failed_sync = fault.is_failed_sync();
                let error = fault.at(&self.path);
                self.lost = is_failed_sync.then(|| error.clone());
                error
            }),
        };
        match outcome {
            Ok(placed) => {
                for (append, placed) in group.drain(..).zip(placed) {
                    append.answer(placed);
                }
                Ok(())
            }
            Err(error) => {
                for append in group.extract_if(.., |append| append.reply.is_some()) {
                    append.answer(Err(error.clone()));
                }
                if group.is_empty() { Ok(()) } else { Err(error) }
            }
        }
    }
}

impl Append {
    fn answer(self, placed: Result<Placed, JournalError>) {
        if let Some(reply) = self.reply {
            // A caller that was cancelled does not listen any more.
            let _ = reply.send(placed);
        }
    }
}

/// One transaction for all calls of the group. A call that expected something else adds nothing, and the others still count.
fn commit(connection: &mut Connection, group: &[Append]) -> Result<Vec<Result<Placed, JournalError>>, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut end = head(&transaction)?;
    let mut placed = Vec::with_capacity(group.len());
    for append in group {
        placed.push(match append.conflict(&transaction)? {
            Some(conflict) => Err(conflict),
            None => insert(&transaction, append, &mut end).map(|appended| Ok(Placed { appended, head: end }))?,
        });
    }
    transaction.commit()?;
    Ok(placed)
}

impl Append {
    fn conflict(&self, connection: &Connection) -> Result<Option<JournalError>, Fault> {
        let Some(expected) = self.expected else { return Ok(None) };
        let found = last_of_run(connection, &self.run)?;
        Ok((found != expected).then(|| JournalError::Conflict { run: self.run.clone(), expected, found }))
    }
}

/// Adds the events of one call behind `end`, and moves it.
fn insert(connection: &Connection, append: &Append, end: &mut Head) -> Result<Option<Appended>, Fault> {
    let Append { run, moment, bodies, receipt, .. } = append;
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (seq, run, at, boot_ms, body, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let first_seq = end.seq + 1;
    for body in bodies {
        let (seq, prev) = (end.seq + 1, end.hash);
        let hash = chain::hash(seq, run.as_str(), &moment.at, moment.boot_ms, body, &prev);
        statement.execute(params![
            seq.cast_signed(),
            run.as_str(),
            moment.at,
            moment.boot_ms.cast_signed(),
            body,
            prev.as_bytes(),
            hash.as_bytes()
        ])?;
        *end = Head { seq, hash };
    }
    if let Some(receipt) = receipt {
        receipt::save(connection, run, receipt, end.seq)?;
    }
    Ok((!bodies.is_empty()).then_some(Appended { first_seq, last_seq: end.seq, head: end.hash }))
}

#[cfg(test)]
mod tests;
