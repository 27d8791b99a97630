//! The one thread of a journal that writes.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pipe_core::digest::Digest;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::{
    JournalError, chain,
    error::Fault,
    events::{digest, last_of_run, number},
    outputs,
    ownership::Epoch,
    queue::{Append, Queue, Task},
    receipt, reserve, seal,
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
    state_dir: PathBuf,
    queue: Arc<Queue>,
    /// The epoch of this process, where it drives a run.
    epoch: Option<Epoch>,
    short_of_room: Arc<AtomicBool>,
    /// Set when it is unknown what is on the disk, or another process drives. Nothing is written after that.
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
    pub(crate) fn new(
        connection: Connection,
        path: &Path,
        state_dir: &Path,
        queue: Arc<Queue>,
        epoch: Option<Epoch>,
        short_of_room: Arc<AtomicBool>,
    ) -> Self {
        let (path, state_dir) = (path.to_owned(), state_dir.to_owned());
        Self { connection, path, state_dir, queue, epoch, short_of_room, lost: None }
    }

    /// Until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(tasks) = self.queue.take() {
            let mut group = Vec::with_capacity(tasks.len());
            for task in tasks {
                match task {
                    Task::Append(append) => group.push(*append),
                    Task::Read(read) => {
                        // What fails stays in the group, before all that comes later; reading goes on without it.
                        let _ = self.write(&mut group);
                        read(&self.connection);
                    }
                }
            }
            if let Err(error) = self.write(&mut group) {
                tracing::warn!(%error, "events could not be written yet");
                let lost = self.queue.put_back(group, error);
                if lost > 0 {
                    tracing::error!(events = lost, "events are lost: the journal was closed and could not be written");
                }
            }
        }
    }

    /// Writes a group of calls in one transaction, and tells those who wait. Calls that nobody waits for stay in the group
    /// when it fails.
    fn write(&mut self, group: &mut Vec<Append>) -> Result<(), JournalError> {
        if let (Some(lost), true) = (&self.lost, group.is_empty()) {
            return Err(lost.clone());
        }
        if group.is_empty() {
            return Ok(());
        }
        let outcome = match &self.lost {
            Some(lost) => Err(lost.clone()),
            None => self.commit(group).map_err(|fault| {
                let is_for_good = fault.is_failed_sync();
                let error = fault.at(&self.path);
                if is_for_good || matches!(error, JournalError::Superseded { .. }) {
                    self.lost = Some(error.clone());
                }
                error
            }),
        };
        match outcome {
            Ok(placed) => {
                // Before anybody hears of it and asks for more.
                self.queue.written();
                for (append, placed) in group.drain(..).zip(placed) {
                    append.answer(placed);
                }
                Ok(())
            }
            Err(error) => {
                for append in group.extract_if(.., |append| append.reply.is_some()) {
                    append.answer(Err(error.clone()));
                }
                if matches!(error, JournalError::Superseded { .. }) {
                    // Another process writes what follows. This will never be a part of it.
                    tracing::error!(%error, calls = group.len(), "what waited to be written is dropped");
                    group.clear();
                    return Err(error);
                }
                if group.is_empty() { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Writes a group. Where the disk is full, the reserve is given back, part by part.
    fn commit(&mut self, group: &[Append]) -> Result<Vec<Result<Placed, JournalError>>, Fault> {
        loop {
            match commit(&mut self.connection, &self.state_dir, self.epoch.as_ref(), group) {
                Err(fault) if fault.is_full_disk() && reserve::give_back(&self.state_dir) => {
                    if !self.short_of_room.swap(true, Ordering::SeqCst) {
                        tracing::warn!("the disk is full: the journal lives from its reserve");
                    }
                }
                done => return done,
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
fn commit(
    connection: &mut Connection,
    state_dir: &Path,
    epoch: Option<&Epoch>,
    group: &[Append],
) -> Result<Vec<Result<Placed, JournalError>>, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    epoch.map_or(Ok(()), |epoch| epoch.check(&transaction))?;
    if let Some(id) = group.iter().find_map(|append| append.sealed_with) {
        seal::note(&transaction, state_dir, id)?;
    }
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
pub(crate) fn insert(connection: &Connection, append: &Append, end: &mut Head) -> Result<Option<Appended>, Fault> {
    let Append { run, moment, bodies, receipt, outputs, .. } = append;
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (seq, run, at, boot_ms, body, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let first_seq = end.seq + 1;
    for (event, body) in bodies.iter().enumerate() {
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
        for output in outputs.iter().filter(|output| output.event == event) {
            outputs::save(connection, output, seq)?;
        }
    }
    if let Some(receipt) = receipt {
        receipt::save(connection, run, receipt, end.seq)?;
    }
    Ok((!bodies.is_empty()).then_some(Appended { first_seq, last_seq: end.seq, head: end.hash }))
}

#[cfg(test)]
mod tests;
