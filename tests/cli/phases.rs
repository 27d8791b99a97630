//! Phases of a real run, with a window some seconds from now, or with a clock that is set.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pipe_tests::{Deployment, Ended, guest};

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
    let said = format!("run {name} is superseded: its later phases do not begin any more");
    assert!(newer.stderr.contains(&said), "{newer}");
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
    let due = status(&deployment);
    assert!(due["what"].as_str().unwrap().starts_with("phase t+1s is due since 20"), "{due}");
    assert!(due["what"].as_str().unwrap().ends_with(" UTC or not at all"), "{due}");
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
fn later_phases_are_given_up_before_they_begin() {
    let deployment = deployment("duration = \"1h\"", "phase = \"t+1h\"");
    assert_eq!(run(&deployment, opens_in(-1)).code, 0);
    let given_up = deployment.run(&["abandon", "last", "--reason", "seen by hand"]);
    assert_eq!(given_up.code, 0, "{given_up}");
    assert_eq!(status(&deployment), serde_json::Value::Null);
    let again = deployment.run(&["abandon", "last", "--reason", "seen by hand"]);
    assert_eq!(again.code, 2, "{again}");
    assert!(again.stderr.contains("has ended: succeeded"), "{again}");
    assert_eq!(deployment.run(&["resume", "last"]).code, 2);
    let history = deployment.run(&["history", "--output", "json"]).json();
    assert_eq!(history[0]["outcome"], "succeeded", "{history:?}");
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
    let told = deployment.run(&["show", "last"]);
    assert!(told.stdout.contains("phase t begin although it was too late for it"), "{told}");
    let known = events(&deployment);
    let accepted = known.iter().find(|event| event["event"] == "late-accepted").unwrap();
    assert_eq!((&accepted["phase"], &accepted["reason"]), (&"t".into(), &"the clinic agreed".into()));
    assert!(accepted["actor"].as_str().unwrap().contains('@'), "{accepted}");
    let before = known.len();
    let again = deployment.run(&["resume", "last", "--late", "--reason", "impatience"]);
    assert_eq!(again.code, 2, "what is not due does not become due by being late\n{again}");
    assert!(again.stderr.contains("is not late: it waits for phase t+1h, due at 20"), "{again}");
    let why = deployment.run(&["resume", "last", "--reason", "none"]);
    assert_eq!(why.code, 2, "{why}");
    assert_eq!(events(&deployment).len(), before, "nothing is written down");
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

const FAKE: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The deployment with a clock that [`set`] sets.
fn clocked(deployment: Deployment) -> Deployment {
    let clock = deployment.at("clock").display().to_string();
    deployment
        .file("clock", "+0\n")
        .variable("LD_PRELOAD", FAKE)
        .variable("FAKETIME_TIMESTAMP_FILE", clock)
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Sets its clock so many seconds beside the real one.
fn set(deployment: &Deployment, seconds: i64) {
    fs::write(deployment.at("clock"), format!("{seconds:+}\n")).expect("written");
}

const HOUR: i64 = 3_600;

#[test]
fn the_clock_begins_each_phase_once_and_a_failure_undoes_what_earlier_ones_did() {
    let deployment = clocked(deployment("duration = \"1h\"\nmax_age = \"90m\"", ""));
    let first = run(&deployment, opens_in(10 * HOUR));
    assert_eq!(first.code, 7, "{first}");
    assert!(first.stderr.contains("waits for phase t-1h, due at 20"), "{first}");
    assert!(first.stderr.contains("next      pipe resume 20"), "{first}");
    let begun = |events: &[serde_json::Value]| (count(events, "phase-began"), count(events, "step-started"));
    assert_eq!(begun(&events(&deployment)), (0, 0), "too early for anything");

    set(&deployment, 9 * HOUR);
    let due = status(&deployment);
    assert!(due["what"].as_str().unwrap().starts_with("phase t-1h is due since 20"), "{due}");
    let prepared = deployment.run(&["resume", "last"]);
    assert_eq!(prepared.code, 7, "{prepared}");
    assert!(prepared.stderr.contains("✓ prepare") && !deployment.at("www").exists(), "{prepared}");
    for jumped in [9 * HOUR, -48 * HOUR, 8 * HOUR] {
        set(&deployment, jumped);
        waits(&deployment, "waits for phase t, due at 20");
    }
    assert_eq!(begun(&events(&deployment)), (1, 1));

    set(&deployment, 10 * HOUR);
    let failed = deployment.run(&["resume", "last"]);
    assert_eq!(failed.code, 5, "{failed}");
    assert_eq!(undone(&deployment), ["look", "release", "prepare"], "{failed}");
    assert!(!deployment.at("www/current").exists(), "{failed}");
    assert_eq!(begun(&events(&deployment)), (2, 3));
    assert_eq!(status(&deployment), serde_json::Value::Null);
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
}

/// The steps that were undone, in that order.
fn undone(deployment: &Deployment) -> Vec<String> {
    let known = events(deployment);
    let ended = known.iter().filter(|event| event["event"] == "undo-finished" && event["failure"].is_null());
    ended.map(|event| event["step"]["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn what_is_looked_at_leaves_no_trace_and_a_clock_that_jumped_back_opens_no_window_again() {
    let release = fs::read(guest::component("hostile").with_file_name("release.wasm")).expect("a component");
    let deployment = clocked(deployment("duration = \"1h\"", "phase = \"t+1h\"")).file("mended.wasm", release);
    let start = opens_in(10 * HOUR);
    set(&deployment, 9 * HOUR);
    assert_eq!(run(&deployment, start).code, 7);
    set(&deployment, 12 * HOUR);
    waits(&deployment, "phase t could begin until 20");
    set(&deployment, 10 * HOUR + 60);
    let due = status(&deployment);
    assert!(due["what"].as_str().unwrap().starts_with("phase t is due since 20"), "{due}");

    // Something is written down while it is too late: that time has been.
    set(&deployment, 12 * HOUR);
    let replace = ["resume", "last", "--replace", "release=mended.wasm", "--role", "lead", "--reason", "fix"];
    let replaced = deployment.run(&replace);
    assert_eq!(replaced.code, 7, "{replaced}");
    assert_eq!(count(&events(&deployment), "plugin-replaced"), 1, "it does not wait for the phase\n{replaced}");
    set(&deployment, 10 * HOUR + 60);
    waits(&deployment, "phase t could begin until 20");
    let both = [&replace[..], &["--late"]].concat();
    let released = deployment.run(&both);
    assert_eq!(released.code, 0, "one reason for both\n{released}");
    let known = events(&deployment);
    let reasons: Vec<&str> = known
        .iter()
        .filter(|event| ["late-accepted", "plugin-replaced"].contains(&event["event"].as_str().unwrap()))
        .map(|event| event["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["fix"; 3]);
}

#[test]
fn what_was_killed_in_a_phase_goes_on_though_its_window_is_over() {
    let seconds = "2.7317";
    let deployment = clocked(deployment("duration = \"1h\"", "in_flight = \"retry\""));
    let deployment = deployment.edit("pipeline.toml", "no time", seconds).edit("pipeline.toml", "no time", seconds);
    let window = format!("window={}", opens_in(-1));
    let mut command = deployment.command(&["run", "pipeline.toml", "--env", "demo", "--set", &window]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    let began = Instant::now();
    while !is_running(seconds) {
        assert!(began.elapsed() < Duration::from_secs(60), "the step never ran");
        thread::sleep(Duration::from_millis(10));
    }
    let twice = deployment.run(&["resume", "last"]);
    assert_eq!(twice.code, 8, "somebody is at it\n{twice}");
    child.kill().expect("is there");
    child.wait().expect("has ended");

    set(&deployment, 30 * HOUR);
    let standing = status(&deployment);
    assert_eq!(standing["standing"], "cut-off");
    let next = standing["next"][0].as_str().unwrap();
    assert!(next.starts_with("pipe resume 20") && !next.contains("--late"), "{next}");
    let late = deployment.run(&["resume", "last", "--late", "--reason", "the night was short"]);
    assert_eq!(late.code, 2, "it is not late for what has begun\n{late}");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    let known = events(&deployment);
    assert_eq!((count(&known, "phase-began"), count(&known, "attempt-started")), (2, 4), "{known:?}");
}

fn is_running(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0").into_bytes();
    let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    processes.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default()).any(|line| line == wanted)
}

#[test]
fn a_deployment_is_watched_while_its_later_phase_is_waited_for() {
    let watched = "
phase = \"t+1h\"
";
    let deployment = clocked(deployment("duration = \"1h\"", watched));
    let text = fs::read_to_string(deployment.at("pipeline.toml")).expect("is there");
    let text = text
        .replace("argv = [\"no time\"]", "argv = [\"0.01\"]")
        .replace("arguments = [\"no time\"]", "arguments = [\"0.01\"]");
    let more = r#"
[[check]]
name = "page"
allow.read = ["www"]
with.check = [{ kind = "file", path = "www/current/index.html" }]

[watch]
for = "1s"
every = "1s"
checks = ["page"]
"#;
    let deployment = deployment.file("pipeline.toml", format!("{text}{more}"));
    let ended = run(&deployment, opens_in(-1));
    assert_eq!(ended.code, 0, "{ended}");
    let words = |standing: &serde_json::Value| -> Vec<String> {
        let next = standing["next"].as_array().unwrap().iter().map(|next| next.as_str().unwrap());
        next.map(|next| next.split(' ').nth(1).unwrap().to_owned()).collect()
    };
    let standing = status(&deployment);
    assert_eq!(standing["standing"], "to be watched");
    assert!(standing["what"].as_str().unwrap().contains("; waits for phase t+1h, due at 20"), "{standing}");
    assert_eq!(words(&standing), ["watch", "resume", "rollback"]);
    set(&deployment, HOUR);
    let looked = deployment.run(&["resume", "last"]);
    assert_eq!(looked.code, 0, "{looked}");
    assert_eq!(count(&events(&deployment), "watch-opened"), 1, "it is watched from its success on, once");
    assert_eq!(words(&status(&deployment)), ["watch", "rollback"]);
    let watched = deployment.run(&["watch", "last"]);
    assert_eq!(watched.code, 0, "{watched}");
    assert_eq!(status(&deployment), serde_json::Value::Null);
}
