//! Without a backup nothing is deployed, and half a backup is none.

use std::fs;

use serde_json::json;

use super::{Hospital, run_of};

#[test]
fn a_dump_that_fails_half_way_stops_everything() {
    let hospital = Hospital::with_patients();
    hospital.next_version();
    // `pg_dump` writes the tables in the order of their names. It may lock this last one, but not read it past its policy:
    // it fails when most of the dump is written. The guide's `pg_dump | gzip` would call that a backup.
    hospital.database.sql(
        "CREATE TABLE zz_notes (note text); INSERT INTO zz_notes VALUES ('x');
         ALTER TABLE zz_notes ENABLE ROW LEVEL SECURITY; GRANT SELECT ON zz_notes TO medical_user",
    );
    let (schema, rows, served) = (hospital.database.schema(), hospital.database.rows(), hospital.served());
    let artifacts = hospital.artifacts();
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stderr.contains("row-level security"), "{ended}");
    assert!(!ended.stderr.contains("┌ migrate"), "{ended}");
    assert_eq!(hospital.artifacts(), artifacts, "no file stays, not even a partial one");
    assert_eq!((hospital.database.schema(), hospital.database.rows()), (schema, rows));
    assert_eq!(hospital.served(), served);
    assert_eq!(fs::read_dir(hospital.deployment.at("temporary")).unwrap().count(), 0);

    let history = hospital.history();
    let run = run_of(&ended);
    let entry = history.split("- Deployment ID: ").find(|entry| entry.starts_with(&run)).unwrap_or_default();
    assert!(
        entry.contains("\n  Version: 1.1.0\n  Status: Failed\n  Reason: step \"backup\": database.dump: "),
        "{history}"
    );
    let [message] = hospital.slack.said().try_into().unwrap();
    let text = message["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("medical-system in staging: failed (step \"backup\": database.dump: "), "{text}");
    assert!(text.ends_with(&format!("\nversion 1.1.0, run {run}")), "{text}");
}

#[test]
fn a_wrong_password_stops_everything() {
    let hospital = Hospital::new();
    hospital.write("medical-system/secrets/database-password", "not the password\n");
    let ended = hospital.deploy("1.4.0");
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stderr.contains("password authentication failed"), "{ended}");
    assert!(!ended.stderr.contains("not the password"), "{ended}");
    assert!(!ended.stderr.contains("┌ backup"), "{ended}");
    assert_eq!(hospital.artifacts(), Vec::<std::path::PathBuf>::new());
    assert_eq!(hospital.database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    assert_eq!(hospital.served().len(), 0);
}

#[test]
fn a_secret_that_is_missing_stops_everything_before_it_begins() {
    let hospital = Hospital::new();
    fs::remove_file(hospital.deployment.at("medical-system/secrets/backup.age")).unwrap();
    let ended = hospital.deploy("1.4.0");
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("secret `backup`"), "{ended}");
    assert_eq!(hospital.slack.said(), Vec::<serde_json::Value>::new());
}

#[test]
fn settings_that_break_the_rules_of_hipaa_stop_everything() {
    let hospital = Hospital::new();
    let mut command =
        hospital.deployment.command(&hospital.arguments("1.4.0").iter().map(String::as_str).collect::<Vec<_>>());
    let output = command.env("AUDIT_LOG_RETENTION_DAYS", "365").env("USE_TEST_DATA", "true").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("AUDIT_LOG_RETENTION_DAYS is 365, expected at least 2555"), "{stderr}");
    assert!(stderr.contains("no test data"), "{stderr}");
    assert_eq!(
        hospital.history_for_programs().iter().map(|line| &line["status"]).collect::<Vec<_>>(),
        [&json!("failed")]
    );
}
