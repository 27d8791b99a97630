//! `pipe plan --out` and `pipe run --plan`: what people looked at is what runs, or nothing does.

use std::fs;

use pipe_tests::Deployment;

/// The example with a plan of it in `plan.json`, and a reference to the run in what is planned.
fn planned() -> Deployment {
    let deployment = Deployment::example().edit(
        "example.toml",
        "with = { kind = \"history\", path = \"example/live/history/deployments.md\", format = \"markdown\", version = \"${inputs.version}\" }",
        "with = { kind = \"history\", path = \"example/live/history/deployments.md\", format = \"markdown\", version = \"${inputs.version} ${run.id} ${run.started}\" }",
    );
    let planned =
        deployment.run(&["plan", "example.toml", "--env", "demo", "--set", "version=1.2.3", "--out", "plan.json"]);
    assert_eq!(planned.code, 0, "{planned}");
    deployment
}

fn run(deployment: &Deployment, more: &[&str]) -> pipe_tests::Ended {
    deployment.run(&[&["run", "example.toml", "--plan", "plan.json"], more].concat())
}

#[test]
fn a_run_takes_environment_and_inputs_from_its_plan() {
    let deployment = planned();
    let ran = run(&deployment, &[]);
    assert_eq!(ran.code, 0, "{ran}");
    let shown = deployment.run(&["show", "last", "--output", "json"]).stdout;
    assert!(shown.contains("\"version\":\"1.2.3\""), "{shown}");
    // The plan is the same whenever it is made, and so is its hash in the record.
    let text = fs::read_to_string(deployment.at("plan.json")).expect("a plan");
    assert!(!text.contains("2026"), "nothing of the run that was planned is in it: {text}");
    let again = deployment.run(&["plan", "example.toml", "--env", "demo", "--set", "version=1.2.3"]);
    let hash = again.stdout.lines().last().and_then(|line| line.strip_prefix("plan ")).expect("a hash").to_owned();
    let history = deployment.run(&["log", "export"]).stdout;
    assert!(history.contains(&format!("\"plan_digest\":\"{hash}\"")), "{hash}");
}

#[test]
fn whatever_has_changed_since_is_refused_and_named() {
    for (from, to, named) in [
        ("allow.sql = [\"read app\"]", "allow.sql = [\"write app\"]", "step \"verify\": other grant"),
        ("min = 2", "min = 1", "step \"verify\": other settings"),
        ("name = \"verify\"", "name = \"look\"", "step \"look\" is new; step \"verify\" is gone"),
        ("sqlite:example/live/app.db", "sqlite:example/live/other.db", "`peers` was {\"app\":"),
    ] {
        let deployment = planned().edit("example.toml", from, to);
        let refused = run(&deployment, &[]);
        assert_eq!(refused.code, 3, "{refused}");
        assert!(refused.stderr.contains("error: not what plan.json says: "), "{refused}");
        assert!(refused.stderr.contains(named), "{named}\n{refused}");
        assert!(refused.stderr.contains("hint: `pipe plan example.toml --out PLAN`"), "{refused}");
        assert!(!deployment.at("example/live/www").exists(), "nothing ran");
    }
    let other = run(&planned(), &["--set", "version=1.2.4"]);
    assert_eq!(other.code, 3, "{other}");
    assert!(other.stderr.contains("`inputs` was {\"version\":\"1.2.3\"} and is {\"version\":\"1.2.4\"}"), "{other}");
}

#[test]
fn what_is_no_plan_binds_nothing() {
    for (text, why) in
        [("", "EOF"), ("{}", "its schema is `none`"), ("{\"schema\":\"pipe.plan/v9\"}", "its schema is `pipe.plan/v9`")]
    {
        let deployment = Deployment::example().file("plan.json", text);
        let refused = run(&deployment, &["--env", "demo"]);
        assert_eq!(refused.code, 3, "{refused}");
        assert!(refused.stderr.contains("plan.json is no plan: ") && refused.stderr.contains(why), "{refused}");
    }
}
