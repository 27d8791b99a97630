//! Gates of a sound file: where they stand, and what they say.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use pipe_core::diagnostic::SourceFile;
use pipe_pipeline::{Checked, LockedEnvironment, OnExpiry, RollbackEntry, RunFacts, Selection, check, parse};

const FILE: &str = r#"
name = "hms"
environments = ["staging", "production"]
[sets.services]
a = "1"
b = "2"
[roles]
clinical.signers = "signers/clinical"
lead.signers     = "/etc/pipe/lead"
[env.staging.roles]
lead.signers = "signers/nobody"

[[step]]
name = "before all"
gate = { role = "lead" }

[[step]]
name = "deploy"
stage = "release"
for_each = { in = "services" }

[[step]]
name = "manual verification"
gate = { role = "clinical", quorum = 2, expires = "4h", on_expiry = "rollback" }
checklist = ["blue.hms.health opens", { item = "released", step = "deploy" }]

[[step]]
name = "ops too"
gate = { role = "lead", expires = "30m" }

[[step]]
name = "traffic"
stage = "release"

[[rollback]]
undo = "traffic"
[[rollback]]
undo = "deploy"
gate = { role = "lead", if_started = "traffic", on_expiry = "fail" }
[[rollback]]
name = "all clear"
gate = { role = "clinical", on_expiry = "stop" }
"#;

fn checked(text: &str, environment: &str) -> Checked {
    let selection = Selection {
        environment: Some(environment.to_owned()),
        inputs: BTreeMap::new(),
        previous: BTreeMap::new(),
        run: RunFacts {
            id: "20261123021500-9f3c1a".parse().unwrap(),
            started: "2026-11-23T02:15:00Z".parse().unwrap(),
        },
    };
    check(&document(text), &selection).unwrap()
}

fn document(text: &str) -> pipe_pipeline::Document {
    parse(&Arc::new(SourceFile { path: "/srv/hms/pipeline.toml".into(), text: text.to_owned() })).unwrap()
}

#[test]
fn gates_stand_between_the_calls() {
    let pipeline = checked(FILE, "production").pipeline;
    let steps: Vec<String> = pipeline.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(steps, ["deploy[a]", "deploy[b]", "traffic"]);
    let standing: Vec<(usize, &str)> =
        pipeline.gates.iter().map(|standing| (standing.before, standing.gate.id.name.as_str())).collect();
    assert_eq!(standing, [(0, "before all"), (2, "manual verification"), (2, "ops too")]);
    let before_traffic: Vec<&str> = pipeline.gates_before(2).map(|gate| gate.id.name.as_str()).collect();
    assert_eq!(before_traffic, ["manual verification", "ops too"], "one role and the other");

    let clinical = &pipeline.gates[1].gate;
    assert_eq!((clinical.role.as_str(), clinical.quorum), ("clinical", 2));
    assert_eq!((clinical.expires, clinical.on_expiry), (Duration::from_secs(4 * 3600), OnExpiry::Rollback));
    assert_eq!(clinical.checklist[0].item, "blue.hms.health opens");
    assert_eq!(clinical.checklist[1].step.as_ref().unwrap().name, "deploy");
    assert_eq!(&FILE[clinical.span.clone()], "\"manual verification\"");
    let usual = &pipeline.gates[0].gate;
    assert_eq!((usual.quorum, usual.expires, usual.on_expiry), (1, Duration::from_secs(86_400), OnExpiry::Stop));
}

#[test]
fn gates_stand_in_the_rollback() {
    let pipeline = checked(FILE, "production").pipeline;
    let rollback = pipeline.rollback.as_ref().unwrap();
    let RollbackEntry::Undo { gate: Some(gate), step, .. } = &rollback[1] else { panic!("{rollback:?}") };
    assert_eq!((step.as_str(), gate.id.name.as_str()), ("deploy", "undo deploy"));
    assert_eq!((gate.if_started.as_deref(), gate.on_expiry), (Some("traffic"), OnExpiry::Fail));
    assert!(matches!(&rollback[0], RollbackEntry::Undo { gate: None, .. }));
    assert!(matches!(&rollback[2], RollbackEntry::Gate(gate) if gate.id.name == "all clear"));
    assert_eq!(pipeline.all_gates().count(), 5);
    assert_eq!(pipeline.calls().count(), 3, "a gate calls nothing");
}

#[test]
fn roles_differ_by_environment() {
    let production = checked(FILE, "production").pipeline;
    assert_eq!(production.roles["lead"].signers, Path::new("/etc/pipe/lead"));
    assert_eq!(production.roles["clinical"].signers, Path::new("/srv/hms/signers/clinical"));
    let staging = checked(FILE, "staging").pipeline;
    assert_eq!(staging.roles["lead"].signers, Path::new("/srv/hms/signers/nobody"));
}

#[test]
fn a_role_that_nobody_is_asked_for_is_worth_a_look() {
    assert_eq!(checked(FILE, "production").warnings, []);
    let text = FILE.replace("[roles]", "[roles]\nidle.signers = \"x\"");
    let warnings = checked(&text, "production").warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("`idle`"), "{}", warnings[0].message);
}

/// Whoever locked the file accepted who must be asked.
#[test]
fn a_gate_that_is_changed_or_gone_is_drift() {
    let locked = LockedEnvironment::of(&document(FILE));
    for (from, to) in [
        ("quorum = 2", "quorum = 1"),
        ("checklist = [\"blue.hms.health opens\", ", "checklist = ["),
        ("name = \"ops too\"\ngate = { role = \"lead\", expires = \"30m\" }", "name = \"ops too\"\nstage = \"verify\""),
        ("gate = { role = \"lead\", if_started = \"traffic\", on_expiry = \"fail\" }", ""),
        ("signers/clinical", "signers/everybody"),
    ] {
        assert!(FILE.contains(from), "{from}");
        assert_ne!(LockedEnvironment::of(&document(&FILE.replace(from, to))), locked, "{from}");
    }
    assert_eq!(LockedEnvironment::of(&document(&FILE.replace("# ", ""))), locked);
}
