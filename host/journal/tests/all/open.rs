//! Opening: what is made, what is refused, and who may read.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
};

use nix::unistd::Uid;
use pipe_core::redact::Redactor;
use pipe_journal::{Durability::*, Journal, JournalError};

use crate::sample::{run, used};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn open(path: &Path) -> Result<Journal, JournalError> {
    Journal::open(path, Redactor::default())
}

/// A journal of one event, closed.
fn written(directory: &Path) -> PathBuf {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let journal = open(directory).unwrap();
    runtime.block_on(journal.append(&run(1), vec![used(1)], Durable)).unwrap();
    runtime.block_on(journal.close()).unwrap();
    directory.join("journal.db")
}

#[tokio::test]
async fn everything_is_made_for_this_user_alone() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let journal = open(&state).unwrap();
    journal.append(&run(1), vec![used(1)], Durable).await.unwrap();
    assert_eq!(mode(&state), 0o700);
    let mut files: Vec<_> = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files, ["journal.db", "journal.db-shm", "journal.db-wal"].map(|name| state.join(name)));
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn only_the_last_folder_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let error = open(&directory.path().join("a/b")).unwrap_err();
    assert!(matches!(error, JournalError::Directory { .. }), "{error:?}");
    assert!(error.hint().unwrap().ends_with("/a first"), "{:?}", error.hint());
    assert!(!directory.path().join("a").exists());
}

#[test]
fn a_file_is_no_state_folder() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(open(&file), Err(JournalError::Directory { .. })));
    assert!(matches!(Journal::open_read_only(&file), Err(JournalError::Missing { .. })));
}

#[test]
fn reading_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Journal::open_read_only(directory.path()), Err(JournalError::Missing { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    fs::write(directory.path().join("journal.db"), "").unwrap();
    assert!(matches!(Journal::open_read_only(directory.path()), Err(JournalError::Missing { .. })));
    assert_eq!(fs::metadata(directory.path().join("journal.db")).unwrap().len(), 0);
}

#[test]
fn a_process_that_died_before_it_made_the_tables_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("journal.db"), "").unwrap();
    written(directory.path());
}

#[test]
fn a_later_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let newer = |error: &JournalError| matches!(error, JournalError::Newer { found: 3, known: 2, .. });
    assert!(newer(&open(directory.path()).unwrap_err()));
    assert!(newer(&Journal::open_read_only(directory.path()).unwrap_err()));
}

#[test]
fn the_format_that_held_receipts_in_clear_text_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 1).unwrap();
    for error in [open(directory.path()).unwrap_err(), Journal::open_read_only(directory.path()).unwrap_err()] {
        assert!(matches!(error, JournalError::Older { found: 1, known: 2, .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("another folder for new runs"));
    }
}

#[test]
fn a_database_of_something_else_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(open(directory.path()), Err(JournalError::Foreign { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn many_may_make_the_same_journal_at_once() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| drop(open(&state).unwrap()));
            }
        });
        written(&state);
    }
}

#[test]
fn events_cannot_be_changed_by_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(written(directory.path())).unwrap();
    for statement in ["UPDATE events SET at = ''", "DELETE FROM events"] {
        assert!(database.execute(statement, []).unwrap_err().to_string().contains("append-only"));
    }
}

#[tokio::test]
async fn a_reader_sees_what_another_connection_commits() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path()).unwrap();
    let reader = Journal::open_read_only(directory.path()).unwrap();
    for number in 1..=3 {
        journal.append(&run(1), vec![used(number)], Durable).await.unwrap();
        assert_eq!(reader.head().unwrap().seq, number);
    }
}

#[test]
fn a_folder_that_may_only_be_read_can_be_read_and_not_written() {
    if Uid::effective().is_root() {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let odd = directory.path().join("a b?c#d%e");
    let path = written(&odd);
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o500)).unwrap();
    let reader = Journal::open_read_only(&odd).unwrap();
    assert_eq!(reader.verify(None).unwrap().entries, 1);
    let error = open(&odd).unwrap_err();
    assert!(matches!(error, JournalError::NotWritable { .. }), "{error:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(matches!(open(&odd), Err(JournalError::NotWritable { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    assert!(matches!(Journal::open_read_only(&odd), Err(JournalError::Unreadable { .. })));
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o700)).unwrap();

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o500)).unwrap();
    assert!(matches!(open(&empty), Err(JournalError::NotWritable { .. })));
    assert!(matches!(open(&empty.join("state")), Err(JournalError::Directory { .. })));
}

#[tokio::test]
async fn a_folder_that_may_only_be_read_while_another_writes_can_be_read_too() {
    if Uid::effective().is_root() {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path()).unwrap();
    journal.append(&run(1), vec![used(1)], Durable).await.unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let reader = Journal::open_read_only(directory.path());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(reader.unwrap().verify(None).unwrap().entries, 1);
}
