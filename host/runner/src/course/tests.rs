//! The order of a run, without a run: a world of steps that do what a script says, and a process that may die between any
//! two events.

use pipe_core::{
    digest::Digest,
    event::{EventKind, Moment, PluginIdentity, Resolution, StepStatus, Use, Wave},
    report::StageReport,
};
use proptest::prelude::*;

use super::*;

fn leg(name: &str, stage: Stage) -> Leg {
    let reversible = matches!(stage, Stage::Migrate | Stage::Release);
    Leg {
        step: StepId::new(name),
        stage,
        reversible,
        in_flight: None,
        attempts: 2,
        repetition: Repetition::default(),
        waves: 0,
    }
}

fn failure(retryable: bool) -> Failure {
    Failure { kind: FailureKind::Other, message: "broken".into(), retryable, findings: Vec::new(), hint: None }
}

fn started(step: &str, stage: Stage) -> EventKind {
    let plugin = PluginIdentity { name: "std:x".into(), version: "1".into(), digest: Digest::of(b"x") };
    EventKind::StepStarted { step: StepId::new(step), stage, plugin, settings_digest: Digest::of(b"") }
}

fn attempt(step: &str, attempt: u32) -> EventKind {
    EventKind::AttemptStarted { step: StepId::new(step), attempt, idempotency_key: "k".into() }
}

fn touched(step: &str, attempt: u32, word: &str) -> [EventKind; 2] {
    let used = Use { word: word.into(), effect: true, ..Use::default() };
    [EventKind::Touched { step: StepId::new(step), attempt }, EventKind::Used { step: StepId::new(step), used }]
}

fn failed(step: &str, attempt: u32, failure: Failure) -> EventKind {
    EventKind::AttemptFailed { step: StepId::new(step), attempt, failure, retry_in_ms: None }
}

fn finished(step: &str, failure: Option<Failure>) -> EventKind {
    let status = if failure.is_none() { StepStatus::Succeeded } else { StepStatus::Failed };
    let report = failure.is_none().then(StageReport::default);
    EventKind::StepFinished { step: StepId::new(step), status, report, failure, duration_ms: 1 }
}

fn barrier(gate: &str, on_expiry: OnExpiry) -> Barrier {
    Barrier { gate: StepId::new(gate), on_expiry, if_started: None }
}

fn opened(gate: &str) -> EventKind {
    let at = jiff::Timestamp::UNIX_EPOCH;
    EventKind::GateOpened {
        step: StepId::new(gate),
        role: "lead".into(),
        quorum: 1,
        opening: "x".into(),
        opened: Moment { at, boot: None, boot_ms: 0 },
        expires_ms: 1,
        expires_at: at,
        plan_digest: Digest::of(b"plan"),
        checklist: Vec::new(),
        signers: String::new(),
        requesters: Vec::new(),
    }
}

fn closed(gate: &str, how: GateEnd) -> EventKind {
    EventKind::GateClosed { step: StepId::new(gate), how, by: Vec::new(), why: None, checklist: Vec::new() }
}

fn resumed() -> EventKind {
    EventKind::RunResumed { actor: "a".into(), pipe_version: "1".into(), boot: None, epoch: 1 }
}

#[test]
fn a_gate_stands_before_its_step_until_people_have_agreed() {
    let gated = |on_expiry| Course { gates: vec![(1, barrier("go", on_expiry))], ..course() };
    let go = || StepId::new("go");
    let mut events = vec![started("migrate", Stage::Migrate), attempt("migrate", 1)];
    events.extend(touched("migrate", 1, "sql"));
    events.push(finished("migrate", None));
    assert_eq!(next(&gated(OnExpiry::Stop), &events), Next::Wait(go()));
    events.push(opened("go"));
    assert_eq!(next(&gated(OnExpiry::Stop), &events), Next::Wait(go()), "also for the process that comes after");
    let with = |how, more: &[EventKind]| [&events[..], &[closed("go", how)], more].concat();
    assert_eq!(next(&gated(OnExpiry::Stop), &with(GateEnd::Passed, &[])), Next::Attempt(StepId::new("release")));
    let back =
        |why: &str| Next::RollBack { reason: format!("gate \"go\": {why}"), entries: vec![StepId::new("migrate")] };
    assert_eq!(next(&gated(OnExpiry::Stop), &with(GateEnd::Rejected, &[])), back("rejected by lead"));
    assert_eq!(next(&gated(OnExpiry::Rollback), &with(GateEnd::Expired, &[])), back("lead did not decide in time"));
    assert_eq!(next(&gated(OnExpiry::Stop), &with(GateEnd::Expired, &[])), Next::Stop(go()));
    assert_eq!(
        next(&gated(OnExpiry::Stop), &with(GateEnd::Expired, &[resumed()])),
        Next::Wait(go()),
        "it is asked again"
    );
    let first = Course { gates: vec![(0, barrier("go", OnExpiry::Stop))], ..course() };
    let rejected = [opened("go"), closed("go", GateEnd::Rejected)];
    let reason = Some("gate \"go\": rejected by lead".to_owned());
    assert_eq!(next(&first, &rejected), Next::End(Outcome::Failed, reason), "there is nothing to undo");
    let last =
        Course { steps: Vec::new(), gates: vec![(0, barrier("go", OnExpiry::Stop))], rollback: None, window: None };
    assert_eq!(next(&last, &[]), Next::Wait(go()), "one may stand behind all steps");
}

#[test]
fn a_gate_of_the_rollback_stands_where_it_has_something_to_guard() {
    let asked =
        |if_started: Option<&str>| Barrier { if_started: if_started.map(Into::into), ..barrier("ask", OnExpiry::Fail) };
    let guarded = |gate| {
        let rollback = vec![
            Back::Undo { step: "release".into(), continue_on_failure: false, gate: None },
            Back::Undo { step: "migrate".into(), continue_on_failure: false, gate: Some(gate) },
        ];
        Course { rollback: Some(rollback), ..course() }
    };
    let mut migrated = vec![started("migrate", Stage::Migrate), attempt("migrate", 1)];
    migrated.extend(touched("migrate", 1, "sql"));
    migrated.push(EventKind::RollbackRequested { actor: "a".into(), reason: "no".into() });
    let entries = |names: &[&str]| names.iter().map(|name| StepId::new(*name)).collect::<Vec<_>>();
    let back = |names: &[&str]| Next::RollBack { reason: "no".into(), entries: entries(names) };
    assert_eq!(next(&guarded(asked(None)), &migrated), back(&["ask", "migrate"]));
    assert_eq!(next(&guarded(asked(Some("release"))), &migrated), back(&["migrate"]), "release never started");
    let none = [started("release", Stage::Release), attempt("release", 1)];
    let only = [&none[..], &touched("release", 1, "write"), &migrated[4..]].concat();
    assert_eq!(next(&guarded(asked(None)), &only), back(&["release"]), "there is no migration to guard");

    let course = guarded(asked(None));
    let begun = EventKind::RollbackStarted { reason: "no".into(), entries: entries(&["ask", "migrate"]) };
    let begun = [&migrated[..], &[begun]].concat();
    assert_eq!(next(&course, &begun), Next::Wait(StepId::new("ask")));
    let with = |how, more: &[EventKind]| [&begun[..], &[opened("ask"), closed("ask", how)], more].concat();
    assert_eq!(next(&course, &with(GateEnd::Passed, &[])), Next::Undo(StepId::new("migrate")));
    let why = "no; gate \"ask\": rejected by lead, and what comes after it stays; step \"migrate\" was not undone: its turn did not come".to_owned();
    assert_eq!(next(&course, &with(GateEnd::Rejected, &[])), Next::End(Outcome::RollbackFailed, Some(why)));
    assert_eq!(next(&course, &with(GateEnd::Rejected, &[resumed()])), Next::Wait(StepId::new("ask")), "asked again");
}

fn course() -> Course {
    Course {
        steps: vec![leg("migrate", Stage::Migrate), leg("release", Stage::Release)],
        gates: Vec::new(),
        rollback: None,
        window: None,
    }
}

fn next(course: &Course, events: &[EventKind]) -> Next {
    course.next(&RunState::of(events), Timestamp::UNIX_EPOCH)
}

#[test]
fn what_was_cut_off_follows_what_it_had_touched() {
    let step = StepId::new("migrate");
    let begun = [started("migrate", Stage::Migrate), attempt("migrate", 1)];
    assert_eq!(next(&course(), &begun), Next::Attempt(step.clone()), "nothing was touched");
    let sql = [&begun[..], &touched("migrate", 1, "sql")].concat();
    assert_eq!(next(&course(), &sql), Next::Attempt(step.clone()), "SQL takes effect once");
    let http = [&sql[..], &touched("migrate", 1, "http")].concat();
    assert_eq!(next(&course(), &http), Next::Ask(step.clone()), "nobody knows");
    let decide = |decision| EventKind::InFlightDecided { step: step.clone(), decision, actor: "a".into() };
    let told = [&http[..], &[decide(InFlight::Retry)]].concat();
    assert_eq!(next(&course(), &told), Next::Attempt(step.clone()));
    let told = [&http[..], &[decide(InFlight::Undo)]].concat();
    assert!(matches!(next(&course(), &told), Next::Fail(..)));
    let again = [&told[..], &[attempt("migrate", 2)], &touched("migrate", 2, "http")].concat();
    assert_eq!(next(&course(), &again), Next::Ask(step), "an answer is for one attempt");
    let backup = Course { steps: vec![leg("backup", Stage::Backup)], gates: Vec::new(), rollback: None, window: None };
    let begun = [&[started("backup", Stage::Backup), attempt("backup", 1)][..], &touched("backup", 1, "exec")].concat();
    assert_eq!(next(&backup, &begun), Next::Attempt(StepId::new("backup")), "a backup may be taken twice");
}

#[test]
fn what_failed_is_repeated_only_where_that_is_safe() {
    let begun = [started("release", Stage::Release), attempt("release", 1)];
    let course =
        Course { steps: vec![leg("release", Stage::Release)], gates: Vec::new(), rollback: None, window: None };
    let step = StepId::new("release");
    let untouched = [&begun[..], &[failed("release", 1, failure(true))]].concat();
    assert_eq!(next(&course, &untouched), Next::Attempt(step.clone()));
    let final_one = [&begun[..], &[failed("release", 1, failure(false))]].concat();
    assert_eq!(next(&course, &final_one), Next::Fail(step.clone(), Box::new(failure(false))));
    let over = [&untouched[..], &[attempt("release", 2), failed("release", 2, failure(true))]].concat();
    assert_eq!(next(&course, &over), Next::Fail(step.clone(), Box::new(failure(true))), "two attempts in all");
    let written = [&begun[..], &touched("release", 1, "write"), &[failed("release", 1, failure(true))]].concat();
    assert_eq!(next(&course, &written), Next::Fail(step.clone(), Box::new(failure(true))), "it had begun to write");
    let mut retried = course;
    retried.steps[0].in_flight = Some(InFlight::Retry);
    assert_eq!(next(&retried, &written), Next::Attempt(step));
}

#[test]
fn a_wave_is_released_once_and_held_again_after_a_crash() {
    let course = Course { steps: vec![Leg { waves: 2, ..leg("release", Stage::Release) }], ..Course::default() };
    let step = StepId::new("release");
    let wave = |index| Wave { index, count: 2, weight: 5_000 * index };
    let released =
        |index| EventKind::WaveReleased { step: step.clone(), wave: wave(index), report: StageReport::default() };
    let holding = EventKind::WaveHolding { step: step.clone(), wave: wave(1), hold_ms: 1 };
    let resumed = || EventKind::RunResumed { actor: "a".into(), pipe_version: "1".into(), boot: None, epoch: 0 };
    let hold = |guard_first| Next::Hold { step: step.clone(), wave: 1, guard_first };
    let mut events = vec![started("release", Stage::Release), attempt("release", 1)];
    events.extend(touched("release", 1, "http"));
    assert_eq!(
        next(&course, &[&events[..], &[resumed()]].concat()),
        Next::Ask(step.clone()),
        "it may have been released"
    );
    events.push(released(1));
    assert_eq!(next(&course, &events), hold(false));
    assert_eq!(next(&course, &[&events[..], &[resumed()]].concat()), hold(true), "nobody knows what was before");
    events.extend([holding, resumed()]);
    assert_eq!(next(&course, &events), hold(true));
    let breached =
        |breach| EventKind::GuardBreached { step: step.clone(), wave: wave(1), breach, failure: failure(false) };
    let at_once = [&events[..], &[breached(Breach::Rollback)]].concat();
    assert_eq!(next(&course, &at_once), Next::Fail(step.clone(), Box::new(failure(false))));
    let asked = [&events[..], &[breached(Breach::Ask), resumed()]].concat();
    assert_eq!(next(&course, &asked), Next::Breached(step.clone()), "nobody has said anything");
    let decide = |decision| EventKind::InFlightDecided { step: step.clone(), decision, actor: "a".into() };
    assert_eq!(next(&course, &[&asked[..], &[decide(InFlight::Retry)]].concat()), hold(true));
    assert!(matches!(next(&course, &[&asked[..], &[decide(InFlight::Undo)]].concat()), Next::Fail(..)));
    events.push(EventKind::WaveFinished { step: step.clone(), wave: wave(1) });
    assert_eq!(next(&course, &events), Next::Attempt(step.clone()));
    events.extend([attempt("release", 2), released(2), EventKind::WaveFinished { step: step.clone(), wave: wave(2) }]);
    assert_eq!(next(&course, &events), Next::Finish(step));
}

#[test]
fn a_rollback_goes_on_where_it_stood_and_tries_again_what_failed_before() {
    let mut events = vec![started("migrate", Stage::Migrate), attempt("migrate", 1)];
    events.extend(touched("migrate", 1, "sql"));
    events.extend([finished("migrate", None), started("release", Stage::Release), attempt("release", 1)]);
    events.extend(touched("release", 1, "write"));
    events.push(finished("release", Some(failure(false))));
    let entries = vec![StepId::new("release"), StepId::new("migrate")];
    let reason = "step \"release\": broken".to_owned();
    assert_eq!(next(&course(), &events), Next::RollBack { reason: reason.clone(), entries: entries.clone() });
    events.push(EventKind::RollbackStarted { reason: reason.clone(), entries });
    assert_eq!(next(&course(), &events), Next::Undo(StepId::new("release")));
    let undone = |step: &str, failure: Option<Failure>| EventKind::UndoFinished {
        step: StepId::new(step),
        report: None,
        failure,
        summaries: Vec::new(),
        duration_ms: 1,
    };
    events.push(undone("release", None));
    events.push(undone("migrate", Some(failure(false))));
    let why = format!("{reason}; step \"migrate\" could not be undone: broken");
    assert_eq!(next(&course(), &events), Next::End(Outcome::RollbackFailed, Some(why)));
    events.push(EventKind::RunResumed { actor: "a".into(), pipe_version: "1".into(), boot: None, epoch: 0 });
    assert_eq!(next(&course(), &events), Next::Undo(StepId::new("migrate")), "release is not undone twice");
    let by_hand = EventKind::Resolved {
        step: StepId::new("migrate"),
        resolution: Resolution::Undone,
        actor: "a".into(),
        reason: "restored".into(),
    };
    events.push(by_hand);
    assert_eq!(next(&course(), &events), Next::End(Outcome::RolledBack, Some(reason)));
}

#[test]
fn a_run_that_succeeded_is_undone_where_somebody_asks() {
    let mut events = vec![started("migrate", Stage::Migrate), attempt("migrate", 1)];
    events.extend(touched("migrate", 1, "sql"));
    events.extend([finished("migrate", None), started("release", Stage::Release), finished("release", None)]);
    assert_eq!(next(&course(), &events), Next::End(Outcome::Succeeded, None));
    events.push(EventKind::RollbackRequested { actor: "a".into(), reason: "errors (a)".into() });
    let entries = vec![StepId::new("migrate")];
    assert_eq!(next(&course(), &events), Next::RollBack { reason: "errors (a)".into(), entries });
}

/// What happens next in a world where everything is possible.
#[derive(Clone, Debug)]
enum Happening {
    Success,
    Failure { retryable: bool },
    Touch { word: &'static str },
    Crash,
    Interrupt,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        3 => Just(Happening::Success),
        1 => any::<bool>().prop_map(|retryable| Happening::Failure { retryable }),
        2 => prop::sample::select(vec!["sql", "http", "write"]).prop_map(|word| Happening::Touch { word }),
        2 => Just(Happening::Crash),
        1 => Just(Happening::Interrupt),
    ];
    prop::collection::vec(one, 0..60)
}

/// A process that does what `next` says, in a world that does what the script says. When the script is over, everything
/// succeeds.
struct World {
    course: Course,
    journal: Vec<EventKind>,
    script: std::vec::IntoIter<Happening>,
    finished: Vec<StepId>,
    /// Waves that were released, in order.
    released: Vec<u32>,
}

impl World {
    fn state(&self) -> RunState {
        RunState::of(&self.journal)
    }

    fn write(&mut self, event: EventKind) {
        if let EventKind::StepFinished { step, .. } = &event {
            self.finished.push(step.clone());
        }
        self.journal.push(event);
    }

    fn resumed(&mut self) {
        self.write(EventKind::RunResumed { actor: "a".into(), pipe_version: "1".into(), boot: None, epoch: 0 });
    }

    /// Makes an attempt until it ends or the process dies in it.
    fn attempt(&mut self, step: &StepId) {
        let name = step.name.clone();
        let known = self.state().step(step).cloned();
        if known.is_none() {
            let stage = self.course.leg(step).expect("is a step").stage;
            self.write(started(&name, stage));
        }
        let number = known.map_or(0, |known| known.attempt) + 1;
        self.write(attempt(&name, number));
        loop {
            match self.script.next().unwrap_or(Happening::Success) {
                Happening::Touch { word } => self.journal.extend(touched(&name, number, word)),
                Happening::Success => return self.succeeded(step),
                Happening::Failure { retryable } => return self.write(failed(&name, number, failure(retryable))),
                Happening::Interrupt => {
                    let interrupted = Failure { kind: FailureKind::Interrupted, ..failure(false) };
                    return self.write(failed(&name, number, interrupted));
                }
                Happening::Crash => return self.resumed(),
            }
        }
    }

    /// The attempt did what it should: the step is done, or one wave of it.
    fn succeeded(&mut self, step: &StepId) {
        let count = self.course.leg(step).expect("is a step").waves;
        if count == 0 {
            return self.write(finished(&step.name, None));
        }
        let index = self.state().step(step).map_or(0, |known| known.waves.released) + 1;
        self.released.push(index);
        let report = StageReport::default();
        self.write(EventKind::WaveReleased { step: step.clone(), wave: self.wave(step, index), report });
    }

    fn wave(&self, step: &StepId, index: u32) -> Wave {
        let count = self.course.leg(step).expect("is a step").waves;
        Wave { index, count, weight: 10_000 * index / count }
    }

    /// Holds a wave until that ends or the process dies in it. A guard that must pass first is asked first.
    fn hold(&mut self, step: &StepId, index: u32, guard_first: bool) {
        let wave = self.wave(step, index);
        let breached = |breach| EventKind::GuardBreached { step: step.clone(), wave, breach, failure: failure(false) };
        for first in [true, false] {
            if first && !guard_first {
                continue;
            }
            if !first {
                self.write(EventKind::WaveHolding { step: step.clone(), wave, hold_ms: 1 });
            }
            match self.script.next().unwrap_or(Happening::Success) {
                Happening::Success | Happening::Touch { .. } => {}
                Happening::Failure { retryable: true } => return self.write(breached(Breach::Ask)),
                Happening::Failure { retryable: false } => return self.write(breached(Breach::Rollback)),
                Happening::Interrupt => {
                    let interrupted = Failure { kind: FailureKind::Interrupted, ..failure(false) };
                    return self.write(finished(&step.name, Some(interrupted)));
                }
                Happening::Crash => return self.resumed(),
            }
        }
        self.write(EventKind::WaveFinished { step: step.clone(), wave });
    }

    /// Waits at a gate until people have decided or the process dies.
    fn wait(&mut self, gate: &StepId) {
        if self.state().gates.get(gate).is_none_or(|known| known.ended.is_some()) {
            self.write(opened(&gate.name));
        }
        match self.script.next().unwrap_or(Happening::Success) {
            Happening::Failure { retryable: true } => self.write(closed(&gate.name, GateEnd::Expired)),
            Happening::Failure { retryable: false } => self.write(closed(&gate.name, GateEnd::Rejected)),
            Happening::Crash => self.resumed(),
            Happening::Success | Happening::Touch { .. } | Happening::Interrupt => {
                self.write(closed(&gate.name, GateEnd::Passed));
            }
        }
    }

    fn undo(&mut self, step: &StepId) {
        let end = |failure| EventKind::UndoFinished {
            step: step.clone(),
            report: None,
            failure,
            summaries: Vec::new(),
            duration_ms: 1,
        };
        match self.script.next().unwrap_or(Happening::Success) {
            Happening::Success | Happening::Touch { .. } | Happening::Interrupt => self.write(end(None)),
            Happening::Failure { .. } => self.write(end(Some(failure(false)))),
            Happening::Crash => self.resumed(),
        }
    }

    /// Until the run has an end that leaves nothing to do. A person answers what is asked, and resumes what failed.
    fn live(&mut self) -> Outcome {
        for turn in 0..1_000 {
            let state = self.state();
            match self.course.next(&state, Timestamp::UNIX_EPOCH) {
                Next::Attempt(step) => {
                    assert!(
                        !self.finished.contains(&step) || state.rollback.is_some(),
                        "{step} runs again although its report was durable"
                    );
                    let gate = self.course.gates.first().filter(|_| step.name == "release");
                    let passed =
                        |gate: &StepId| state.gates.get(gate).is_some_and(|known| known.ended == Some(GateEnd::Passed));
                    assert!(gate.is_none_or(|(_, gate)| passed(&gate.gate)), "{step} runs before people agreed");
                    self.attempt(&step);
                }
                Next::Wait(gate) => self.wait(&gate),
                Next::Stop(_) => self.resumed(),
                Next::SideBySide { steps, .. } => steps.iter().for_each(|step| self.attempt(step)),
                Next::Hold { step, wave, guard_first } => {
                    let cut_off = matches!(self.journal.last(), Some(EventKind::RunResumed { .. }));
                    assert!(guard_first || !cut_off, "the guard passes first after a crash");
                    self.hold(&step, wave, guard_first);
                }
                Next::Finish(step) => self.write(finished(&step.name, None)),
                Next::Fail(step, failure) => self.write(finished(&step.name, Some(*failure))),
                Next::Ask(step) | Next::Breached(step) => {
                    let decision = if turn % 2 == 0 { InFlight::Retry } else { InFlight::Undo };
                    self.write(EventKind::InFlightDecided { step, decision, actor: "a".into() });
                }
                Next::RollBack { reason, entries } => self.write(EventKind::RollbackStarted { reason, entries }),
                Next::Undo(step) => self.undo(&step),
                Next::End(Outcome::RollbackFailed, _) if self.course.steps.iter().all(|leg| leg.reversible) => {
                    self.resumed();
                }
                Next::End(outcome, _) => return outcome,
                other @ (Next::Barred(_) | Next::Halted { .. }) => panic!("there are no phases: {other:?}"),
            }
        }
        panic!("the run never ends: {:?}", self.journal);
    }
}

proptest! {
    #[test]
    fn every_run_comes_to_an_end_and_no_step_runs_again_after_its_report(
        script in happenings(), listed in any::<bool>(), gated in any::<bool>(), waves in 0_u32..4,
    ) {
        let mut course = course();
        course.steps[1].waves = waves;
        if gated {
            course.gates.push((1, barrier("go", OnExpiry::Stop)));
        }
        if listed {
            let asked = |step: &str| (step == "migrate").then(|| barrier("undo migrate", OnExpiry::Fail));
            let undo = |step: &str| Back::Undo { step: step.into(), continue_on_failure: false, gate: asked(step) };
            let smoke = Back::Run(leg("smoke", Stage::Verify));
            course.rollback = Some(vec![undo("migrate"), undo("release"), smoke]);
        }
        let mut world =
            World { course, journal: Vec::new(), script: script.into_iter(), finished: Vec::new(), released: Vec::new() };
        let outcome = world.live();
        let state = world.state();
        let stands = |name: &str| state.step(&StepId::new(name)).is_some_and(|known| known.standing == StepStanding::Succeeded);
        let again = world.released.windows(2).any(|pair| pair[1] != pair[0] + 1);
        prop_assert!(!again, "a wave was released again: {:?}", world.released);
        match outcome {
            Outcome::Succeeded => {
                prop_assert!(stands("migrate") && stands("release"));
                let held = state.step(&StepId::new("release")).map_or(0, |known| known.waves.finished);
                prop_assert!(held == waves, "{held} of {waves} waves held");
            }
            Outcome::RolledBack => {
                let left = world.course.steps.iter().any(|leg| leg.changed(&state));
                prop_assert!(!left, "something that was started still stands");
            }
            Outcome::Failed | Outcome::Interrupted => {
                prop_assert!(!state.steps.iter().any(|known| known.touched), "something may have changed");
            }
            other => prop_assert!(false, "{other}"),
        }
    }
}
