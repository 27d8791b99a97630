//! Who drives a run: one process, and none whose place was taken.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use pipe_tests::{
    Deployment, Ended,
    waiting::{is_running, wait_until},
};

/// A step that waits for a program, and after it a release.
fn waiting(seconds: &str) -> Deployment {
    Deployment::example().file(
        "pipeline.toml",
        format!(
            r#"
name = "waiting"
environments = ["demo"]

[[step]]
name = "wait"
stage = "release"
in_flight = "undo"
allow.exec = [{{ program = "sleep", argv = ["{seconds}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["{seconds}"] }}, undo = {{ program = "true" }} }}

[[step]]
name = "release"
stage = "release"
in_flight = "undo"
allow.read = ["example/app"]
allow.write = ["www"]
with = {{ kind = "files", source = "example/app", destination = "www", version = "1" }}
"#
        ),
    )
    .folder("www")
}

const RUN: [&str; 4] = ["run", "pipeline.toml", "--env", "demo"];
const UNLOCK: [&str; 6] = ["unlock", "pipeline.toml", "--env", "demo", "--reason", "it hangs"];

fn spawn(deployment: &Deployment) -> Child {
    deployment.command(&RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pipe")
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
}

/// Exit code and everything on stderr.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("its end");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Ends it whatever the test does: a stopped process waits for ever.
struct Stopped(Option<Child>);

impl Stopped {
    fn continued(mut self) -> (Option<i32>, String) {
        let child = self.0.take().expect("is there");
        signal(&child, "-CONT");
        end(child)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // The test has failed already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn stop(child: Child) -> Stopped {
    signal(&child, "-STOP");
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("it is stopped", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    Stopped(Some(child))
}

fn succeeds(deployment: &Deployment, arguments: &[&str]) -> Ended {
    let ended = deployment.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
    ended
}

fn last_run(deployment: &Deployment) -> String {
    let listed = deployment.run(&["history", "--output", "json"]).json();
    listed[0]["run"].as_str().expect("a run").to_owned()
}

fn entries(deployment: &Deployment) -> u64 {
    succeeds(deployment, &["log", "verify", "--output", "json"]).json()[0]["entries"].as_u64().expect("a number")
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).fold(0, |count, entry| {
        count + if entry.path().is_dir() && !entry.path().is_symlink() { files(&entry.path()) } else { 1 }
    })
}

#[test]
fn of_two_that_start_at_the_same_instant_one_runs() {
    for round in 0..6 {
        let deployment = waiting(&format!("1.0{round}1"));
        let both = [spawn(&deployment), spawn(&deployment)].map(end);
        let mut codes: Vec<_> = both.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(8)], "{both:?}");
        let told =
            both.iter().find(|(code, _)| *code == Some(8)).map(|(_, stderr)| stderr.as_str()).unwrap_or_default();
        assert!(told.contains("error: another run of waiting in demo is going on"), "{told}");
        assert_eq!(deployment.run(&["history"]).stdout.lines().count(), 1, "the other one began a run");
        entries(&deployment);
    }
}

#[test]
fn whoever_was_stopped_and_unlocked_does_nothing_more_once_continued() {
    let deployment = waiting("1.5011");
    let child = spawn(&deployment);
    wait_until("the step waits", || is_running(&["sleep", "1.5011"]));
    let pid = child.id();
    let stopped = stop(child);
    let run = last_run(&deployment);
    let second = deployment.run(&RUN);
    assert_eq!(second.code, 8, "{second}");
    assert!(second.stderr.contains(&format!("run {run}, process {pid} of ")), "{second}");
    assert!(second.stderr.contains(&format!("`pipe unlock {run} --reason TEXT`")), "{second}");

    let unlocked = succeeds(&deployment, &UNLOCK);
    assert!(unlocked.stdout.starts_with("unlocked waiting in demo: epoch 2 begins, run "), "{unlocked}");
    assert!(unlocked.stderr.contains("warning: its process was stopped (run "), "{unlocked}");
    assert!(unlocked.stderr.contains(&format!("kill -9 {pid}")), "{unlocked}");
    let shown = succeeds(&deployment, &["show", "--events"]).stdout;
    assert!(shown.contains("unlocked by ") && shown.contains(": it hangs (epoch 2; until then run "), "{shown}");

    // Somebody else has the run now, ends it, and begins another one.
    succeeds(&deployment, &["abandon", &run, "--reason", "the process hung"]);
    wait_until("the program has ended", || !is_running(&["sleep", "1.5011"]));
    let before = entries(&deployment);
    let (code, stderr) = stopped.continued();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(stderr.contains("error: this process no longer drives waiting in demo"), "{stderr}");
    assert!(stderr.contains("hint: somebody gave `pipe unlock`"), "{stderr}");
    assert_eq!(entries(&deployment), before, "it wrote something");
    assert_eq!(files(&deployment.at("www")), 0, "it released something");
}

/// Files are written by the thousand, and nobody waits for the record of each.
#[test]
fn a_step_that_was_stopped_among_its_writes_makes_no_other() {
    let mut deployment = waiting("0.011");
    for number in 0..3_000 {
        deployment = deployment.file(&format!("example/app/many/{number}.txt"), "x");
    }
    let child = spawn(&deployment);
    wait_until("it writes", || files(&deployment.at("www")) > 20);
    let stopped = stop(child);
    let written = files(&deployment.at("www"));
    assert!(written < 2_900, "{written}: too fast for this test");
    succeeds(&deployment, &["unlock", "last", "--reason", "it hangs"]);
    let (code, stderr) = stopped.continued();
    assert_eq!(code, Some(8), "{stderr}");
    // The one that it was in the middle of.
    let after = files(&deployment.at("www"));
    assert!(after <= written + 1, "{written} before, {after} after");
    // Whoever drives the run now takes back what there is.
    let run = last_run(&deployment);
    let undone = deployment.run(&["rollback", &run, "--reason", "its process hung"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert_eq!(files(&deployment.at("www")), 0, "{undone}");
    entries(&deployment);
}

#[test]
fn what_nobody_holds_needs_no_unlocking() {
    let deployment = waiting("6021");
    let none = deployment.run(&UNLOCK);
    assert_eq!(none.code, 70, "nothing was run yet\n{none}");
    let mut child = spawn(&deployment);
    wait_until("the step waits", || is_running(&["sleep", "6021"]));
    child.kill().expect("dies");
    child.wait().expect("is dead");
    wait_until("its program is dead", || !is_running(&["sleep", "6021"]));
    let refused = deployment.run(&UNLOCK);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("error: waiting in demo is not locked: no process holds it"), "{refused}");
    assert!(refused.stderr.contains("hint: the kernel freed the lock when its process ended: run "), "{refused}");
    // It is unfinished all the same, and no other run begins.
    let run = last_run(&deployment);
    let second = deployment.run(&RUN);
    assert_eq!(second.code, 8, "{second}");
    assert!(second.stderr.contains(&format!("`pipe resume {run}")), "{second}");
    let undone = deployment.run(&["resume", &run]);
    assert_eq!(undone.code, 5, "{undone}");
}

#[test]
fn it_wants_a_reason_and_to_know_what() {
    let deployment = waiting("6022");
    for (arguments, says) in [
        (&["unlock", "pipeline.toml", "--env", "demo"][..], "--reason <TEXT>"),
        (&["unlock", "pipeline.toml", "--env", "demo", "--reason", "  "], "say why"),
        (&["unlock", "pipeline.toml", "--env", "demo", "--reason", "a\nb"], "one line of at most 1000 characters"),
        (&["unlock", "pipeline.toml", "--reason", "x"], "`--env` takes one of: demo"),
        (&["unlock", "pipeline.toml", "--env", "prod", "--reason", "x"], "`--env` takes one of: demo"),
    ] {
        let refused = deployment.run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}\n{refused}");
        assert!(refused.stderr.contains(says), "{arguments:?}\n{refused}");
    }
}
