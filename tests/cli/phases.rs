//! Phases of a real run, with a window some seconds from now.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pipe_tests::{Deployment, Ended};

/// A step of an early phase, the deployment, and one of a later phase. Steps that are early may begin late here: tests are slow.
fn deployment(window: &str, look: &str) -> Deployment {
    Deployment::example().file(
        "pipeline.toml",
        format!(
            r#"
name = "phased"
environments = ["demo"]

[inputs]
window.description = "when it takes place"

[window]
start = "${{inputs.window}}"
{window}
late = "3h"

[[step]]
name = "prepare"
stage = "release"
phase = "t-1h"
allow.exec = [{{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "true" }}, undo = {{ program = "true" }} }}

[[step]]
name = "release"
stage = "release"
allow.read = ["example/app"]
allow.write = ["www"]
with = {{ kind = "files", source = "example/app", destination = "www", version = "1" }}

[[step]]
name = "look"
stage = "release"
{look}
allow.exec = [{{ program = "sleep", argv = ["no time"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["no time"] }}, undo = {{ program = "true" }} }}
"#
        ),
    )
}

/// A window that opens in so many seconds.
fn opens_in(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

fn run(deployment: &Deployment, start: Timestamp) -> Ended {
    deployment.run(&["run", "pipeline.toml", "--env", "demo", "--set", &format!("window={start}")])
}

fn wait_until(moment: Timestamp) {
    while Timestamp::now() <= moment {
        thread::sleep(Duration::from_millis(50));
    }
}

fn events(deployment: &Deployment) -> Vec<serde_json::Value> {
    let shown = deployment.run(&["show", "last", "--output", "json"]);
    assert_eq!(shown.code, 0, "{shown}");
    shown.json().into_iter().map(|line| line["what"].clone()).collect()
}

fn count(events: &[serde_json::Value], word: &str) -> usize {
    events.iter().filter(|event| event["event"] == word).count()
}

/// `pipe resume` finds nothing to do, says so, and leaves the record as it is.
fn waits(deployment: &Deployment, why: &str) {
    let before = events(deployment).len();
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 7, "{resumed}");
    assert!(resumed.stderr.contains(why), "{resumed}");
    assert_eq!(events(deployment).len(), before, "nothing is written down");
}

fn status(deployment: &Deployment) -> serde_json::Value {
    let status = deployment.run(&["status", "--output", "json"]);
    assert_eq!(status.code, 0, "{status}");
    status.json().into_iter().next().unwrap_or_default()
}

#[test]
fn a_run_waits_for_its_window_succeeds_in_it_and_is_superseded_after_it() {
    let deployment = deployment("duration = \"1h\"", "phase = \"t+1h\"");
    let start = opens_in(20);
    let first = run(&deployment, start);
    assert_eq!(first.code, 7, "{first}");
    assert!(first.stderr.contains("waits for phase t, due at 20"), "{first}");
    assert!(first.stderr.contains("✓ prepare") && !deployment.at("www").exists(), "{first}");
    waits(&deployment, "waits for phase t, due at 20");
    let standing = status(&deployment);
    assert_eq!(standing["standing"], "waiting");
    assert!(standing["what"].as_str().unwrap().starts_with("waits for phase t, due at 20"), "{standing}");
    let another = run(&deployment, start);
    assert_eq!(another.code, 8, "a run that waits owns its environment\n{another}");

    wait_until(start);
    let released = deployment.run(&["resume", "last"]);
    assert_eq!(released.code, 0, "{released}");
    assert!(deployment.at("www/current").exists(), "{released}");
    assert!(released.stderr.contains("later     waits for phase t+1h, due at 20"), "{released}");
    let known = events(&deployment);
    assert_eq!((count(&known, "phase-began"), count(&known, "run-paused"), count(&known, "run-finished")), (2, 1, 1));
    waits(&deployment, "waits for phase t+1h, due at 20");
    assert_eq!(status(&deployment)["standing"], "succeeded");

    let name = status(&deployment)["run"].as_str().unwrap().to_owned();
    let newer = run(&deployment, opens_in(600));
    assert_eq!(newer.code, 7, "one that has succeeded owns nothing\n{newer}");
    let superseded = deployment.run(&["resume", &name]);
    assert_eq!(superseded.code, 2, "{superseded}");
    assert!(superseded.stderr.contains(&format!("run {name} is superseded by run ")), "{superseded}");
}

#[test]
fn a_later_step_that_fails_undoes_nothing_until_somebody_asks() {
    let deployment = deployment("duration = \"1h\"", "phase = \"t+1s\"");
    let ended = run(&deployment, opens_in(-1));
    assert_eq!(ended.code, 0, "it has succeeded before its later phase\n{ended}");
    assert!(!ended.stderr.contains("look"), "{ended}");
    assert_eq!(status(&deployment)["what"], "its next phase is due");
    for attempt in 1..=2 {
        let looked = deployment.run(&["resume", "last"]);
        assert_eq!(looked.code, 7, "{looked}");
        assert!(looked.stderr.contains("\"look\" of a later phase failed"), "{looked}");
        let known = events(&deployment);
        assert_eq!((count(&known, "rollback-started"), count(&known, "attempt-started")), (0, 2 + attempt), "{looked}");
    }
    assert!(deployment.at("www/current").exists());
    assert_eq!(status(&deployment)["standing"], "waiting");
    let undone = deployment.run(&["rollback", "last", "--reason", "errors"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert!(!deployment.at("www/current").exists(), "{undone}");
}

#[test]
fn what_was_given_up_after_a_success_has_succeeded() {
    let deployment = deployment("duration = \"1h\"", "phase = \"t+1s\"");
    assert_eq!(run(&deployment, opens_in(-1)).code, 0);
    assert_eq!(deployment.run(&["resume", "last"]).code, 7);
    let given_up = deployment.run(&["abandon", "last", "--reason", "seen by hand"]);
    assert_eq!(given_up.code, 0, "{given_up}");
    let last = events(&deployment).pop().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"succeeded".into()), "{last}");
    let over = deployment.run(&["resume", "last"]);
    assert_eq!(over.code, 2, "{over}");
    assert_eq!(status(&deployment), serde_json::Value::Null);
}

#[test]
fn too_late_is_said_and_begun_only_where_somebody_gives_a_reason() {
    let deployment = deployment("duration = \"1s\"", "phase = \"t+1h\"");
    let never = run(&deployment, opens_in(-9 * 3_600));
    assert_eq!(never.code, 3, "{never}");
    assert!(never.stderr.contains("too late to begin: phase t-1h could begin until 20"), "{never}");
    assert_eq!(deployment.run(&["status"]).code, 0, "and owns nothing");

    let start = opens_in(5);
    assert_eq!(run(&deployment, start).code, 7);
    wait_until(start + SignedDuration::from_secs(2));
    waits(&deployment, "phase t could begin until 20");
    let next = status(&deployment)["next"][0].as_str().unwrap().to_owned();
    assert!(next.contains(" --late --reason "), "{next}");
    let silent = deployment.run(&["resume", "last", "--late"]);
    assert_eq!(silent.code, 2, "without a reason\n{silent}");
    let late = deployment.run(&["resume", "last", "--late", "--reason", "the clinic agreed"]);
    assert_eq!(late.code, 0, "{late}");
    let known = events(&deployment);
    let accepted = known.iter().find(|event| event["event"] == "late-accepted").unwrap();
    assert_eq!((&accepted["phase"], &accepted["reason"]), (&"t".into(), &"the clinic agreed".into()));
    assert!(accepted["actor"].as_str().unwrap().contains('@'), "{accepted}");
    let again = deployment.run(&["resume", "last", "--late", "--reason", "impatience"]);
    assert_eq!(again.code, 7, "what is not due does not become due by being late\n{again}");
}

#[test]
fn results_that_are_too_old_stop_the_run_and_it_can_be_undone() {
    let deployment = deployment("duration = \"1h\"\nmax_age = \"1s\"", "phase = \"t+1h\"");
    let start = opens_in(8);
    let began = Instant::now();
    let first = run(&deployment, start);
    assert_eq!(first.code, 7, "after {:?}\n{first}", began.elapsed());
    wait_until(start);
    waits(&deployment, "phase t-1h began at 20");
    assert!(!deployment.at("www").exists());
    let undone = deployment.run(&["rollback", "last", "--reason", "another day"]);
    assert_eq!(undone.code, 5, "{undone}");
}

#[test]
fn a_plan_says_when_each_phase_is_due() {
    let deployment = deployment("duration = \"4h\"\nmax_age = \"30h\"", "phase = \"t+1w\"");
    let window = "window=2099-11-28T23:00:00+01:00";
    let planned = deployment.run(&["plan", "pipeline.toml", "--env", "demo", "--set", window]);
    assert_eq!(planned.code, 0, "{planned}");
    for line in [
        "  t-1h due 2099-11-28 21:00:00 UTC, begins until 2099-11-29 00:00:00 UTC or not at all\n    prepare\n",
        "  t due 2099-11-28 22:00:00 UTC, begins until 2099-11-29 02:00:00 UTC or not at all, with results of earlier phases \
         not older than 30h\n    every other step\n",
        "  t+1w due 2099-12-05 22:00:00 UTC, begins until 2099-12-06 01:00:00 UTC or not at all\n    look\n",
    ] {
        assert!(planned.stdout.contains(line), "{planned}");
    }
}

#[test]
fn a_window_that_makes_no_sense_is_refused_at_its_line() {
    for (from, to, window, message) in [
        ("", "", "2026-11-28 at ten", "`2026-11-28 at ten` is not a moment with its zone"),
        ("", "", "2026-11-28T22:00:00", "`2026-11-28T22:00:00` is not a moment with its zone"),
        ("\"t-1h\"", "\"t-1\"", "2099-11-28T22:00:00Z", "`1` has no unit"),
        ("\"t-1h\"", "\"tomorrow\"", "2099-11-28T22:00:00Z", "is not a"),
        ("\"t+1h\"", "\"t-2h\"", "2099-11-28T22:00:00Z", "the phase `t-2h` comes after `t` in the file"),
        (
            "late = \"3h\"",
            "max_age = \"30m\"\nlate = \"1m\"",
            "2099-11-28T22:00:00Z",
            "results of `t-1h` are always older than 30m when `t` is due",
        ),
        ("late = \"3h\"", "late = 3", "2099-11-28T22:00:00Z", "`3` has no unit"),
    ] {
        let deployment = deployment("duration = \"4h\"", "phase = \"t+1h\"").edit("pipeline.toml", from, to);
        let checked = deployment.run(&["check", "pipeline.toml", "--set", &format!("window={window}")]);
        assert_eq!(checked.code, 3, "{from} -> {to}\n{checked}");
        assert!(checked.stderr.contains(message) && checked.stderr.contains("--> pipeline.toml:"), "{checked}");
    }
}
