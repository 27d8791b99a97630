//! A journal that somebody has changed by hand: nothing is done on its word, unless somebody answers for that.

use pipe_tests::{Deployment, Ended};

const RUN: [&str; 4] = ["run", "example.toml", "--env", "demo"];

/// The example's release with a gate before it that nobody can pass in this test, and a run that waits there.
fn waiting() -> Deployment {
    let deployment = Deployment::example()
        .file("signers", format!("ann@x.example {KEY}\n"))
        .edit("example.toml", "[peers]", "[roles]\nlead.signers = \"signers\"\n\n[peers]")
        .edit(
            "example.toml",
            "[[step]]\nname = \"release\"",
            "[[step]]\nname = \"go\"\ngate = { role = \"lead\" }\n\n[[step]]\nname = \"release\"",
        );
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 7, "{ended}");
    deployment
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0tFo6GQJPUSI2Xl8z9dmCbJnHqvQRrwF8u3yYVqQrS";

fn change(deployment: &Deployment, sql: &str) {
    let database = rusqlite::Connection::open(deployment.at("state/journal.db")).expect("the journal");
    database.execute_batch(sql).expect("who owns the file may do that");
}

fn released(deployment: &Deployment) -> bool {
    deployment.at("example/live/www/current").exists()
}

fn refused(ended: &Ended) {
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("was changed: ") && ended.stderr.contains("hint: "), "{ended}");
}

/// What somebody would write who wants to be let through.
const PASSED: &str = r#"
    INSERT INTO events (run, seq, at, boot_ms, body, prev, hash)
    SELECT run, seq + 1, at, boot_ms,
           '{"event":"gate-closed","step":{"name":"go"},"how":"passed","by":["ann@x.example"]}', randomblob(32), randomblob(32)
    FROM events ORDER BY seq DESC LIMIT 1;
"#;

#[test]
fn a_gate_is_not_passed_by_a_line_in_the_journal() {
    let deployment = waiting();
    change(&deployment, PASSED);
    for arguments in [
        &["resume", "last"][..],
        &["rollback", "last", "--reason", "x"],
        &["abandon", "last", "--reason", "x"],
        &["approve", "last", "--key", "none", "--reason", "x"],
    ] {
        refused(&deployment.run(arguments));
    }
    assert!(!released(&deployment));
    let shown = deployment.run(&["show", "last"]);
    assert!(shown.stderr.contains("what follows is not to be trusted"), "{shown}");
    assert!(shown.stdout.contains("this report is not to be trusted"), "{shown}");
}

#[test]
fn somebody_who_knows_what_was_changed_can_go_on_and_answers_for_it() {
    let deployment = waiting();
    change(
        &deployment,
        "DROP TRIGGER events_never_change; UPDATE events SET body = replace(body, '\"actor\":\"', '\"actor\":\"not-') WHERE seq = 1;",
    );
    refused(&deployment.run(&["rollback", "last", "--reason", "x"]));
    let back = deployment.run(&["rollback", "last", "--reason", "x", "--accept-changed-record"]);
    assert_eq!(back.code, 5, "{back}");
    let shown = deployment.run(&["show", "last"]);
    assert!(shown.stdout.contains("went on although the record was changed: "), "{shown}");
}

#[test]
fn a_receipt_that_is_missing_is_not_an_undo() {
    let deployment = Deployment::example();
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 0, "{ended}");
    for sql in ["DELETE FROM receipts", "UPDATE receipts SET step = '{\"name\":\"verify\"}'"] {
        change(&deployment, &format!("CREATE TABLE kept AS SELECT * FROM receipts; {sql};"));
        let back = deployment.run(&["rollback", "last", "--reason", "x"]);
        assert_eq!(back.code, 70, "{sql}\n{back}");
        assert!(back.stderr.contains("its receipt is missing"), "{sql}\n{back}");
        assert!(released(&deployment), "{sql}\n{back}");
        change(&deployment, "DELETE FROM receipts; INSERT INTO receipts SELECT * FROM kept; DROP TABLE kept;");
    }
    let back = deployment.run(&["rollback", "last", "--reason", "x"]);
    assert_eq!(back.code, 5, "put back, it undoes\n{back}");
    assert!(!released(&deployment), "{back}");
}

#[test]
fn a_journal_that_is_gone_is_missed() {
    let deployment = waiting();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(deployment.at("state").join(file));
    }
    let again = deployment.run(&RUN);
    assert!(again.stderr.contains("there was a journal in ") && again.stderr.contains("and it is gone"), "{again}");
}

#[test]
fn a_state_directory_that_others_may_change_is_not_obeyed() {
    let deployment = waiting();
    let mode = |mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(deployment.at("state"), permissions).expect("it is ours");
    };
    for open in [0o777, 0o770, 0o702] {
        mode(open);
        for arguments in [&["resume", "last"][..], &["abandon", "last", "--reason", "x"], &RUN] {
            let ended = deployment.run(arguments);
            assert_eq!(ended.code, 70, "{open:o} {arguments:?}\n{ended}");
            assert!(ended.stderr.contains("is not this user's alone: others may write in it"), "{ended}");
            assert!(ended.stderr.contains("hint: `chmod go-w "), "{ended}");
        }
    }
    mode(0o755);
    let resumed = deployment.run(&["resume", "last"]);
    assert_eq!(resumed.code, 7, "{resumed}");
}
