//! No secret is anywhere but where it must be.

use std::process::Output;

use super::Hospital;
use crate::secrets::Watch;

/// Deploys while somebody looks at every process and every file, and looks through everything that is left.
fn watched(hospital: &Hospital, version: &str, extra: &[&str]) -> Output {
    let needles = hospital.needles();
    let mut arguments = hospital.arguments(version);
    arguments.extend(extra.iter().map(|argument| (*argument).to_owned()));
    let mut command = hospital.deployment.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let watch = Watch::begin(needles.clone(), &hospital.deployment.at("state"));
    let output = command.env("PIPE_LOG", "trace").output().unwrap();
    let seen = watch.end();
    assert_eq!(seen.leaks.into_iter().collect::<Vec<_>>(), Vec::<String>::new());
    for program in ["pipe", "pg_dump", "pg_restore"] {
        assert!(seen.programs.contains(program), "{program} ran unseen in {} rounds: {:?}", seen.rounds, seen.programs);
    }
    needles.refuse("standard output", &output.stdout);
    needles.refuse("standard error", &output.stderr);
    assert!(needles.refuse_below(&hospital.deployment.at("state")) > 0);
    needles.refuse_below(&hospital.deployment.at("medical-system/live"));
    assert_eq!(needles.refuse_below(&hospital.deployment.at("temporary")), 0, "temporary files stay");
    for arguments in [&["log", "export"][..], &["show", "last"], &["history"], &["show", "last", "--output", "json"]] {
        let ended = hospital.deployment.run(arguments);
        assert_eq!(ended.code, 0, "{ended}");
        needles.refuse(&arguments.join(" "), ended.stdout.as_bytes());
        needles.refuse(&arguments.join(" "), ended.stderr.as_bytes());
    }
    output
}

#[test]
fn a_deployment_shows_no_secret() {
    let hospital = Hospital::new();
    for (version, extra) in [("1.4.0", &["-vv"][..]), ("1.4.1", &["-vv", "--output", "json"])] {
        let output = watched(&hospital, version, extra);
        assert_eq!(output.status.code(), Some(0), "{}", end_of(&output));
    }
    assert_eq!(hospital.slack.said().len(), 2);
}

#[test]
fn a_server_that_tells_the_secret_tells_nobody() {
    let hospital = Hospital::with_patients();
    hospital.slack.fail_and_tell();
    hospital.needs_tables(&["nothing"]);
    let output = watched(&hospital, "1.1.0", &["-vv"]);
    assert_eq!(output.status.code(), Some(5), "a notification changes no outcome: {}", end_of(&output));
    assert!(end_of(&output).contains("notification \"slack\" about rolled-back was not sent"), "{}", end_of(&output));
}

/// The last lines of standard error. Before them comes the log, with everything that any library has to say.
fn end_of(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> =
        stderr.lines().filter(|line| !line.contains(" TRACE ") && !line.contains(" DEBUG ")).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
