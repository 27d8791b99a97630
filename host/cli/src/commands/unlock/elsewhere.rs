//! What a database says of other hosts, and taking it from them.

use std::{collections::BTreeMap, path::Path};

use pipe_core::{event::EventKind, id::RunId, redact::Redactor};
use pipe_journal::{Durability, Journal};
use pipe_pipeline::{Document, Pipeline, RunFacts, Selection};
use pipe_runner::Shared;

use super::super::loading;
use crate::{failure::Failure, printer::Printer};

/// Whose lock it is about.
pub(super) struct Asked {
    pub(super) pipeline: Pipeline,
    /// The run that was named, and the epoch that it knows.
    pub(super) run: Option<(RunId, u64)>,
}

impl Asked {
    /// Of a pipeline file in an environment.
    ///
    /// # Errors
    ///
    /// It is wrong, or an input has no value.
    pub(super) fn of(document: &Document, environment: &str, inputs: &[(String, String)]) -> Result<Self, Failure> {
        let started = jiff::Timestamp::now();
        let selection = Selection {
            environment: Some(environment.to_owned()),
            inputs: inputs.iter().cloned().collect(),
            previous: BTreeMap::new(),
            run: RunFacts { id: RunId::new(started), started },
        };
        Ok(Self { pipeline: pipe_pipeline::check(document, &selection)?.pipeline, run: None })
    }
}

/// Makes it nobody's, where somebody has it by the database, or has had it since the run that was named. Says whether that was so.
pub(super) async fn free(
    asked: Asked,
    state: &Path,
    reason: &str,
    printer: Printer,
    redactor: Redactor,
) -> Result<bool, Failure> {
    let Asked { pipeline, run } = asked;
    let Some(shared) = Shared::of(&pipeline, &loading::variables(), &redactor)? else { return Ok(false) };
    let Some(seen) = shared.look().await? else { return Ok(false) };
    if seen.run.is_none() && run.as_ref().is_none_or(|(_, held)| *held == seen.epoch) {
        return Ok(false);
    }
    let actor = loading::actor();
    loading::make_state(state)?;
    let place = pipe_runner::place(state, &actor)?;
    let here = seen.place.as_deref() == Some(place.as_str());
    let epoch = shared.unlock(&seen, &actor, &place, reason).await?;
    shared.close().await;
    let ours = || seen.run.as_deref().filter(|_| here).and_then(|run| run.parse().ok());
    let recorded = run.map(|(run, _)| run).or_else(ours).unwrap_or_else(|| RunId::new(jiff::Timestamp::now()));
    let (peer, at) = shared.at();
    let event = EventKind::LockFreed {
        peer: peer.to_owned(),
        at: at.to_owned(),
        actor,
        reason: reason.to_owned(),
        epoch,
        holder: seen.tell(),
    };
    let journal = Journal::open(state, redactor)?;
    journal.append(&recorded, vec![event], Durability::Durable).await?;
    journal.close().await?;
    if let (Some(run), false) = (&seen.run, here) {
        printer.warning(&format!(
            "the journal of run {run} is not here: what it did is recorded on the host of {}, in {}, and nothing here can resume or \
             undo it. A process of it that is still at work begins nothing more, and what it is in the middle of goes on",
            seen.owner, seen.state
        ));
    }
    let (name, environment) = (&pipeline.name, &pipeline.environment);
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.lock-freed/v1", "pipeline": name, "environment": environment, "peer": peer, "epoch": epoch,
            "run": seen.run, "here": here,
        }));
    } else {
        printer.result(&format!(
            "freed {name} in {environment} at {peer}: epoch {epoch} begins, until then {}",
            seen.tell()
        ));
    }
    Ok(true)
}
