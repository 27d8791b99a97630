//! The standard plugins with grants of single files: what they read and write is one file, and one file is enough.

use pipe_tests::Deployment;

const PIPELINE: &str = r#"
name = "clinic"
environments = ["test"]

[[step]]
name = "preflight"
stage = "precheck"
allow.read = ["certs/clinic.txt"]
with.check = [{ kind = "file", path = "certs/clinic.txt", contains = "valid", max_mode = "0644" }]

[[notify]]
name = "history"
on = ["succeeded"]
allow.write = ["history.jsonl"]
with.channel = [{ kind = "history", path = "history.jsonl", format = "jsonl", version = "1" }]
"#;

#[test]
fn a_check_reads_one_file_and_a_notification_adds_to_one() {
    let deployment = Deployment::new().file("certs/clinic.txt", "valid").file("pipeline.toml", PIPELINE);
    for runs in 1..=2 {
        let ended = deployment.run(&["run", "pipeline.toml", "--env", "test"]);
        assert_eq!(ended.code, 0, "{ended}");
        let history = std::fs::read_to_string(deployment.at("history.jsonl")).expect("the first run made it");
        assert_eq!(history.lines().count(), runs, "{history}");
    }
}

#[test]
fn the_refusal_of_a_file_names_the_file() {
    let deployment = Deployment::new().file("certs/clinic.txt", "valid").file("pipeline.toml", PIPELINE).edit(
        "pipeline.toml",
        "allow.read = [\"certs/clinic.txt\"]\n",
        "",
    );
    let ended = deployment.run(&["run", "pipeline.toml", "--env", "test"]);
    assert_eq!(ended.code, 4, "{ended}");
    assert!(ended.stderr.contains(r#"allow.read = ["certs/clinic.txt"]"#), "{ended}");
}
