//! A migration begins once a backup of the same run has been verified, or once it is written down who accepts that there is none.

use pipe_tests::Deployment;

/// The example, whose backup is replaced by one that stores nothing, since a program takes it.
fn without_verification() -> Deployment {
    Deployment::example().edit(
        "example.toml",
        "with = { kind = \"archive\", directory = \"example/data\", encrypt = false }",
        "with = { kind = \"archive\", directory = \"example/data\", encrypt = false, verify = \"none\" }",
    )
}

#[test]
fn a_backup_that_nobody_verified_is_none() {
    let deployment = without_verification();
    let ran = deployment.run(&["run", "example.toml", "--env", "demo"]);
    // A plugin that lets nobody leave the verification out says so at its line; one that does is stopped by the host.
    assert!([3, 4].contains(&ran.code), "{ran}");
    assert!(!deployment.at("example/live/app.db").exists(), "nothing was migrated\n{ran}");
}

#[test]
fn who_accepts_that_there_is_none_is_in_the_record() {
    let deployment = Deployment::example();
    let text = std::fs::read_to_string(deployment.at("example.toml")).expect("is there");
    let (before, rest) = text.split_once("[[step]]\nname = \"backup\"").expect("a backup");
    let (_, after) = rest.split_once("[[step]]\nname = \"migrate\"").expect("a migration");
    let bare = format!("{before}[[step]]\nname = \"migrate\"{after}");
    let deployment = deployment.file("example.toml", &bare);
    let refused = deployment.run(&["check", "example.toml", "--env", "demo"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(refused.stderr.contains("error[order-rule]: the migration `migrate` has no backup before it"), "{refused}");

    let waiver = "stage = \"migrate\"\nwithout_backup = { role = \"dba\", reason = \"the tables are new\" }";
    let deployment = deployment.file("example.toml", bare.replace("stage = \"migrate\"", waiver));
    let ran = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("│ ! without backup, accepted by dba: the tables are new"), "{ran}");
    let record = deployment.run(&["log", "export"]).stdout;
    assert_eq!(record.matches("\"event\":\"waived\"").count(), 1, "{record}");
}
