use super::*;
use crate::gate::{
    NAMESPACE,
    scene::{after, approval, attests, key, opened},
    sign,
};

/// What becomes of an approval that is changed a little, signed by the key with this number, and handed in at this second.
fn judged(change: impl FnOnce(&mut Approval), by: u8, at: u64) -> Result<Vote, Refused> {
    let gates = opened(1, &["it opens"]);
    let mut approval = approval();
    change(&mut approval);
    let text = approval.text().unwrap();
    gates.gate(&StepId::new("go")).unwrap().opening.judge(&text, &sign(&key(by), &text).unwrap(), &after(at))
}

#[test]
fn a_decision_holds_for_what_it_names_and_nothing_else() {
    let vote = judged(|_| {}, 1, 61).unwrap();
    assert_eq!((vote.principal.as_str(), vote.decision), ("anna@x", Decision::Approve));
    type Change = fn(&mut Approval);
    let elsewhere: [(&str, Change); 6] = [
        ("run", |approval| approval.run = "20261123021500-9f3c1b".parse().unwrap()),
        ("pipeline", |approval| approval.pipeline = "hms2".into()),
        ("environment", |approval| approval.environment = "staging".into()),
        ("gate", |approval| approval.gate = "go2".into()),
        ("role", |approval| approval.role = "lead".into()),
        ("plan", |approval| approval.plan = Digest::of(b"another plan")),
    ];
    for (named, change) in elsewhere {
        let refused = judged(change, 1, 61).unwrap_err();
        assert!(matches!(&refused, Refused::Elsewhere { what, .. } if *what == named), "{named}: {refused}");
    }
    assert_eq!(judged(|approval| approval.opening = "second".into(), 1, 61), Err(Refused::OtherOpening));
    let item = judged(|approval| approval.items = attests(&["it closes"]), 1, 61);
    assert_eq!(item, Err(Refused::UnknownItem("it closes".into())));
}

#[test]
fn a_decision_is_made_while_the_gate_is_open() {
    let early = judged(|approval| approval.signed_at -= Duration::from_secs(61), 1, 61);
    assert!(matches!(early, Err(Refused::TooEarly { .. })), "{early:?}");
    let expired = Err(Refused::Expired { expires_at: after(3_600).at });
    assert!(judged(|_| {}, 1, 3_600).is_ok(), "the last second counts");
    assert_eq!(judged(|_| {}, 1, 3_601), expired);
    assert_eq!(judged(|approval| approval.signed_at = after(3_601).at, 1, 61), expired);
}

#[test]
fn who_asks_for_a_run_does_not_approve_it_but_may_stop_it() {
    let own = judged(|_| {}, 3, 61).unwrap_err();
    assert_eq!(own, Refused::Requester { principal: "cora@x".into(), requester: "cora@build01".into() });
    assert!(judged(|approval| approval.decision = Decision::Reject, 3, 61).is_ok());
}

#[test]
fn a_stranger_decides_nothing() {
    let refused = judged(|_| {}, 7, 61).unwrap_err();
    assert!(matches!(refused, Refused::UnknownKey { .. }), "{refused}");
}

/// Every byte of the text counts.
#[test]
fn a_text_that_was_changed_after_it_was_signed_does_not_hold() {
    let gates = opened(1, &[]);
    let opening = &gates.gate(&StepId::new("go")).unwrap().opening;
    let text = approval().text().unwrap();
    let signature = sign(&key(1), &text).unwrap();
    assert!(opening.judge(&text, &signature, &after(61)).is_ok());
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        let refused = opening.judge(&changed, &signature, &after(61)).unwrap_err();
        assert_eq!(refused, Refused::Signature(BadSignature::Forged), "byte {at}");
    }
}

/// No change of a byte of the signature gives another that holds.
#[test]
fn a_signature_that_was_changed_does_not_hold() {
    let gates = opened(1, &[]);
    let opening = &gates.gate(&StepId::new("go")).unwrap().opening;
    let text = approval().text().unwrap();
    let signature = sign(&key(1), &text).unwrap();
    let armour: Vec<&str> = signature.lines().collect();
    let body = armour[1..armour.len() - 1].concat();
    for at in 0..body.len() {
        let mut bytes = body.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let wrapped: Vec<&str> = changed.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let changed = format!("{}\n{}\n{}\n", armour[0], wrapped.join("\n"), armour[armour.len() - 1]);
        assert!(opening.judge(&text, &changed, &after(61)).is_err(), "byte {at}");
    }
    for wrong in
        ["", "-----BEGIN SSH SIGNATURE-----", &signature.replace("SSH SIGNATURE", "PGP SIGNATURE"), &"x".repeat(20_000)]
    {
        assert!(matches!(opening.judge(&text, wrong, &after(61)), Err(Refused::Signature(_))), "{wrong}");
    }
}

#[test]
fn a_signature_for_another_purpose_does_not_hold() {
    let text = approval().text().unwrap();
    let message = ssh_key::SshSig::signed_data("git", ssh_key::HashAlg::Sha512, text.as_bytes()).unwrap();
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let raw = ssh_key::Signature::new(ssh_key::Algorithm::Ed25519, pair.sign(&message).as_ref().to_vec()).unwrap();
    let public = key(1).public_key().key_data().clone();
    let signature = ssh_key::SshSig::new(public, "git", ssh_key::HashAlg::Sha512, raw).unwrap();
    let signature = signature.to_pem(ssh_key::LineEnding::LF).unwrap();
    let gates = opened(1, &[]);
    let refused = gates.gate(&StepId::new("go")).unwrap().opening.judge(&text, &signature, &after(61)).unwrap_err();
    assert_eq!(refused, Refused::Signature(BadSignature::Namespace("git".into())));
    assert!(refused.to_string().contains(NAMESPACE));
}

#[test]
fn time_is_the_machines_own_where_it_can_be() {
    let moment =
        |at: &str, boot: Option<&str>, boot_ms| Moment { at: at.parse().unwrap(), boot: boot.map(Into::into), boot_ms };
    let from = moment("2026-11-23T02:00:00Z", Some("a"), 5_000);
    // Set back or forward, the wall clock says nothing within one start.
    assert_eq!(passed(&from, &moment("2025-01-01T00:00:00Z", Some("a"), 65_000)), Duration::from_secs(60));
    assert_eq!(passed(&from, &moment("2030-01-01T00:00:00Z", Some("a"), 65_000)), Duration::from_secs(60));
    // Across starts it is all there is.
    assert_eq!(passed(&from, &moment("2026-11-23T02:10:00Z", Some("b"), 1_000)), Duration::from_secs(600));
    assert_eq!(passed(&from, &moment("2026-11-23T01:10:00Z", Some("b"), 1_000)), Duration::ZERO);
    assert_eq!(passed(&from, &moment("2026-11-23T02:10:00Z", None, 0)), Duration::from_secs(600));
}
