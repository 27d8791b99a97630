//! From events to the report. Events that it does not know by name leave it as it is: what a later version adds is told by the
//! arms that are added here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pipe_core::{
    event::{EventKind, Part},
    id::{RunId, StepId},
};
use pipe_journal::{Recorded, StoredEvent};

use super::{
    ArtifactReport, Conclusion, HeldAgainst, Process, Pruned, REPORT_SCHEMA, Record, Report, RollbackReport,
    StepStatus, Told, checklist, people,
    step::{cut_off, planned},
};
use crate::{
    error::PrepareError,
    state::{RunState, StepStanding},
};

impl Report {
    /// The report of a run, from its events in order. `running` says whether a process is at it.
    ///
    /// # Errors
    ///
    /// They do not say how the run began.
    pub fn of(run: &RunId, events: &[StoredEvent], running: bool) -> Result<Self, PrepareError> {
        let mut report: Option<Self> = None;
        let mut state = RunState::default();
        for stored in events {
            let Recorded::Known(event) = &stored.event else {
                if let Some(report) = &mut report {
                    report.record.unknown += 1;
                }
                continue;
            };
            state.apply(event);
            match &mut report {
                None => report = Self::began(run, stored, event),
                Some(report) => report.apply(stored.at, event, &state),
            }
        }
        let unknown = || PrepareError::NotResumable(format!("how run {run} began is not in its record"));
        report.map(|report| report.concluded(&state, events, running)).ok_or_else(unknown)
    }

    fn began(run: &RunId, stored: &StoredEvent, event: &EventKind) -> Option<Self> {
        let EventKind::RunStarted {
            pipeline,
            environment,
            file,
            pipeline_digest,
            plan_digest,
            pipe_version,
            actor,
            inputs,
            previous,
            policies,
            policy_files,
            steps,
            ..
        } = event
        else {
            return None;
        };
        let at = stored.at;
        let held = |(index, digest)| HeldAgainst { file: policy_files.get(index).cloned(), digest };
        Some(Self {
            schema: REPORT_SCHEMA,
            run: run.clone(),
            pipeline: pipeline.clone(),
            environment: environment.clone(),
            conclusion: Conclusion::Running,
            reason: None,
            started: at,
            ended: None,
            took_ms: None,
            actor: actor.clone(),
            pipe_version: pipe_version.clone(),
            file: file.clone(),
            pipeline_digest: *pipeline_digest,
            plan_digest: *plan_digest,
            policies: policies.iter().copied().enumerate().map(held).collect(),
            requesters: Vec::new(),
            inputs: inputs.clone(),
            previous: previous.clone(),
            checklist: Vec::new(),
            people: people::decision(at, event).into_iter().collect(),
            gates: Vec::new(),
            steps: steps.iter().filter_map(planned).collect(),
            watch: None,
            rollback: None,
            artifacts: Vec::new(),
            refusals: Vec::new(),
            notifications: Vec::new(),
            processes: vec![process(at, actor, pipe_version)],
            record: Record {
                first: stored.seq,
                last: stored.seq,
                entries: 0,
                head: stored.hash,
                unknown: 0,
                broken: None,
            },
        })
    }

    fn apply(&mut self, at: Timestamp, event: &EventKind, state: &RunState) {
        self.people.extend(people::decision(at, event));
        match event {
            EventKind::Planned { steps } => self.steps.extend(steps.iter().filter_map(planned)),
            EventKind::RunResumed { actor, pipe_version, .. } => {
                self.steps.iter_mut().for_each(cut_off);
                self.processes.push(process(at, actor, pipe_version));
            }
            EventKind::RolesPinned { requesters, .. } => self.requesters.clone_from(requesters),
            EventKind::RollbackStarted { reason, entries } => {
                self.withdraw_gates(at);
                self.watch.iter_mut().for_each(|watch| watch.waits = None);
                self.rollback = Some(RollbackReport { started: at, reason: reason.clone(), entries: entries.clone() });
            }
            EventKind::Notified { step, about, delivered, failure } => self.notifications.push(Told {
                at,
                step: step.clone(),
                about: about.clone(),
                delivered: delivered.clone(),
                failure: failure.as_ref().map(|failure| failure.message.clone()),
            }),
            EventKind::RemainsEnded { ended, .. } => {
                if let Some(process) = self.processes.last_mut() {
                    process.remains_ended += ended;
                }
            }
            EventKind::RunFinished { .. } => {
                self.ended = Some(at);
                self.withdraw_gates(at);
            }
            EventKind::RunPaused { .. } => self.ended = Some(at),
            EventKind::ArtifactStored { .. }
            | EventKind::ArtifactVerified { .. }
            | EventKind::ArtifactPruned { .. } => self.apply_of_artifact(at, event),
            _ if self.apply_of_gate(at, event) || self.apply_of_waves(at, event) => {}
            _ => self.apply_of_step(at, event),
        }
        if let Some(process) = self.processes.last_mut()
            && !is_afterwards(event, state)
        {
            (process.last, process.left) = (at, Conclusion::of(state, false));
        }
    }

    fn apply_of_artifact(&mut self, at: Timestamp, event: &EventKind) {
        match event {
            EventKind::ArtifactStored { step, artifact } => self.artifacts.push(ArtifactReport {
                step: step.clone(),
                stored: at,
                artifact: artifact.clone(),
                verification: None,
                pruned: None,
            }),
            EventKind::ArtifactVerified { verification, .. } => {
                for known in self.artifacts.iter_mut().filter(|known| known.artifact.digest == verification.digest) {
                    known.verification = Some(verification.clone());
                }
            }
            EventKind::ArtifactPruned { digest, actor, reason, found, .. } => {
                let pruned = Pruned { at, actor: actor.clone(), reason: reason.clone(), found: *found };
                for known in self.artifacts.iter_mut().filter(|known| known.artifact.digest == *digest) {
                    known.pruned = Some(pruned.clone());
                }
            }
            _ => {}
        }
    }

    /// What is known once all events are.
    fn concluded(mut self, state: &RunState, events: &[StoredEvent], running: bool) -> Self {
        self.conclusion = Conclusion::of(state, running);
        let waits = self.watch.as_ref().and_then(|watch| watch.waits.as_ref());
        let waits = waits.map(|why| format!("the watch was not met, and nobody has seen to it: {why}"));
        self.reason = state.reason.clone().or_else(|| state.paused.clone()).or(waits);
        if let Some(process) = self.processes.last_mut()
            && running
        {
            process.left = self.conclusion;
        }
        if matches!(self.conclusion, Conclusion::Running | Conclusion::CutOff) {
            self.ended = None;
        }
        self.took_ms = self.ended.map(|ended| self.took(ended, events));
        let standing: BTreeMap<&StepId, StepStanding> =
            state.steps.iter().map(|known| (&known.step, known.standing)).collect();
        let going_on = matches!(self.conclusion, Conclusion::Running);
        for step in &mut self.steps {
            let open = if going_on { StepStatus::Running } else { StepStatus::CutOff };
            let undoing = step.undo.as_ref().is_some_and(|undo| undo.duration_ms.is_none());
            step.status = match (standing.get(&step.step), step.part) {
                (None, Part::Rollback) if self.rollback.is_none() => StepStatus::NotNeeded,
                (None, _) => StepStatus::NotReached,
                (Some(_), _) if undoing => open,
                (Some(StepStanding::Started), _) => open,
                (Some(StepStanding::Succeeded), _) => StepStatus::Succeeded,
                (Some(StepStanding::Failed), _) => StepStatus::Failed,
                (Some(StepStanding::Undone), _) => StepStatus::Undone,
                (Some(StepStanding::UndoFailed), _) => StepStatus::UndoFailed,
            };
            if !going_on {
                cut_off(step);
            }
        }
        if let Some(last) = events.last() {
            (self.record.last, self.record.head) = (last.seq, last.hash);
        }
        self.record.entries = events.len() as u64;
        self.checklist = checklist::items(&self);
        self
    }

    /// By the wall, unless the wall cannot be right: no run is shorter than what its processes measured.
    fn took(&self, ended: Timestamp, events: &[StoredEvent]) -> u64 {
        let measured = events.iter().filter_map(|stored| match stored.event.known() {
            Some(EventKind::RunFinished { duration_ms, .. }) => Some(*duration_ms),
            _ => None,
        });
        let by_wall = u64::try_from(ended.duration_since(self.started).as_millis()).unwrap_or_default();
        measured.max().unwrap_or_default().max(by_wall)
    }
}

fn process(at: Timestamp, actor: &str, pipe_version: &str) -> Process {
    let (actor, pipe_version) = (actor.to_owned(), pipe_version.to_owned());
    Process { started: at, last: at, actor, pipe_version, remains_ended: 0, left: Conclusion::CutOff }
}

/// Whether an event is written after a run, by no process that drove it.
const fn is_afterwards(event: &EventKind, state: &RunState) -> bool {
    match event {
        EventKind::ArtifactPruned { .. }
        | EventKind::CopiesPruned { .. }
        | EventKind::Resolved { .. }
        | EventKind::Approved { .. }
        | EventKind::Rejected { .. }
        | EventKind::ApprovalRefused { .. }
        | EventKind::Unlocked { .. }
        | EventKind::Abandoned { .. }
        | EventKind::WatchChecked { .. }
        | EventKind::WatchBreached { .. }
        | EventKind::WatchContinued { .. }
        | EventKind::WatchEnded { .. } => true,
        // Of a run that was given up, whoever gave it up wrote the end.
        EventKind::RunFinished { .. } => state.phases.given_up,
        _ => false,
    }
}
