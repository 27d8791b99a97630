//! Damage to the database itself, by accident and on purpose.

use std::fs;

use pipe_core::redact::Redactor;
use pipe_journal::{Breach, Durability::*, Journal, JournalError, Reader};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::sample::{journal, run, started, used};

async fn written() -> TempDir {
    let (directory, journal) = journal();
    journal.append(&run(1), vec![started("hms", "production")], Durable).await.unwrap();
    for number in 0..200 {
        journal.append_soon(&run(1), &[used(number)]).unwrap();
    }
    journal.close().await.unwrap();
    directory
}

fn reader(directory: &TempDir) -> Result<Reader, JournalError> {
    Journal::open_read_only(&directory.path().join("state"))
}

fn tamper(directory: &TempDir, statements: &str) {
    let database = Connection::open(directory.path().join("state/journal.db")).unwrap();
    database
        .execute_batch("PRAGMA foreign_keys = OFF; DROP TRIGGER events_never_change; DROP TRIGGER events_never_go;")
        .unwrap();
    database.execute_batch(statements).unwrap();
}

#[tokio::test]
async fn changes_behind_our_back_are_found() {
    for (statements, seq, what) in [
        ("UPDATE events SET body = replace(body, 'version/7\"', 'version/8\"') WHERE seq = 9", 9, Breach::Changed),
        ("UPDATE events SET at = '2026-01-01T00:00:00Z' WHERE seq = 2", 2, Breach::Changed),
        ("UPDATE events SET run = '20261123021500-000002' WHERE seq = 2", 2, Breach::Changed),
        ("UPDATE events SET boot_ms = boot_ms + 1 WHERE seq = 2", 2, Breach::Changed),
        ("UPDATE events SET prev = zeroblob(32) WHERE seq = 5", 5, Breach::Changed),
        ("DELETE FROM events WHERE seq = 100", 101, Breach::Missing(100)),
        ("DELETE FROM events WHERE seq = 1", 2, Breach::Missing(1)),
        ("UPDATE events SET seq = 999 WHERE seq = 201", 999, Breach::Changed),
        ("UPDATE events SET body = '{}' WHERE seq = 3", 3, Breach::Changed),
    ] {
        let directory = written().await;
        tamper(&directory, statements);
        match reader(&directory).unwrap().verify(None) {
            Err(JournalError::Changed { broken, .. }) => {
                assert_eq!((broken.seq, broken.what), (Some(seq), what), "{statements}");
            }
            other => panic!("{statements}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_found_with_a_head() {
    let directory = written().await;
    let head = reader(&directory).unwrap().head().unwrap();
    tamper(&directory, "DELETE FROM events WHERE seq > 190");
    assert_eq!(reader(&directory).unwrap().verify(None).unwrap().entries, 190);
    let error = reader(&directory).unwrap().verify(Some(head.hash)).unwrap_err();
    assert!(
        matches!(&error, JournalError::Changed { broken, .. } if broken.what == Breach::HeadMissing(head.hash)),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let directory = written().await;
    fs::write(directory.path().join("state/journal.db"), vec![b'x'; 8_192]).unwrap();
    for error in [
        reader(&directory).unwrap_err(),
        Journal::open(&directory.path().join("state"), Redactor::default()).unwrap_err(),
    ] {
        assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("state/journal.db"), "{error}");
        assert!(error.hint().unwrap().contains(".recover"));
    }
}

/// Whatever a broken disk makes of a page: no panic, no wrong answer that looks right.
#[tokio::test]
async fn a_page_of_rubbish_is_found() {
    let directory = written().await;
    let path = directory.path().join("state/journal.db");
    let whole = fs::read(&path).unwrap();
    let intact = reader(&directory).unwrap().verify(None).unwrap();
    for page in 0..whole.len() / 4_096 {
        for (offset, length) in [(0, 4_096), (100, 8), (2_048, 64)] {
            let mut broken = whole.clone();
            let at = page * 4_096 + offset;
            broken[at..at + length].fill(0xA5);
            fs::write(&path, &broken).unwrap();
            // Unused space may hold anything.
            match reader(&directory).and_then(|reader| reader.verify(None)) {
                Ok(verified) => assert_eq!(verified, intact, "page {page} at {offset}"),
                Err(error) => drop(error.to_string()),
            }
        }
    }
}
