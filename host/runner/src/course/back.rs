//! The way back: what is undone or run, in which order, and what stays.

use pipe_core::{
    event::{InFlight, Outcome},
    id::StepId,
};

use super::{Back, Barrier, Course, Leg, Next, Reached};
use crate::state::{RunState, StepStanding, StepState};

impl Course {
    /// What will be done, in order: the file's list without what never started, or everything reversible in reverse.
    pub(super) fn entries(&self, state: &RunState) -> Vec<StepId> {
        let reversed = |name: Option<&str>| -> Vec<StepId> {
            let legs = self.steps.iter().rev().filter(|leg| leg.reversible && leg.changed(state));
            legs.filter(|leg| name.is_none_or(|name| leg.step.name == name)).map(|leg| leg.step.clone()).collect()
        };
        match &self.rollback {
            None => reversed(None),
            Some(list) => list
                .iter()
                .flat_map(|entry| match entry {
                    Back::Undo { step, gate, .. } => {
                        let undone = reversed(Some(step));
                        let gate = gate.iter().filter(|gate| !undone.is_empty() && gate.stands(state));
                        gate.map(|gate| gate.gate.clone()).chain(undone.iter().cloned()).collect()
                    }
                    Back::Run(leg) => vec![leg.step.clone()],
                    Back::Gate(gate) => gate.stands(state).then(|| gate.gate.clone()).into_iter().collect(),
                })
                .collect(),
        }
    }

    /// The next entry of a rollback that has begun. What failed before somebody resumed the run is tried again.
    pub(super) fn back(&self, state: &RunState, reason: &str, entries: &[StepId]) -> Next {
        let done = |step: &StepId| {
            let standing = state.step(step).map(|known| known.standing);
            matches!(standing, Some(StepStanding::Undone))
                || self.after().any(|leg| leg.step == *step) && standing == Some(StepStanding::Succeeded)
        };
        // What was let pass is not asked for again once it is done, whatever was replaced since.
        let done_behind = |place: usize| entries.get(place + 1).is_some_and(done);
        for (place, entry) in entries.iter().enumerate() {
            let known = state.step(entry);
            if let Some(barrier) = self.barriers_back().find(|barrier| barrier.gate == *entry) {
                match barrier.reached(state) {
                    Reached::Open if state.gates.get(entry).is_some_and(|gate| gate.stale) && !done_behind(place) => {
                        return Next::Wait(entry.clone());
                    }
                    Reached::Open => continue,
                    Reached::Waits => return Next::Wait(entry.clone()),
                    Reached::Stopped => return Next::Stop(entry.clone()),
                    // Somebody who resumes the rollback asks again.
                    Reached::Shut(_) if state.gates.get(entry).is_some_and(|gate| gate.ended_in != state.resumed) => {
                        return Next::Wait(entry.clone());
                    }
                    Reached::Shut(_) => break,
                }
            }
            if let Some(leg) = self.after().find(|leg| leg.step == *entry) {
                match known {
                    None => return Next::Attempt(entry.clone()),
                    Some(known) => match known.standing {
                        StepStanding::Succeeded => {}
                        StepStanding::Failed if known.failed_in == state.resumed => break,
                        StepStanding::Failed => return Next::Attempt(entry.clone()),
                        _ => {
                            // Nobody is asked in the middle of a rollback, unless the file says so.
                            let asked = leg.in_flight.is_none() && known.decision.is_none();
                            let leg =
                                Leg { in_flight: leg.in_flight.or(asked.then_some(InFlight::Retry)), ..leg.clone() };
                            return leg.go_on(known, state.resumed);
                        }
                    },
                }
            } else {
                match known.map(|known| (known.standing, known.failed_in)) {
                    Some((StepStanding::Undone, _)) => {}
                    Some((StepStanding::UndoFailed, failed_in)) if failed_in == state.resumed => {
                        if !self.continues(entry) {
                            break;
                        }
                    }
                    _ => return Next::Undo(entry.clone()),
                }
            }
        }
        let stayed = self.stayed(state, entries);
        if stayed.is_empty() {
            Next::End(Outcome::RolledBack, Some(reason.to_owned()))
        } else {
            Next::End(Outcome::RollbackFailed, Some(format!("{reason}; {}", stayed.join("; "))))
        }
    }

    /// What is not as it was before the run, each with why.
    pub(super) fn stayed(&self, state: &RunState, entries: &[StepId]) -> Vec<String> {
        let why = |known: &StepState| known.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
        let irreversible = self.steps.iter().filter(|leg| !leg.reversible && leg.changed(state));
        let irreversible = irreversible.map(|leg| format!("step \"{}\" is irreversible and stays as it is", leg.step));
        let undo_failed = state.steps.iter().filter(|known| known.standing == StepStanding::UndoFailed).map(|known| {
            let why = known.undo_failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
            format!("step \"{}\" could not be undone: {why}", known.step)
        });
        let after = self.after().filter_map(|leg| state.step(&leg.step));
        let after = after
            .filter(|known| known.standing == StepStanding::Failed)
            .map(|known| format!("step \"{}\" failed after the rollback: {}", known.step, why(known)));
        let shut = self.barriers_back().filter_map(|barrier| match barrier.reached(state) {
            Reached::Shut(why) => Some(format!("gate \"{}\": {why}, and what comes after it stays", barrier.gate)),
            _ => None,
        });
        // Behind what failed, or behind a gate that nobody opened.
        let legs = self.steps.iter().filter(|leg| entries.contains(&leg.step) && leg.changed(state));
        let legs = legs.filter(|leg| {
            let standing = state.step(&leg.step).map(|known| known.standing);
            !matches!(standing, Some(StepStanding::Undone | StepStanding::UndoFailed))
        });
        let behind = legs.map(|leg| format!("step \"{}\" was not undone: its turn did not come", leg.step));
        let not_run = self.after().filter(|leg| entries.contains(&leg.step) && state.step(&leg.step).is_none());
        let not_run = not_run.map(|leg| format!("step \"{}\" was not run: its turn did not come", leg.step));
        irreversible.chain(undo_failed).chain(after).chain(shut).chain(behind).chain(not_run).collect()
    }

    /// The gates of the rollback.
    pub(super) fn barriers_back(&self) -> impl Iterator<Item = &Barrier> {
        self.rollback.iter().flatten().filter_map(|entry| match entry {
            Back::Undo { gate, .. } => gate.as_ref(),
            Back::Gate(gate) => Some(gate),
            Back::Run(_) => None,
        })
    }

    /// The steps of the rollback's own.
    pub(super) fn after(&self) -> impl Iterator<Item = &Leg> {
        self.rollback.iter().flatten().filter_map(|entry| match entry {
            Back::Run(leg) => Some(leg),
            Back::Undo { .. } | Back::Gate(_) => None,
        })
    }

    /// Whether the entries below this one still run where it cannot be undone.
    pub(super) fn continues(&self, undone: &StepId) -> bool {
        self.rollback.iter().flatten().any(|entry| match entry {
            Back::Undo { step, continue_on_failure, .. } => *step == undone.name && *continue_on_failure,
            Back::Run(_) | Back::Gate(_) => false,
        })
    }
}
