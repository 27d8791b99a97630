use jiff::Timestamp;
use pipe_core::{
    digest::Digest,
    event::{
        Breach, Checked, CheckedItem, ChecklistItem, EventKind, GateEnd, InFlight, ItemState, Outcome, Part,
        PlannedStep, PluginIdentity, Refusal, SignedApproval, StepStatus as Ended, Use, WatchEnd, Wave,
    },
    id::{RunId, StepId},
    report::{Failure, FailureKind, FindingStatus, StageReport},
    stage::Stage,
};
use pipe_journal::{Recorded, StoredEvent};

use super::*;

fn run() -> RunId {
    "20261123021500-9f3c1a".parse().unwrap()
}

fn plugin() -> PluginIdentity {
    PluginIdentity { name: "std:release".into(), version: "1".into(), digest: Digest::of(b"plugin") }
}

fn planned(name: &str, part: Part) -> PlannedStep {
    let (grant, reveals) = (Vec::new(), Vec::new());
    PlannedStep {
        step: StepId::new(name),
        part,
        stage: Stage::Release,
        plugin: plugin(),
        reversible: true,
        grant,
        reveals,
    }
}

fn started() -> EventKind {
    EventKind::RunStarted {
        pipeline: "hms".into(),
        environment: "production".into(),
        file: Some("/srv/hms.toml".into()),
        pipeline_digest: Digest::of(b"file"),
        plan_digest: Digest::of(b"plan"),
        pipe_version: "1".into(),
        actor: "ana@ops".into(),
        boot: None,
        started: None,
        inputs: [("version".to_owned(), "2".to_owned())].into(),
        previous: BTreeMap::new(),
        policy_files: vec!["/etc/pipe/policy.toml".into()],
        copies: None,
        policies: vec![Digest::of(b"policy")],
        steps: vec![
            planned("a", Part::Deployment),
            planned("b", Part::Deployment),
            planned("smoke", Part::Rollback),
            planned("slack", Part::Notification),
        ],
        further: 0,
    }
}

fn begun(step: &str) -> EventKind {
    EventKind::StepStarted {
        step: StepId::new(step),
        stage: Stage::Release,
        plugin: plugin(),
        settings_digest: Digest::of(b"settings"),
    }
}

fn attempt(step: &str, attempt: u32) -> EventKind {
    EventKind::AttemptStarted { step: StepId::new(step), attempt, idempotency_key: "key".into() }
}

fn touched(step: &str, attempt: u32) -> EventKind {
    EventKind::Touched { step: StepId::new(step), attempt }
}

fn done(step: &str) -> EventKind {
    let report = StageReport {
        outputs: [("url".to_owned(), "https://user:word@host".to_owned())].into(),
        before: Some("1".into()),
        after: Some("2".into()),
        ..StageReport::default()
    };
    let (status, report) = (Ended::Succeeded, Some(report));
    EventKind::StepFinished { step: StepId::new(step), status, report, failure: None, duration_ms: 5 }
}

fn resumed(actor: &str) -> EventKind {
    EventKind::RunResumed { actor: actor.into(), pipe_version: "2".into(), boot: None, epoch: 0 }
}

fn ended(outcome: Outcome) -> EventKind {
    EventKind::RunFinished { outcome, reason: None, duration_ms: 10 }
}

/// A second apart, unless they say otherwise.
fn stored(kinds: Vec<EventKind>) -> Vec<StoredEvent> {
    let one = |(index, kind): (usize, EventKind)| StoredEvent {
        seq: index as u64 + 7,
        run: run(),
        at: Timestamp::from_second(1_795_399_500 + index as i64).unwrap(),
        boot_ms: 0,
        event: Recorded::Known(kind),
        hash: Digest::of(&index.to_le_bytes()),
    };
    kinds.into_iter().enumerate().map(one).collect()
}

fn report(kinds: Vec<EventKind>) -> Report {
    Report::of(&run(), &stored(kinds), false).unwrap()
}

fn ticks(report: &Report) -> Vec<Tick> {
    report.checklist.iter().map(|item| item.tick).collect()
}

#[test]
fn a_run_that_succeeded_is_ticked_to_the_end() {
    let made = report(vec![
        started(),
        begun("a"),
        attempt("a", 1),
        touched("a", 1),
        done("a"),
        begun("b"),
        attempt("b", 1),
        done("b"),
        ended(Outcome::Succeeded),
    ]);
    assert_eq!(made.conclusion, Conclusion::Ended(Outcome::Succeeded));
    assert_eq!(ticks(&made), [Tick::Done, Tick::Done, Tick::NotNeeded, Tick::Done, Tick::Done]);
    assert_eq!(made.took_ms, Some(8_000), "from the first entry to the last");
    assert_eq!((made.record.first, made.record.last, made.record.entries), (7, 15, 9));
    assert_eq!(made.policies[0].file.as_deref(), Some("/etc/pipe/policy.toml"));
    assert_eq!(made.steps.len(), 3, "a notification is no step: {:?}", made.steps);
    let text = serde_json::to_string(&made).unwrap();
    assert!(
        text.contains("\"outputs\":[\"url\"]") && !text.contains("user:word"),
        "the name and not the value: {text}"
    );
}

#[test]
fn what_was_cut_off_says_where_and_what_became_of_it() {
    let events =
        vec![started(), begun("a"), attempt("a", 1), touched("a", 1), resumed("bob@ops"), attempt("a", 2), done("a")];
    let made = report(events.clone());
    assert_eq!(made.conclusion, Conclusion::CutOff);
    let ends: Vec<(AttemptEnd, bool)> = made.steps[0].attempts.iter().map(|one| (one.end, one.touched)).collect();
    assert_eq!(ends, [(AttemptEnd::CutOff, true), (AttemptEnd::Succeeded, false)]);
    assert_eq!((made.ended, made.took_ms), (None, None));
    assert_eq!(ticks(&made)[..2], [Tick::Done, Tick::Open]);
    let running = Report::of(&run(), &stored(events), true).unwrap();
    assert_eq!(running.conclusion, Conclusion::Running);
    let who: Vec<(&str, &str)> = running.people.iter().map(|one| (one.who.as_str(), one.did.as_str())).collect();
    assert_eq!(who, [("ana@ops", "started the run"), ("bob@ops", "went on with the run")]);
    let left: Vec<Conclusion> = running.processes.iter().map(|process| process.left).collect();
    assert_eq!(left, [Conclusion::CutOff, Conclusion::Running]);
}

#[test]
fn a_run_that_waits_says_for_what_and_who_decided() {
    let paused = EventKind::RunPaused { why: "step \"a\" was cut off".into() };
    let decided =
        EventKind::InFlightDecided { step: StepId::new("a"), decision: InFlight::Retry, actor: "eve@ops".into() };
    let waiting = vec![started(), begun("a"), attempt("a", 1), touched("a", 1), resumed("bob@ops"), paused];
    let made = report(waiting.clone());
    assert_eq!((made.conclusion, made.reason.as_deref()), (Conclusion::Waiting, Some("step \"a\" was cut off")));
    let goes_on = [waiting, vec![resumed("eve@ops"), decided, attempt("a", 2), done("a")]].concat();
    let made = report(goes_on);
    assert_eq!(made.reason, None, "it does not wait any more");
    let last = made.people.last().unwrap();
    assert_eq!(last.did, "decided about step \"a\", which was cut off: retry");
}

#[test]
fn a_rollback_is_told_in_its_order_with_what_people_have_to_see_to() {
    let failure = Failure {
        kind: FailureKind::Unmet,
        message: "HTTP 500".into(),
        retryable: false,
        findings: Vec::new(),
        hint: None,
    };
    let failed = EventKind::StepFinished {
        step: StepId::new("b"),
        status: Ended::Failed,
        report: None,
        failure: Some(failure.clone()),
        duration_ms: 5,
    };
    let undone = EventKind::UndoFinished {
        step: StepId::new("a"),
        report: None,
        failure: Some(failure),
        summaries: vec!["put version 1 back".into()],
        duration_ms: 3,
    };
    let made = report(vec![
        started(),
        begun("a"),
        attempt("a", 1),
        done("a"),
        begun("b"),
        attempt("b", 1),
        failed,
        EventKind::RollbackStarted { reason: "step \"b\": HTTP 500".into(), entries: vec![StepId::new("a")] },
        EventKind::UndoStarted { step: StepId::new("a") },
        undone,
        ended(Outcome::RollbackFailed),
    ]);
    assert_eq!(ticks(&made), [Tick::Failed, Tick::Failed, Tick::Open, Tick::Done, Tick::Failed]);
    assert_eq!(made.steps[0].status, StepStatus::UndoFailed);
    assert_eq!(made.steps[0].undo.as_ref().unwrap().by_hand, ["put version 1 back"]);
    assert_eq!(made.checklist[0].evidence, "could not be undone: HTTP 500, 1 → 2");
}

#[test]
fn refusals_and_uses_are_counted_and_what_a_later_version_wrote_too() {
    let refusal = Refusal { word: "http".into(), subject: "GET x:/".into(), reason: "not granted".into(), hint: None };
    let denied = EventKind::Denied { step: StepId::new("a"), refusal };
    let used = EventKind::Used { step: StepId::new("a"), used: Use { word: "sql".into(), ..Use::default() } };
    let mut events = stored(vec![started(), begun("a"), denied.clone(), denied, used.clone(), used]);
    let raw = serde_json::value::RawValue::from_string("{\"event\":\"moon-phase\"}".into()).unwrap();
    events[4].event = Recorded::Unknown(raw);
    let made = Report::of(&run(), &events, false).unwrap();
    assert_eq!((made.refusals.len(), made.refusals[0].times), (1, 2));
    assert_eq!(made.steps[0].used.get("sql"), Some(&1));
    assert_eq!(made.record.unknown, 1);
    assert!(Report::of(&run(), &events[1..], false).is_err(), "without its beginning there is no report");
}

#[test]
fn an_artifact_says_when_and_by_whom_it_was_pruned() {
    let digest = Digest::of(b"artifact");
    let artifact = Artifact {
        digest,
        name: "data".into(),
        location: "/state/data".into(),
        bytes: 1,
        content_bytes: 1,
        encrypted: true,
        content_digest: digest,
    };
    let pruned = EventKind::ArtifactPruned {
        step: StepId::new("a"),
        digest,
        name: "data".into(),
        actor: "cron@ops".into(),
        reason: "older than 90d".into(),
        found: true,
    };
    let made = report(vec![
        started(),
        EventKind::ArtifactStored { step: StepId::new("a"), artifact },
        ended(Outcome::Succeeded),
        pruned,
    ]);
    assert_eq!(made.artifacts[0].pruned.as_ref().unwrap().actor, "cron@ops");
    assert_eq!(made.people.last().unwrap().did, "pruned the artifact data");
    assert_eq!(made.took_ms, Some(2_000), "what was done afterwards is no part of the run");
    assert_eq!(made.processes.len(), 1);
}

#[test]
fn a_gate_says_who_decided_and_what_people_had_to_see_to() {
    let moment =
        pipe_core::event::Moment { at: Timestamp::from_second(1_795_399_500).unwrap(), boot: None, boot_ms: 0 };
    let line = |item: &str| ChecklistItem { item: item.into(), step: None };
    let opened = EventKind::GateOpened {
        step: StepId::new("manual verification"),
        role: "clinical".into(),
        quorum: 1,
        opening: "1".into(),
        opened: moment.clone(),
        expires_ms: 1_000,
        expires_at: moment.at,
        plan_digest: Digest::of(b"plan"),
        checklist: vec![line("the page opens"), line("dashboards")],
        signers: "dr.smith ssh-ed25519 AAAA".into(),
        requesters: Vec::new(),
    };
    let approved = EventKind::Approved {
        step: StepId::new("manual verification"),
        approval: SignedApproval {
            text: "not one of ours".into(),
            signature: "-----BEGIN SSH SIGNATURE-----".into(),
            principal: "dr.smith".into(),
            key: "SHA256:abc".into(),
        },
        actor: "ana@ops".into(),
        recorded: moment,
    };
    let checked = |item: &str, state| CheckedItem { item: item.into(), state };
    let closed = EventKind::GateClosed {
        step: StepId::new("manual verification"),
        how: GateEnd::Passed,
        by: vec!["dr.smith".into()],
        why: None,
        checklist: vec![
            checked("the page opens", ItemState::Attested { by: "dr.smith".into(), evidence: "seen".into() }),
            checked("dashboards", ItemState::Waived { by: "dr.smith".into(), reason: "being moved".into() }),
        ],
    };
    let gates = |made: &Report| -> Vec<(String, Tick, String)> {
        let items = made.checklist.iter().filter(|item| item.group == "Gates");
        items.map(|item| (item.text.clone(), item.tick, item.by.clone())).collect()
    };
    let waiting = report(vec![started(), opened.clone()]);
    let ticks: Vec<Tick> = gates(&waiting).into_iter().map(|(_, tick, _)| tick).collect();
    assert_eq!(ticks, [Tick::Open, Tick::Open, Tick::Open]);
    let made = report(vec![started(), opened, approved, closed]);
    let item = |text: &str, tick, by: &str| (text.to_owned(), tick, by.to_owned());
    assert_eq!(
        gates(&made),
        [
            item("manual verification (clinical)", Tick::Done, "dr.smith"),
            item("the page opens", Tick::Done, "dr.smith"),
            item("dashboards", Tick::Waived, "dr.smith"),
        ]
    );
    assert_eq!(made.gates[0].votes[0].approval.key, "SHA256:abc");
    let last = made.people.last().unwrap();
    assert_eq!(
        (last.who.as_str(), last.did.as_str()),
        ("dr.smith", "approved \"manual verification\", signed with SHA256:abc")
    );
}

#[test]
fn a_clock_that_was_set_back_makes_no_run_shorter_than_it_was() {
    let mut events = stored(vec![started(), ended(Outcome::Succeeded)]);
    events[1].at = Timestamp::from_second(1_795_000_000).unwrap();
    assert_eq!(Report::of(&run(), &events, false).unwrap().took_ms, Some(10));
}

fn checked(status: FindingStatus, message: &str) -> Checked {
    Checked { check: StepId::new("errors"), status, message: message.into(), findings: Vec::new(), duration_ms: 1 }
}

#[test]
fn waves_are_told_with_every_look_and_a_hold_that_began_again() {
    let (step, wave) = (StepId::new("a"), Wave { index: 1, count: 2, weight: 1_000 });
    let looked = |status| EventKind::GuardChecked { step: step.clone(), wave, checked: checked(status, "0.2%") };
    let holding = || EventKind::WaveHolding { step: step.clone(), wave, hold_ms: 4_000 };
    let made = report(vec![
        started(),
        begun("a"),
        EventKind::WaveStarted { step: step.clone(), wave },
        attempt("a", 1),
        EventKind::WaveReleased { step: step.clone(), wave, report: StageReport::default() },
        holding(),
        looked(FindingStatus::Pass),
        resumed("bob@ops"),
        looked(FindingStatus::Warn),
        holding(),
        looked(FindingStatus::Skip),
        EventKind::WaveFinished { step: step.clone(), wave },
    ]);
    let told = &made.steps[0].waves[..];
    assert_eq!((told.len(), told[0].hold_ms, told[0].holds), (1, Some(4_000), 2));
    assert!(told[0].released.is_some() && told[0].released < told[0].ended);
    let seen = &told[0].seen.checks[0];
    assert_eq!((seen.met, seen.warned, seen.not_met, seen.last.as_str()), (1, 1, 1, "0.2%"));
}

#[test]
fn the_watch_is_told_and_does_not_move_the_end_of_the_run() {
    let failure = Failure {
        kind: FailureKind::Unmet,
        message: "5% is above 1%".into(),
        retryable: false,
        findings: Vec::new(),
        hint: None,
    };
    let opened = EventKind::WatchOpened { for_ms: 60_000, until: Timestamp::from_second(1_795_399_600).unwrap() };
    let made = report(vec![
        started(),
        done("a"),
        opened,
        ended(Outcome::Succeeded),
        EventKind::WatchChecked { checked: checked(FindingStatus::Fail, "5%") },
        EventKind::WatchBreached { breach: Breach::Ask, failure },
        EventKind::WatchContinued { actor: "eve@ops".into() },
        EventKind::WatchChecked { checked: checked(FindingStatus::Pass, "0%") },
        EventKind::WatchEnded { end: WatchEnd::Passed },
    ]);
    let watch = made.watch.as_ref().unwrap();
    assert_eq!((watch.seen.checks[0].met, watch.seen.checks[0].not_met), (1, 1));
    assert_eq!(watch.seen.breaches[0].message, "5% is above 1%");
    assert_eq!((&watch.end, &watch.waits, &made.reason), (&Some(WatchEnd::Passed), &None, &None));
    assert_eq!(made.took_ms, Some(3_000), "what follows is not the run");
    assert_eq!(made.people.last().unwrap().event, "watch-continued");
}
