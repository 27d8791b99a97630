//! Two readers: people, who get colour on a terminal, and programs, which get JSON lines with a `schema` and nothing else.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use pipe_tests::{Deployment, Ended};
use serde_json::Value;

const ESCAPE: char = '\u{1b}';

fn deployed() -> Deployment {
    let deployment = Deployment::example();
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ended.code, 0, "{ended}");
    deployment
}

fn schemas(ended: &Ended) -> Vec<String> {
    ended.json().iter().map(|line| line["schema"].as_str().unwrap_or("none").to_owned()).collect()
}

#[test]
fn for_programs_every_line_says_what_it_is() {
    let deployment = deployed();
    for (arguments, schema) in [
        (&["run", "example.toml", "--env", "demo"][..], "pipe.event/v1"),
        (&["check", "example.toml"], "pipe.check/v1"),
        (&["plan", "example.toml", "--env", "demo"], "pipe.plan/v1"),
        (&["audit", "example.toml", "--env", "demo"], "pipe.audit-report/v1"),
        (&["history"], "pipe.run/v1"),
        (&["show", "last"], "pipe.event/v1"),
        (&["log", "export"], "pipe.audit/v1"),
        (&["log", "verify"], "pipe.verified/v1"),
        (&["inspect", "std:verify"], "pipe.plugin/v1"),
    ] {
        let ended = deployment.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
        let schemas = schemas(&ended);
        assert!(!schemas.is_empty(), "{arguments:?} said nothing");
        assert!(schemas.iter().all(|found| found == schema), "{arguments:?}: {schemas:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}: talk beside data");
    }
}

#[test]
fn a_run_for_programs_tells_the_same_as_its_record() {
    let deployment = Deployment::example();
    let live = deployment.run(&["run", "example.toml", "--env", "demo", "--output", "json"]);
    let kept = deployment.run(&["show", "last", "--output", "json"]);
    let kinds = |ended: &Ended, progress: bool| -> Vec<Value> {
        let kinds = ended.json().into_iter().map(|line| line["what"]["event"].clone());
        kinds.filter(|kind| progress || kind != "progress").collect()
    };
    assert_eq!(kinds(&live, false), kinds(&kept, true), "{live}");
    assert_eq!(kinds(&kept, true).first(), Some(&Value::from("run-started")));
    assert_eq!(kinds(&kept, true).last(), Some(&Value::from("run-finished")));
}

#[test]
fn errors_are_data_as_well() {
    let deployment = Deployment::new();
    let ended = deployment.run(&["history", "--output", "json"]);
    assert_eq!(ended.code, 70, "{ended}");
    assert_eq!(schemas(&ended), ["pipe.error/v1"]);
    assert!(ended.json()[0]["hint"].is_string(), "{ended}");
    assert!(ended.stderr.starts_with("error: "), "people still see it\n{ended}");
}

#[test]
fn results_go_to_stdout_and_talk_to_stderr() {
    let deployment = deployed();
    for (arguments, talks) in [
        (&["check", "example.toml"][..], false),
        (&["plan", "example.toml", "--env", "demo"], false),
        (&["history"], false),
        (&["show"], false),
        (&["schema"], false),
        (&["log", "export"], false),
        // How far its word goes.
        (&["log", "verify"], true),
    ] {
        let ended = deployment.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
        assert!(!ended.stdout.is_empty(), "{arguments:?} has no result");
        assert_eq!(!ended.stderr.is_empty(), talks, "{arguments:?}\n{ended}");
    }
    let ran = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ran.stdout, "", "the lines of a run are talk");
}

#[test]
fn colour_is_for_terminals_and_for_who_asks_for_it() {
    let plain = deployed();
    let commands: [&[&str]; 4] = [
        &["history"],
        &["plan", "example.toml", "--env", "demo"],
        &["run", "example.toml", "--env", "demo"],
        &["check", "missing.toml"],
    ];
    for command in commands {
        let ended = plain.run(command);
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(ESCAPE), "{command:?}: colour in a file");
        let ended = plain.run(&[command, &["--color", "always"]].concat());
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains(ESCAPE), "{command:?}: no colour");
    }
    let deployment = deployed().variable("NO_COLOR", "1").variable("TERM", "xterm-256color");
    for command in commands {
        let ended = deployment.run(command);
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(ESCAPE), "{command:?}: colour against NO_COLOR");
    }
    let ended = plain.run(&["history", "--output", "json", "--color", "always"]);
    assert!(!ended.stdout.contains(ESCAPE), "colour in JSON");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let deployment = deployed();
    for arguments in [&["log", "export"][..], &["schema"], &["show"], &["history"]] {
        let mut child =
            deployment.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pipe");
        let mut line = String::new();
        let mut stdout = BufReader::with_capacity(16, child.stdout.take().expect("stdout"));
        stdout.read_line(&mut line).expect("a line");
        drop(stdout);
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}
