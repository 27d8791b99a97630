//! Runs, as their first and last events tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pipe_core::{event::Outcome, id::RunId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    error::Fault,
    events::{moment, number, odd},
};

/// Which runs. By default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those of this pipeline.
    pub pipeline: Option<String>,
    /// Only those in this environment.
    pub environment: Option<String>,
    /// At most this many, the newest.
    pub limit: Option<usize>,
}

/// A run at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Identity.
    pub run: RunId,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
    /// When it was accepted.
    pub started: Timestamp,
    /// When it ended last. Nothing while it is open.
    pub finished: Option<Timestamp>,
    /// How it ended. Nothing while it is open, and where a later version ended it in a way that this one does not know.
    pub outcome: Option<Outcome>,
    /// Who started it.
    pub actor: String,
    /// Inputs as given.
    pub inputs: BTreeMap<String, String>,
    /// Why it did not succeed.
    pub reason: Option<String>,
}

/// The part of `run-started` that a summary needs: a later version may add to it.
#[derive(Deserialize)]
struct Started {
    pipeline: String,
    environment: String,
    actor: String,
    inputs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Finished {
    outcome: serde_json::Value,
    reason: Option<String>,
}

/// A run that is resumed ends more than once: the last end counts. One that somebody went on with after it has none until the
/// next: a deployment that is being undone does not count as one that succeeded.
const COLUMNS: &str = "
SELECT s.seq, s.run, s.at, s.body, f.at, f.body FROM events s
LEFT JOIN events f ON f.seq = (SELECT max(seq) FROM events WHERE run = s.run AND body ->> '$.event' = 'run-finished')
    AND NOT EXISTS (SELECT 1 FROM events r WHERE r.run = s.run AND r.seq > f.seq AND r.body ->> '$.event' = 'run-resumed')
";

/// Runs, newest first. SQLite would rather go through all events, which are in the order that is wanted.
pub(crate) fn runs(connection: &Connection, filter: &RunFilter) -> Result<Vec<RunSummary>, Fault> {
    let sql = format!(
        "{COLUMNS} WHERE s.seq IN (
             SELECT seq FROM events INDEXED BY starts WHERE body ->> '$.event' = 'run-started'
             AND (?1 IS NULL OR body ->> '$.pipeline' = ?1) AND (?2 IS NULL OR body ->> '$.environment' = ?2)
             ORDER BY seq DESC LIMIT ?3)
         ORDER BY s.seq DESC"
    );
    let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![filter.pipeline, filter.environment, limit])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(summary(row)?);
    }
    Ok(runs)
}

/// Runs whose names begin so, newest first, or with nothing given the newest. Reads nothing of other runs but indexes: a page that
/// is damaged elsewhere must not hide a run that is to be undone.
pub(crate) fn named(connection: &Connection, beginning: Option<&str>) -> Result<Vec<RunSummary>, Fault> {
    let of = match beginning {
        None => "SELECT max(seq) FROM events INDEXED BY starts WHERE body ->> '$.event' = 'run-started' AND ?1 IS NULL",
        Some(_) => {
            "SELECT min(seq) FROM events INDEXED BY events_by_run WHERE run >= ?1 AND run < ?1 || 'g' GROUP BY run"
        }
    };
    let sql = format!("{COLUMNS} WHERE s.seq IN ({of}) AND s.body ->> '$.event' = 'run-started' ORDER BY s.seq DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([beginning])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(summary(row)?);
    }
    Ok(runs)
}

/// Identities of previews that begin so, newest first. They are those of no runs.
pub(crate) fn previews(connection: &Connection, beginning: &str) -> Result<Vec<RunId>, Fault> {
    let sql = "SELECT run, min(seq) FROM events WHERE run >= ?1 AND run < ?1 || 'g' \
               AND body ->> '$.event' = 'preview-started' GROUP BY run ORDER BY 2 DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([beginning])?;
    let mut previews = Vec::new();
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_str().ok().and_then(|text| text.parse().ok());
        previews.push(text.ok_or_else(|| odd(number(row, 1).unwrap_or_default(), "its run is no run"))?);
    }
    Ok(previews)
}

/// The newest run of a pipeline in an environment that succeeded.
pub(crate) fn last_succeeded(
    connection: &Connection,
    pipeline: &str,
    environment: &str,
) -> Result<Option<RunSummary>, Fault> {
    let sql = format!(
        "{COLUMNS} WHERE s.body ->> '$.event' = 'run-started'
             AND s.body ->> '$.pipeline' = ?1 AND s.body ->> '$.environment' = ?2
             AND f.body ->> '$.outcome' = 'succeeded'
         ORDER BY s.seq DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row([pipeline, environment], |row| Ok(summary(row))).optional()?.transpose()
}

fn summary(row: &Row<'_>) -> Result<RunSummary, Fault> {
    let seq = number(row, 0)?;
    let run = row.get_ref(1)?.as_str().ok().and_then(|text| text.parse().ok());
    let started: Started = read(row, 3, seq)?;
    let ended = row.get_ref(4)? != rusqlite::types::ValueRef::Null;
    let finished: Option<Finished> = ended.then(|| read(row, 5, seq)).transpose()?;
    Ok(RunSummary {
        run: run.ok_or_else(|| odd(seq, "its run is no run"))?,
        pipeline: started.pipeline,
        environment: started.environment,
        started: moment(row, 2, seq)?,
        finished: ended.then(|| moment(row, 4, seq)).transpose()?,
        outcome: finished.as_ref().and_then(|finished| Outcome::deserialize(&finished.outcome).ok()),
        actor: started.actor,
        inputs: started.inputs,
        reason: finished.and_then(|finished| finished.reason),
    })
}

fn read<T: DeserializeOwned>(row: &Row<'_>, column: usize, seq: u64) -> Result<T, Fault> {
    let body = row.get_ref(column)?.as_str().map_err(|_| odd(seq, "its event is no text"))?;
    serde_json::from_str(body).map_err(|error| odd(seq, &error.to_string()))
}
