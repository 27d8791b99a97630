//! Outputs: what steps hand to later ones. The record holds their names; the values lie sealed beside it.

use std::collections::BTreeMap;

use pipe_core::{
    digest::Digest,
    event::EventKind,
    id::{RunId, StepId},
    redact::Redactor,
    report::StageReport,
};
use rusqlite::{Connection, params};

use crate::{
    JournalError, MAXIMUM_RECEIPT, StoredEvent,
    error::Fault,
    events::{Recorded, number, odd},
    seal::{Label, Sealer, step_text},
};

/// Values by step and name.
pub type Outputs = BTreeMap<StepId, BTreeMap<String, String>>;

/// An output on its way into the database.
#[derive(Debug)]
pub(crate) struct NewOutput {
    /// Which event of the call it belongs to, from 0.
    pub(crate) event: usize,
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
}

/// The step and report of an event that has them.
fn report(kind: &EventKind) -> Option<(&StepId, &StageReport)> {
    match kind {
        EventKind::StepFinished { step, report: Some(report), .. }
        | EventKind::UndoFinished { step, report: Some(report), .. }
        | EventKind::WaveReleased { step, report, .. } => Some((step, report)),
        _ => None,
    }
}

fn report_mut(kind: &mut EventKind) -> Option<&mut StageReport> {
    match kind {
        EventKind::StepFinished { report, .. } | EventKind::UndoFinished { report, .. } => report.as_mut(),
        EventKind::WaveReleased { report, .. } => Some(report),
        _ => None,
    }
}

/// Whether an event has values that must not be in its body.
pub(crate) fn any(kind: &EventKind) -> bool {
    report(kind).is_some_and(|(_, report)| !report.outputs.is_empty())
}

/// The event as the record holds it, and the values that go beside it.
pub(crate) fn take_out(
    run: &RunId,
    event: usize,
    kind: &EventKind,
    sealer: &Sealer,
    redactor: &Redactor,
) -> Result<(EventKind, Vec<NewOutput>), JournalError> {
    let mut bare = kind.clone();
    let mut sealed = Vec::new();
    if let (Some((step, _)), Some(report)) = (report(kind), report_mut(&mut bare)) {
        let step = step_text(step)?;
        for (key, value) in std::mem::take(&mut report.outputs) {
            // A name is masked like every string of the record, and the value is found under what the record says.
            let key = redactor.redact(&key).into_owned();
            let label = Label { what: "output", run, step: &step, key: &key };
            let data = sealer.seal(label, redactor.redact(&value).as_bytes())?;
            if data.len() > MAXIMUM_RECEIPT {
                return Err(JournalError::TooLarge { what: "output", bytes: data.len(), limit: MAXIMUM_RECEIPT });
            }
            report.sealed.insert(key.clone(), Digest::of(&data));
            sealed.push(NewOutput { event, key, data });
        }
    }
    Ok((bare, sealed))
}

/// Saves an output beside its event.
pub(crate) fn save(connection: &Connection, output: &NewOutput, seq: u64) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached("INSERT INTO outputs (seq, key, data) VALUES (?1, ?2, ?3)")?;
    statement.execute(params![seq.cast_signed(), output.key, output.data])?;
    Ok(())
}

/// Puts the values back into the events of a run. The key is asked for where there is a value, and not before.
pub(crate) fn put_back(
    connection: &Connection,
    events: &mut [StoredEvent],
    sealer: impl FnOnce() -> Result<Sealer, Fault>,
) -> Result<(), Fault> {
    let mut ask = Some(sealer);
    let mut opened: Option<Sealer> = None;
    for StoredEvent { seq, run, event, .. } in events {
        let Recorded::Known(kind) = event else { continue };
        let Some((step, report)) = report(kind) else { continue };
        if report.sealed.is_empty() {
            continue;
        }
        if let Some(ask) = ask.take() {
            opened = Some(ask()?);
        }
        let Some(sealer) = &opened else { continue };
        let step = step_text(step)?;
        let names = report.sealed.clone();
        let mut values = BTreeMap::new();
        for (key, digest) in names {
            let label = Label { what: "output", run, step: &step, key: &key };
            let value = value(connection, *seq, label, &digest, sealer)?;
            values.insert(key, value);
        }
        if let Some(report) = report_mut(kind) {
            report.outputs = values;
        }
    }
    Ok(())
}

fn value(
    connection: &Connection,
    seq: u64,
    label: Label<'_>,
    digest: &Digest,
    sealer: &Sealer,
) -> Result<String, Fault> {
    let mut statement = connection.prepare_cached("SELECT data FROM outputs WHERE seq = ?1 AND key = ?2")?;
    let data: Vec<u8> = match statement.query_row(params![seq.cast_signed(), label.key], |row| row.get(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => return Err(odd(seq, "one of its outputs is missing")),
        read => read?,
    };
    if Digest::of(&data) != *digest {
        return Err(odd(seq, "an output is not the one that was saved"));
    }
    let value = sealer.open(label, &data).ok_or_else(|| odd(seq, "an output was sealed with another key"))?;
    String::from_utf8(value).map_err(|_| odd(seq, "an output is no text"))
}

/// The outputs of the steps of a run that ended, from events whose values were put back.
pub(crate) fn of_events(events: &[StoredEvent]) -> Outputs {
    let mut outputs = Outputs::new();
    for event in events {
        if let Some(EventKind::StepFinished { step, report: Some(report), .. }) = event.event.known() {
            outputs.insert(step.clone(), report.outputs.clone());
        }
    }
    outputs
}

/// Checks that the values beside the record are those that it names, each and all. Needs no key.
pub(crate) fn verify(connection: &Connection) -> Result<(), Fault> {
    let named = "SELECT e.seq, j.key, j.value FROM events e, json_each(e.body, '$.report.sealed') j
                 WHERE e.kind IN ('step-finished', 'undo-finished', 'wave-released')";
    let mut statement = connection.prepare(named)?;
    let mut beside = connection.prepare("SELECT data FROM outputs WHERE seq = ?1 AND key = ?2")?;
    let mut rows = statement.query([])?;
    let mut count = 0_u64;
    while let Some(row) = rows.next()? {
        let (seq, key, digest) = (number(row, 0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?);
        let mut found = beside.query(params![seq.cast_signed(), key])?;
        let Some(found) = found.next()? else { return Err(odd(seq, "one of its outputs is missing")) };
        let data = found.get_ref(0)?.as_blob().map_err(|_| odd(seq, "an output is no data"))?;
        if digest != Digest::of(data).to_string() {
            return Err(odd(seq, "an output is not the one that was saved"));
        }
        count += 1;
    }
    let kept: i64 = connection.query_row("SELECT count(*) FROM outputs", [], |row| row.get(0))?;
    if kept.cast_unsigned() == count { Ok(()) } else { Err(Fault::Damaged("an output belongs to no entry".to_owned())) }
}
