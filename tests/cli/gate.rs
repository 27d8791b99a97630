//! Gates: a run that waits for people, and people who decide with keys that `ssh-keygen` made. What they may not do has as much
//! room as what they may.

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pipe_tests::{Deployment, Ended, guest};

const RUN: [&str; 4] = ["run", "example.toml", "--env", "demo"];
const NAMESPACE: &str = "pipe-approval@v1";

/// The gate of most tests: before the release, after the migration.
const GATE: &str = "gate = { role = \"clinical\", expires = \"4h\", on_expiry = \"rollback\" }";

/// The example with a gate before its release. Anna, Bela and Cora have the role; Dora has a key and nothing else. Cora is
/// whoever runs `pipe` where a test says `--as cora@hospital.example`.
fn gated(gate: &str) -> Deployment {
    let deployment = Deployment::example().folder("keys").folder("signers");
    for person in ["anna", "bela", "cora", "dora"] {
        keygen(&deployment, &["-q", "-t", "ed25519", "-N", "", "-C", person, "-f", &key(person)], None);
    }
    let signers = ["anna", "bela", "cora"].map(|person| line(&deployment, person)).concat();
    deployment
        .file("signers/clinical", signers)
        .edit("example.toml", "[peers]", "[roles]\nclinical.signers = \"signers/clinical\"\n\n[peers]")
        .edit(
            "example.toml",
            "[[step]]\nname = \"release\"",
            &format!("[[step]]\nname = \"go\"\n{gate}\n\n[[step]]\nname = \"release\""),
        )
}

fn key(person: &str) -> String {
    format!("keys/{person}")
}

/// A line of `allowed_signers`.
fn line(deployment: &Deployment, person: &str) -> String {
    let public = fs::read_to_string(deployment.at(&format!("keys/{person}.pub"))).expect("is there");
    format!("{person}@hospital.example {public}")
}

/// Runs the real `ssh-keygen`; what it prints.
fn keygen(deployment: &Deployment, arguments: &[&str], input: Option<PathBuf>) -> String {
    let (ok, said) = try_keygen(deployment, arguments, input);
    assert!(ok, "ssh-keygen {arguments:?}: {said}");
    said
}

fn try_keygen(deployment: &Deployment, arguments: &[&str], input: Option<PathBuf>) -> (bool, String) {
    let input = input.map_or_else(Stdio::null, |path| Stdio::from(File::open(path).expect("is there")));
    let mut command = Command::new("ssh-keygen");
    let output = command.args(arguments).current_dir(deployment.path()).stdin(input).output();
    let output = output.expect("openssh-client is installed by tests/all.sh");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A run that waits at its gate: exit code 7, and nothing is released.
fn waiting(deployment: &Deployment) {
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 7, "{ended}");
    assert!(!deployment.at("example/live/www/current").exists(), "released before anybody agreed\n{ended}");
    assert!(ended.stderr.contains("clinical decides at the gate \"go\""), "{ended}");
}

fn approve(deployment: &Deployment, person: &str, more: &[&str]) -> Ended {
    let path = key(person);
    let arguments = ["approve", "last", "go", "--role", "clinical", "--key", &path, "--reason", "seen on blue"];
    deployment.run(&[&arguments, more].concat())
}

/// The decision does not hold, for this reason, and the run is where it was.
fn refused(deployment: &Deployment, ended: &Ended, why: &str) {
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains(why), "{ended}");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 7, "{resumed}");
    assert!(!deployment.at("example/live/www/current").exists());
    let last = events(deployment, "approval-refused");
    assert!(last.iter().any(|event| event["reason"].as_str().expect("is there").contains(why)), "{last:?}");
}

/// The events of the last run with this word.
fn events(deployment: &Deployment, word: &str) -> Vec<serde_json::Value> {
    let shown = deployment.run(&["show", "last", "--output", "json"]);
    assert_eq!(shown.code, 0, "{shown}");
    shown.json().into_iter().map(|line| line["what"].clone()).filter(|what| what["event"] == word).collect()
}

fn released(deployment: &Deployment, ended: &Ended) {
    assert_eq!(ended.code, 0, "{ended}");
    assert!(deployment.at("example/live/www/current/index.html").exists(), "{ended}");
}

#[test]
fn a_run_waits_until_somebody_of_the_role_agrees() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let status = deployment.run(&["status"]);
    assert!(status.stdout.contains("pipe approve "), "{status}");
    let again = deployment.run(&["resume", "last"]);
    assert_eq!(again.code, 7, "nobody has said anything\n{again}");
    let approved = approve(&deployment, "anna", &[]);
    assert_eq!(approved.code, 0, "{approved}");
    assert!(approved.stdout.contains("as anna@hospital.example"), "{approved}");
    let status = deployment.run(&["status"]);
    assert!(status.stdout.contains("the gate \"go\" is passed: the run has to go on"), "{status}");
    assert!(!status.stdout.contains("pipe approve"), "nobody is asked any more\n{status}");
    let resumed = deployment.run(&["resume", "last"]);
    released(&deployment, &resumed);
    let opened = events(&deployment, "gate-opened");
    assert_eq!(opened.len(), 1, "it was opened once, and waited over processes");
    let closed = &events(&deployment, "gate-closed")[0];
    assert_eq!((&closed["how"], &closed["by"][0]), (&"passed".into(), &"anna@hospital.example".into()));
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
    let late = approve(&deployment, "bela", &[]);
    assert_eq!(late.code, 3, "{late}");
}

/// "yes" from a pipe is no approval, whoever writes it.
#[test]
fn nothing_on_stdin_passes_a_gate() {
    let deployment = gated(GATE);
    let ended = deployment.run_with_input(&RUN, "yes\ny\nanna@hospital.example\n");
    assert_eq!(ended.code, 7, "{ended}");
}

#[test]
fn a_quorum_is_different_people() {
    let deployment = gated("gate = { role = \"clinical\", quorum = 2 }");
    waiting(&deployment);
    for _ in 0..2 {
        let approved = approve(&deployment, "anna", &[]);
        assert_eq!(approved.code, 0, "{approved}");
        assert!(approved.stdout.contains("1 more person of clinical must approve"), "{approved}");
        assert_eq!(deployment.run(&["resume", "last"]).code, 7, "one person is not two");
    }
    // A second key of the same person is the same person.
    let deployment = {
        keygen(&deployment, &["-q", "-t", "ed25519", "-N", "", "-f", "keys/anna2"], None);
        deployment
    };
    assert_eq!(approve(&deployment, "anna2", &[]).code, 3, "the file of signers was fixed when the run began");
    assert_eq!(approve(&deployment, "bela", &[]).code, 0);
    let resumed = deployment.run(&["resume", "last"]);
    released(&deployment, &resumed);
}

#[test]
fn a_rejection_ends_the_run_and_undoes_it() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let rejected = approve(&deployment, "bela", &["--reject"]);
    assert_eq!(rejected.code, 0, "{rejected}");
    assert_eq!(approve(&deployment, "anna", &[]).code, 3, "it is decided");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 5, "{resumed}");
    assert!(resumed.stderr.contains("rejected by bela@hospital.example: seen on blue"), "{resumed}");
    assert!(!deployment.at("example/live/www/current").exists(), "{resumed}");
}

#[test]
fn whoever_asked_for_the_run_does_not_approve_it() {
    let deployment = gated(GATE);
    let ended = deployment.run(&[&RUN[..], &["--as", "cora@hospital.example"]].concat());
    assert_eq!(ended.code, 7, "{ended}");
    let own = approve(&deployment, "cora", &[]);
    refused(&deployment, &own, "`cora@hospital.example` may not approve");
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
}

/// The name that the system knows is enough: nobody needs to say who they are.
#[test]
fn the_user_who_runs_it_does_not_approve_it() {
    let user = String::from_utf8(Command::new("id").arg("-un").output().expect("is there").stdout).expect("is there");
    let deployment = gated(GATE);
    let signers = fs::read_to_string(deployment.at("signers/clinical")).expect("is there");
    let signers = signers.replace("anna@hospital.example", &format!("{}@hospital.example", user.trim()));
    let deployment = deployment.file("signers/clinical", signers);
    waiting(&deployment);
    let own = approve(&deployment, "anna", &[]);
    refused(&deployment, &own, "may not approve");
}

#[test]
fn a_stranger_and_a_key_of_before_or_after_its_time_decide_nothing() {
    let deployment = gated(GATE);
    let bela = line(&deployment, "bela").replace(" ssh-ed25519", " valid-before=\"20200101Z\" ssh-ed25519");
    let cora = line(&deployment, "cora").replace(" ssh-ed25519", " namespaces=\"git\" ssh-ed25519");
    let signers = [line(&deployment, "anna"), bela, cora].concat();
    let deployment = deployment.file("signers/clinical", signers);
    waiting(&deployment);
    refused(&deployment, &approve(&deployment, "dora", &[]), "is nobody's who has the role `clinical`");
    refused(&deployment, &approve(&deployment, "cora", &[]), "is nobody's who has the role `clinical`");
    refused(&deployment, &approve(&deployment, "bela", &[]), "is not valid at this time");
}

#[test]
fn nobody_who_is_added_later_has_a_say() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let signers = fs::read_to_string(deployment.at("signers/clinical")).expect("is there") + &line(&deployment, "dora");
    let deployment = deployment.file("signers/clinical", signers);
    refused(&deployment, &approve(&deployment, "dora", &[]), "is nobody's who has the role `clinical`");
}

/// Writes the text to sign, and signs it with `ssh-keygen`: for this gate, by this person, for this purpose.
fn signed_elsewhere(deployment: Deployment, person: &str, namespace: &str) -> Deployment {
    let printed = deployment.run(&["approve", "last", "go", "--print", "--reason", "signed elsewhere"]);
    assert_eq!(printed.code, 0, "{printed}");
    let deployment = deployment.file("text", &printed.stdout);
    let _ = fs::remove_file(deployment.at("text.sig"));
    keygen(&deployment, &["-q", "-Y", "sign", "-n", namespace, "-f", &key(person), "text"], None);
    deployment
}

const HAND_IN: [&str; 5] = ["approve", "last", "go", "--signature", "text.sig"];

#[test]
fn what_ssh_keygen_signs_is_accepted() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", NAMESPACE);
    let approved = deployment.run(&HAND_IN);
    assert_eq!(approved.code, 0, "{approved}");
    released(&deployment, &deployment.run(&["resume", "last"]));
}

/// Every kind of key that people have.
#[test]
fn keys_of_other_kinds_are_accepted() {
    for (kind, bits, ours) in [("rsa", "3072", false), ("ecdsa", "256", true), ("ecdsa", "384", true)] {
        let deployment = gated(GATE);
        keygen(&deployment, &["-q", "-t", kind, "-b", bits, "-N", "", "-f", "keys/eve"], None);
        let signers = line(&deployment, "eve");
        let deployment = deployment.file("signers/clinical", signers);
        waiting(&deployment);
        let by_us = approve(&deployment, "eve", &[]);
        // The reader of keys refuses one ECDSA key in some hundreds, whose number is a byte shorter than most.
        if ours && !by_us.stderr.contains("length invalid") {
            assert_eq!(by_us.code, 0, "{kind} {bits}\n{by_us}");
            agrees(&deployment, "eve@hospital.example");
        } else {
            assert_eq!(by_us.code, 2, "{by_us}");
            assert!(ours || by_us.stderr.contains("ssh-keygen -Y sign"), "it says how\n{by_us}");
            let deployment = signed_elsewhere(deployment, "eve", NAMESPACE);
            let approved = deployment.run(&HAND_IN);
            assert_eq!(approved.code, 0, "{kind} {bits}\n{approved}");
            agrees(&deployment, "eve@hospital.example");
        }
    }
}

/// `ssh-keygen -Y verify` accepts what is in the journal, against the signers that are in the journal, and nothing else.
fn agrees(deployment: &Deployment, principal: &str) {
    let opened = &events(deployment, "gate-opened")[0];
    let approved = &events(deployment, "approved")[0]["approval"];
    fs::write(deployment.at("allowed"), opened["signers"].as_str().expect("is there")).expect("is there");
    fs::write(deployment.at("signed"), approved["text"].as_str().expect("is there")).expect("is there");
    fs::write(deployment.at("signed.sig"), approved["signature"].as_str().expect("is there")).expect("is there");
    let verify = ["-Y", "verify", "-f", "allowed", "-I", principal, "-n", NAMESPACE, "-s", "signed.sig"];
    let said = keygen(deployment, &verify, Some(deployment.at("signed")));
    assert!(said.contains(&format!("Good \"{NAMESPACE}\" signature for {principal}")), "{said}");
    assert!(said.contains(approved["key"].as_str().expect("is there")), "the same fingerprint: {said}");
    let changed =
        approved["text"].as_str().expect("is there").replace("seen", "Seen").replace("signed else", "Signed else");
    fs::write(deployment.at("changed"), changed).expect("is there");
    let (ok, said) = try_keygen(deployment, &verify, Some(deployment.at("changed")));
    assert!(!ok, "{said}");
}

#[test]
fn ssh_keygen_verifies_what_we_sign() {
    let deployment = gated(GATE);
    waiting(&deployment);
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
    agrees(&deployment, "anna@hospital.example");
}

#[test]
fn a_signature_for_another_purpose_is_refused() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", "file");
    refused(&deployment, &deployment.run(&HAND_IN), "the signature was made for `file`");
}

#[test]
fn a_forged_approval_is_refused() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", NAMESPACE);
    let text = fs::read_to_string(deployment.at("text")).expect("is there");
    let changed = text.replace("signed elsewhere", "signed elsewherf");
    assert_ne!(changed, text);
    let deployment = deployment.file("text", changed);
    refused(&deployment, &deployment.run(&HAND_IN), "the signature does not hold for this text");
    // One bit of the signature itself.
    let deployment = deployment.file("text", &text);
    let signature = fs::read_to_string(deployment.at("text.sig")).expect("is there");
    let lines: Vec<&str> = signature.lines().collect();
    let last = lines[lines.len() - 2];
    let at = last.len() - 6;
    let other = if last.as_bytes()[at] == b'A' { "B" } else { "A" };
    let flipped = signature.replace(last, &format!("{}{other}{}", &last[..at], &last[at + 1..]));
    let deployment = deployment.file("text.sig", flipped);
    let ended = deployment.run(&HAND_IN);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("signature"), "{ended}");
    // And as it was made it holds.
    let deployment = deployment.file("text.sig", signature);
    assert_eq!(deployment.run(&HAND_IN).code, 0);
}

#[test]
fn an_approval_of_another_run_is_refused() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", NAMESPACE);
    assert_eq!(approve(&deployment, "bela", &["--reject"]).code, 0);
    assert_eq!(deployment.run(&["resume", "last"]).code, 5);
    waiting(&deployment);
    refused(&deployment, &deployment.run(&HAND_IN), "it was signed for the run");
}

/// The run is the same in name, and what it would do is not.
#[test]
fn an_approval_of_another_plan_is_refused() {
    let deployment = gated(GATE);
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", NAMESPACE);
    let text = fs::read_to_string(deployment.at("text")).expect("is there");
    let plan = text.lines().find(|line| line.starts_with("plan: ")).expect("is there").to_owned();
    let other = format!("plan: {}", "ab".repeat(32));
    let deployment = deployment.file("text", text.replace(&plan, &other));
    fs::remove_file(deployment.at("text.sig")).expect("is there");
    keygen(&deployment, &["-q", "-Y", "sign", "-n", NAMESPACE, "-f", &key("anna"), "text"], None);
    refused(&deployment, &deployment.run(&HAND_IN), "it was signed for the plan");
}

#[test]
fn a_gate_that_expires_rolls_back() {
    let deployment = gated("gate = { role = \"clinical\", expires = \"1s\", on_expiry = \"rollback\" }");
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", NAMESPACE);
    std::thread::sleep(Duration::from_millis(1_100));
    let late = deployment.run(&HAND_IN);
    assert_eq!(late.code, 3, "{late}");
    assert!(late.stderr.contains("and that is over"), "{late}");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 5, "{resumed}");
    assert!(resumed.stderr.contains("clinical did not decide in time"), "{resumed}");
}

#[test]
fn a_gate_that_stops_the_run_asks_again_when_it_is_resumed() {
    let deployment = gated("gate = { role = \"clinical\", expires = \"2s\", on_expiry = \"stop\" }");
    waiting(&deployment);
    let deployment = signed_elsewhere(deployment, "anna", NAMESPACE);
    std::thread::sleep(Duration::from_millis(2_100));
    let stopped = deployment.run(&["resume", "last"]);
    assert_eq!(stopped.code, 7, "{stopped}");
    assert!(stopped.stderr.contains("resume, to ask again"), "{stopped}");
    let again = deployment.run(&["resume", "last"]);
    assert_eq!(again.code, 7, "{again}");
    assert_eq!(events(&deployment, "gate-opened").len(), 2);
    let replayed = deployment.run(&HAND_IN);
    assert_eq!(replayed.code, 3, "{replayed}");
    assert!(replayed.stderr.contains("another opening of the gate"), "{replayed}");
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
    released(&deployment, &deployment.run(&["resume", "last"]));
}

#[test]
fn every_line_of_a_checklist_is_attested_or_waived() {
    let list = "checklist = [\"blue opens\", \"a = b\", { item = \"preflight\", step = \"preflight\" }]";
    let deployment = gated(&format!("{GATE}\n{list}"));
    waiting(&deployment);
    let first = approve(&deployment, "anna", &["--attest", "blue opens=200 at 02:31"]);
    assert_eq!(first.code, 0, "{first}");
    assert!(first.stdout.contains("nobody has attested or waived \"a = b\""), "{first}");
    assert_eq!(deployment.run(&["resume", "last"]).code, 7);
    let unknown = approve(&deployment, "anna", &["--attest", "green opens=x"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    let empty = approve(&deployment, "anna", &["--attest", "a = b="]);
    assert_eq!(empty.code, 2, "evidence is something\n{empty}");
    let second = approve(&deployment, "bela", &["--waive", "a = b=known since Monday"]);
    assert_eq!(second.code, 0, "{second}");
    released(&deployment, &deployment.run(&["resume", "last"]));
    let list = &events(&deployment, "gate-closed")[0]["checklist"];
    assert_eq!(list[0]["state"], "attested");
    assert_eq!((&list[1]["state"], &list[1]["by"]), (&"waived".into(), &"bela@hospital.example".into()));
    assert_eq!(list[2]["state"], "passed");
    let shown = deployment.run(&["show", "last", "--events"]);
    for told in ["☑ blue opens: 200 at 02:31 (anna@hospital.example)", "☒ a = b waived: known since Monday"] {
        assert!(shown.stdout.contains(told), "{shown}");
    }
}

/// What was released is bad, and only people let the database go back.
#[test]
fn a_gate_of_the_rollback_is_asked_before_its_undo() {
    let deployment = gated(GATE).edit("example.toml", "contains = \"Appointments\"", "contains = \"not there\"").edit(
        "example.toml",
        "[[notify]]",
        "[[rollback]]\nundo = \"release\"\n[[rollback]]\nundo = \"migrate\"\n\
             gate = { role = \"clinical\", if_started = \"release\", on_expiry = \"stop\" }\n\n[[notify]]",
    );
    waiting(&deployment);
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
    let asked = deployment.run(&["resume", "last"]);
    assert_eq!(asked.code, 7, "{asked}");
    assert!(asked.stderr.contains("clinical decides at the gate \"undo migrate\""), "{asked}");
    assert!(!deployment.at("example/live/www/current").exists(), "the release was undone before\n{asked}");
    assert_eq!(events(&deployment, "undo-finished").len(), 1, "and the migration was not");
    let approved = deployment.run(&["approve", "last", "--key", "keys/bela", "--reason", "nobody wrote anything yet"]);
    assert_eq!(approved.code, 0, "{approved}");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 5, "{resumed}");
    assert_eq!(events(&deployment, "undo-finished").len(), 2);
}

#[test]
fn a_gate_of_the_rollback_that_is_rejected_leaves_what_comes_after_it() {
    let deployment = gated(GATE).edit("example.toml", "contains = \"Appointments\"", "contains = \"not there\"").edit(
        "example.toml",
        "[[notify]]",
        "[[rollback]]\nundo = \"release\"\n[[rollback]]\nundo = \"migrate\"\ngate = { role = \"clinical\" }\n\n[[notify]]",
    );
    waiting(&deployment);
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
    assert_eq!(deployment.run(&["resume", "last"]).code, 7);
    let rejected =
        deployment.run(&["approve", "last", "--key", "keys/bela", "--reason", "patients were booked", "--reject"]);
    assert_eq!(rejected.code, 0, "{rejected}");
    let ended = deployment.run(&["resume", "last"]);
    assert_eq!(ended.code, 6, "{ended}");
    assert!(ended.stderr.contains("patients were booked"), "{ended}");
    assert_eq!(events(&deployment, "undo-finished").len(), 1);
    // Somebody resumes it: people are asked again.
    let again = deployment.run(&["resume", "last"]);
    assert_eq!(again.code, 7, "{again}");
}

#[test]
fn the_plan_shows_who_is_asked_and_its_hash_covers_them() {
    let deployment = gated(&format!("{GATE}\nchecklist = [\"blue opens\"]"));
    let plan = |deployment: &Deployment| {
        let planned = deployment.run(&["plan", "example.toml", "--env", "demo"]);
        assert_eq!(planned.code, 0, "{planned}");
        planned.stdout
    };
    let before = plan(&deployment);
    for told in ["go gate, signers ", "waits for one person of clinical; after 4h: rollback", "☐ blue opens"] {
        assert!(before.contains(told), "{told}\n{before}");
    }
    let hash = |plan: &str| plan.lines().last().expect("is there").to_owned();
    let signers = line(&deployment, "anna");
    let deployment = deployment.file("signers/clinical", signers);
    let after = plan(&deployment);
    assert_ne!(hash(&before), hash(&after), "other people decide");
    let deployment = deployment.edit("example.toml", "expires = \"4h\"", "expires = \"5h\"");
    assert_ne!(hash(&after), hash(&plan(&deployment)));
}

#[test]
fn signers_that_cannot_decide_are_told_of_before_anything_runs() {
    for (signers, gate, why) in [
        (None, GATE, "No such file"),
        (Some("# nobody\n".to_owned()), GATE, "names nobody"),
        (Some("*@hospital.example ssh-ed25519 AAAA\n".to_owned()), GATE, "is not the name of one person"),
        (None, "gate = { role = \"clinical\", quorum = 4 }", "asks for 4 people, and 3 of the role"),
    ] {
        let deployment = gated(gate);
        let deployment = match signers {
            Some(signers) => deployment.file("signers/clinical", signers),
            None if why.starts_with("No") => {
                fs::remove_file(deployment.at("signers/clinical")).expect("is there");
                deployment
            }
            None => deployment,
        };
        for command in ["check", "plan", "run"] {
            let ended = deployment.run(&[command, "example.toml", "--env", "demo"]);
            assert_eq!(ended.code, 3, "{command}\n{ended}");
            assert!(ended.stderr.contains(why), "{command}\n{ended}");
        }
        assert!(!deployment.at("example/live/app.db").exists());
    }
}

/// What was approved is not what would be called.
#[test]
fn a_plugin_that_is_replaced_opens_the_gate_again() {
    let deployment = gated(GATE);
    waiting(&deployment);
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
    let release = fs::read(guest::component("hostile").with_file_name("release.wasm")).expect("a component");
    // A custom section at the end makes another component of it that does the same.
    let deployment = deployment.file("other.wasm", [&release[..], b"\0\x03\x02v2"].concat());
    let replace = ["resume", "last", "--replace", "release=other.wasm", "--reason", "vendor's fix", "--role"];
    let unknown = deployment.run(&[&replace[..], &["nobody"]].concat());
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("the pipeline has no role `nobody`"), "{unknown}");
    let replaced = deployment.run(&[&replace[..], &["clinical"]].concat());
    assert_eq!(replaced.code, 7, "{replaced}");
    assert!(!deployment.at("example/live/www/current").exists(), "{replaced}");
    let openings = events(&deployment, "gate-opened");
    let (first, last) = (&openings[0], openings.last().expect("is there"));
    assert_ne!(first["plan_digest"], last["plan_digest"], "what is signed names what is called");
    let shown = deployment.run(&["show", "last"]);
    assert!(shown.stdout.contains("was of that opening, and does"), "{shown}");
    assert!(shown.stdout.contains("let step \"release\" call "), "{shown}");
}

/// Whoever could write the signers could approve the next run.
#[test]
fn no_step_may_write_the_signers() {
    let deployment = gated(GATE).edit(
        "example.toml",
        "allow.write = [\"example/live/www\"]",
        "allow.write = [\"example/live/www\", \"signers\"]",
    );
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 3, "{ended}");
}

#[test]
fn a_key_that_others_can_read_or_that_asks_for_a_passphrase_does_not_sign() {
    let deployment = gated(GATE);
    waiting(&deployment);
    keygen(&deployment, &["-q", "-p", "-P", "", "-N", "a passphrase", "-f", &key("anna")], None);
    let asked = approve(&deployment, "anna", &[]);
    assert_eq!(asked.code, 2, "{asked}");
    assert!(asked.stderr.contains("protected by a passphrase") && asked.stderr.contains("--signature"), "{asked}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(deployment.at("keys/bela"), mode).expect("is there");
    let open = approve(&deployment, "bela", &[]);
    assert_eq!(open.code, 2, "{open}");
    assert!(open.stderr.contains("can be read by others"), "{open}");
}

/// A process that waits on a terminal sees what another one records, and goes on by itself.
#[test]
fn on_a_terminal_a_run_waits_and_goes_on() {
    let deployment = gated(GATE);
    let command = deployment.command(&RUN);
    // `script` gives it a terminal.
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).current_dir(deployment.path()).env_clear();
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of bsdutils");
    let began = Instant::now();
    loop {
        let known = deployment.run(&["show", "last", "--output", "json"]);
        if known.stdout.contains("gate-opened") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{known}");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(700));
    assert!(running.try_wait().expect("is there").is_none(), "it did not wait");
    assert_eq!(approve(&deployment, "anna", &[]).code, 0);
    let status = running.wait().expect("is there");
    let mut said = String::new();
    running.stdout.take().expect("is there").read_to_string(&mut said).expect("is there");
    assert!(status.success(), "{said}");
    assert!(said.contains("approved by anna@hospital.example"), "{said}");
    assert!(said.contains("pipe approve "), "it says what to do: {said}");
}
