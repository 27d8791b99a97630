//! `pipe show` as a report, and `pipe history`: what is kept with the change, for whoever asks later.

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use pipe_tests::{Deployment, Ended};
use serde_json::Value;

const RUN: [&str; 4] = ["run", "example.toml", "--env", "demo"];

/// A run of the example.
pub(crate) fn succeeded() -> Deployment {
    let deployment = Deployment::example();
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 0, "{ended}");
    deployment
}

/// A second one, whose verification failed and which is rolled back.
pub(crate) fn rolled_back() -> Deployment {
    let deployment = succeeded().edit("example.toml", "default = \"1.0.0\"", "default = \"1.1.0\"").edit(
        "example.toml",
        "min = 2 }",
        "min = 3 }",
    );
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 5, "{ended}");
    deployment
}

/// A release that cannot be undone, before a verification that fails.
pub(crate) fn rollback_failed() -> Deployment {
    let deployment = Deployment::example().file("example.toml", STUBBORN).folder("seen");
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 6, "{ended}");
    deployment
}

const STUBBORN: &str = r#"
name = "stubborn"
environments = ["demo"]

[[step]]
name = "release"
stage = "release"
allow.read = ["example/app"]
allow.write = ["www"]
with = { kind = "files", source = "example/app", destination = "www", version = "1" }

[[step]]
name = "switch"
stage = "release"
allow.exec = [{ program = "true", argv = [] }, { program = "false", argv = [] }]
with = { kind = "program", version = "2", publish = { program = "true" }, undo = { program = "false" } }

[[step]]
name = "look"
stage = "verify"
allow.read = ["seen"]
with.check = [{ kind = "file", path = "seen/nothing-here.txt" }]
"#;

/// A run that was killed in the middle of a step, and gone on with.
pub(crate) fn resumed() -> Deployment {
    let deployment = Deployment::example().file("example.toml", SLOW);
    kill(&deployment);
    let ended = deployment.run(&["resume", "last"]);
    assert_eq!(ended.code, 0, "{ended}");
    deployment
}

const SLOW: &str = r#"
name = "slow"
environments = ["demo"]

[inputs]
version = { default = "3.1.0" }

[[step]]
name = "release"
stage = "release"
allow.read = ["example/app"]
allow.write = ["www"]
with = { kind = "files", source = "example/app", destination = "www", version = "${inputs.version}" }

[[step]]
name = "switch"
stage = "release"
in_flight = "retry"
allow.exec = [{ program = "sleep", argv = ["1.7021"] }, { program = "true", argv = [] }]
with = { kind = "program", version = "2", publish = { program = "sleep", arguments = ["1.7021"] }, undo = { program = "true" } }
"#;

fn begin(deployment: &Deployment) -> Child {
    let runs = || deployment.run(&["history", "--output", "json"]).stdout.matches("\"pipe.run/v1\"").count();
    let before = runs();
    let child = deployment.command(&RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    let began = Instant::now();
    let touched =
        || deployment.run(&["show", "last", "--output", "json"]).stdout.matches("\"event\":\"touched\"").count() == 2;
    while runs() == before || !touched() {
        assert!(began.elapsed() < Duration::from_secs(60), "the second step did not begin");
        thread::sleep(Duration::from_millis(10));
    }
    child
}

fn kill(deployment: &Deployment) {
    let mut child = begin(deployment);
    child.kill().expect("is there");
    child.wait().expect("has ended");
}

fn shown(deployment: &Deployment, arguments: &[&str]) -> Ended {
    let ended = deployment.run(&[&["show"][..], arguments].concat());
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.stderr, "", "{ended}");
    ended
}

/// What is shown, without who runs the tests and how wide that makes a column.
fn plain(deployment: &Deployment, ended: &Ended) -> String {
    let listed = deployment.run(&["history", "--output", "json"]).json();
    let actor = listed[0]["actor"].as_str().expect("who").to_owned();
    let lines = ended.to_string().replace(&actor, "[actor]");
    let lines = lines.lines().map(|line| match line.split_once("  Date: ") {
        Some((before, _)) => format!("{before}  Date: [date]"),
        None if line.starts_with("[run]  ") => {
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn report(deployment: &Deployment) -> Value {
    serde_json::from_str(&shown(deployment, &["last", "--format", "json"]).stdout).expect("JSON")
}

/// Every item of the checklist with its tick.
fn ticks(report: &Value) -> Vec<(String, String)> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let items = report["checklist"].as_array().expect("a checklist");
    items.iter().map(|item| (text(item, "text"), text(item, "tick"))).collect()
}

fn ticked(report: &Value, item: &str) -> String {
    let found = ticks(report).into_iter().find(|(text, _)| text == item);
    found.unwrap_or_else(|| panic!("no item {item}: {report:#}")).1
}

#[test]
fn a_run_that_succeeded() {
    let deployment = succeeded();
    insta::assert_snapshot!(plain(&deployment, &shown(&deployment, &[])));
    let report = report(&deployment);
    assert_eq!((&report["schema"], &report["conclusion"]), (&"pipe.report/v1".into(), &"succeeded".into()));
    assert!(ticks(&report).iter().all(|(_, tick)| tick == "done"), "{report:#}");
}

#[test]
fn a_run_that_was_rolled_back() {
    let deployment = rolled_back();
    insta::assert_snapshot!(plain(&deployment, &shown(&deployment, &[])));
    let report = report(&deployment);
    let tick = |item| ticked(&report, item);
    assert_eq!(tick("preflight (precheck)"), "done");
    assert_eq!(tick("release"), "undone");
    assert_eq!(tick("verify"), "failed");
    assert_eq!(tick("history (notify)"), "open");
    assert_eq!(tick("example is deployed to demo"), "undone");
    assert_eq!(report["notifications"][0]["about"], "rolled-back");
}

#[test]
fn a_run_whose_rollback_failed_says_what_a_person_has_to_see_to() {
    let deployment = rollback_failed();
    insta::assert_snapshot!(plain(&deployment, &shown(&deployment, &[])));
    let report = report(&deployment);
    assert_eq!(ticked(&report, "switch (release)"), "failed");
    assert_eq!(ticked(&report, "release"), "failed", "it was to be undone, and still stands");
    let resolved = deployment.run(&["resolve", "last", "switch", "--undone", "--reason", "switched back by hand"]);
    assert_eq!(resolved.code, 0, "{resolved}");
    assert_eq!(deployment.run(&["resume", "last"]).code, 5);
    let text = shown(&deployment, &[]).stdout;
    let said = "said that step \"switch\" is undone, after a repair by hand: switched back by hand";
    assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(said), "{text}");
}

#[test]
fn a_run_that_was_gone_on_with_says_where_it_was_cut_off() {
    let deployment = resumed();
    insta::assert_snapshot!(plain(&deployment, &shown(&deployment, &[])));
    let report = report(&deployment);
    let attempts = &report["steps"][1]["attempts"];
    assert_eq!((&attempts[0]["end"], &attempts[1]["end"]), (&"cut-off".into(), &"succeeded".into()), "{attempts:#}");
    assert_eq!(report["processes"][0]["left"], "cut-off");
    assert_eq!(report["processes"][1]["left"], "succeeded");
}

#[test]
fn what_was_refused_is_told_with_the_line_that_would_allow_it() {
    let deployment = Deployment::example().edit("example.toml", "allow.disk = [\"example/live\"]\n", "");
    assert_eq!(deployment.run(&RUN).code, 4);
    let report = report(&deployment);
    assert_eq!(report["refusals"][0]["hint"], "allow.disk = [\"example/live\"]", "{report:#}");
    assert_eq!(ticked(&report, "no plugin asked for more than it may"), "failed");
    for format in ["text", "markdown", "html"] {
        let shown = shown(&deployment, &["last", "--format", format]).stdout;
        assert!(shown.contains("allow.disk = ["), "{format}: {shown}");
    }
}

#[test]
fn the_markdown_for_the_ticket_of_a_change() {
    let deployment = rolled_back();
    insta::assert_snapshot!(plain(&deployment, &shown(&deployment, &["last", "--format", "markdown"])));
}

#[test]
fn a_report_goes_to_a_file_and_never_over_the_record() {
    let deployment = succeeded();
    for (format, begins) in
        [("text", "example in demo: succeeded"), ("json", "{"), ("markdown", "## "), ("html", "<!DOC")]
    {
        let ended = shown(&deployment, &["last", "--format", format, "--out", "report", "--color", "always"]);
        assert_eq!(ended.stdout, "");
        let written = fs::read_to_string(deployment.at("report")).expect("the report");
        assert!(written.starts_with(begins) && !written.contains('\u{1b}'), "{written}");
        assert_eq!(written, shown(&deployment, &["last", "--format", format]).stdout, "the same as on a terminal");
    }
    let over = deployment.run(&["show", "--out", "state/journal.db"]);
    assert_eq!(over.code, 2, "{over}");
    assert_eq!(deployment.run(&["show", "--events", "--format", "html"]).code, 2);
}

#[test]
fn a_report_holds_no_value_of_an_output() {
    let deployment = succeeded();
    let report = report(&deployment);
    for step in report["steps"].as_array().expect("steps") {
        assert!(step["outputs"].as_array().expect("names").iter().all(Value::is_string), "{step:#}");
    }
}

#[test]
fn history_tells_what_goes_on_from_what_was_cut_off_what_waits_and_what_failed() {
    let deployment = Deployment::example().file("example.toml", SLOW.replace("in_flight = \"retry\"\n", ""));
    let standing = |deployment: &Deployment| {
        let listed = deployment.run(&["history", "--output", "json"]).json();
        listed[0]["standing"].as_str().expect("a word").to_owned()
    };
    let mut child = begin(&deployment);
    assert_eq!(standing(&deployment), "running");
    assert!(shown(&deployment, &[]).stdout.contains("slow in demo: running"));
    child.kill().expect("is there");
    child.wait().expect("has ended");
    assert_eq!(standing(&deployment), "cut-off");
    assert_eq!(deployment.run(&["resume", "last"]).code, 7);
    assert_eq!(standing(&deployment), "waiting");
    assert_eq!(deployment.run(&["resume", "last", "--undo", "switch"]).code, 5);
    assert_eq!(standing(&deployment), "rolled-back");
    assert_eq!(standing(&rollback_failed()), "rollback-failed");
    let text = deployment.run(&["history"]).stdout;
    assert!(text.contains("  rolled-back  slow  demo  20"), "{text}");
}

#[test]
fn history_has_columns() {
    let deployment = rolled_back();
    insta::assert_snapshot!(plain(&deployment, &deployment.run(&["history"])));
    let lines = deployment.run(&["history"]).stdout;
    let at: Vec<usize> = lines.lines().filter_map(|line| line.find("  version=")).collect();
    assert!(at.len() == 2 && at[0] == at[1], "{lines}");
}

#[test]
fn history_in_markdown_is_that_of_the_runbook() {
    let deployment = rolled_back();
    let listed = deployment.run(&["history", "--format", "markdown"]);
    insta::assert_snapshot!(plain(&deployment, &listed));
    // As the plugin wrote it into its file, but for the moment: five lines for what did not succeed, four for what did.
    let written = fs::read_to_string(deployment.at("example/live/history/deployments.md")).expect("the history");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("  Date: "));
        lines.map(str::to_owned).collect()
    };
    let mut entries: Vec<Vec<String>> = written.split("\n\n").map(lines).filter(|entry| !entry.is_empty()).collect();
    entries.reverse();
    let printed: Vec<Vec<String>> = listed.stdout.split("\n\n").map(lines).filter(|entry| !entry.is_empty()).collect();
    assert_eq!(printed, entries);
}

#[test]
fn the_deployment_before_is_the_last_that_succeeded_and_stood() {
    let pipeline = SLOW
        .replace("default = \"3.1.0\"", "default = \"0\"")
        .replace("version = \"${inputs.version}\"", "version = \"${inputs.version}-after-${previous.inputs.version}\"");
    let deployment = Deployment::example().file("example.toml", pipeline);
    // What a run of that version was told of the one before.
    let run = |version: &str| {
        let (set, previous) = (format!("version={version}"), "version=none");
        let ended = deployment.run(&[&RUN[..], &["--set", &set, "--previous", previous]].concat());
        assert_eq!(ended.code, 0, "{ended}");
        report(&deployment)["previous"]["version"].as_str().expect("a version").to_owned()
    };
    assert_eq!(run("1"), "none");
    assert_eq!(run("2"), "1");
    let undone = deployment.run(&["rollback", "last", "--reason", "errors"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert_eq!(run("3"), "1", "what was undone does not count");
    kill(&deployment);
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert_eq!(
        report(&deployment)["previous"]["version"],
        "3",
        "a run that is gone on with has the one of its beginning"
    );
    assert_eq!(run("4"), "0", "and counts once it has succeeded");
}

#[test]
fn a_deployment_that_is_being_undone_is_none_that_stands() {
    let slow_undo =
        SLOW.replace("undo = { program = \"true\" }", "undo = { program = \"sleep\", arguments = [\"1.7021\"] }");
    let deployment = Deployment::example().file("example.toml", slow_undo);
    assert_eq!(deployment.run(&RUN).code, 0);
    let mut undo = deployment.command(&["rollback", "last", "--reason", "errors"]);
    let mut undo = undo.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    let listed = || deployment.run(&["history", "--output", "json"]).json().remove(0);
    let began = Instant::now();
    while listed()["standing"] != "running" {
        assert!(began.elapsed() < Duration::from_secs(60), "the undo did not begin");
        thread::sleep(Duration::from_millis(10));
    }
    undo.kill().expect("is there");
    undo.wait().expect("has ended");
    assert_eq!((&listed()["standing"], &listed()["outcome"]), (&"cut-off".into(), &Value::Null));
    assert_eq!(deployment.run(&RUN).code, 8, "nothing begins upon half of it");
}
