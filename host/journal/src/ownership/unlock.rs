//! Taking the place of a process that holds an ownership and will not give it up.

use std::path::Path;

use pipe_core::{event::EventKind, id::RunId, redact::Redactor};
use rusqlite::{Connection, TransactionBehavior};

use super::{Claim, Holder, holder, lock_file, raise_within};
use crate::{JournalError, body, clock::Moment, error::Fault, place, queue::Append, schema, writer};

/// What is to be unlocked, by whom and why.
#[derive(Clone, Copy, Debug)]
pub struct Unlocking<'u> {
    /// Name of the pipeline.
    pub pipeline: &'u str,
    /// Environment.
    pub environment: &'u str,
    /// Who: user and host.
    pub actor: &'u str,
    /// Why.
    pub reason: &'u str,
}

/// What was unlocked.
#[derive(Clone, Debug)]
pub struct Unlocked {
    /// The epoch that began with it.
    pub epoch: u64,
    /// The run whose record says so: the one that was taken over.
    pub run: RunId,
    /// Who held it. Nothing where that process had not said so yet.
    pub holder: Option<Holder>,
}

impl super::Ownership {
    /// Ends the epoch of the process that holds it, records that and why, and makes its lock worthless. That process can append
    /// nothing more, and finds out before its next effect; an effect in the middle of which it is goes on. Whoever takes the
    /// ownership next drives.
    ///
    /// # Errors
    ///
    /// [`JournalError::NotOwned`] where no process holds it, [`JournalError::ChangedHands`] where another one does by now,
    /// [`JournalError::Busy`] where the process was stopped in the middle of writing and holds the database too, and whatever keeps
    /// the journal from being written.
    pub fn unlock(state_dir: &Path, unlocking: Unlocking<'_>, redactor: &Redactor) -> Result<Unlocked, JournalError> {
        let Unlocking { pipeline, environment, .. } = unlocking;
        let path = place::find(state_dir)?;
        let mut connection = schema::open(&path)?;
        let holder = holder::find(&connection, pipeline, environment).map_err(|fault| fault.at(&path))?;
        let lock = lock_file::path(state_dir, pipeline, environment);
        let unusable = |error| JournalError::unusable(state_dir, error);
        if !lock_file::is_held(&lock).map_err(unusable)? {
            let (pipeline, environment) = (pipeline.to_owned(), environment.to_owned());
            return Err(JournalError::NotOwned { pipeline, environment, holder: holder.map(Box::new) });
        }
        // First the epoch, then the file: whoever gets the new file gets a later epoch, and the old owner can act between the two
        // only while nobody else can.
        let unlocked = end_epoch(&mut connection, unlocking, holder, redactor).map_err(|fault| fault.at(&path))?;
        lock_file::replace(&lock).map_err(unusable)?;
        Ok(unlocked)
    }

    /// Who took it last, and whether some process holds it now. Nothing is changed.
    ///
    /// # Errors
    ///
    /// The journal or the lock cannot be read.
    pub fn look(state_dir: &Path, pipeline: &str, environment: &str) -> Result<(Option<Holder>, bool), JournalError> {
        let path = place::find(state_dir)?;
        let connection = schema::open_read_only(&path)?;
        let holder = holder::find(&connection, pipeline, environment).map_err(|fault| fault.at(&path))?;
        let held = lock_file::is_held(&lock_file::path(state_dir, pipeline, environment));
        Ok((holder, held.map_err(|error| JournalError::unusable(state_dir, error))?))
    }
}

/// Raises the epoch and says so in the record, as one.
fn end_epoch(
    connection: &mut Connection,
    unlocking: Unlocking<'_>,
    holder: Option<Holder>,
    redactor: &Redactor,
) -> Result<Unlocked, Fault> {
    let Unlocking { pipeline, environment, actor, reason } = unlocking;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if holder::find(&transaction, pipeline, environment)? != holder {
        let (pipeline, environment) = (pipeline.to_owned(), environment.to_owned());
        return Err(JournalError::ChangedHands { pipeline, environment }.into());
    }
    // One that holds the lock and was stopped before it could say so has no run yet.
    let run = holder.as_ref().and_then(|holder| holder.run.clone());
    let run = run.unwrap_or_else(|| RunId::new(jiff::Timestamp::now()));
    let epoch = raise_within(&transaction, Claim { pipeline, environment, run: Some(&run), actor }, None)?;
    let kind = EventKind::Unlocked {
        pipeline: pipeline.to_owned(),
        environment: environment.to_owned(),
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        epoch,
        holder: holder.as_ref().map(Holder::tell).unwrap_or_default(),
    };
    let append = Append {
        run: run.clone(),
        moment: Moment::now(),
        bodies: vec![body::encode(&kind, redactor)?],
        expected: None,
        receipt: None,
        outputs: Vec::new(),
        sealed_with: None,
        reply: None,
    };
    let mut end = writer::head(&transaction)?;
    writer::insert(&transaction, &append, &mut end)?;
    transaction.commit()?;
    Ok(Unlocked { epoch, run, holder })
}
