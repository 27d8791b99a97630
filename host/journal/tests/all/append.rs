//! Appending: places, order, durability, conflicts, secrets, several writers.

use std::time::{Duration, Instant};

use pipe_core::{event::EventKind, id::StepId, redact::Redactor};
use pipe_journal::{Durability::*, EventStore, Journal, JournalError, Recorded, chain::GENESIS};
use secrecy::SecretString;

use crate::sample::{journal, logged, run, started, used};

#[tokio::test]
async fn what_is_appended_is_read_back_in_order() {
    let (_directory, journal) = journal();
    let kinds = vec![started("hms", "production"), used(1), logged("line \"1\"\n\u{1} ä")];
    let first = journal.append(&run(1), kinds.clone(), Durable).await.unwrap().unwrap();
    let second = journal.append(&run(2), vec![used(2)], Durable).await.unwrap().unwrap();
    assert_eq!((first.first_seq, first.last_seq, second.first_seq, second.last_seq), (1, 3, 4, 4));
    let stored = journal.events(&run(1)).await.unwrap();
    assert_eq!(stored.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(stored.iter().map(|event| event.event.known().cloned().unwrap()).collect::<Vec<_>>(), kinds);
    assert_eq!(stored[2].hash, first.head);
    let (head, verified) = (journal.flush().await.unwrap(), journal.verify(Some(first.head)).await.unwrap());
    assert_eq!((head.seq, head.hash), (4, second.head));
    assert_eq!((verified.entries, verified.head, verified.since_head), (4, second.head, Some(1)));
}

#[tokio::test]
async fn progress_is_not_kept_and_nothing_has_no_place() {
    let (_directory, journal) = journal();
    let progress = EventKind::Progress { step: StepId::new("a"), message: "m".into(), done: 1, total: None };
    assert_eq!(journal.append(&run(1), vec![progress.clone()], Durable).await.unwrap(), None);
    assert_eq!(journal.append(&run(1), vec![progress.clone()], Soon).await.unwrap(), None);
    journal.append_soon(&run(1), std::slice::from_ref(&progress)).unwrap();
    let appended = journal.append(&run(1), vec![used(1), progress, used(2)], Durable).await.unwrap().unwrap();
    assert_eq!((appended.first_seq, appended.last_seq), (1, 2));
}

#[tokio::test]
async fn an_empty_journal_ends_at_genesis() {
    let (_directory, journal) = journal();
    let head = journal.flush().await.unwrap();
    assert_eq!((head.seq, head.hash), (0, GENESIS));
    assert_eq!(journal.verify(Some(GENESIS)).await.unwrap().entries, 0);
}

#[tokio::test]
async fn what_may_wait_waits_for_the_next_durable_event_in_the_order_of_the_calls() {
    let (_directory, journal) = journal();
    let reader = journal.reader().unwrap();
    for number in 1..=10 {
        assert_eq!(journal.append(&run(1), vec![used(number)], Soon).await.unwrap(), None);
    }
    journal.append_soon(&run(1), &[used(11)]).unwrap();
    assert_eq!(reader.head().unwrap().seq, 0, "nothing is on the disk before its time");
    let appended = journal.append(&run(1), vec![used(12)], Durable).await.unwrap().unwrap();
    assert_eq!(appended.first_seq, 12);
    let stored = reader.events(&run(1)).unwrap();
    let expected: Vec<_> = (1..=12).map(used).collect();
    assert_eq!(stored.iter().map(|event| event.event.known().cloned().unwrap()).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_may_wait_does_not_wait_long() {
    let (_directory, journal) = journal();
    let reader = journal.reader().unwrap();
    journal.append(&run(1), vec![used(1)], Soon).await.unwrap();
    let begun = Instant::now();
    while reader.head().unwrap().seq == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(100), "it was not grouped: {:?}", begun.elapsed());
}

#[tokio::test]
async fn closing_and_dropping_write_what_waits() {
    let (directory, journal) = journal();
    journal.append_soon(&run(1), &[used(1)]).unwrap();
    assert_eq!(journal.close().await.unwrap().seq, 1);
    assert!(matches!(journal.append(&run(1), vec![used(2)], Durable).await, Err(JournalError::Closed)));
    assert!(matches!(journal.append_soon(&run(1), &[used(2)]), Err(JournalError::Closed)));
    assert!(matches!(journal.close().await, Err(JournalError::Closed)));
    let again = Journal::open(&directory.path().join("state"), Redactor::default()).unwrap();
    again.append_soon(&run(1), &[used(2)]).unwrap();
    drop(again);
    let reader = Journal::open_read_only(&directory.path().join("state")).unwrap();
    assert_eq!(reader.verify(None).unwrap().entries, 2);
}

#[tokio::test]
async fn a_writer_that_expects_something_else_is_told_and_nothing_is_written() {
    let (_directory, journal) = journal();
    assert_eq!(EventStore::append(&journal, &run(1), 0, vec![used(1)]).await.unwrap().unwrap().last_seq, 1);
    journal.append(&run(2), vec![used(1)], Durable).await.unwrap();
    let refused = journal.append_expecting(&run(1), 0, vec![used(2)]).await;
    assert!(matches!(refused, Err(JournalError::Conflict { expected: 0, found: 1, .. })), "{refused:?}");
    assert_eq!(journal.append_expecting(&run(1), 1, vec![used(2)]).await.unwrap().unwrap().last_seq, 3);
    assert_eq!(journal.read(&run(1), 2).await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_writers_that_expect_the_same_one_wins() {
    let (_directory, journal) = journal();
    let (run_one, run_two) = (run(1), run(2));
    let (one, two, other) = tokio::join!(
        journal.append_expecting(&run_one, 0, vec![used(1)]),
        journal.append_expecting(&run_one, 0, vec![used(2)]),
        journal.append(&run_two, vec![used(3)], Durable),
    );
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|won| **won).count(), 1);
    assert!(other.is_ok(), "a conflict of one call is nothing to another in the same transaction");
    assert_eq!(journal.verify(None).await.unwrap().entries, 2);
}

#[tokio::test]
async fn secrets_reach_neither_events_nor_files() {
    let directory = tempfile::tempdir().unwrap();
    let redactor = Redactor::default();
    redactor.register("db", &SecretString::from("hunter2\"hunter2")).unwrap();
    let journal = Journal::open(directory.path(), redactor).unwrap();
    let step = StepId::new("migrate");
    journal.append(&run(1), vec![logged("password=hunter2\"hunter2!")], Durable).await.unwrap();
    journal.save_receipt(&run(1), &step, "k", b"data", "undo with hunter2\"hunter2").await.unwrap();
    let stored = journal.events(&run(1)).await.unwrap();
    assert!(
        matches!(&stored[0].event, Recorded::Known(EventKind::Logged { message, .. }) if message == "password=[secret]!")
    );
    assert_eq!(journal.receipts(&run(1), &step).await.unwrap()[0].summary, "undo with [secret]");
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[tokio::test]
async fn an_event_that_no_line_can_hold_is_refused() {
    let (_directory, journal) = journal();
    let refused = journal.append(&run(1), vec![used(1), logged(&"x".repeat(1 << 20))], Durable).await;
    assert!(matches!(refused, Err(JournalError::TooLarge { what: "logged", .. })), "{refused:?}");
    assert_eq!(journal.flush().await.unwrap().seq, 0);
}

#[tokio::test]
async fn much_that_may_wait_is_held_back_and_not_lost() {
    let (_directory, journal) = journal();
    let (line, mut refused) = ("x".repeat(500_000), false);
    for _ in 0..40 {
        refused |= matches!(journal.append_soon(&run(1), &[logged(&line)]), Err(JournalError::Backlog));
        journal.append(&run(1), vec![logged(&line)], Soon).await.unwrap();
    }
    assert!(journal.flush().await.unwrap().seq >= 40);
    assert!(refused || journal.flush().await.unwrap().seq == 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_writers_make_one_chain() {
    let directory = tempfile::tempdir().unwrap();
    let writers = (0..4).map(|writer| {
        let journal = Journal::open(directory.path(), Redactor::default()).unwrap();
        tokio::spawn(async move {
            for number in 0..50 {
                journal.append_soon(&run(writer), &[used(number)]).unwrap();
                journal.append(&run(writer), vec![used(number), used(number)], Durable).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let reader = Journal::open_read_only(directory.path()).unwrap();
    assert_eq!(reader.verify(None).unwrap().last, 4 * 50 * 3);
    assert_eq!(reader.events(&run(3)).unwrap().len(), 150);
}
