//! A deployment that fails is undone: the database and what users see are afterwards what they were before.

use std::collections::BTreeMap;

use pipe_tests::Ended;
use serde_json::json;

use super::{Hospital, run_of};

/// What a rollback must bring back.
#[derive(Debug, PartialEq)]
struct Before {
    schema: String,
    rows: String,
    served: BTreeMap<String, Vec<u8>>,
}

impl Before {
    fn of(hospital: &Hospital) -> Self {
        Self { schema: hospital.database.schema(), rows: hospital.database.rows(), served: hospital.served() }
    }
}

/// What people are told of a rollback, in the history and in Slack.
#[track_caller]
fn assert_told(hospital: &Hospital, ended: &Ended, reason: &str) {
    let run = run_of(ended);
    let history = hospital.history();
    let entry = history.split("- Deployment ID: ").find(|entry| entry.starts_with(&run)).unwrap_or_default();
    let lines: Vec<&str> = entry.trim_end().lines().collect();
    let [_, date, "  Version: 1.1.0", "  Status: Rolled Back", why] = lines.as_slice() else { panic!("{history}") };
    assert!(date.starts_with("  Date: "), "{history}");
    let why = why.strip_prefix("  Reason: ").unwrap_or_default();
    assert!(why.starts_with("step \"") && why.contains(reason), "{why}");
    let headline = format!("medical-system in staging: rolled-back ({why})");

    let [message] = hospital.slack.said().try_into().unwrap();
    let escaped = headline.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    assert_eq!(message, json!({ "text": format!("{escaped}\nversion 1.1.0, run {run}") }));
}

#[test]
fn a_migration_that_fails_is_taken_back() {
    let hospital = Hospital::with_patients();
    hospital.next_version();
    hospital.migration(
        "007_consents",
        "CREATE TABLE consents (patient uuid REFERENCES persons);\n",
        "DROP TABLE consents;\n",
    );
    let before = Before::of(&hospital);
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 5, "{ended}");
    assert!(ended.stderr.contains("took 006_allergies back"), "{ended}");
    assert!(!ended.stderr.contains("┌ release"), "{ended}");
    assert_eq!(Before::of(&hospital), before);
    assert_told(&hospital, &ended, "007_consents.up.sql");

    // What was in the way is put right, and the same version goes out.
    hospital.migration(
        "007_consents",
        "CREATE TABLE consents (patient uuid REFERENCES patients);\n",
        "DROP TABLE consents;\n",
    );
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(hospital.served()["current"], b"releases/1.1.0");
}

#[test]
fn a_version_that_is_not_healthy_is_taken_back() {
    let hospital = Hospital::with_patients();
    hospital.next_version();
    hospital.needs_tables(&["patients", "prescriptions"]);
    let before = Before::of(&hospital);
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 5, "{ended}");
    assert!(ended.stderr.contains("status 503 instead of 200"), "{ended}");
    assert!(ended.stderr.contains("in this order: release, migrate"), "{ended}");
    assert!(ended.stderr.contains("switched back from 1.1.0 to 1.0.0"), "{ended}");
    assert!(ended.stderr.contains("took 006_allergies back"), "{ended}");
    assert_eq!(Before::of(&hospital), before);
    assert_told(&hospital, &ended, "health");
}

#[test]
fn a_table_that_is_missing_after_the_migration_fails_the_deployment() {
    let hospital = Hospital::with_patients();
    hospital.migration(
        "006_rename",
        "ALTER TABLE medical_records RENAME TO records;\n",
        "ALTER TABLE records RENAME TO medical_records;\n",
    );
    let before = Before::of(&hospital);
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 5, "{ended}");
    assert!(ended.stderr.contains("table medical_records: is missing"), "{ended}");
    assert_eq!(Before::of(&hospital), before);
    assert_told(&hospital, &ended, "medical_records");
}
