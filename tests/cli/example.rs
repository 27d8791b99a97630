//! The README's first command, in a folder of its own.

use pipe_tests::Deployment;

fn example() -> Deployment {
    Deployment::new().copy_of("pipelines/example", "example").file(
        "example.toml",
        std::fs::read(pipe_tests::repository().join("pipelines/example.toml")).unwrap_or_default(),
    )
}

#[test]
fn the_example_succeeds_in_all_six_stages() {
    let deployment = example();
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ended.code, 0, "{ended}");
    insta::assert_snapshot!(ended);
    let history = std::fs::read_to_string(deployment.at("example/live/history/deployments.md")).unwrap_or_default();
    assert!(history.contains("  Version: 1.0.0"), "{history}");
    let page = std::fs::read_to_string(deployment.at("example/live/www/current/index.html")).unwrap_or_default();
    assert!(page.contains("Appointments"));
}
