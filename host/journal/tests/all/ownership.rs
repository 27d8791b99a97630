//! Who drives: one process at a time, and none whose place was taken.

use std::{path::Path, sync::Arc, thread};

use pipe_core::{
    event::{EventKind, Outcome},
    id::{RunId, StepId},
    redact::Redactor,
};
use pipe_journal::{Claim, Durability::*, Journal, JournalError, Liveness, Ownership, Recorded, Unlocking};
use tempfile::TempDir;

use crate::sample::{finished, run, started, used};

const UNLOCKING: Unlocking<'_> =
    Unlocking { pipeline: "hms", environment: "production", actor: "bob@host", reason: "it hangs" };

fn take_for(state: &Path, run: &RunId) -> Result<Ownership, JournalError> {
    Ownership::take(state, Claim { pipeline: "hms", environment: "production", run: Some(run), actor: "ada@host" })
}

fn state() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn owned(state: &Path, number: u32) -> Journal {
    Journal::open_owned(Arc::new(take_for(state, &run(number)).unwrap()), Redactor::default()).unwrap()
}

fn unlock(state: &Path) -> Result<pipe_journal::Unlocked, JournalError> {
    Ownership::unlock(state, UNLOCKING, &Redactor::default())
}

#[test]
fn one_has_it_and_the_other_is_told_who() {
    let state = state();
    let first = take_for(state.path(), &run(1)).unwrap();
    let error = take_for(state.path(), &run(2)).unwrap_err();
    let JournalError::Owned { holder: Some(holder), .. } = &error else { panic!("{error:?}") };
    assert_eq!((holder.run.clone(), holder.pid, holder.epoch), (Some(run(1)), Some(std::process::id()), 1));
    assert_eq!(holder.liveness(), Liveness::Running);
    let hint = error.hint().unwrap();
    assert!(hint.contains("run 20261123021500-000001, process ") && hint.contains("pipe unlock 2026"), "{hint}");
    let elsewhere = Claim { pipeline: "hms", environment: "staging", run: Some(&run(3)), actor: "ada@host" };
    assert_eq!(Ownership::take(state.path(), elsewhere).unwrap().epoch(), 1, "another environment has another owner");
    drop(first);
    assert_eq!(take_for(state.path(), &run(2)).unwrap().epoch(), 2);
}

#[test]
fn of_many_that_come_at_once_one_has_it() {
    for _ in 0..20 {
        let state = state();
        let taken: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    scope.spawn({
                        let state = state.path();
                        move || take_for(state, &run(number))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
        assert!(taken.iter().all(|taken| matches!(taken, Ok(_) | Err(JournalError::Owned { .. }))), "{taken:?}");
    }
}

#[tokio::test]
async fn whoever_was_unlocked_writes_nothing_more() {
    let state = state();
    let journal = owned(state.path(), 1);
    journal.append(&run(1), vec![started("hms", "production")], Durable).await.unwrap();
    journal.check_ownership().unwrap();
    journal.append_soon(&run(1), &[used(1)]).unwrap();
    let unlocked = unlock(state.path()).unwrap();
    assert_eq!(
        (unlocked.epoch, unlocked.run.clone(), unlocked.holder.unwrap().liveness()),
        (2, run(1), Liveness::Running)
    );

    let superseded = |error: JournalError| {
        assert!(matches!(error, JournalError::Superseded { epoch: 1, .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("pipe unlock"));
    };
    superseded(journal.check_ownership().unwrap_err());
    superseded(journal.append(&run(1), vec![used(2)], Durable).await.unwrap_err());
    superseded(journal.append_expecting(&run(1), 1, vec![used(2)]).await.unwrap_err());
    superseded(journal.save_receipt(&run(1), &StepId::new("a"), "k", b"x", "").await.unwrap_err());
    superseded(journal.append_soon(&run(1), &[used(3)]).unwrap_err());
    superseded(journal.append(&run(1), vec![used(3)], Soon).await.unwrap_err());
    superseded(journal.flush().await.unwrap_err());

    let next = owned(state.path(), 1);
    assert_eq!(next.ownership().unwrap().epoch(), 3);
    next.append(&run(1), vec![finished(Outcome::Failed, None)], Durable).await.unwrap();
    superseded(journal.append(&run(1), vec![used(2)], Durable).await.unwrap_err());
    superseded(journal.close().await.unwrap_err());
    let events = next.events(&run(1)).await.unwrap();
    let words: Vec<_> = events.iter().map(|event| event.event.known().map_or("?", EventKind::word)).collect();
    assert!(
        matches!(
            words[..],
            ["run-started", "unlocked", "run-finished"] | ["run-started", "used", "unlocked", "run-finished"]
        ),
        "{words:?}"
    );
    let told = events.iter().find_map(|event| match &event.event {
        Recorded::Known(EventKind::Unlocked { actor, reason, epoch, holder, .. }) => {
            Some((actor, reason, *epoch, holder))
        }
        _ => None,
    });
    let (actor, reason, epoch, holder) = told.unwrap();
    assert_eq!((actor.as_str(), reason.as_str(), epoch), ("bob@host", "it hangs", 2));
    assert!(holder.starts_with("run 20261123021500-000001, process "), "{holder}");
    next.verify(None).await.unwrap();
    next.check_ownership().unwrap();
}

#[tokio::test]
async fn an_end_of_the_process_frees_it_and_nothing_needs_to_be_unlocked() {
    let state = state();
    let missing = unlock(state.path()).unwrap_err();
    assert!(matches!(missing, JournalError::Missing { .. }), "{missing:?}");
    let journal = owned(state.path(), 1);
    journal.append(&run(1), vec![started("hms", "production")], Durable).await.unwrap();
    drop(journal);
    let error = unlock(state.path()).unwrap_err();
    assert!(matches!(error, JournalError::NotOwned { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("the kernel freed the lock"));
    assert!(!Ownership::look(state.path(), "hms", "production").unwrap().1);
    let never = Ownership::unlock(state.path(), Unlocking { pipeline: "other", ..UNLOCKING }, &Redactor::default());
    assert!(matches!(never, Err(JournalError::NotOwned { holder: None, .. })), "{never:?}");
    assert_eq!(owned(state.path(), 1).events(&run(1)).await.unwrap().len(), 1, "a refusal left something");
}

#[tokio::test]
async fn an_unfinished_run_is_known_to_whoever_comes_next() {
    let state = state();
    let unfinished = || take_for(state.path(), &run(9)).unwrap().unfinished().unwrap().map(|run| run.run.clone());
    assert_eq!(unfinished(), None, "nothing was run");
    let journal = owned(state.path(), 1);
    journal.append(&run(1), vec![started("hms", "production")], Durable).await.unwrap();
    journal.append(&run(2), vec![started("hms", "staging")], Durable).await.unwrap();
    drop(journal);
    assert_eq!(unfinished(), Some(run(1)));
    let journal = owned(state.path(), 1);
    journal.append(&run(1), vec![finished(Outcome::RollbackFailed, Some("no"))], Durable).await.unwrap();
    drop(journal);
    assert_eq!(unfinished(), None);
    let last = take_for(state.path(), &run(9)).unwrap();
    assert_eq!(last.last_run().unwrap().unwrap().outcome, Some(Outcome::RollbackFailed));
    drop(last);
    // A run that goes on after an end is open again, until it ends again.
    let database = rusqlite::Connection::open(state.path().join("journal.db")).unwrap();
    let resumed = "INSERT INTO events SELECT 4, run, at, boot_ms, '{\"event\":\"run-resumed\"}', hash, hash FROM events WHERE seq = 3";
    database.execute(resumed, []).unwrap();
    drop(database);
    assert_eq!(unfinished(), Some(run(1)));
    let journal = owned(state.path(), 1);
    journal.append(&run(1), vec![finished(Outcome::RolledBack, None)], Durable).await.unwrap();
    drop(journal);
    assert_eq!(unfinished(), None);
}

#[tokio::test]
async fn others_may_add_to_a_run_that_they_do_not_drive() {
    let state = state();
    let journal = owned(state.path(), 1);
    let approver = Journal::open(state.path(), Redactor::default()).unwrap();
    approver.check_ownership().unwrap();
    approver.append(&run(1), vec![used(1)], Durable).await.unwrap();
    journal.append(&run(1), vec![used(2)], Durable).await.unwrap();
    assert_eq!(journal.events(&run(1)).await.unwrap().len(), 2);
}

#[test]
fn asking_whether_it_still_holds_is_cheap() {
    let state = state();
    let ownership = take_for(state.path(), &run(1)).unwrap();
    let begun = std::time::Instant::now();
    for _ in 0..10_000 {
        ownership.check().unwrap();
    }
    let each = begun.elapsed() / 10_000;
    println!("a check {each:?}");
    assert!(each < std::time::Duration::from_micros(50), "{each:?}");
}
