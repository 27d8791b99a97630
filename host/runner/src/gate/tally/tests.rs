use pipe_core::event::EventKind;
use proptest::prelude::*;

use super::*;
use crate::gate::{
    Approval,
    scene::{after, approval, attests, gate_opened, opened, recorded},
};

fn go() -> StepId {
    StepId::new("go")
}

fn standing(gates: &Gates, at: u64) -> Standing {
    gates.gate(&go()).unwrap().standing(&after(at))
}

/// After these approvals: the key's number, and the second it was handed in.
fn approved(quorum: u32, by: &[(u8, u64)]) -> Gates {
    let mut gates = opened(quorum, &[]);
    for (key, at) in by {
        gates.apply(&recorded(&approval(), *key, after(*at)));
    }
    gates
}

fn missing(standing: &Standing) -> u32 {
    match standing {
        Standing::Open { missing, .. } => *missing,
        Standing::Decided(end) => panic!("{end}"),
    }
}

#[test]
fn people_are_counted_not_signatures() {
    let passed = Standing::Decided(GateEnd::Passed);
    assert_eq!(standing(&approved(1, &[(1, 61)]), 62), passed);
    assert_eq!(standing(&approved(2, &[(1, 61), (2, 62)]), 63), passed);
    assert_eq!(missing(&standing(&approved(2, &[(1, 61)]), 63)), 1);
    assert_eq!(missing(&standing(&approved(2, &[(1, 61), (1, 62)]), 63)), 1, "the same twice");
    assert_eq!(missing(&standing(&approved(2, &[(1, 61), (11, 62)]), 63)), 1, "a second key of the same person");
    assert_eq!(missing(&standing(&approved(2, &[(1, 61), (3, 62)]), 63)), 1, "whoever asked");
    assert_eq!(missing(&standing(&approved(2, &[(1, 61), (7, 62)]), 63)), 1, "a stranger");
}

#[test]
fn what_was_approved_in_time_counts_when_the_run_is_resumed_late() {
    assert_eq!(standing(&approved(1, &[(1, 3_599)]), 99_999), Standing::Decided(GateEnd::Passed));
    assert_eq!(standing(&approved(1, &[(1, 3_601)]), 99_999), Standing::Decided(GateEnd::Expired));
    assert_eq!(standing(&approved(2, &[(1, 61)]), 99_999), Standing::Decided(GateEnd::Expired));
}

#[test]
fn time_that_was_used_is_not_given_back() {
    let gates = approved(2, &[(1, 3_500)]);
    let mut back = after(10);
    back.boot = Some("the machine was started again, with its clock set back".into());
    match gates.gate(&go()).unwrap().standing(&back) {
        Standing::Open { left, .. } => assert_eq!(left, Duration::from_secs(100)),
        decided => panic!("{decided:?}"),
    }
}

#[test]
fn one_rejection_ends_it() {
    let reject = Approval { decision: Decision::Reject, reason: "it is down".into(), ..approval() };
    let mut gates = approved(2, &[(1, 61)]);
    gates.apply(&recorded(&reject, 2, after(62)));
    assert_eq!(standing(&gates, 63), Standing::Decided(GateEnd::Rejected));
    gates.apply(&recorded(&approval(), 2, after(64)));
    assert_eq!(standing(&gates, 65), Standing::Decided(GateEnd::Rejected), "nothing takes it back");
    let state = gates.gate(&go()).unwrap();
    assert_eq!((state.deciders(), state.rejection().unwrap().reason.as_str()), (vec!["bela@x"], "it is down"));
    let mut passed = approved(1, &[(1, 61)]);
    passed.apply(&recorded(&reject, 2, after(62)));
    assert_eq!(standing(&passed, 63), Standing::Decided(GateEnd::Passed), "it was decided by then");
}

/// An event says `approved`, and the text that was signed says the opposite.
#[test]
fn an_event_says_nothing_that_was_not_signed() {
    let reject = Approval { decision: Decision::Reject, ..approval() };
    let EventKind::Rejected { step, approval, actor, recorded } = recorded(&reject, 1, after(61)) else { panic!() };
    let mut gates = opened(1, &[]);
    gates.apply(&EventKind::Approved { step, approval, actor, recorded });
    assert_eq!(missing(&standing(&gates, 62)), 1);
}

#[test]
fn every_line_of_the_checklist_is_settled_by_somebody() {
    let list = ["it opens", "workflows"];
    let says = |items: &[&str]| Approval { items: attests(items), ..approval() };
    let mut gates = opened(1, &list);
    gates.apply(&recorded(&says(&["it opens"]), 1, after(61)));
    let Standing::Open { missing: 0, unsettled, .. } = standing(&gates, 62) else { panic!() };
    assert_eq!(unsettled, ["workflows"]);
    gates.apply(&recorded(&says(&["workflows"]), 3, after(63)));
    assert!(matches!(standing(&gates, 64), Standing::Open { .. }), "whoever asked attests nothing");
    let waive = Approval { items: vec![("workflows".into(), Remark::Waived("tested yesterday".into()))], ..approval() };
    gates.apply(&recorded(&waive, 1, after(65)));
    assert_eq!(standing(&gates, 66), Standing::Decided(GateEnd::Passed));
    let states: Vec<ItemState> = gates.gate(&go()).unwrap().checklist().into_iter().map(|item| item.state).collect();
    assert_eq!(
        states,
        [
            ItemState::Attested { by: "anna@x".into(), evidence: "seen".into() },
            ItemState::Waived { by: "anna@x".into(), reason: "tested yesterday".into() },
        ]
    );
}

#[test]
fn a_gate_that_opens_again_asks_again() {
    let mut gates = approved(2, &[(1, 61)]);
    let closed =
        EventKind::GateClosed { step: go(), how: GateEnd::Expired, by: Vec::new(), why: None, checklist: Vec::new() };
    gates.apply(&closed);
    assert_eq!(standing(&gates, 62), Standing::Decided(GateEnd::Expired));
    assert_eq!(gates.open().count(), 0);
    gates.apply(&gate_opened("second", 2, &[]));
    assert_eq!(missing(&standing(&gates, 62)), 2);
    gates.apply(&recorded(&approval(), 2, after(63)));
    assert_eq!(missing(&standing(&gates, 64)), 2, "it was signed for the first opening");
    gates.apply(&recorded(&Approval { opening: "second".into(), ..approval() }, 2, after(65)));
    assert_eq!(missing(&standing(&gates, 66)), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is handed in, in whatever order and at whatever time: the gate has passed if, and only if, enough different
    /// people who may had approved in time before anybody rejected.
    #[test]
    fn a_gate_is_passed_by_its_quorum_alone(
        quorum in 1_u32..4,
        said in proptest::collection::vec((prop_oneof![Just(1_u8), Just(2), Just(3), Just(7), Just(11)], 60_u64..7_200, any::<bool>()), 0..8),
    ) {
        let mut gates = opened(quorum, &[]);
        let mut people = std::collections::BTreeSet::new();
        let (mut expected, mut waited) = (None, 0);
        for (key, at, approves) in &said {
            let decision = if *approves { Decision::Approve } else { Decision::Reject };
            gates.apply(&recorded(&Approval { decision, ..approval() }, *key, after(*at)));
            // The model: no signatures, only who may say what when.
            let in_time = waited.max(*at) <= 3_600;
            waited = waited.max(*at);
            let person = match key { 1 | 11 => "anna", 2 => "bela", 3 => "cora", _ => continue };
            if expected.is_some() || !in_time {
                continue;
            }
            match approves {
                false => expected = Some(GateEnd::Rejected),
                true if person == "cora" => {}
                true => { people.insert(person); }
            }
            if expected.is_none() && people.len() >= quorum as usize {
                expected = Some(GateEnd::Passed);
            }
        }
        let expected = expected.unwrap_or(GateEnd::Expired);
        prop_assert_eq!(gates.gate(&go()).unwrap().standing(&after(99_999)), Standing::Decided(expected));
    }

    /// Approvals in time: their order changes nothing.
    #[test]
    fn the_order_of_approvals_changes_nothing(mut keys in proptest::collection::vec(1_u8..4, 0..5), quorum in 1_u32..4) {
        let in_order: Vec<(u8, u64)> = keys.iter().map(|key| (*key, 61)).collect();
        let one = standing(&approved(quorum, &in_order), 62);
        keys.reverse();
        let reversed: Vec<(u8, u64)> = keys.iter().map(|key| (*key, 61)).collect();
        prop_assert_eq!(one, standing(&approved(quorum, &reversed), 62));
    }
}
