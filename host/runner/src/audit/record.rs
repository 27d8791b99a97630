//! What the journal says of the last runs of a pipeline in an environment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pipe_capability::{
    audit::{self, CallRecord, RuleKey},
    grant::Grant,
};
use pipe_core::{
    digest::Digest,
    event::{EventKind, Refusal, StepStatus, Use},
    id::{RunId, StepId},
    report::StageReport,
    stage::Stage,
};
use pipe_journal::{JournalError, Reader, RunFilter, StoredEvent};
use pipe_pipeline::Document;

use super::{
    narrower::{self, Narrower},
    report::{CallUse, LastUse, RunsLookedAt},
};

/// The most runs that are looked at, the newest.
pub const RUNS_LOOKED_AT: usize = 20;

/// Different refusals of one call that are kept.
const MOST_REFUSALS: usize = 200;

/// What the last finished runs of a pipeline in an environment used, and what they were refused.
#[derive(Clone, Debug)]
pub struct RunsSeen {
    looked_at: RunsLookedAt,
    narrower: Narrower,
    calls: BTreeMap<StepId, CallSeen>,
}

/// One call, over all runs.
#[derive(Clone, Debug, Default)]
struct CallSeen {
    /// By word and recorded rule.
    uses: BTreeMap<(String, String), LastUse>,
    succeeded: Vec<RunId>,
    undone: bool,
    refused: Vec<(Refusal, usize)>,
    refusals: usize,
    /// Names of artifacts that were stored in the clear.
    in_the_clear: Vec<String>,
    /// Content of its plugin in the newest run.
    plugin: Option<Digest>,
    /// Lines of its grant in the newest run.
    granted: Vec<String>,
    /// Whether it is there to change something.
    changes: bool,
    /// Whether it could have changed something outside, in the newest run.
    touched: bool,
    /// Lines of its grant in runs in which it succeeded, and changed something if it is there to do so: only of those can it be
    /// said that nothing used them.
    had: BTreeSet<String>,
}

/// Looks back at the runs of a pipeline file in an environment. Nothing where none has finished. **The whole journal is checked
/// first**: what is told from a record that somebody has changed is what that somebody wants to be told.
///
/// # Errors
///
/// The journal cannot be read, or is not what was written.
pub fn look_back(reader: &Reader, document: &Document, environment: &str) -> Result<Option<RunsSeen>, JournalError> {
    reader.verify(None)?;
    let filter = RunFilter {
        pipeline: Some(document.name().to_owned()),
        environment: Some(environment.to_owned()),
        limit: Some(RUNS_LOOKED_AT),
    };
    let mut runs = reader.runs(&filter)?;
    runs.retain(|run| run.finished.is_some());
    let (Some(newest), Some(oldest)) = (runs.first(), runs.last()) else { return Ok(None) };
    let looked_at = RunsLookedAt {
        runs: runs.len(),
        first: oldest.run.clone(),
        last: newest.run.clone(),
        last_started: newest.started,
    };
    let mut calls = BTreeMap::new();
    // Oldest first, so that what is newer has the last word.
    for run in runs.iter().rev() {
        reader.each_event(&run.run, |event| take(&mut calls, &event))?;
    }
    let narrower = narrower::narrower(reader, document, &runs)?;
    Ok(Some(RunsSeen { looked_at, narrower, calls }))
}

fn take(calls: &mut BTreeMap<StepId, CallSeen>, event: &StoredEvent) {
    let Some(kind) = event.event.known() else { return };
    let run = &event.run;
    let mut of = |step: &StepId, change: &mut dyn FnMut(&mut CallSeen)| change(calls.entry(step.clone()).or_default());
    match kind {
        EventKind::RunStarted { .. } | EventKind::Planned { .. } => {
            for planned in kind.planned_steps() {
                of(&planned.step, &mut |call| {
                    call.plugin = Some(planned.plugin.digest);
                    call.granted.clone_from(&planned.grant);
                });
            }
        }
        EventKind::StepStarted { step, stage, .. } => {
            of(step, &mut |call| {
                call.changes = matches!(stage, Stage::Migrate | Stage::Release);
                call.touched = false;
            });
        }
        EventKind::Used { step, used } => of(step, &mut |call| call.used(run, event.at, used)),
        EventKind::Denied { step, refusal } => of(step, &mut |call| call.refused(refusal)),
        EventKind::StepFinished { step, status: StepStatus::Succeeded, report, .. } => {
            let unchanged = report.as_ref().is_some_and(StageReport::says_unchanged);
            of(step, &mut |call| call.succeeded_in(run, unchanged));
        }
        EventKind::Notified { step, failure: None, .. } => of(step, &mut |call| call.succeeded_in(run, false)),
        EventKind::UndoFinished { step, .. } => of(step, &mut |call| call.undone = true),
        EventKind::ArtifactStored { step, artifact, .. } if !artifact.encrypted => of(step, &mut |call| {
            if !call.in_the_clear.contains(&artifact.name) && call.in_the_clear.len() < MOST_REFUSALS {
                call.in_the_clear.push(artifact.name.clone());
            }
        }),
        _ => {}
    }
}

impl CallSeen {
    /// `unchanged`: it says that there was nothing to do.
    fn succeeded_in(&mut self, run: &RunId, unchanged: bool) {
        if self.succeeded.last() != Some(run) {
            self.succeeded.push(run.clone());
        }
        let granted = std::mem::take(&mut self.granted);
        if !(self.changes && (unchanged || !self.touched)) {
            self.had.extend(granted);
        }
    }

    fn used(&mut self, run: &RunId, at: Timestamp, used: &Use) {
        self.touched |= used.effect;
        let key = (used.word.clone(), used.rule.clone());
        let runs = match self.uses.get(&key) {
            None => 1,
            Some(last) => last.runs + usize::from(last.run != *run),
        };
        self.uses.insert(key, LastUse { run: run.clone(), at, runs });
    }

    fn refused(&mut self, refusal: &Refusal) {
        self.refusals += 1;
        let same = |known: &Refusal| known.word == refusal.word && known.subject == refusal.subject;
        if let Some((_, count)) = self.refused.iter_mut().find(|(known, _)| same(known)) {
            *count += 1;
        } else if self.refused.len() < MOST_REFUSALS {
            self.refused.push((refusal.clone(), 1));
        }
    }
}

impl RunsSeen {
    pub(crate) fn summary(&self) -> RunsLookedAt {
        self.looked_at.clone()
    }

    /// What is known of a call, with the plugin and grant that it has now.
    pub(crate) fn call(&self, step: &StepId, grant: &Grant, plugin: &Digest) -> CallRecord {
        let Some(seen) = self.calls.get(step) else { return CallRecord::default() };
        CallRecord {
            succeeded: seen.succeeded.len(),
            undone: seen.undone,
            used: seen.uses.keys().filter_map(|(word, rule)| audit::rule_of_use(grant, word, rule)).collect(),
            had: audit::rules(grant)
                .zip(grant.lines())
                .filter(|(_, line)| seen.had.contains(line))
                .map(|((rule, _), _)| rule)
                .collect(),
            refused: seen.refused.clone(),
            other_plugin: seen.plugin.is_some_and(|digest| digest != *plugin),
        }
    }

    /// The last use of each rule that was used.
    pub(crate) fn uses(&self, step: &StepId, grant: &Grant) -> BTreeMap<RuleKey, LastUse> {
        let mut uses: BTreeMap<RuleKey, LastUse> = BTreeMap::new();
        for ((word, rule), last) in self.calls.get(step).into_iter().flat_map(|seen| &seen.uses) {
            let Some(key) = audit::rule_of_use(grant, word, rule) else { continue };
            // A rule for writing stands behind uses of two words.
            if uses.get(&key).is_none_or(|known| known.at <= last.at) {
                uses.insert(key, last.clone());
            }
        }
        uses
    }

    /// For rules of a call that are wider than needed, the lines that would have been enough.
    pub(crate) fn narrower(&self, step: &StepId) -> BTreeMap<RuleKey, Vec<String>> {
        self.narrower.get(&step.name).cloned().unwrap_or_default()
    }

    pub(crate) fn summary_of(&self, step: &StepId) -> CallUse {
        let seen = self.calls.get(step);
        CallUse {
            succeeded: seen.map_or(0, |seen| seen.succeeded.len()),
            last: seen.and_then(|seen| seen.succeeded.last().cloned()),
            refused: seen.map_or(0, |seen| seen.refusals),
        }
    }

    /// Names of artifacts that the call stored in the clear.
    pub(crate) fn in_the_clear(&self, step: &StepId) -> &[String] {
        self.calls.get(step).map_or(&[], |seen| &seen.in_the_clear)
    }
}
