//! `pipe lock` and `--locked`: what was accepted, and that nothing else runs.

use std::fs;

use pipe_tests::{Deployment, Ended, guest};

fn locked() -> Deployment {
    let deployment = Deployment::example();
    succeeds(&deployment, &["lock", "example.toml"]);
    deployment
}

fn succeeds(deployment: &Deployment, arguments: &[&str]) -> Ended {
    let ended = deployment.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
    ended
}

/// Every command that takes `--locked` refuses, and says all of these.
fn refused(deployment: &Deployment, says: &[&str]) -> Ended {
    for command in ["check", "plan", "run"] {
        let ended = deployment.run(&[command, "example.toml", "--env", "demo", "--locked"]);
        assert_eq!(ended.code, 3, "{command}: {ended}");
        for says in says {
            assert!(ended.stderr.contains(says), "{command} does not say {says:?}\n{ended}");
        }
    }
    assert!(!deployment.at("state").exists(), "a run that was refused has made a state directory");
    deployment.run(&["run", "example.toml", "--env", "demo", "--locked"])
}

#[test]
fn what_was_locked_runs() {
    let deployment = locked();
    for command in ["check", "plan", "run"] {
        succeeds(&deployment, &[command, "example.toml", "--env", "demo", "--locked", "--set", "version=2.0.0"]);
    }
    let lock = fs::read_to_string(deployment.at("pipe.lock")).expect("pipe.lock");
    let tables: Vec<&str> =
        lock.lines().filter(|line| line.starts_with(['[', '#']) || line.starts_with("version = 1")).collect();
    insta::assert_snapshot!(tables.join("\n"));
    let again = succeeds(&deployment, &["lock", "example.toml"]);
    assert_eq!(again.stdout, "", "{again}");
    assert!(again.stderr.contains("pipe.lock is up to date"), "{again}");
    assert_eq!(fs::read_to_string(deployment.at("pipe.lock")).expect("pipe.lock"), lock);
}

/// Hazard 8 of the systems before this one: an upgrade that is refused, and no way to approve it.
#[test]
fn hazard_8_a_refusal_says_which_command_accepts_it_and_that_command_does() {
    let deployment = locked().edit("example.toml", r#"allow.sql = ["read app"]"#, r#"allow.sql = ["write app"]"#);
    let ended = refused(
        &deployment,
        &[
            "step \"verify\" in demo: what it may touch is not what was locked",
            "`pipe lock example.toml` accepts it",
            "`pipe diff OLD example.toml` says what was gained",
        ],
    );
    insta::assert_snapshot!(ended);
    let accepted = succeeds(&deployment, &["lock", "example.toml"]);
    assert_eq!(accepted.stdout, "accepted  step \"verify\" in demo: what it may touch is not what was locked\n");
    succeeds(&deployment, &["run", "example.toml", "--env", "demo", "--locked"]);
}

#[test]
fn without_a_lock_nothing_is_locked() {
    let deployment = Deployment::example();
    refused(&deployment, &["there is no pipe.lock", "`pipe lock example.toml` accepts the file as it is"]);
    let deployment = deployment.file("pipe.lock", "version = 1\n");
    refused(&deployment, &["pipe.lock does not hold example.toml", "`pipe lock example.toml` accepts"]);
    for wrong in ["version = 2\n", "not toml", "version = 1\nmore = 1\n"] {
        let deployment = Deployment::example().file("pipe.lock", wrong);
        refused(&deployment, &["pipe.lock:"]);
    }
}

#[test]
fn every_way_to_widen_a_pipeline_is_drift() {
    for (from, to, says) in [
        (
            "example/live/app.db",
            "example/live/other.db",
            "peer `app` in demo: its address or login is not what was locked",
        ),
        (r"'^\d+\.\d+\.\d+$'", "'.*'", "input `version` in demo: its pattern is not the one that was locked"),
        ("name = \"verify\"", "name = \"look\"", "step \"look\" in demo: new since the lock"),
        ("name = \"verify\"", "name = \"look\"", "step \"verify\" in demo: locked, and no longer there"),
        ("environments = [\"demo\"]", "environments = [\"demo\", \"x\"]", ""),
    ] {
        let deployment = locked().edit("example.toml", from, to);
        if says.is_empty() {
            succeeds(&deployment, &["check", "example.toml", "--env", "demo", "--locked"]);
            let ended = deployment.run(&["check", "example.toml", "--env", "x", "--locked"]);
            assert_eq!(ended.code, 3, "{ended}");
            assert!(ended.stderr.contains("environment x: it is not locked"), "{ended}");
        } else {
            refused(&deployment, &[says, "`pipe lock example.toml` accepts it"]);
        }
    }
}

#[test]
fn another_plugin_is_drift() {
    let guest = fs::read(guest::component("hostile")).expect("the guest");
    let deployment = Deployment::example()
        .file("guest.wasm", &guest)
        .edit(
            "example.toml",
            "[[step]]\nname = \"preflight\"",
            "[plugins]\nguest = { path = \"guest.wasm\" }\n\n[[step]]\nname = \"preflight\"",
        )
        .edit(
            "example.toml",
            "name = \"verify\"\nstage = \"verify\"",
            "name = \"verify\"\nstage = \"precheck\"\nplugin = \"guest\"",
        );
    succeeds(&deployment, &["lock", "example.toml"]);
    let lock = fs::read_to_string(deployment.at("pipe.lock")).expect("pipe.lock");
    assert!(lock.contains("source = \"guest.wasm\"\n"), "{lock}");
    // A custom section with an empty name: the same component, and another file.
    let mut other = guest;
    other.extend([0, 1, 0]);
    let deployment = deployment.file("guest.wasm", other);
    refused(&deployment, &["plugin `guest`: its sha256 is ", "`pipe lock example.toml` accepts it"]);
}

#[test]
fn standard_plugins_change_with_pipe() {
    let deployment = locked();
    let lock = fs::read_to_string(deployment.at("pipe.lock")).expect("pipe.lock");
    let at = lock
        .find("std:verify")
        .and_then(|at| lock[at..].find("sha256 = \"").map(|next| at + next + 10))
        .expect("a digest");
    let other = format!("{}{}{}", &lock[..at], "0".repeat(64), &lock[at + 64..])
        .replace("source = \"pipe ", "source = \"pipe 0.0.9 or ");
    let deployment = deployment.file("pipe.lock", other);
    refused(
        &deployment,
        &[
            "plugin `std:verify`: locked with pipe 0.0.9 or ",
            "which brings another one",
            "`pipe lock example.toml` accepts it",
        ],
    );
}

#[test]
fn one_lock_holds_every_file_and_environment_beside_it() {
    let two = "environments = [\"demo\", \"production\"]";
    let deployment = Deployment::example().edit("example.toml", "environments = [\"demo\"]", two);
    succeeds(&deployment, &["lock", "example.toml", "--env", "demo"]);
    succeeds(&deployment, &["check", "example.toml", "--env", "demo", "--locked"]);
    let ended = deployment.run(&["check", "example.toml", "--env", "production", "--locked"]);
    assert_eq!(ended.code, 3, "{ended}");
    succeeds(&deployment, &["lock", "example.toml", "--env", "production"]);
    succeeds(&deployment, &["check", "example.toml", "--locked"]);
    let text = fs::read(deployment.at("example.toml")).expect("the pipeline file");
    let deployment = deployment.file("second.toml", text);
    succeeds(&deployment, &["lock", "second.toml"]);
    succeeds(&deployment, &["check", "example.toml", "--locked"]);
    succeeds(&deployment, &["check", "second.toml", "--locked"]);
    let ended = deployment.run(&["lock", "example.toml", "--env", "nowhere"]);
    assert_eq!(ended.code, 2, "{ended}");
}

#[test]
fn a_lock_is_written_whole_or_not_at_all() {
    let deployment = locked();
    let before = fs::read(deployment.at("pipe.lock")).expect("pipe.lock");
    let deployment = deployment.file("example.toml", "not toml");
    assert_eq!(deployment.run(&["lock", "example.toml"]).code, 3);
    assert_eq!(fs::read(deployment.at("pipe.lock")).expect("pipe.lock"), before);
    let left: Vec<_> = fs::read_dir(deployment.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("tmp")), "{left:?}");
}

#[test]
fn programs_get_what_was_accepted_as_json() {
    let deployment = Deployment::example();
    let [value] =
        succeeds(&deployment, &["lock", "example.toml", "--output", "json"]).json().try_into().expect("one value");
    assert_eq!((&value["schema"], &value["lock"]), (&"pipe.lock/v1".into(), &"pipe.lock".into()));
    assert!(!value["accepted"].as_array().expect("a list").is_empty());
}
