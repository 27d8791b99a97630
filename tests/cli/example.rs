//! The README's first command, in a folder of its own.

use pipe_tests::Deployment;

#[test]
fn the_example_succeeds_in_all_six_stages() {
    let deployment = Deployment::example();
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ended.code, 0, "{ended}");
    insta::assert_snapshot!(ended);
    let history = std::fs::read_to_string(deployment.at("example/live/history/deployments.md")).unwrap_or_default();
    assert!(history.contains("  Version: 1.0.0"), "{history}");
    let page = std::fs::read_to_string(deployment.at("example/live/www/current/index.html")).unwrap_or_default();
    assert!(page.contains("Appointments"));
}

#[test]
fn a_second_deployment_of_the_same_changes_nothing() {
    let deployment = Deployment::example();
    let first = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(first.code, 0, "{first}");
    let second = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(second.code, 0, "{second}");
    insta::assert_snapshot!(second);
}

#[test]
fn the_plan_says_what_each_step_may_touch_and_touches_nothing() {
    let deployment = Deployment::example();
    let planned = deployment.run(&["plan", "example.toml", "--env", "demo", "--out", "plan.json"]);
    assert_eq!(planned.code, 0, "{planned}");
    insta::assert_snapshot!(planned);
    assert!(!deployment.at("state").exists(), "planning made a state directory");
    assert!(!deployment.at("example/live/app.db").exists(), "planning made a database");
    let written = std::fs::read_to_string(deployment.at("plan.json")).unwrap_or_default();
    assert!(written.contains("\"schema\": \"pipe.plan/v1\""), "{written}");
}
