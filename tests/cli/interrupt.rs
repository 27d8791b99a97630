//! Ctrl-C: once undoes, twice stops at once. Neither leaves the program of a step running.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pipe_tests::{
    Deployment,
    waiting::{is_running, wait_until},
};

/// The example's release, and after it a step that waits for a program.
fn waiting(seconds: &str) -> Deployment {
    Deployment::example().file(
        "pipeline.toml",
        format!(
            r#"
name = "waiting"
environments = ["demo"]

[[step]]
name = "release"
stage = "release"
allow.read = ["example/app"]
allow.write = ["www"]
with = {{ kind = "files", source = "example/app", destination = "www", version = "1" }}

[[step]]
name = "wait"
stage = "release"
allow.exec = [{{ program = "sleep", argv = ["{seconds}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["{seconds}"] }}, undo = {{ program = "true" }} }}
"#
        ),
    )
}

/// Whether a process with exactly these arguments exists.
fn start(deployment: &Deployment, program: &[&str]) -> Child {
    let mut command = deployment.command(&["run", "pipeline.toml", "--env", "demo"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pipe");
    wait_until("the program of the step runs", || is_running(program));
    child
}

fn interrupt(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
}

/// Exit code and everything on stderr.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut stderr).expect("text");
    (child.wait().expect("its end").code(), stderr)
}

#[test]
fn once_ends_the_step_and_undoes_what_was_started() {
    for (signal, seconds) in [("-INT", "6001"), ("-TERM", "6002")] {
        let deployment = waiting(seconds);
        let child = start(&deployment, &["sleep", seconds]);
        assert!(deployment.at("www/current").exists(), "the release was not published first");
        let began = Instant::now();
        interrupt(&child, signal);
        let (code, stderr) = end(child);
        assert_eq!(code, Some(5), "{stderr}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}\n{stderr}", began.elapsed());
        assert!(stderr.contains("warning: interrupted: stopping the step"), "{stderr}");
        assert!(stderr.contains("interrupted by the operator"), "{stderr}");
        assert!(!is_running(&["sleep", seconds]), "the program still runs");
        assert!(!deployment.at("www/current").exists(), "the release was not undone");
        let history = deployment.run(&["history"]);
        assert!(history.stdout.contains("rolled-back"), "{history}");
    }
}

#[test]
fn a_second_run_waits_for_nobody_and_touches_nothing() {
    let deployment = waiting("6005");
    let child = start(&deployment, &["sleep", "6005"]);
    let second = deployment.run(&["run", "pipeline.toml", "--env", "demo"]);
    assert_eq!(second.code, 8, "{second}");
    assert!(second.stderr.contains("error: another run of waiting in demo is going on"), "{second}");
    interrupt(&child, "-INT");
    let (code, stderr) = end(child);
    assert_eq!(code, Some(5), "{stderr}");
}

#[test]
fn a_lost_terminal_is_no_reason_to_stop() {
    let deployment = waiting("6006");
    let child = start(&deployment, &["sleep", "6006"]);
    interrupt(&child, "-HUP");
    thread::sleep(Duration::from_millis(300));
    assert!(is_running(&["sleep", "6006"]), "the run went on");
    interrupt(&child, "-INT");
    let (code, stderr) = end(child);
    assert_eq!(code, Some(5), "{stderr}");
}

#[test]
fn twice_stops_at_once() {
    // The undo waits as well, so that the second interrupt meets it.
    let deployment = waiting("6003")
        .edit("pipeline.toml", "{ program = \"true\", argv = [] }", "{ program = \"sleep\", argv = [\"6004\"] }")
        .edit(
            "pipeline.toml",
            "undo = { program = \"true\" }",
            "undo = { program = \"sleep\", arguments = [\"6004\"] }",
        );
    let child = start(&deployment, &["sleep", "6003"]);
    interrupt(&child, "-INT");
    wait_until("the undo runs", || is_running(&["sleep", "6004"]));
    interrupt(&child, "-INT");
    let (code, stderr) = end(child);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("error: stopped at once: what is not undone by now still stands"), "{stderr}");
    assert!(stderr.contains("hint: `pipe resume 20") && stderr.contains("goes on, `pipe rollback 20"), "{stderr}");
    wait_until("no program is left", || !is_running(&["sleep", "6003"]) && !is_running(&["sleep", "6004"]));
    let shown = deployment.run(&["show", "last", "--events"]);
    assert_eq!(shown.code, 0, "{shown}");
    assert!(shown.stdout.contains("cut-off") && shown.stdout.contains("undo wait"), "{shown}");
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "a journal that was cut off in the middle is still whole\n{verified}");
}

#[test]
fn with_nothing_to_undo_an_interrupt_is_an_end_of_its_own() {
    let deployment = Deployment::new()
        .file(
            "pipeline.toml",
            r#"
name = "patient"
environments = ["demo"]

[[step]]
name = "look"
stage = "precheck"
allow.read = ["seen"]
with.check = [{ kind = "file", path = "seen/nothing-here.txt", retries = 1000, interval = "1s" }]
"#,
        )
        .folder("seen");
    let mut command = deployment.command(&["run", "pipeline.toml", "--env", "demo"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pipe");
    wait_until("the run has begun", || deployment.run(&["history"]).stdout.contains("running"));
    interrupt(&child, "-INT");
    let (code, stderr) = end(child);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.lines().any(|line| line.starts_with("interrupted after ")), "{stderr}");
}
