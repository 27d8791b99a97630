//! Phases, without a clock: a table of times, and any course of a clock that may jump.

use std::collections::BTreeMap;

use pipe_core::{
    digest::Digest,
    event::{Breach, GateEnd, InFlight, Moment, PluginIdentity, StepStatus, Wave},
    report::{Failure, FailureKind, StageReport},
    stage::Stage,
};
use pipe_pipeline::{OnExpiry, Repetition};
use proptest::prelude::*;

use super::*;
use crate::course::{Barrier, Leg};

const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn phase(text: &str) -> Phase {
    text.parse().unwrap()
}

/// A step of each phase, named after it; of `t` two.
fn course(phases: &[&str], late: Option<Duration>, max_age: Option<Duration>) -> Course {
    let leg = |name: &str| Leg {
        step: StepId::new(name),
        stage: if name == "release" { Stage::Release } else { Stage::Verify },
        reversible: name == "release",
        in_flight: Some(InFlight::Retry),
        attempts: 1,
        waves: 0,
        repetition: Repetition::default(),
    };
    let (before, after): (Vec<&str>, Vec<&str>) = phases.iter().copied().partition(|text| !phase(text).is_after());
    let names = before.into_iter().chain(["release", "verify"]).chain(after);
    let window = Window {
        start: at(0),
        duration: Duration::from_secs(4 * 3_600),
        late,
        max_age,
        phases: phases.iter().map(|text| ((*text).to_owned(), phase(text))).collect(),
    };
    Course { steps: names.map(leg).collect(), gates: Vec::new(), rollback: None, window: Some(window) }
}

fn failure() -> Failure {
    Failure { kind: FailureKind::Other, message: "broken".into(), retryable: false, findings: Vec::new(), hint: None }
}

fn ran(step: &StepId, stage: Stage, failure: Option<Failure>) -> Vec<EventKind> {
    let plugin = PluginIdentity { name: "std:x".into(), version: "1".into(), digest: Digest::of(b"x") };
    let status = if failure.is_none() { StepStatus::Succeeded } else { StepStatus::Failed };
    let report = failure.is_none().then(StageReport::default);
    vec![
        EventKind::StepStarted { step: step.clone(), stage, plugin, settings_digest: Digest::of(b"") },
        EventKind::AttemptStarted { step: step.clone(), attempt: 1, idempotency_key: "k".into() },
        EventKind::Touched { step: step.clone(), attempt: 1 },
        EventKind::StepFinished { step: step.clone(), status, report, failure, duration_ms: 1 },
    ]
}

fn succeeded() -> EventKind {
    EventKind::RunFinished { outcome: Outcome::Succeeded, reason: None, duration_ms: 1 }
}

fn resumed() -> EventKind {
    EventKind::RunResumed { actor: "a".into(), pipe_version: "1".into(), boot: None, epoch: 1 }
}

/// A run in which the steps of these names have run, the phases having begun at these times.
fn after(course: &Course, began: &[(&str, i64)], steps: &[&str]) -> Vec<EventKind> {
    let began = began.iter().map(|(text, seconds)| {
        let (phase, at) = (phase(text), at(*seconds));
        EventKind::PhaseBegan { phase, due: course.window.as_ref().unwrap().due(phase), at }
    });
    let ran = steps.iter().flat_map(|name| {
        let leg = course.leg(&StepId::new(*name)).unwrap();
        ran(&leg.step, leg.stage, None)
    });
    began.chain(ran).collect()
}

fn next(course: &Course, events: &[EventKind], seconds: i64) -> Next {
    course.next(&RunState::of(events), at(seconds))
}

fn attempt(name: &str) -> Next {
    Next::Attempt(StepId::new(name))
}

#[test]
fn a_phase_begins_when_it_is_due_and_as_long_as_it_is_not_too_late() {
    let course = course(&["t-24h", "t-1h"], None, None);
    let not_due = |text: &str, due: i64| Next::Barred(Bar::NotDue { phase: phase(text), due: at(due) });
    let late = |text: &str, until: i64| Next::Barred(Bar::TooLate { phase: phase(text), until: at(until) });
    for (seconds, expected) in [
        (-25 * HOUR, not_due("t-24h", -24 * HOUR)),
        (-24 * HOUR - 1, not_due("t-24h", -24 * HOUR)),
        (-24 * HOUR, attempt("t-24h")),
        (-HOUR, attempt("t-24h")),
        (-HOUR + 1, late("t-24h", -HOUR)),
    ] {
        assert_eq!(next(&course, &[], seconds), expected, "{seconds}");
    }
    let prepared = after(&course, &[("t-24h", -24 * HOUR), ("t-1h", -HOUR)], &["t-24h", "t-1h"]);
    for (seconds, expected) in [
        (-HOUR, not_due("t", 0)),
        (0, attempt("release")),
        (4 * HOUR, attempt("release")),
        (4 * HOUR + 1, late("t", 4 * HOUR)),
    ] {
        assert_eq!(next(&course, &prepared, seconds), expected, "{seconds}");
    }
    let released = [&prepared[..], &after(&course, &[("t", 4 * HOUR)], &["release"])].concat();
    assert_eq!(next(&course, &released, 9 * HOUR), attempt("verify"), "what has begun goes on");
    let person = EventKind::LateAccepted { phase: Phase::T, actor: "a".into(), reason: "agreed".into() };
    assert_eq!(next(&course, &[&prepared[..], &[person]].concat(), 9 * HOUR), attempt("release"));
}

#[test]
fn results_of_an_early_phase_grow_old() {
    let max_age = Duration::from_secs(25 * 3_600);
    let course = course(&["t-24h", "t-1h"], None, Some(max_age));
    let prepared = after(&course, &[("t-24h", -24 * HOUR), ("t-1h", -HOUR)], &["t-24h", "t-1h"]);
    assert_eq!(next(&course, &prepared, HOUR), attempt("release"));
    let outdated = Bar::Outdated { phase: Phase::T, earlier: phase("t-24h"), since: at(-24 * HOUR), max_age };
    assert_eq!(next(&course, &prepared, HOUR + 1), Next::Barred(outdated.clone()));
    let mut state = RunState::of(&prepared);
    state.phases.seen(at(HOUR + 1));
    assert_eq!(course.next(&state, at(0)), Next::Barred(outdated), "a clock that jumps back makes nothing young again");
    let accepted = EventKind::LateAccepted { phase: Phase::T, actor: "a".into(), reason: "agreed".into() };
    assert_eq!(next(&course, &[&prepared[..], &[accepted]].concat(), HOUR + 1), attempt("release"));
}

#[test]
fn a_clock_that_jumps_back_begins_no_phase_again() {
    let course = course(&["t-1h"], None, None);
    let begun = after(&course, &[("t-1h", -HOUR), ("t", 0)], &["t-1h"]);
    assert_eq!(next(&course, &begun, -9 * HOUR), attempt("release"), "what has begun has begun");
    assert_eq!(course.begins(&attempt("release"), &RunState::of(&begun), at(-9 * HOUR)), None);
}

#[test]
fn a_deployment_succeeds_before_its_later_phases_and_they_undo_nothing() {
    let course = course(&["t+1h", "t+24h"], None, None);
    let released = after(&course, &[("t", 0)], &["release", "verify"]);
    assert_eq!(next(&course, &released, 2 * HOUR), Next::End(Outcome::Succeeded, None), "although one is due");
    let ended = [&released[..], &[succeeded()]].concat();
    let due = Bar::NotDue { phase: phase("t+1h"), due: at(HOUR) };
    assert_eq!(next(&course, &ended, HOUR - 1), Next::Barred(due));
    assert_eq!(next(&course, &ended, HOUR), attempt("t+1h"));
    let until = Bar::TooLate { phase: phase("t+1h"), until: at(24 * HOUR) };
    assert_eq!(next(&course, &ended, 25 * HOUR), Next::Barred(until));

    let leg = course.leg(&StepId::new("t+1h")).unwrap();
    let failed = [&ended[..], &[resumed()], &ran(&leg.step, leg.stage, Some(failure()))].concat();
    let halted = Next::Halted { step: leg.step.clone(), why: "broken".into() };
    assert_eq!(next(&course, &failed, HOUR), halted, "nothing is undone by itself");
    assert_eq!(next(&course, &[&failed[..], &[resumed()]].concat(), HOUR), attempt("t+1h"), "it is tried again");
    let undo = EventKind::RollbackRequested { actor: "a".into(), reason: "no".into() };
    let back = Next::RollBack { reason: "no".into(), entries: vec![StepId::new("release")] };
    assert_eq!(next(&course, &[&failed[..], &[undo]].concat(), HOUR), back);

    let done = [&ended[..], &[resumed()], &after(&course, &[("t+1h", HOUR)], &["t+1h"])].concat();
    let due = Bar::NotDue { phase: phase("t+24h"), due: at(24 * HOUR) };
    assert_eq!(next(&course, &done, 2 * HOUR), Next::Barred(due));
    let all = [&done[..], &after(&course, &[("t+24h", 24 * HOUR)], &["t+24h"])].concat();
    assert_eq!(next(&course, &all, 25 * HOUR), Next::End(Outcome::Succeeded, None));
    let given_up = EventKind::Abandoned { actor: "a".into(), reason: "no".into() };
    assert_eq!(next(&course, &[&ended[..], &[given_up]].concat(), HOUR), Next::End(Outcome::Succeeded, None));
}

#[test]
fn what_says_undo_undoes_even_in_a_later_phase() {
    let mut course = course(&["t+1h"], None, None);
    let later = StepId::new("t+1h");
    course.steps.iter_mut().filter(|leg| leg.step == later).for_each(|leg| leg.waves = 2);
    let ended = [&after(&course, &[("t", 0)], &["release", "verify"])[..], &[succeeded(), resumed()]].concat();
    let begun: Vec<EventKind> = ran(&later, Stage::Release, None).into_iter().take(3).collect();
    let wave = Wave { index: 1, count: 2, weight: 5_000 };
    let released = EventKind::WaveReleased { step: later.clone(), wave, report: StageReport::default() };
    let breach = |breach| EventKind::GuardBreached { step: later.clone(), wave, breach, failure: failure() };
    let failed = EventKind::StepFinished {
        step: later.clone(),
        status: StepStatus::Failed,
        report: None,
        failure: Some(failure()),
        duration_ms: 1,
    };
    let reason = "step \"t+1h\": broken".to_owned();
    let back = Next::RollBack { reason, entries: vec![StepId::new("release")] };
    let breached = [&ended[..], &begun, &[released.clone(), breach(Breach::Rollback), failed.clone()]].concat();
    assert_eq!(next(&course, &breached, HOUR), back, "a guard that undoes");

    let asked = [&ended[..], &begun, &[released, breach(Breach::Ask)]].concat();
    assert_eq!(next(&course, &asked, HOUR), Next::Breached(later.clone()));
    let decided = EventKind::InFlightDecided { step: later.clone(), decision: InFlight::Undo, actor: "a".into() };
    let undone = [&asked[..], &[resumed(), decided.clone(), failed.clone()]].concat();
    assert_eq!(next(&course, &undone, HOUR), back, "somebody who was asked");

    let cut_off = [&ended[..], &begun, &[resumed(), decided]].concat();
    assert!(matches!(next(&course, &cut_off, HOUR), Next::Fail(..)));
    assert_eq!(next(&course, &[&cut_off[..], &[failed]].concat(), HOUR), back, "an attempt that was cut off");
}

#[test]
fn a_gate_waits_for_its_phase_and_does_not_keep_the_window_open() {
    let mut course = course(&["t-1h"], None, None);
    let gate = StepId::new("go");
    let barrier = Barrier { gate: gate.clone(), on_expiry: OnExpiry::Stop, if_started: None };
    course.gates = vec![(1, barrier)];
    let prepared = after(&course, &[("t-1h", -HOUR)], &["t-1h"]);
    let due = Bar::NotDue { phase: Phase::T, due: at(0) };
    assert_eq!(next(&course, &prepared, -1), Next::Barred(due), "nobody is asked before");
    assert_eq!(next(&course, &prepared, 0), Next::Wait(gate.clone()));
    let opened = EventKind::GateOpened {
        step: gate.clone(),
        role: "lead".into(),
        quorum: 1,
        opening: "x".into(),
        opened: Moment { at: at(0), boot: None, boot_ms: 0 },
        expires_ms: 1,
        expires_at: at(9 * HOUR),
        plan_digest: Digest::of(b""),
        checklist: Vec::new(),
        signers: String::new(),
        requesters: Vec::new(),
    };
    let passed =
        EventKind::GateClosed { step: gate, how: GateEnd::Passed, by: Vec::new(), why: None, checklist: Vec::new() };
    let open = [&prepared[..], &after(&course, &[("t", 0)], &[]), std::slice::from_ref(&opened)].concat();
    let waits = Next::Wait(StepId::new("go"));
    assert_eq!(next(&course, &open, 5 * HOUR), waits, "it is decided, or expires, when the window is over too");
    let agreed = [&prepared[..], &after(&course, &[("t", 0)], &[]), &[opened, passed]].concat();
    assert_eq!(next(&course, &agreed, HOUR), attempt("release"));
    let late = Bar::TooLate { phase: Phase::T, until: at(4 * HOUR) };
    assert_eq!(next(&course, &agreed, 5 * HOUR), Next::Barred(late), "they agreed when the window was over");
    let accepted = EventKind::LateAccepted { phase: Phase::T, actor: "a".into(), reason: "agreed".into() };
    assert_eq!(next(&course, &[&agreed[..], &[accepted]].concat(), 5 * HOUR), attempt("release"));
}

#[test]
fn a_phase_that_fails_undoes_what_earlier_ones_did() {
    let mut course = course(&["t-24h", "t-1h"], None, None);
    course.steps.iter_mut().for_each(|leg| (leg.stage, leg.reversible) = (Stage::Release, true));
    let prepared = after(&course, &[("t-24h", -24 * HOUR), ("t-1h", -HOUR), ("t", 0)], &["t-24h", "t-1h"]);
    let failed = ran(&StepId::new("release"), Stage::Release, Some(failure()));
    let entries = ["release", "t-1h", "t-24h"].map(StepId::new).into();
    let back = Next::RollBack { reason: "step \"release\": broken".into(), entries };
    // Undoing waits for nothing, whatever the clock says.
    for seconds in [-30 * HOUR, 0, 99 * HOUR] {
        assert_eq!(next(&course, &[&prepared[..], &failed].concat(), seconds), back);
    }
}

proptest! {
    /// Somebody looks at the run again and again, while the clock goes on, stands, or jumps.
    #[test]
    fn no_phase_begins_before_it_is_due_nor_twice_nor_late_unless_somebody_wants_it(
        jumps in prop::collection::vec((-30 * HOUR..40 * HOUR, any::<bool>()), 1..60),
        late in prop::option::of(1_u64..20 * 3_600),
        max_age in prop::option::of(24_u64 * 3_600..60 * 3_600),
    ) {
        let phases = ["t-24h", "t-1h", "t+1h", "t+24h"];
        let course = course(&phases, late.map(Duration::from_secs), max_age.map(Duration::from_secs));
        let window = course.window.clone().unwrap();
        let mut state = RunState::default();
        let mut ended = false;
        let mut began: BTreeMap<Phase, Timestamp> = BTreeMap::new();
        let mut clock = at(-30 * HOUR);
        for (jump, accepts) in jumps {
            clock = clock.checked_add(SignedDuration::from_secs(jump)).unwrap();
            state.phases.seen(clock);
            let latest = state.phases.latest.unwrap();
            // Until this process has nothing to do.
            for _ in 0..20 {
                let next = course.next(&state, clock);
                if let Some(event) = course.begins(&next, &state, clock) {
                    let EventKind::PhaseBegan { phase, .. } = event else { panic!("{event:?}") };
                    prop_assert!(clock >= window.due(phase), "{phase} begins before it is due");
                    prop_assert!(began.insert(phase, clock).is_none(), "{phase} begins twice");
                    prop_assert!(began.keys().all(|before| *before <= phase), "{phase} begins out of order");
                    prop_assert!(!phase.is_after() || ended, "{phase} begins before the deployment has succeeded");
                    if !state.phases.accepted.contains(&phase) {
                        prop_assert!(window.until(phase).is_none_or(|until| latest <= until), "{phase} begins too late");
                        let oldest = began.iter().filter(|(before, _)| **before < phase).map(|(_, at)| *at).min();
                        let age = oldest.map_or(SignedDuration::ZERO, |oldest| latest.duration_since(oldest));
                        let young = |max_age| age <= SignedDuration::try_from(max_age).unwrap();
                        prop_assert!(phase != Phase::T || window.max_age.is_none_or(young), "with old results");
                    }
                    state.apply(&event);
                }
                match next {
                    Next::Attempt(step) => {
                        prop_assert!(state.step(&step).is_none(), "{step} runs twice");
                        let stage = course.leg(&step).unwrap().stage;
                        ran(&step, stage, None).iter().for_each(|event| state.apply(event));
                    }
                    Next::Barred(bar) => {
                        if bar.passes() || !accepts {
                            break;
                        }
                        let (actor, reason) = (String::new(), String::new());
                        state.apply(&EventKind::LateAccepted { phase: bar.phase(), actor, reason });
                    }
                    Next::End(outcome, _) => {
                        prop_assert_eq!(outcome, Outcome::Succeeded);
                        if state.succeeded {
                            break;
                        }
                        ended = true;
                        state.apply(&succeeded());
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
