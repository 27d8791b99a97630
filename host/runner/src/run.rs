//! The course of a run, in a process that begins it or goes on with it: ask what comes next, do that, write it down, ask again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use pipe_core::{
    event::{EventKind, Outcome},
    id::StepId,
};
use pipe_journal::Durability;
use pipe_pipeline::{NotifyEvent, Step};
use tokio_util::sync::CancellationToken;

use crate::{
    course::{Bar, Course, Next},
    error::RunError,
    gate::Waited,
    prepare::{Prepared, all_steps},
    record::{Observer, Recorder},
    remains,
    state::{RunState, StepStanding},
    step::{Stepper, Stopped, milliseconds},
};

/// How a process was done with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run has ended.
    Finished(Outcome),
    /// It waits for somebody: what a person can do about it.
    Waiting(Wait),
    /// The operator stopped it, and it can be resumed.
    Stopped,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Somebody who says what becomes of a step that was cut off in the middle.
    Decision(StepId),
    /// People who decide at a gate.
    Gate {
        /// The gate.
        gate: StepId,
        /// Their role.
        role: String,
    },
    /// Somebody who resumes the run: nobody came to this gate in time.
    Expired(StepId),
    /// The time of a phase, or somebody who lets it begin although it is too late.
    Phase(Bar),
    /// Somebody who says what becomes of a step or gate of a later phase that failed.
    Halted {
        /// Which.
        step: StepId,
        /// Why it failed.
        why: String,
    },
    /// Somebody who says whether it goes on past a check that was not met.
    Breach {
        /// The step whose guard it is; nothing for the watch.
        step: Option<StepId>,
        /// The check, and what it saw.
        why: String,
    },
}

/// How far a run has come.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// How it ended, or what it waits for.
    pub ending: Ending,
    /// Why, where it did not succeed.
    pub reason: Option<String>,
    /// Everything that is known of it.
    pub state: RunState,
    /// What is still to come of a run that succeeded: its later phases.
    pub later: Option<String>,
}

/// Runs a prepared pipeline to its end.
///
/// `interrupt` is the operator's wish to stop: the step in hand is cancelled, and what was started is undone, or left for
/// whoever resumes the run, as the pipeline says.
///
/// # Errors
///
/// The journal can no longer be written. Nothing is done without it.
pub async fn run(
    prepared: &Prepared,
    observer: Observer,
    interrupt: &CancellationToken,
) -> Result<RunResult, RunError> {
    let recorder = Recorder::new(prepared.run.clone(), Arc::clone(&prepared.journal), observer, RunState::default());
    recorder.all(prepared.started_events(), Durability::Durable).await?;
    drive(prepared, &recorder, interrupt).await
}

/// Goes on with a run that another process left, from what its journal says of it. `decisions` are what people said becomes of
/// it: written down first.
///
/// # Errors
///
/// As [`run`].
pub async fn resume(
    prepared: &Prepared,
    state: RunState,
    decisions: Vec<EventKind>,
    observer: Observer,
    interrupt: &CancellationToken,
) -> Result<RunResult, RunError> {
    let recorder = Recorder::new(prepared.run.clone(), Arc::clone(&prepared.journal), observer, state);
    let events = std::iter::once(prepared.resumed_event()).chain(decisions).collect();
    recorder.all(events, Durability::Durable).await?;
    remains::end(prepared, &recorder).await?;
    drive(prepared, &recorder, interrupt).await
}

async fn drive(prepared: &Prepared, recorder: &Recorder, interrupt: &CancellationToken) -> Result<RunResult, RunError> {
    let began = Mutex::new(BTreeMap::new());
    let stepper = Stepper { prepared, recorder, interrupt, began: &began };
    let driver = Driver {
        stepper: &stepper,
        course: &prepared.course(),
        steps: all_steps(&prepared.pipeline).map(|step| (&step.id, step)).collect(),
        // Undoing has a token of its own: the operator's first interrupt may be what led there.
        patient: &CancellationToken::new(),
        began: Instant::now(),
    };
    driver.drive().await
}

struct Driver<'r> {
    stepper: &'r Stepper<'r>,
    course: &'r Course,
    steps: BTreeMap<&'r StepId, &'r Step>,
    patient: &'r CancellationToken,
    began: Instant,
}

impl Driver<'_> {
    async fn drive(&self) -> Result<RunResult, RunError> {
        // Whoever was told already is not told again.
        let state = self.stepper.recorder.state();
        match state.rollback {
            // Of what comes after a deployment that succeeded nobody is told.
            None if state.succeeded => {}
            None => self.stepper.announce(NotifyEvent::Started, "running", "").await?,
            Some(rollback) => {
                self.stepper.announce(NotifyEvent::RollbackStarted, "rolling-back", &rollback.reason).await?;
            }
        }
        loop {
            let state = self.stepper.recorder.state();
            let now = Timestamp::now();
            let mut next = self.course.next(&state, now);
            let next_step = match &next {
                Next::Attempt(step) | Next::Wait(step) => Some(step),
                Next::SideBySide { steps, .. } => steps.first(),
                _ => None,
            };
            if let (Some(step), None, true) = (next_step, &state.rollback, self.stepper.interrupt.is_cancelled()) {
                if self.stops() || state.succeeded {
                    return self.stopped().await;
                }
                let reason = match next {
                    Next::Wait(_) => format!("gate \"{step}\": interrupted by the operator before it was passed"),
                    _ => format!("step \"{step}\": interrupted by the operator before it began"),
                };
                next = self.course.turn_back(&state, reason, Outcome::Interrupted);
            }
            if let Some(began) = self.course.begins(&next, &state, now) {
                self.stepper.recorder.durable(began).await?;
            }
            let stopped = match next {
                Next::Attempt(step) => self.attempt(&step, state.rollback.is_some()).await?,
                Next::SideBySide { steps, at_once, all } => self.side_by_side(steps, at_once, all).await?,
                Next::Fail(step, failure) => match self.steps.get(&step) {
                    Some(step) => self.stepper.finish(step, Err(*failure)).await?,
                    None => return Err(RunError::Unknown(step)),
                },
                Next::Hold { step, wave, guard_first } => self.hold(&step, wave, guard_first).await?,
                Next::Finish(step) => self.finish_waves(&step).await?,
                Next::Breached(step) => {
                    let breach = state.step(&step).and_then(|known| known.waves.breach.as_ref());
                    let why = breach.map(|breach| breach.failure.message.clone()).unwrap_or_default();
                    return self.waits(Wait::Breach { step: Some(step), why }).await;
                }
                Next::Ask(step) => return self.waits(Wait::Decision(step)).await,
                Next::Wait(gate) => match self.wait_at(&gate, state.rollback.is_some()).await? {
                    // What that means is in the journal now, or in the operator's wish to stop.
                    Waited::Closed | Waited::Interrupted => Stopped::No,
                    Waited::Alone { role } => return self.waits(Wait::Gate { gate, role }).await,
                },
                // It has succeeded, and owns its environment no longer until then.
                Next::Barred(_) if state.succeeded => return self.end(Outcome::Succeeded, None).await,
                Next::Barred(bar) => return self.waits(Wait::Phase(bar)).await,
                Next::Halted { step, why } => return self.waits(Wait::Halted { step, why }).await,
                Next::Stop(gate) => return self.waits(Wait::Expired(gate)).await,
                Next::RollBack { reason, entries } => self.turn_back(&state, reason, entries).await?,
                Next::Undo(step) => self.undo(&step).await?,
                Next::End(outcome, reason) => return self.end(outcome, reason).await,
            };
            if stopped == Stopped::Here {
                return self.stopped().await;
            }
        }
    }

    async fn attempt(&self, step: &StepId, rolling_back: bool) -> Result<Stopped, RunError> {
        let (Some(leg), Some(step)) = (self.course.leg(step), self.steps.get(step)) else {
            return Err(RunError::Unknown(step.clone()));
        };
        let interrupt = if rolling_back { self.patient } else { self.stepper.interrupt };
        Ok(Stepper { interrupt, ..*self.stepper }.attempt_next(step, leg).await?)
    }

    async fn wait_at(&self, gate: &StepId, rolling_back: bool) -> Result<Waited, RunError> {
        let Some(gate) = self.stepper.prepared.pipeline.all_gates().find(|known| known.id == *gate) else {
            return Err(RunError::Unknown(gate.clone()));
        };
        let interrupt = if rolling_back { self.patient } else { self.stepper.interrupt };
        Ok(Stepper { interrupt, ..*self.stepper }.wait_at(gate).await?)
    }

    async fn finish_waves(&self, step: &StepId) -> Result<Stopped, RunError> {
        let Some(step) = self.steps.get(step) else { return Err(RunError::Unknown(step.clone())) };
        Ok(self.stepper.finish_waves(step).await?)
    }

    async fn hold(&self, step: &StepId, wave: u32, guard_first: bool) -> Result<Stopped, RunError> {
        let Some(step) = self.steps.get(step) else { return Err(RunError::Unknown(step.clone())) };
        Ok(self.stepper.hold(step, wave, guard_first).await?)
    }

    /// Runs instances of one step, so many at the same time, each until it has ended. Those that run are not stopped where one
    /// fails.
    async fn side_by_side(&self, steps: Vec<StepId>, at_once: usize, all: bool) -> Result<Stopped, RunError> {
        let mut waiting = steps.into_iter();
        let mut running = FuturesUnordered::new();
        let (mut going, mut stopped) = (true, Stopped::No);
        loop {
            while going && running.len() < at_once && !self.stepper.interrupt.is_cancelled() {
                let Some(step) = waiting.next() else { break };
                running.push(self.to_its_end(step));
            }
            let Some(ended) = running.next().await else { return Ok(stopped) };
            let (how, succeeded) = ended?;
            going = going && how == Stopped::No && (succeeded || all);
            stopped = if how == Stopped::Here { how } else { stopped };
        }
    }

    /// Makes attempts of a step until it has ended, and says whether it succeeded.
    async fn to_its_end(&self, step: StepId) -> Result<(Stopped, bool), RunError> {
        let mut next = Next::Attempt(step.clone());
        loop {
            let stopped = match &next {
                Next::Hold { wave, guard_first, .. } => self.hold(&step, *wave, *guard_first).await?,
                Next::Finish(_) => self.finish_waves(&step).await?,
                _ => self.attempt(&step, false).await?,
            };
            let (state, leg) = (self.stepper.recorder.state(), self.course.leg(&step));
            let known = state.step(&step).zip(leg);
            let started = known.filter(|(known, _)| known.standing == StepStanding::Started);
            let then = started.map(|(known, leg)| leg.go_on(known, state.resumed));
            match then {
                Some(then @ (Next::Attempt(_) | Next::Hold { .. } | Next::Finish(_)))
                    if stopped == Stopped::No && !self.stepper.interrupt.is_cancelled() =>
                {
                    next = then;
                }
                _ => {
                    let succeeded = known.is_some_and(|(known, _)| known.standing == StepStanding::Succeeded);
                    return Ok((stopped, succeeded));
                }
            }
        }
    }

    async fn undo(&self, step: &StepId) -> Result<Stopped, RunError> {
        let Some(step) = self.steps.get(step) else { return Err(RunError::Unknown(step.clone())) };
        Stepper { interrupt: self.patient, ..*self.stepper }.undo(step).await?;
        Ok(Stopped::No)
    }

    /// Undoing begins: people are told before, so that they are told once where it is resumed.
    async fn turn_back(&self, state: &RunState, reason: String, entries: Vec<StepId>) -> Result<Stopped, RunError> {
        if state.rollback_requested.is_none() {
            self.stepper.announce(NotifyEvent::StepFailed, "running", &reason).await?;
        }
        self.stepper.recorder.durable(EventKind::RollbackStarted { reason: reason.clone(), entries }).await?;
        self.stepper.announce(NotifyEvent::RollbackStarted, "rolling-back", &reason).await?;
        Ok(Stopped::No)
    }

    async fn end(&self, outcome: Outcome, reason: Option<String>) -> Result<RunResult, RunError> {
        let event = match outcome {
            Outcome::Succeeded => NotifyEvent::Succeeded,
            Outcome::Failed | Outcome::Interrupted | Outcome::Abandoned => NotifyEvent::Failed,
            Outcome::RolledBack => NotifyEvent::RolledBack,
            Outcome::RollbackFailed => NotifyEvent::RollbackFailed,
        };
        let why = reason.as_deref().unwrap_or_default();
        let known = event == NotifyEvent::Succeeded && self.stepper.recorder.state().succeeded;
        if event == NotifyEvent::Failed {
            self.stepper.announce(NotifyEvent::StepFailed, "running", why).await?;
        }
        if !known {
            self.stepper.announce(event, outcome.word(), why).await?;
        }
        let duration_ms = milliseconds(self.began);
        let finished = EventKind::RunFinished { outcome, reason: reason.clone(), duration_ms };
        let mut events = vec![finished];
        if outcome == Outcome::Succeeded && !known {
            events.extend(self.stepper.prepared.watch_opened());
        }
        self.stepper.recorder.all(events, Durability::Durable).await?;
        Ok(self.result(Ending::Finished(outcome), reason))
    }

    /// Nothing more can be done until somebody has done something.
    async fn waits(&self, wait: Wait) -> Result<RunResult, RunError> {
        let why = wait.to_string();
        self.stepper.recorder.durable(EventKind::RunPaused { why: why.clone() }).await?;
        Ok(self.result(Ending::Waiting(wait), Some(why)))
    }

    async fn stopped(&self) -> Result<RunResult, RunError> {
        let why = "stopped by the operator".to_owned();
        self.stepper.recorder.durable(EventKind::RunPaused { why: why.clone() }).await?;
        Ok(self.result(Ending::Stopped, Some(why)))
    }

    fn stops(&self) -> bool {
        self.stepper.prepared.pipeline.on_interrupt == pipe_pipeline::OnInterrupt::Stop
    }

    fn result(&self, ending: Ending, reason: Option<String>) -> RunResult {
        let state = self.stepper.recorder.state();
        let succeeded = ending == Ending::Finished(Outcome::Succeeded);
        let later = succeeded.then(|| self.course.next(&state, Timestamp::now())).and_then(|next| match next {
            Next::Barred(bar) => Some(bar.to_string()),
            Next::End(..) => None,
            _ => Some("its next phase is due".to_owned()),
        });
        RunResult { ending, reason, state, later }
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Decision(step) => {
                write!(f, "step \"{step}\" was cut off after it had begun to change something: retry it, or undo?")
            }
            Self::Gate { gate, role } => write!(f, "{role} decides at the gate \"{gate}\""),
            Self::Phase(bar) => write!(f, "{bar}"),
            Self::Halted { step, why } => write!(f, "\"{step}\" of a later phase failed ({why}): try again, or undo?"),
            Self::Expired(gate) => write!(f, "nobody decided at the gate \"{gate}\" in time: resume, to ask again"),
            Self::Breach { step: Some(step), why } => {
                write!(f, "the guard of step \"{step}\" was not met ({why}): look again and go on, or undo?")
            }
            Self::Breach { step: None, why } => {
                write!(f, "the watch was not met ({why}): watch on, or undo?")
            }
        }
    }
}
