//! People with keys, and a gate that waits for them.

use std::time::Duration;

use pipe_core::{
    digest::Digest,
    event::{ChecklistItem, EventKind, Moment, SignedApproval},
    id::StepId,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ssh_key::{
    PrivateKey,
    private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData},
    public::Ed25519PublicKey,
};

use super::{Approval, Decision, Gates, Remark, sign};

pub(super) const RUN: &str = "20261123021500-9f3c1a";
pub(super) const OPENED: &str = "2026-11-23T02:15:00Z";

/// Somebody's key: the same for the same number.
pub(super) fn key(number: u8) -> PrivateKey {
    let seed = [number; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = Ed25519PublicKey(pair.public_key().as_ref().try_into().unwrap());
    let pair = Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(&seed) };
    PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap()
}

/// `anna@x`, `bela@x`, `cora@x` with the keys 1, 2, 3, and a second key 11 of anna.
pub(super) fn signers() -> String {
    let line = |name: &str, number| format!("{name} {}\n", key(number).public_key().to_openssh().unwrap());
    line("anna@x", 1) + &line("bela@x", 2) + &line("cora@x", 3) + &line("anna@x", 11)
}

/// Seconds after the gate opened, on a machine that has run since before.
pub(super) fn after(seconds: u64) -> Moment {
    let opened: jiff::Timestamp = OPENED.parse().unwrap();
    Moment { at: opened + Duration::from_secs(seconds), boot: Some("boot".into()), boot_ms: (1_000 + seconds) * 1_000 }
}

/// What came before: the run, and a gate with a quorum that waits for an hour.
pub(super) fn opened(quorum: u32, checklist: &[&str]) -> Gates {
    let mut gates = Gates::new(RUN.parse().unwrap());
    let digest = Digest::of(b"plan").to_string();
    let started = serde_json::json!({
        "event": "run-started", "pipeline": "hms", "environment": "production", "pipeline_digest": digest,
        "plan_digest": digest, "pipe_version": "0", "actor": "cora@build01", "inputs": {}, "steps": [],
    });
    gates.apply(&serde_json::from_value(started).unwrap());
    gates.apply(&gate_opened("first", quorum, checklist));
    gates
}

pub(super) fn gate_opened(opening: &str, quorum: u32, checklist: &[&str]) -> EventKind {
    EventKind::GateOpened {
        step: StepId::new("go"),
        role: "clinical".into(),
        quorum,
        opening: opening.into(),
        opened: after(0),
        expires_ms: 3_600_000,
        expires_at: after(3_600).at,
        plan_digest: Digest::of(b"plan"),
        checklist: checklist.iter().map(|item| ChecklistItem { item: (*item).into(), step: None }).collect(),
        signers: signers(),
        requesters: vec!["cora@build01".into()],
    }
}

/// An approval of that gate as it should be.
pub(super) fn approval() -> Approval {
    Approval {
        run: RUN.parse().unwrap(),
        pipeline: "hms".into(),
        environment: "production".into(),
        gate: "go".into(),
        role: "clinical".into(),
        plan: Digest::of(b"plan"),
        opening: "first".into(),
        decision: Decision::Approve,
        reason: "looks well".into(),
        items: Vec::new(),
        signed_at: after(60).at,
    }
}

pub(super) fn attests(items: &[&str]) -> Vec<(String, Remark)> {
    items.iter().map(|item| ((*item).into(), Remark::Attested("seen".into()))).collect()
}

/// The event that records it.
pub(super) fn recorded(approval: &Approval, by: u8, at: Moment) -> EventKind {
    let text = approval.text().unwrap();
    let signature = sign(&key(by), &text).unwrap();
    let signed = SignedApproval { text, signature, principal: "whoever".into(), key: "any".into() };
    let (step, actor, recorded) = (StepId::new("go"), "op@host".to_owned(), at);
    match approval.decision {
        Decision::Approve => EventKind::Approved { step, approval: signed, actor, recorded },
        Decision::Reject => EventKind::Rejected { step, approval: signed, actor, recorded },
    }
}
