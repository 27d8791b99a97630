//! Runs that go on: after a kill, an interrupt, or a failed undo. What was begun with one file ends with that file.

use std::{
    fs,
    process::{Child, Stdio},
};

use pipe_tests::{
    Deployment, guest,
    waiting::{is_running, wait_until},
};

/// The example's release, and after it a program that changes something.
fn deployment(seconds: &str, more: &str) -> Deployment {
    Deployment::example().file(
        "pipeline.toml",
        format!(
            r#"
name = "left"
environments = ["demo"]

[[step]]
name = "release"
stage = "release"
allow.read = ["example/app"]
allow.write = ["www"]
with = {{ kind = "files", source = "example/app", destination = "www", version = "1" }}

[[step]]
name = "switch"
stage = "release"
{more}
allow.exec = [{{ program = "sleep", argv = ["{seconds}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["{seconds}"] }}, undo = {{ program = "true" }} }}
"#
        ),
    )
}

/// Begins the run, and returns once its program runs.
fn begin(deployment: &Deployment, seconds: &str) -> Child {
    let mut command = deployment.command(&["run", "pipeline.toml", "--env", "demo"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    wait_until("the program of the step runs", || is_running(&["sleep", seconds]));
    child
}

fn kill(mut child: Child, seconds: &str) {
    child.kill().expect("is there");
    child.wait().expect("has ended");
    wait_until("the program is gone with its host", || !is_running(&["sleep", seconds]));
}

fn standing(deployment: &Deployment) -> Vec<String> {
    let status = deployment.run(&["status", "--output", "json"]);
    assert_eq!(status.code, 0, "{status}");
    status.json().iter().map(|run| run["standing"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn a_killed_run_owns_its_environment_and_asks_what_becomes_of_the_step_in_hand() {
    let deployment = deployment("7001", "");
    kill(begin(&deployment, "7001"), "7001");
    assert_eq!(standing(&deployment), ["cut-off"]);

    let another = deployment.run(&["run", "pipeline.toml", "--env", "demo"]);
    assert_eq!(another.code, 8, "{another}");
    assert!(another.stderr.contains("of left in demo has not ended\nhint: `pipe resume 20"), "{another}");

    let asked = deployment.run(&["resume", "last"]);
    assert_eq!(asked.code, 7, "{asked}");
    assert!(asked.stderr.contains("step \"switch\" was cut off after it had begun to change something"), "{asked}");
    let status = deployment.run(&["status"]);
    assert!(status.stdout.contains(" --retry 'switch' ") && status.stdout.contains(" --undo 'switch' "), "{status}");
    assert_eq!(standing(&deployment), ["waiting"]);
    let other = deployment.run(&["resume", "last", "--retry", "release"]);
    assert_eq!(other.code, 2, "{other}");
    assert!(other.stderr.contains("step \"release\" was not cut off"), "{other}");

    // Whatever the file says by now, the run ends as it was begun.
    fs::write(deployment.at("pipeline.toml"), "name = \"something else\"").expect("written");
    let undone = deployment.run(&["resume", "last", "--undo", "switch"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert!(!deployment.at("www/current").exists(), "the release was not undone\n{undone}");
    assert!(standing(&deployment).is_empty());
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
    let ended = deployment.run(&["resume", "last"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.stderr.contains("has ended: rolled-back"), "{ended}");
}

#[test]
fn a_step_that_may_be_repeated_is_and_those_before_it_are_not() {
    let deployment = deployment("1.7002", "in_flight = \"retry\"");
    kill(begin(&deployment, "1.7002"), "1.7002");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert!(resumed.stderr.contains("succeeded: 2 steps"), "{resumed}");
    assert!(!resumed.stderr.contains("┌ release"), "the release ran twice\n{resumed}");
    let shown = deployment.run(&["show", "last", "--output", "json"]).json();
    let keys: Vec<&str> = shown.iter().filter_map(|event| event["what"]["idempotency_key"].as_str()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys[0] != keys[1] && keys[1] == keys[2], "the repeated attempt has the key of the first: {keys:?}");
}

#[test]
fn an_interrupt_stops_where_the_file_says_so_and_the_run_can_go_on() {
    let deployment = deployment("1.7003", "in_flight = \"retry\"").edit(
        "pipeline.toml",
        "name = \"left\"\n",
        "name = \"left\"\non_interrupt = \"stop\"\n",
    );
    let child = begin(&deployment, "1.7003");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let mut child = child;
    assert_eq!(child.wait().expect("has ended").code(), Some(130));
    assert!(deployment.at("www/current").exists(), "what was started stands");
    assert_eq!(standing(&deployment), ["waiting"]);
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{resumed}");
}

#[test]
fn the_last_run_that_succeeded_can_be_undone_once() {
    let deployment = deployment("0", "");
    assert_eq!(deployment.run(&["run", "pipeline.toml", "--env", "demo"]).code, 0);
    let first = deployment.run(&["history", "--output", "json"]).json()[0]["run"].as_str().expect("a run").to_owned();
    assert_eq!(deployment.run(&["run", "pipeline.toml", "--env", "demo"]).code, 0);
    let followed = deployment.run(&["rollback", &first, "--reason", "errors"]);
    assert_eq!(followed.code, 2, "{followed}");
    assert!(followed.stderr.contains("has been followed by run"), "{followed}");
    let undone = deployment.run(&["rollback", "last", "--reason", "error rate 7%"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert!(undone.stderr.contains("rolling back: error rate 7% ("), "{undone}");
    let again = deployment.run(&["rollback", "last", "--reason", "errors"]);
    assert_eq!(again.code, 2, "{again}");
    assert!(again.stderr.contains("has ended: rolled-back"), "{again}");
}

/// A release that publishes well and cannot be undone, behind a verification that fails.
fn not_undone() -> Deployment {
    let deployment =
        deployment("0", "").edit("pipeline.toml", "undo = { program = \"true\" }", "undo = { program = \"false\" }");
    let deployment = deployment.edit("pipeline.toml", "program = \"true\", argv", "program = \"false\", argv");
    let text = fs::read_to_string(deployment.at("pipeline.toml")).expect("is there");
    let verify = "\n[[step]]\nname = \"verify\"\nstage = \"verify\"\nallow.read = [\"www\"]\n\
                  with.check = [{ kind = \"file\", path = \"www/nothing.txt\" }]\n";
    deployment.file("pipeline.toml", text + verify)
}

#[test]
fn a_rollback_that_failed_goes_on_after_a_repair_by_hand() {
    let deployment = not_undone();
    let failed = deployment.run(&["run", "pipeline.toml", "--env", "demo"]);
    assert_eq!(failed.code, 6, "{failed}");
    assert!(failed.stderr.contains("  next      pipe resume 20"), "{failed}");
    assert!(deployment.at("www/current").exists(), "what stands before the step that failed is not touched");
    assert_eq!(standing(&deployment), ["rollback-failed"]);
    let another = deployment.run(&["run", "pipeline.toml", "--env", "demo"]);
    assert_eq!(another.code, 8, "{another}");
    assert!(another.stderr.contains("could not be undone\nhint: `pipe resume 20"), "{another}");

    let again = deployment.run(&["resume", "last"]);
    assert_eq!(again.code, 6, "it is tried again, and fails again\n{again}");
    let done = deployment.run(&["resolve", "last", "switch", "--done", "--reason", "no"]);
    assert_eq!(done.code, 2, "{done}");
    let unknown = deployment.run(&["resolve", "last", "swich", "--undone", "--reason", "no"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("hint: these have: \"release\", \"switch\", \"verify\""), "{unknown}");
    let resolved = deployment.run(&["resolve", "last", "switch", "--undone", "--reason", "switched back by hand"]);
    assert_eq!(resolved.code, 0, "{resolved}");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 5, "{resumed}");
    assert!(!deployment.at("www/current").exists(), "the rest was undone\n{resumed}");
    let shown = deployment.run(&["show", "last"]);
    assert!(shown.stdout.contains("switched back by hand"), "{shown}");
}

#[test]
fn a_run_that_is_given_up_makes_room_and_undoes_nothing() {
    let deployment = not_undone();
    assert_eq!(deployment.run(&["run", "pipeline.toml", "--env", "demo"]).code, 6);
    let without = deployment.run(&["abandon", "last"]);
    assert_eq!(without.code, 2, "a reason is needed\n{without}");
    let abandoned = deployment.run(&["abandon", "last", "--reason", "restored from the backup"]);
    assert_eq!(abandoned.code, 0, "{abandoned}");
    assert!(deployment.at("www/current").exists());
    let history = deployment.run(&["history"]);
    assert!(history.stdout.contains("abandoned") && history.stdout.contains("restored from the backup"), "{history}");
    assert_eq!(deployment.run(&["run", "pipeline.toml", "--env", "demo"]).code, 6, "the next run begins");
}

/// A step that can be killed, and behind it the release of what lies in `app`.
fn released_later(seconds: &str) -> Deployment {
    Deployment::new().file("app/index.html", "version 1").file("app/deep/down.txt", "1").file(
        "pipeline.toml",
        format!(
            r#"
name = "later"
environments = ["demo"]

[[step]]
name = "switch"
stage = "release"
in_flight = "retry"
allow.exec = [{{ program = "sleep", argv = ["{seconds}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["{seconds}"] }}, undo = {{ program = "true" }} }}

[[step]]
name = "release"
stage = "release"
allow.read = ["app"]
allow.write = ["www"]
with = {{ kind = "files", source = "app", destination = "www", version = "1" }}
"#
        ),
    )
}

#[test]
fn what_is_released_is_what_was_there_when_the_run_began() {
    let deployment = released_later("1.7011");
    kill(begin(&deployment, "1.7011"), "1.7011");
    fs::remove_dir_all(deployment.at("app/deep")).expect("removed");
    fs::write(deployment.at("app/index.html"), "version 2").expect("written");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert_eq!(fs::read_to_string(deployment.at("www/current/index.html")).expect("is there"), "version 1");
    assert_eq!(fs::read_to_string(deployment.at("www/current/deep/down.txt")).expect("is there"), "1");
}

#[test]
fn a_copy_that_was_changed_is_not_used() {
    let deployment = released_later("1.7012");
    kill(begin(&deployment, "1.7012"), "1.7012");
    let run = deployment.run(&["status", "--output", "json"]).json()[0]["run"].as_str().expect("a run").to_owned();
    let copy = deployment.at(&format!("state/copies/{run}/0/index.html"));
    assert_eq!(fs::read_to_string(&copy).expect("a copy"), "version 1");
    let beside = copy.with_file_name("more.html");
    fs::write(&beside, "more").expect("written");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 70, "{resumed}");
    assert!(resumed.stderr.contains("is not what it was: more.html: it was not there"), "{resumed}");
    fs::remove_file(&beside).expect("removed");
    fs::write(&copy, "version 3").expect("written");
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 70, "{resumed}");
    assert!(resumed.stderr.contains("that this run was begun with is not what it was: index.html"), "{resumed}");
    let undone = deployment.run(&["abandon", "last", "--reason", "a test"]);
    assert_eq!(undone.code, 0, "{undone}");
}

#[test]
fn a_plugin_is_replaced_by_role_and_with_a_reason_and_by_that_plugin_alone() {
    let verify = fs::read(guest::component("hostile").with_file_name("verify.wasm")).expect("a component");
    // A custom section at the end makes another component of it that does the same.
    let mended = [&verify[..], b"\0\x03\x02v2"].concat();
    let deployment =
        deployment("1.7041", "in_flight = \"retry\"").file("vendor.wasm", &verify).file("mended.wasm", mended);
    let text = fs::read_to_string(deployment.at("pipeline.toml")).expect("is there");
    let vendor = "\n[plugins]\nvendor = { path = \"vendor.wasm\" }\n\n[[step]]\nname = \"look\"\nstage = \"verify\"\n\
                  plugin = \"vendor\"\nallow.read = [\"example/app\"]\n\
                  with.check = [{ kind = \"file\", path = \"example/app/index.html\" }]\n";
    let deployment = deployment.file("pipeline.toml", text + vendor);
    kill(begin(&deployment, "1.7041"), "1.7041");
    let replace = ["resume", "last", "--replace", "look=mended.wasm"];
    let bare = deployment.run(&replace);
    assert_eq!(bare.code, 2, "role and reason are needed\n{bare}");
    let unknown =
        deployment.run(&["resume", "last", "--replace", "lok=mended.wasm", "--role", "lead", "--reason", "x"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("the pipeline has no step \"lok\""), "{unknown}");
    let resumed = deployment.run(&[&replace[..], &["--role", "lead", "--reason", "vendor's fix 4711"]].concat());
    assert_eq!(resumed.code, 0, "{resumed}");
    assert!(resumed.stderr.contains("by lead: vendor's fix 4711"), "{resumed}");
    let shown = deployment.run(&["show", "last", "--events", "--output", "json"]).json();
    let of = |word: &str, step: &str| {
        let found = shown
            .iter()
            .map(|event| &event["what"])
            .find(|what| what["event"] == word && (what["step"] == step || what["step"]["name"] == step));
        found.unwrap_or_else(|| panic!("no {word} of {step}: {resumed}"))["plugin"]["digest"].clone()
    };
    assert_eq!(of("plugin-replaced", "look"), of("step-started", "look"));
    let planned = shown.iter().find_map(|event| event["what"]["steps"].as_array()).expect("a plan");
    let before = planned.iter().find(|step| step["step"]["name"] == "look").expect("is planned");
    assert_ne!(before["plugin"]["digest"], of("step-started", "look"));
}
