//! Which runs can be undone, and why it is said.

use pipe_tests::{Deployment, Ended};

fn run(deployment: &Deployment, version: &str) -> Ended {
    deployment.run(&["run", "example.toml", "--env", "demo", "--set", &format!("version={version}")])
}

fn name(deployment: &Deployment) -> String {
    deployment.run(&["history", "--limit", "1", "--output", "json"]).json()[0]["run"]
        .as_str()
        .expect("a run")
        .to_owned()
}

#[test]
fn runs_that_left_nothing_do_not_stand_in_the_way() {
    let deployment = Deployment::example();
    let ended = run(&deployment, "1.0.0");
    assert_eq!(ended.code, 0, "{ended}");
    let first = name(&deployment);
    // It fails before anything is changed; then one is rolled back.
    let deployment = deployment.edit("example.toml", "min = 2 }", "min = 30 }");
    assert_eq!(run(&deployment, "1.1.0").code, 5);
    let deployment =
        deployment.edit("example.toml", "name = \"preflight\"", "name = \"preflight\"\nallow.env = [\"NONE_SUCH\"]");
    let _ = run(&deployment, "1.2.0");
    let back = deployment.run(&["rollback", &first, "--reason", "the newest that left something"]);
    assert_eq!(back.code, 5, "{back}");
    assert!(!deployment.at("example/live/www/current").exists(), "{back}");
}

#[test]
fn a_later_run_that_succeeded_does() {
    let deployment = Deployment::example();
    assert_eq!(run(&deployment, "1.0.0").code, 0);
    let first = name(&deployment);
    assert_eq!(run(&deployment, "1.1.0").code, 0);
    let back = deployment.run(&["rollback", &first, "--reason", "x"]);
    assert_eq!(back.code, 2, "{back}");
    assert!(back.stderr.contains("has been followed by run "), "{back}");
}

#[test]
fn what_is_empty_names_no_run_and_says_no_why() {
    let deployment = Deployment::example();
    assert_eq!(run(&deployment, "1.0.0").code, 0);
    for arguments in [
        ["rollback", "", "--reason", "x"],
        ["rollback", "last", "--reason", ""],
        ["rollback", "last", "--reason", " "],
        ["rollback", "last", "--reason", "…"],
        ["rollback", "last", "--reason", "x\nrolled back"],
        ["abandon", "", "--reason", "x"],
        ["abandon", "last", "--reason", " "],
        ["run", "example.toml", "--as", "ann x"],
    ] {
        let ended = deployment.run(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}\n{ended}");
    }
    assert!(deployment.at("example/live/www/current").exists());
}
