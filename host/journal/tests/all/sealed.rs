//! Receipts and outputs at rest: nobody reads them without the key, and nobody exchanges them.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use pipe_core::{
    event::{EventKind, StepStatus},
    id::StepId,
    redact::Redactor,
    report::StageReport,
};
use pipe_journal::{Durability::*, Journal, JournalError, Recorded, verify_lines};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::sample::{journal, run, used};

fn finished(step: &str, outputs: &[(&str, &str)]) -> EventKind {
    let outputs = outputs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    EventKind::StepFinished {
        step: StepId::new(step),
        status: StepStatus::Succeeded,
        report: Some(StageReport { outputs, after: Some("2".into()), ..StageReport::default() }),
        failure: None,
        duration_ms: 1,
    }
}

fn report(recorded: &Recorded) -> &StageReport {
    match recorded.known() {
        Some(EventKind::StepFinished { report: Some(report), .. }) => report,
        other => panic!("{other:?}"),
    }
}

/// Two steps with outputs and a receipt each.
async fn written() -> (TempDir, Journal) {
    let (directory, journal) = journal();
    for (step, value) in [("build", "registry/app@4f1c"), ("deploy", "revision-oak")] {
        journal.save_receipt(&run(1), &StepId::new(step), "weights", value.as_bytes(), "as before").await.unwrap();
        journal.append(&run(1), vec![used(1), finished(step, &[("it", value), ("none", "")])], Durable).await.unwrap();
    }
    (directory, journal)
}

fn database(directory: &TempDir) -> Connection {
    let database = Connection::open(directory.path().join("state/journal.db")).unwrap();
    database.execute_batch("PRAGMA foreign_keys = OFF; DROP TRIGGER IF EXISTS events_never_change").unwrap();
    database
}

#[tokio::test]
async fn values_are_in_no_file_of_the_journal_and_in_no_export() {
    let (directory, journal) = written().await;
    let reader = journal.reader().unwrap();
    let mut export = Vec::new();
    reader.export(&mut export, None).unwrap();
    fs::write(directory.path().join("state/export.jsonl"), &export).unwrap();
    for file in fs::read_dir(directory.path().join("state")).unwrap() {
        let path = file.unwrap().path();
        let content = fs::read(&path).unwrap();
        for secret in ["registry/app@4f1c", "revision-oak"] {
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
    }
    let export = String::from_utf8(export).unwrap();
    assert!(export.contains(r#""sealed":{"it":""#) && !export.contains("outputs"), "{export}");
    assert_eq!(verify_lines(export.as_bytes(), None).unwrap().entries, 6);
    assert_eq!(fs::metadata(directory.path().join("state/seal.key")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn whoever_holds_the_key_gets_them_as_they_were() {
    let (_directory, journal) = written().await;
    let bare = journal.events(&run(1)).await.unwrap();
    assert_eq!(report(&bare[2].event).outputs, BTreeMap::new());
    assert_eq!(report(&bare[2].event).sealed.keys().collect::<Vec<_>>(), ["it", "none"]);
    let reader = journal.reader().unwrap();
    for events in [journal.events_with_outputs(&run(1)).await.unwrap(), reader.events_with_outputs(&run(1)).unwrap()] {
        assert_eq!(report(&events[2].event).outputs["it"], "registry/app@4f1c");
        assert_eq!(report(&events[5].event).outputs["it"], "revision-oak");
        assert_eq!(report(&events[5].event).outputs["none"], "");
        assert_eq!(report(&events[5].event).after.as_deref(), Some("2"), "the rest of the report stays");
    }
    let outputs = journal.outputs(&run(1)).await.unwrap();
    assert_eq!(outputs[&StepId::new("deploy")]["it"], "revision-oak");
    assert_eq!(outputs, reader.outputs(&run(1)).unwrap());
    assert!(journal.outputs(&run(2)).await.unwrap().is_empty());
}

#[tokio::test]
async fn equal_values_look_different() {
    let (_directory, journal) = journal();
    let same = vec![finished("a", &[("k", "blue")]), finished("b", &[("k", "blue")]), finished("a", &[("k", "blue")])];
    journal.append(&run(1), same, Durable).await.unwrap();
    let events = journal.events(&run(1)).await.unwrap();
    let digests: std::collections::BTreeSet<_> =
        events.iter().map(|event| report(&event.event).sealed["k"].to_string()).collect();
    assert_eq!(digests.len(), 3, "a digest tells which values are equal: {digests:?}");
}

#[tokio::test]
async fn events_that_may_wait_are_sealed_as_well() {
    let (_directory, journal) = journal();
    journal.append_soon(&run(1), &[used(1), finished("a", &[("k", "v")])]).unwrap();
    journal.append(&run(1), vec![finished("b", &[("k", "w")])], Soon).await.unwrap();
    let outputs = journal.outputs(&run(1)).await.unwrap();
    assert_eq!((outputs[&StepId::new("a")]["k"].as_str(), outputs[&StepId::new("b")]["k"].as_str()), ("v", "w"));
    journal.verify(None).await.unwrap();
}

#[tokio::test]
async fn a_value_that_was_exchanged_removed_or_added_is_found_without_the_key() {
    for statement in [
        "UPDATE outputs SET data = (SELECT data FROM outputs WHERE seq = 6 AND key = 'it') WHERE seq = 3 AND key = 'it'",
        "UPDATE outputs SET key = 'x' WHERE seq = 3 AND key = 'it'",
        "DELETE FROM outputs WHERE seq = 6 AND key = 'none'",
        "INSERT INTO outputs SELECT seq, 'more', data FROM outputs WHERE seq = 6 AND key = 'it'",
        "INSERT INTO outputs SELECT 1, key, data FROM outputs WHERE seq = 6 AND key = 'it'",
        "UPDATE receipts SET data = (SELECT max(data) FROM receipts WHERE seq = 4) WHERE seq = 1",
        "UPDATE receipts SET data = substr(data, 1, 30)",
        "DELETE FROM receipts WHERE seq = 1",
    ] {
        let (directory, journal) = written().await;
        database(&directory).execute_batch(statement).unwrap();
        fs::remove_file(directory.path().join("state/seal.key")).unwrap();
        let found = journal.verify(None).await;
        assert!(matches!(found, Err(JournalError::Damaged { .. })), "{statement}: {found:?}");
    }
}

/// Whoever can write the database can make chain and digests fit again. They cannot make a value open where it does not belong.
#[tokio::test]
async fn a_value_does_not_open_in_the_place_of_another() {
    let (directory, journal) = written().await;
    database(&directory)
        .execute_batch(
            "UPDATE receipts SET data = (SELECT data FROM receipts WHERE seq = 4) WHERE seq = 1;
             UPDATE events SET body = json_set(body, '$.digest', (SELECT body ->> '$.digest' FROM events WHERE seq = 4))
                 WHERE seq = 1;
             UPDATE outputs SET data = (SELECT data FROM outputs WHERE seq = 6 AND key = 'it') WHERE seq = 3 AND key = 'it';
             UPDATE events SET body = json_set(body, '$.report.sealed.it',
                 (SELECT body ->> '$.report.sealed.it' FROM events WHERE seq = 6)) WHERE seq = 3;",
        )
        .unwrap();
    let receipts = journal.receipts(&run(1), &StepId::new("build")).await;
    assert!(matches!(&receipts, Err(error) if error.to_string().contains("another key")), "{receipts:?}");
    let outputs = journal.outputs(&run(1)).await;
    assert!(matches!(&outputs, Err(error) if error.to_string().contains("another key")), "{outputs:?}");
}

#[tokio::test]
async fn without_the_key_the_record_can_be_read_verified_and_added_to_and_nothing_opened() {
    let (directory, journal) = written().await;
    journal.close().await.unwrap();
    let state = directory.path().join("state");
    let key = fs::read(state.join("seal.key")).unwrap();
    let told = async |says: &str| {
        let journal = Journal::open(&state, Redactor::default()).unwrap();
        for error in [
            journal.receipts(&run(1), &StepId::new("build")).await.unwrap_err(),
            journal.outputs(&run(1)).await.unwrap_err(),
            journal.reader().unwrap().outputs(&run(1)).unwrap_err(),
            journal.ready_to_seal().unwrap_err(),
            journal.save_receipt(&run(1), &StepId::new("c"), "k", b"x", "").await.unwrap_err(),
            journal.append(&run(1), vec![finished("c", &[("k", "v")])], Durable).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("seal.key") && error.to_string().contains(says), "{error}");
            assert!(error.hint().is_some());
        }
        assert!(journal.receipts(&run(1), &StepId::new("other")).await.unwrap().is_empty(), "there is nothing to open");
        let before = journal.verify(None).await.unwrap().entries;
        journal.append(&run(1), vec![used(1), finished("c", &[])], Durable).await.unwrap();
        assert_eq!(journal.verify(None).await.unwrap().entries, before + 2);
    };
    fs::remove_file(state.join("seal.key")).unwrap();
    told("it is not there").await;
    assert!(!state.join("seal.key").exists(), "a key was made that opens nothing");
    fs::write(state.join("seal.key"), [7; 32]).unwrap();
    fs::set_permissions(state.join("seal.key"), fs::Permissions::from_mode(0o600)).unwrap();
    told("it is not the key of this journal").await;
    fs::write(state.join("seal.key"), key).unwrap();
    let journal = Journal::open(&state, Redactor::default()).unwrap();
    assert_eq!(journal.outputs(&run(1)).await.unwrap()[&StepId::new("build")]["it"], "registry/app@4f1c");
}
