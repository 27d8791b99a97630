//! What comes next: a pure function of the pipeline's order and of what has happened. The process that began a run and one
//! that goes on with it after a crash ask the same question, so that they do the same.

mod back;
mod order;
mod phases;

use jiff::Timestamp;
use pipe_core::{
    event::{Breach, GateEnd, InFlight, Outcome},
    id::StepId,
    report::{Failure, FailureKind},
    stage::Stage,
};
use pipe_pipeline::{OnExpiry, OnFailure, Repetition, Window};

pub(crate) use self::order::course_of;
pub use self::phases::Bar;
use crate::state::{RunState, StepStanding, StepState};

/// What of a pipeline decides the order.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// The steps, in order.
    pub steps: Vec<Leg>,
    /// The waits for people among the steps, in order: each with the place of the step that it stands before.
    pub gates: Vec<(usize, Barrier)>,
    /// The rollback as the file lists it; nothing means everything reversible, in reverse.
    pub rollback: Option<Vec<Back>>,
    /// When the phases of steps and gates are due.
    pub window: Option<Window>,
}

/// A step, as far as the order depends on it.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Identity.
    pub step: StepId,
    /// Its stage.
    pub stage: Stage,
    /// Whether it can be undone.
    pub reversible: bool,
    /// What becomes of an attempt that had touched something and did not end, where the file says.
    pub in_flight: Option<InFlight>,
    /// How many attempts may fail.
    pub attempts: u32,
    /// How many waves it is released in; 0 where it is released at once.
    pub waves: u32,
    /// How it runs beside the other instances of the same step.
    pub repetition: Repetition,
}

/// A gate, as far as the order depends on it.
#[derive(Clone, Debug)]
pub struct Barrier {
    /// Identity.
    pub gate: StepId,
    /// What happens when nobody came in time.
    pub on_expiry: OnExpiry,
    /// In the rollback: the step without whose start it does not stand.
    pub if_started: Option<String>,
}

/// An entry of the rollback.
#[derive(Clone, Debug)]
pub enum Back {
    /// Undoes every instance of a step.
    Undo {
        /// Its name.
        step: String,
        /// Whether the entries below it still run when this fails.
        continue_on_failure: bool,
        /// Who must agree before.
        gate: Option<Barrier>,
    },
    /// Runs a step of its own.
    Run(Leg),
    /// Waits for people.
    Gate(Barrier),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// The next attempt of a step, perhaps its first.
    Attempt(StepId),
    /// The wave that was released last is held, while its guard looks. It is not released again.
    Hold {
        /// The step.
        step: StepId,
        /// Which wave, from 1.
        wave: u32,
        /// Whether the guard must pass before the hold begins: an earlier hold was cut off.
        guard_first: bool,
    },
    /// Every wave has held: that the step succeeded is to be written down.
    Finish(StepId),
    /// The guard was not met, and a person has to say whether the run goes on.
    Breached(StepId),
    /// Instances of one step, each until it has ended, so many at the same time. Where one fails, no other begins unless `all`.
    SideBySide {
        /// Those that have not ended.
        steps: Vec<StepId>,
        /// How many at the same time.
        at_once: usize,
        /// Whether those that have not begun run although one has failed.
        all: bool,
    },
    /// The step has failed for good: that is to be written down.
    Fail(StepId, Box<Failure>),
    /// An attempt was cut off after it had touched something, and a person has to say what becomes of it.
    Ask(StepId),
    /// What was started is to be undone, in this order.
    RollBack {
        /// Why.
        reason: String,
        /// Steps to undo, and steps of the rollback to run.
        entries: Vec<StepId>,
    },
    /// People decide at this gate next.
    Wait(StepId),
    /// Nobody came to this gate in time, and the run stops as it is until it is resumed.
    Stop(StepId),
    /// It is not the time for the phase of what comes next.
    Barred(Bar),
    /// A step or gate of a later phase has failed. That undoes nothing of a deployment that succeeded: people decide.
    Halted {
        /// Which.
        step: StepId,
        /// Why.
        why: String,
    },
    /// This step is undone next.
    Undo(StepId),
    /// The run ends.
    End(Outcome, Option<String>),
}

impl Leg {
    /// What becomes of an attempt that did not end well, where it had touched what `known` says. SQL that is granted takes
    /// effect once, whoever repeats it, and the stages that change nothing of the deployment can be repeated anyway.
    #[must_use]
    pub fn in_flight(&self, known: &StepState) -> InFlight {
        if let Some(decided) = known.decision {
            return decided;
        }
        self.in_flight.unwrap_or_else(|| match self.stage {
            Stage::Migrate | Stage::Release if !known.effects.iter().all(|word| word == "sql") => InFlight::Ask,
            _ => InFlight::Retry,
        })
    }

    /// Whether another attempt may follow one that failed.
    #[must_use]
    pub fn may_repeat(&self, known: &StepState, failure: &Failure) -> bool {
        failure.retryable
            && known.failures < self.attempts
            && (!known.attempt_touched || self.in_flight(known) == InFlight::Retry)
    }

    /// Whether it may have changed something that an undo could take back. A backup leaves artifacts, which are kept.
    fn changed(&self, state: &RunState) -> bool {
        matches!(self.stage, Stage::Migrate | Stage::Release)
            && state
                .step(&self.step)
                .is_some_and(|known| (known.touched || known.receipts > 0) && known.standing != StepStanding::Undone)
    }

    /// The next turn of a release in waves; nothing where that is an attempt to release the next one.
    fn wave_in_hand(&self, known: &StepState, resumed: u32) -> Option<Next> {
        let waves = &known.waves;
        if self.waves == 0 || known.open {
            return None;
        }
        let step = || self.step.clone();
        let hold = |guard_first| Next::Hold { step: step(), wave: waves.released, guard_first };
        if let Some(breached) = &waves.breach {
            return Some(match (breached.breach, known.decision) {
                (Breach::Ask, None | Some(InFlight::Ask)) => Next::Breached(step()),
                (Breach::Ask, Some(InFlight::Retry)) => hold(true),
                _ => Next::Fail(step(), Box::new(breached.failure.clone())),
            });
        }
        if waves.released > waves.finished {
            return Some(hold(waves.holding || waves.in_hand_since != resumed));
        }
        (waves.finished >= self.waves).then(|| Next::Finish(step()))
    }

    /// The next turn of a step that has begun and not ended.
    pub(crate) fn go_on(&self, known: &StepState, resumed: u32) -> Next {
        if let Some(next) = self.wave_in_hand(known, resumed) {
            return next;
        }
        let attempt = Next::Attempt(self.step.clone());
        if known.open {
            return match (known.attempt_touched, self.in_flight(known)) {
                (false, _) | (true, InFlight::Retry) => attempt,
                (true, InFlight::Ask) => Next::Ask(self.step.clone()),
                (true, InFlight::Undo) => Next::Fail(self.step.clone(), Box::new(cut_off())),
            };
        }
        match &known.last_failure {
            Some(failure) if !self.may_repeat(known, failure) => {
                Next::Fail(self.step.clone(), Box::new(failure.clone()))
            }
            _ => attempt,
        }
    }
}

/// What a run finds at a gate.
enum Reached {
    /// It has let the run pass.
    Open,
    /// People are to be waited for.
    Waits,
    /// Nobody came, and that stopped the run.
    Stopped,
    /// It lets nobody pass. Says why.
    Shut(String),
}

impl Barrier {
    /// Whether it stands in this rollback.
    fn stands(&self, state: &RunState) -> bool {
        self.if_started.as_ref().is_none_or(|name| state.steps.iter().any(|known| known.step.name == *name))
    }

    fn reached(&self, state: &RunState) -> Reached {
        let Some(known) = state.gates.get(&self.gate) else { return Reached::Waits };
        match (known.ended, self.on_expiry) {
            (None, _) => Reached::Waits,
            (Some(GateEnd::Passed), _) => Reached::Open,
            (Some(GateEnd::Rejected), _) => {
                Reached::Shut(known.rejection.clone().unwrap_or_else(|| format!("rejected by {}", known.role)))
            }
            // Whoever resumes the run opens it again.
            (Some(GateEnd::Expired), OnExpiry::Stop) if known.ended_in == state.resumed => Reached::Stopped,
            (Some(GateEnd::Expired), OnExpiry::Stop) => Reached::Waits,
            (Some(GateEnd::Expired), _) => Reached::Shut(format!("{} did not decide in time", known.role)),
        }
    }
}

impl Course {
    /// A leg of the steps or of the rollback.
    #[must_use]
    pub fn leg(&self, step: &StepId) -> Option<&Leg> {
        self.steps.iter().chain(self.after()).find(|leg| leg.step == *step)
    }

    /// What comes next in a run that has come so far, at this time by the wall clock. Says [`Next::End`] again for one that has
    /// ended.
    #[must_use]
    pub fn next(&self, state: &RunState, now: Timestamp) -> Next {
        if let Some(rollback) = &state.rollback {
            return self.back(state, &rollback.reason, &rollback.entries);
        }
        if let Some(reason) = &state.rollback_requested {
            return self.turn_back(state, reason.clone(), Outcome::RolledBack);
        }
        // Gates stand between steps, never between the instances of one.
        let mut place = 0;
        for group in self.steps.chunk_by(|one, other| one.step.name == other.step.name) {
            let next = || Some(self.in_time(&group.first()?.step, self.next_of(group, state)?, state, now));
            if let Some(next) = self.at_gates(place, state, now).or_else(next) {
                return next;
            }
            place += group.len();
        }
        self.at_gates(place, state, now).unwrap_or(Next::End(Outcome::Succeeded, None))
    }

    /// What is to be done at the gates before a place; nothing where all have let the run pass. One whose step has not succeeded
    /// asks again where a plugin was replaced since.
    fn at_gates(&self, place: usize, state: &RunState, now: Timestamp) -> Option<Next> {
        let succeeded =
            |leg: &Leg| state.step(&leg.step).is_some_and(|known| known.standing == StepStanding::Succeeded);
        let behind = self.steps.get(place).is_some_and(succeeded);
        let stale = |gate: &StepId| !behind && state.gates.get(gate).is_some_and(|known| known.stale);
        let here = self.gates.iter().filter(|(before, _)| *before == place);
        here.map(|(_, barrier)| barrier).find_map(|barrier| {
            let gate = &barrier.gate;
            let next = match barrier.reached(state) {
                Reached::Open if stale(gate) => Next::Wait(gate.clone()),
                Reached::Open => return None,
                Reached::Waits => Next::Wait(gate.clone()),
                Reached::Stopped => Next::Stop(gate.clone()),
                Reached::Shut(why) if self.is_later(gate) => {
                    // Somebody who resumes the run asks again.
                    let again = state.gates.get(gate).is_some_and(|known| known.ended_in != state.resumed);
                    if again { Next::Wait(gate.clone()) } else { Next::Halted { step: gate.clone(), why } }
                }
                Reached::Shut(why) => self.turn_back(state, format!("gate \"{gate}\": {why}"), Outcome::Failed),
            };
            Some(self.in_time(gate, next, state, now))
        })
    }

    /// What comes next among the instances of one step. Nothing once all of them have succeeded.
    fn next_of(&self, group: &[Leg], state: &RunState) -> Option<Next> {
        let repetition = group.first()?.repetition;
        let (mut failed, mut attempts, mut asked) = (None, Vec::new(), None);
        for leg in group {
            match state.step(&leg.step).map(|known| (known.standing, known)) {
                None => attempts.push(leg.step.clone()),
                Some((StepStanding::Succeeded, _)) => {}
                Some((StepStanding::Started, known)) => match leg.go_on(known, state.resumed) {
                    Next::Attempt(step) => attempts.push(step),
                    asks @ (Next::Ask(_) | Next::Breached(_)) => asked = asked.or(Some(asks)),
                    other => return Some(other),
                },
                Some((_, known)) => failed = failed.or(Some(known)),
            }
        }
        let all = repetition.on_failure == OnFailure::Continue;
        match (attempts.as_slice(), failed) {
            ([one, ..], None) if repetition.at_once == 1 => Some(Next::Attempt(one.clone())),
            ([one], None) => Some(Next::Attempt(one.clone())),
            ([_, ..], None) => Some(Next::SideBySide { steps: attempts, at_once: repetition.at_once, all }),
            ([_, ..], Some(_)) if all => Some(Next::SideBySide { steps: attempts, at_once: repetition.at_once, all }),
            (_, Some(failed)) => Some(self.failed(state, failed)),
            ([], None) => asked,
        }
    }

    /// A step has failed for good.
    fn failed(&self, state: &RunState, known: &StepState) -> Next {
        let failure = known.failure.as_ref();
        let reason = failure.map_or_else(|| "it did not succeed".into(), |failure| failure.message.clone());
        // A guard that undoes, and somebody who says so, undo the deployment even then.
        let undone = known.waves.breach.is_some() || known.decision == Some(InFlight::Undo);
        if self.is_later(&known.step) && !undone {
            // Somebody who resumes the run tries again.
            let again = known.failed_in != state.resumed;
            let step = known.step.clone();
            return if again { Next::Attempt(step) } else { Next::Halted { step, why: reason } };
        }
        let interrupted = failure.is_some_and(|failure| failure.kind == FailureKind::Interrupted);
        let outcome = if interrupted { Outcome::Interrupted } else { Outcome::Failed };
        self.turn_back(state, format!("step \"{}\": {reason}", known.step), outcome)
    }

    /// Goes back, or ends as `otherwise` where nothing was started that an undo could take back.
    pub(crate) fn turn_back(&self, state: &RunState, reason: String, otherwise: Outcome) -> Next {
        let entries = self.entries(state);
        let nothing = !self.steps.iter().any(|leg| leg.changed(state));
        if nothing { Next::End(otherwise, Some(reason)) } else { Next::RollBack { reason, entries } }
    }
}

fn cut_off() -> Failure {
    Failure {
        kind: FailureKind::Interrupted,
        message: "it was cut off after it had begun to change something, and is to be undone".to_owned(),
        retryable: false,
        findings: Vec::new(),
        hint: None,
    }
}

#[cfg(test)]
mod tests;
