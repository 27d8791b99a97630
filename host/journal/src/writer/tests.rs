//! What happens when the disk refuses.

use std::{sync::Arc, thread, time::Duration};

use pipe_core::{id::RunId, redact::Redactor};
use tokio::sync::oneshot;

use super::*;
use crate::{body, clock::Moment, place, queue::SOON, schema};

fn append(reply: Option<oneshot::Sender<Result<Placed, JournalError>>>, size: usize) -> Append {
    let kind = pipe_core::event::EventKind::RunFinished {
        outcome: pipe_core::event::Outcome::Failed,
        reason: Some("x".repeat(size)),
        duration_ms: 1,
    };
    let bodies = vec![body::encode(&kind, &Redactor::default()).expect("encodes")];
    let run: RunId = "20261123021500-9f3c1a".parse().expect("is a run");
    Append {
        run,
        moment: Moment::now(),
        bodies,
        expected: None,
        receipt: None,
        outputs: Vec::new(),
        sealed_with: None,
        reply,
    }
}

fn new_writer(connection: Connection, path: &Path, queue: Arc<Queue>) -> Writer {
    Writer::new(connection, path, path.parent().expect("a folder"), queue, None, Arc::default())
}

fn pages(connection: &Connection, most: i64) -> i64 {
    connection.pragma_update_and_check(None, "max_page_count", most, |row| row.get(0)).expect("is a number")
}

fn full_disk() -> (tempfile::TempDir, Connection, PathBuf) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = place::prepare(directory.path()).expect("prepares");
    let connection = schema::open(&path).expect("opens");
    pages(&connection, 1);
    (directory, connection, path)
}

fn ask(queue: &Queue, size: usize) -> Result<Placed, JournalError> {
    let (reply, answer) = oneshot::channel();
    queue.push(Task::Append(Box::new(append(Some(reply), size))))?;
    answer.blocking_recv().expect("the writer answers")
}

#[test]
fn a_full_disk_is_told_and_what_may_wait_is_kept_in_order() {
    let (_directory, connection, path) = full_disk();
    let queue = Arc::new(Queue::default());
    let writer = new_writer(connection, &path, Arc::clone(&queue));
    let thread = thread::spawn(move || writer.run());
    for _ in 0..20 {
        queue.push_soon(append(None, 40_000)).expect("nothing has failed yet");
    }
    let refused = ask(&queue, 10);
    assert!(matches!(refused, Err(JournalError::DiskFull { .. })), "{refused:?}");
    thread::sleep(SOON / 2);
    let refused = queue.push_soon(append(None, 10));
    assert!(matches!(refused, Err(JournalError::DiskFull { .. })), "{refused:?}");

    // Somebody frees space.
    queue.push(Task::Read(Box::new(|connection| assert!(pages(connection, 1_000_000) > 1)))).expect("is open");
    let placed = ask(&queue, 10).expect("there is room now");
    assert_eq!(placed.head.seq, 21, "the refused ones were not written, the kept ones before this one");
    queue.push_soon(append(None, 10)).expect("the failure is over");
    queue.close();
    thread.join().expect("the writer ends");
    assert_eq!(crate::Reader::open(path.parent().expect("has one")).expect("opens").head().expect("reads").seq, 22);
}

#[test]
fn closing_on_a_full_disk_ends() {
    let (_directory, connection, path) = full_disk();
    let queue = Arc::new(Queue::default());
    let writer = new_writer(connection, &path, Arc::clone(&queue));
    let thread = thread::spawn(move || writer.run());
    queue.push_soon(append(None, 100_000)).expect("nothing has failed yet");
    thread::sleep(SOON + Duration::from_millis(100));
    queue.close();
    thread.join().expect("the writer ends");
    assert!(matches!(queue.push_soon(append(None, 1)), Err(JournalError::Closed)));
}

#[test]
fn after_a_failed_sync_nothing_is_written() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = place::prepare(directory.path()).expect("prepares");
    let queue = Arc::new(Queue::default());
    let mut writer = new_writer(schema::open(&path).expect("opens"), &path, queue);
    writer.lost = Some(JournalError::DiskFull { path });
    assert!(writer.write(&mut vec![append(None, 1)]).is_err());
    assert_eq!(head(&writer.connection).expect("reads").seq, 0);
    let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None);
    assert!(Fault::Sqlite(error).is_failed_sync());
}
