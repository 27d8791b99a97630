//! The main path.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::json;

use super::{Hospital, TABLES, mode, run_of};
use crate::{postgres::Database, programs};

#[test]
fn a_first_deployment_succeeds() {
    let hospital = Hospital::new();
    let ended = hospital.deploy("1.4.0");
    assert_eq!(ended.code, 0, "{ended}");
    let run = run_of(&ended);

    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND \
         tablename NOT LIKE 'pipe\\_%' ORDER BY 1";
    assert_eq!(hospital.database.sql(tables).lines().collect::<Vec<_>>(), TABLES);
    assert_eq!(hospital.database.sql("SELECT count(*) FROM audit_logs"), "0", "the probe is removed again");

    let served = hospital.served();
    assert_eq!(served["current"], b"releases/1.4.0");
    for file in ["index.html", "style.css", "app.json"] {
        let source = fs::read(hospital.deployment.at(&format!("medical-system/app/{file}"))).unwrap();
        assert_eq!(served[&format!("releases/1.4.0/{file}")], source, "{file}");
    }

    let history = hospital.history();
    let date = history.lines().find_map(|line| line.strip_prefix("  Date: ")).unwrap_or_default();
    assert!(date.contains(" UTC 20"), "{date}");
    assert_eq!(history, format!("- Deployment ID: {run}\n  Date: {date}\n  Version: 1.4.0\n  Status: Successful\n\n"));
    let [line] = hospital.history_for_programs().try_into().unwrap();
    assert_eq!(
        (&line["run"], &line["event"], &line["environment"], &line["version"], &line["status"]),
        (&json!(run), &json!("succeeded"), &json!("staging"), &json!("1.4.0"), &json!("succeeded"))
    );
    let text = format!("medical-system in staging: succeeded\nversion 1.4.0, run {run}");
    assert_eq!(hospital.slack.said(), [json!({ "text": text })]);
}

#[test]
fn what_was_backed_up_can_be_restored_without_pipe() {
    let hospital = Hospital::with_patients();
    hospital.next_version();
    let before = rows(&hospital.database);
    let known = hospital.artifacts();
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(hospital.database.sql("SELECT count(*) FROM allergies"), "10");

    let artifacts: Vec<_> = hospital.artifacts().into_iter().filter(|path| !known.contains(path)).collect();
    let [dump, files] = artifacts.as_slice() else { panic!("{artifacts:?}") };
    let (dump, files) = if dump.to_string_lossy().contains("dump") { (dump, files) } else { (files, dump) };
    assert_eq!((mode(dump), mode(files)), (0o600, 0o600));
    let content = |artifact: &std::path::Path| {
        let key = hospital.deployment.at("medical-system/secrets/backup.age");
        let compressed = programs::output(Command::new("age").arg("-d").arg("-i").arg(key).arg(artifact), b"");
        programs::output(Command::new("zstd").args(["-d", "-q", "-c"]), &compressed)
    };
    let restored = hospital.database.restored(&content(dump));
    assert_eq!(rows(&restored), before);
    assert_eq!(before["patients"], "2000");

    let unpacked = hospital.deployment.at("unpacked");
    fs::create_dir(&unpacked).unwrap();
    programs::output(Command::new("tar").arg("-x").arg("-C").arg(&unpacked), &content(files));
    programs::text(Command::new("diff").arg("-r").arg(hospital.deployment.at("medical-system/files")).arg(unpacked));
}

#[test]
fn the_audit_log_holds_what_happened() {
    let hospital = Hospital::new();
    let ended = hospital.deploy("1.4.0");
    assert_eq!(ended.code, 0, "{ended}");
    let head = ended.stderr.lines().find_map(|line| line.trim().strip_prefix("audit")?.trim().strip_prefix("head "));
    let head = head.unwrap_or_else(|| panic!("{ended}"));

    let export = hospital.deployment.at("audit.jsonl").display().to_string();
    let exported = hospital.deployment.run(&["log", "export", "--out", &export]);
    assert_eq!(exported.code, 0, "{exported}");
    for arguments in [vec!["log", "verify", "--head", head], vec!["log", "verify", &export, "--head", head]] {
        let verified = hospital.deployment.run(&arguments);
        assert_eq!(verified.code, 0, "{verified}");
        assert!(verified.stdout.contains("unchanged"), "{verified}");
    }

    // MED-14, MED-16, MED-34, MED-45: who did what with which right.
    let log = fs::read_to_string(&export).unwrap();
    for needed in [
        "\"step-started\"",
        "CREATE TABLE patients",
        "INSERT INTO audit_logs",
        "pg_dump",
        "pg_restore",
        "GET api:/health",
        "POST slack:/",
        "medical-system/live/www/current",
        "backup to artifacts",
    ] {
        assert!(log.contains(needed), "{needed} is not in the log");
    }

    let changed = log.replace("GET api:/health", "GET api:/wealth");
    fs::write(&export, changed).unwrap();
    let verified = hospital.deployment.run(&["log", "verify", &export]);
    assert_eq!(verified.code, 3, "{verified}");
}

/// How many rows each table has.
fn rows(database: &Database) -> BTreeMap<&'static str, String> {
    TABLES.map(|table| (table, database.sql(&format!("SELECT count(*) FROM {table}")))).into()
}
