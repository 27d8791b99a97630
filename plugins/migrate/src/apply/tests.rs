use std::fs;

use pipe_sdk::Status;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{report, settings::Step, sqlite::Sqlite, undo::undo};

const RUN: &str = "20261123000000-abcdef";

fn context(run: &str) -> Context {
    Context {
        run_id: run.to_owned(),
        pipeline: "p".to_owned(),
        environment: "e".to_owned(),
        step: "migrate".to_owned(),
        instance: None,
        attempt: 1,
        idempotency_key: "k".to_owned(),
        deadline_unix_ms: 0,
        started_unix_ms: 0,
        settings: String::new(),
    }
}

/// Three migrations, the last one without a way back.
fn files() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("001_a.up.sql", "CREATE TABLE a (id INTEGER); INSERT INTO a VALUES (1);"),
        ("001_a.down.sql", "DROP TABLE a;"),
        ("002_b.up.sql", "CREATE TABLE b (id INTEGER)"),
        ("002_b.down.sql", "DROP TABLE b"),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn settings(directory: &TempDir, more: serde_json::Value) -> SqlFiles {
    let mut settings = json!({ "peer": "main", "directory": directory.path() });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

fn apply(run: &str, directory: &TempDir, more: serde_json::Value, host: &Sqlite) -> Result<Changed, Failure> {
    let context = context(run);
    SqlStep::read(&context, &settings(directory, more), host)?.apply()
}

#[test]
fn applies_reports_and_takes_back() {
    let (directory, host) = (files(), Sqlite::new(""));
    let changed = apply(RUN, &directory, json!({ "target": "1" }), &host).unwrap();
    assert_eq!((changed.before, changed.after.as_deref()), (None, Some("001")));
    let changed = apply(RUN, &directory, json!({}), &host).unwrap();
    assert_eq!((changed.before.as_deref(), changed.after.as_deref()), (Some("001"), Some("002")));
    assert_eq!(changed.applied, ["002_b"]);
    assert_eq!(host.tables(), ["a", "b", "pipe_migrations"]);
    assert_eq!(
        host.saved.borrow()[1].2,
        "on main, in one transaction: run 002_b.down.sql, then DELETE FROM pipe_migrations WHERE version = 2"
    );
    assert!(apply(RUN, &directory, json!({}), &host).unwrap().applied.is_empty());

    fs::remove_dir_all(directory.path()).unwrap();
    let report = undo(&context(RUN), &host.receipts(), &host).unwrap();
    assert_eq!(report.undone, ["took 002_b back", "took 001_a back"]);
    assert_eq!(host.tables(), ["pipe_migrations"]);
    let report = undo(&context(RUN), &host.receipts(), &host).unwrap();
    assert!(report.undone.is_empty() && report.findings.iter().all(|finding| finding.status == Status::Skip));
}

#[test]
fn a_file_that_fails_leaves_nothing_and_the_earlier_ones_stay() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("003_c.up.sql"), "CREATE TABLE c (id INTEGER); INSERT INTO nowhere VALUES (1)")
        .unwrap();
    fs::write(directory.path().join("003_c.down.sql"), "DROP TABLE c").unwrap();
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert!(failure.message.starts_with("003_c.up.sql: no such table: nowhere"), "{}", failure.message);
    assert_eq!(failure.findings.len(), 3);
    assert_eq!(host.tables(), ["a", "b", "pipe_migrations"]);
    assert_eq!(host.receipts().len(), 3);
    assert_eq!(undo(&context(RUN), &host.receipts(), &host).unwrap().undone, ["took 002_b back", "took 001_a back"]);
    assert_eq!(host.tables(), ["pipe_migrations"]);
}

#[test]
fn all_together_means_all_or_none() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("003_c.up.sql"), "INSERT INTO nowhere VALUES (1)").unwrap();
    let all = || json!({ "transaction": "all", "require_down": false });
    apply(RUN, &directory, all(), &host).unwrap_err();
    assert!(host.tables().is_empty());
    assert!(undo(&context(RUN), &host.receipts(), &host).unwrap().undone.is_empty());

    fs::write(directory.path().join("003_c.up.sql"), "INSERT INTO a VALUES (2)").unwrap();
    assert_eq!(apply(RUN, &directory, all(), &host).unwrap().applied, ["001_a", "002_b", "003_c"]);
    assert_eq!(apply(RUN, &directory, all(), &host).unwrap().applied.len(), 0);
}

#[test]
fn without_a_way_back_nothing_is_touched() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("003_c.up.sql"), "CREATE TABLE c (id INTEGER)").unwrap();
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Settings);
    assert!(failure.message.starts_with("003_c.up.sql has no 003_c.down.sql beside it"), "{}", failure.message);
    assert!(host.tables().is_empty() && host.receipts().is_empty());

    apply(RUN, &directory, json!({ "require_down": false }), &host).unwrap();
    let failure = undo(&context(RUN), &host.receipts(), &host).unwrap_err();
    assert!(failure.message.starts_with("003_c cannot be taken back: it has no down file"), "{}", failure.message);
    assert_eq!(host.tables().len(), 4, "what lies under it stays");
}

#[test]
fn a_lost_commit_is_neither_repeated_nor_forgotten() {
    let (directory, host) = (files(), Sqlite::new(""));
    host.commits_before_loss.set(2);
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (FailureKind::TimedOut, true));
    host.commits_before_loss.set(u32::MAX);
    let changed = apply(RUN, &directory, json!({}), &host).unwrap();
    assert_eq!((changed.after.as_deref(), changed.applied.len()), (Some("002"), 0));
    assert_eq!(undo(&context(RUN), &host.receipts(), &host).unwrap().undone.len(), 2);
}

#[test]
fn undo_touches_nothing_of_another_run_or_step() {
    let (directory, host) = (files(), Sqlite::new(""));
    apply(RUN, &directory, json!({}), &host).unwrap();
    assert!(undo(&context("20261124000000-abcdef"), &host.receipts(), &host).unwrap().undone.is_empty());
    let other = Context { step: "other".to_owned(), ..context(RUN) };
    assert!(undo(&other, &host.receipts(), &host).unwrap().undone.is_empty());
    let instance = Context { instance: Some("x".to_owned()), ..context(RUN) };
    assert!(undo(&instance, &host.receipts(), &host).unwrap().undone.is_empty());
    assert_eq!(host.tables().len(), 3);
}

#[test]
fn what_somebody_put_on_top_must_go_first() {
    let (directory, host) = (files(), Sqlite::new(""));
    apply(RUN, &directory, json!({}), &host).unwrap();
    let receipts = host.receipts();
    fs::write(directory.path().join("003_c.up.sql"), "CREATE TABLE c (id INTEGER)").unwrap();
    fs::write(directory.path().join("003_c.down.sql"), "DROP TABLE c").unwrap();
    apply("20261124000000-abcdef", &directory, json!({}), &host).unwrap();
    let failure = undo(&context(RUN), &receipts, &host).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert!(
        failure.message.contains("003_c was applied after it, by step migrate of run 20261124"),
        "{}",
        failure.message
    );
    assert_eq!(host.tables().len(), 4);
}

#[test]
fn out_of_order_is_taken_back_in_the_order_of_application() {
    let (directory, host) = (files(), Sqlite::new(""));
    apply("20261122000000-abcdef", &directory, json!({}), &host).unwrap();
    host.saved.borrow_mut().clear();
    fs::write(directory.path().join("0_z.up.sql"), "CREATE TABLE z (id INTEGER)").unwrap();
    fs::write(directory.path().join("0_z.down.sql"), "DROP TABLE z").unwrap();
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    let changed = apply(RUN, &directory, json!({ "out_of_order": true }), &host).unwrap();
    assert_eq!((changed.applied, changed.after.as_deref()), (vec!["0_z".to_owned()], Some("002")));
    assert_eq!(undo(&context(RUN), &host.receipts(), &host).unwrap().undone, ["took 0_z back"]);
}

#[test]
fn a_changed_file_stops_everything() {
    let (directory, host) = (files(), Sqlite::new(""));
    apply(RUN, &directory, json!({ "target": "1" }), &host).unwrap();
    fs::write(directory.path().join("001_a.up.sql"), "CREATE TABLE a (id TEXT)").unwrap();
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert!(failure.message.starts_with("001_a.up.sql was changed after it was applied"), "{}", failure.message);
    assert_eq!(host.tables(), ["a", "pipe_migrations"]);
}

#[test]
fn a_down_file_that_fails_leaves_its_migration() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("002_b.down.sql"), "DROP TABLE b; DROP TABLE nowhere").unwrap();
    apply(RUN, &directory, json!({}), &host).unwrap();
    let failure = undo(&context(RUN), &host.receipts(), &host).unwrap_err();
    assert!(failure.message.starts_with("002_b.down.sql: no such table"), "{}", failure.message);
    assert_eq!(host.tables(), ["a", "b", "pipe_migrations"]);
}

#[test]
fn settings_that_make_no_sense() {
    let (directory, host) = (files(), Sqlite::new(""));
    for (more, words) in [
        (json!({ "table": "a; DROP TABLE b" }), "is no plain name"),
        (json!({ "table": "other.versions" }), "SQLite has no schema other"),
        (json!({ "target": "x" }), "is no version"),
        (json!({ "target": "9" }), "the target 9 is no version of the directory"),
        (json!({ "lock_timeout": "0s" }), "lock_timeout"),
    ] {
        let failure = apply(RUN, &directory, more, &host).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Settings);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    apply(RUN, &directory, json!({ "table": "main.versions" }), &host).unwrap();
    assert_eq!(host.tables(), ["a", "b", "versions"]);
}

#[test]
fn a_down_file_that_no_receipt_can_hold_is_refused_first() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("002_b.down.sql"), "-- x\n".repeat(300_000)).unwrap();
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert!(failure.message.starts_with("002_b.down.sql is too large"), "{}", failure.message);
    assert!(host.tables().is_empty());
}

#[test]
fn several_steps_are_checked_before_the_first_is_touched() {
    let (directory, host) = (files(), Sqlite::new(""));
    let other = tempfile::tempdir().unwrap();
    let steps = |table: &str| -> Vec<Step> {
        serde_json::from_value(json!([
            { "kind": "sql-files", "peer": "main", "directory": directory.path() },
            { "kind": "schema-verify", "peer": "main", "tables": ["a", "b"] },
            { "kind": "sql-files", "peer": "main", "directory": other.path(), "table": table, "require_down": false },
        ]))
        .unwrap()
    };
    assert!(report::run(&context(RUN), &steps("second"), &host).is_err());
    assert!(host.tables().is_empty());

    fs::write(other.path().join("1_x.up.sql"), "CREATE TABLE x (id INTEGER)").unwrap();
    let report = report::run(&context(RUN), &steps("second"), &host).unwrap();
    assert_eq!(report.applied, ["001_a", "002_b", "1_x"]);
    assert_eq!((report.before, report.after.as_deref()), (None, Some("main:002, main:1")));
    assert_eq!(host.saved.borrow().len(), 3, "keys do not meet");
}

#[test]
fn verifying_a_schema_is_no_change() {
    let host = Sqlite::new("CREATE TABLE a (id INTEGER)");
    let steps: Vec<Step> =
        serde_json::from_value(json!([{ "kind": "schema-verify", "peer": "main", "tables": ["a"] }])).unwrap();
    let report = report::run(&context(RUN), &steps, &host).unwrap();
    assert_eq!((report.before, report.after, report.applied.len(), report.findings.len()), (None, None, 0, 1));
}

#[test]
fn a_down_file_with_its_own_transaction_is_found_before_the_rollback() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("002_b.down.sql"), "BEGIN; DROP TABLE b; COMMIT;").unwrap();
    let failure = apply(RUN, &directory, json!({}), &host).unwrap_err();
    assert!(failure.message.starts_with("002_b.down.sql holds BEGIN"), "{}", failure.message);
    assert!(host.tables().is_empty() && host.receipts().is_empty());
}

fn preview(directory: &TempDir, more: serde_json::Value, host: &Sqlite) -> Result<Vec<String>, Failure> {
    crate::preview::preview(&context(RUN), &[Step::SqlFiles(settings(directory, more))], host)
}

#[test]
fn a_preview_says_what_would_be_applied_and_applies_nothing() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::write(directory.path().join("003_c.up.sql"), "CREATE TABLE c (id INTEGER)").unwrap();
    let free = json!({ "require_down": false });
    assert_eq!(
        preview(&directory, free.clone(), &host).unwrap(),
        [
            "bring main from no version to 003 with 3 migrations",
            "apply 001_a.up.sql, which can be taken back",
            "apply 002_b.up.sql, which can be taken back",
            "apply 003_c.up.sql, which cannot be taken back",
        ]
    );
    assert!(host.tables().is_empty() && host.receipts().is_empty(), "it only looked");

    apply(RUN, &directory, json!({ "target": "1", "require_down": false }), &host).unwrap();
    let all = json!({ "transaction": "all", "require_down": false });
    let lines = preview(&directory, all, &host).unwrap();
    assert_eq!(lines[0], "bring main from 001 to 003 with 2 migrations, in one transaction");
    apply(RUN, &directory, free.clone(), &host).unwrap();
    assert_eq!(preview(&directory, free, &host).unwrap(), ["leave main at 003: there is nothing to apply"]);
}

#[test]
fn what_applying_would_refuse_a_preview_says() {
    let (directory, host) = (files(), Sqlite::new(""));
    apply(RUN, &directory, json!({}), &host).unwrap();
    fs::write(directory.path().join("001_a.up.sql"), "CREATE TABLE other (id INTEGER)").unwrap();
    let failure = preview(&directory, json!({}), &host).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert!(failure.message.contains("001_a.up.sql was changed after it was applied"), "{}", failure.message);
    fs::write(directory.path().join("003_c.up.sql"), "COMMIT").unwrap();
    assert!(preview(&directory, json!({ "require_down": false }), &host).is_err());
}

#[test]
fn a_version_that_comes_late_takes_the_database_no_further() {
    let (directory, host) = (files(), Sqlite::new(""));
    fs::remove_file(directory.path().join("001_a.up.sql")).unwrap();
    fs::remove_file(directory.path().join("001_a.down.sql")).unwrap();
    apply(RUN, &directory, json!({}), &host).unwrap();
    fs::write(directory.path().join("001_z.up.sql"), "CREATE TABLE z (id INTEGER)").unwrap();
    let late = json!({ "out_of_order": true, "require_down": false });
    let lines = preview(&directory, late, &host).unwrap();
    assert_eq!(lines[0], "bring main from 002 to 002 with 1 migration");
}
