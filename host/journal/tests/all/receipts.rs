//! Receipts.

use pipe_core::{
    event::EventKind,
    id::{RunId, StepId},
};
use pipe_journal::{JournalError, MAXIMUM_RECEIPT, Receipt, Recorded};

use crate::sample::{journal, run};

fn receipt(key: &str, data: &[u8], summary: &str) -> Receipt {
    Receipt { key: key.into(), data: data.into(), summary: summary.into() }
}

#[tokio::test]
async fn the_oldest_key_comes_first_with_its_latest_data() {
    let (_directory, journal) = journal();
    let step = StepId::new("traffic");
    journal.save_receipt(&run(1), &step, "b", b"1", "one").await.unwrap();
    journal.save_receipt(&run(1), &step, "a", b"\0\xff", "two").await.unwrap();
    let last = journal.save_receipt(&run(1), &step, "b", b"3", "three").await.unwrap();
    assert_eq!(last.appended.last_seq, 3);
    let expected = [receipt("b", b"3", "three"), receipt("a", b"\0\xff", "two")];
    assert_eq!(journal.receipts(&run(1), &step).await.unwrap(), expected);
    assert_eq!(journal.reader().unwrap().receipts(&run(1), &step).unwrap(), expected);
    let events = journal.events(&run(1)).await.unwrap();
    assert!(
        matches!(&events[2].event, Recorded::Known(EventKind::CheckpointSaved { key, bytes: 1, .. }) if key == "b"),
        "{events:?}"
    );
    assert_eq!(journal.verify(None).await.unwrap().entries, 3);
}

#[tokio::test]
async fn steps_instances_and_runs_are_apart() {
    let (_directory, journal) = journal();
    let instance = StepId { name: "deploy".into(), instance: Some("api".into()) };
    let named = StepId::new("deploy[api]");
    journal.save_receipt(&run(1), &instance, "k", b"instance", "").await.unwrap();
    journal.save_receipt(&run(1), &named, "k", b"named", "").await.unwrap();
    let of = async |run: &RunId, step: &StepId| journal.receipts(run, step).await.unwrap();
    assert_eq!(of(&run(1), &instance).await, [receipt("k", b"instance", "")]);
    assert_eq!(of(&run(1), &named).await, [receipt("k", b"named", "")]);
    assert_eq!(of(&run(2), &named).await, []);
}

#[tokio::test]
async fn a_receipt_has_a_largest_size() {
    let (_directory, journal) = journal();
    let step = StepId::new("a");
    journal.save_receipt(&run(1), &step, "k", &vec![7; MAXIMUM_RECEIPT], "").await.unwrap();
    let refused = journal.save_receipt(&run(1), &step, "k", &vec![7; MAXIMUM_RECEIPT + 1], "").await;
    assert!(matches!(refused, Err(JournalError::TooLarge { what: "receipt", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_receipt_that_was_exchanged_is_not_handed_out() {
    let (directory, journal) = journal();
    let step = StepId::new("a");
    journal.save_receipt(&run(1), &step, "k", b"DROP TABLE new", "").await.unwrap();
    let database = rusqlite::Connection::open(directory.path().join("state/journal.db")).unwrap();
    database.execute("UPDATE receipts SET data = CAST('DROP TABLE old' AS BLOB)", []).unwrap();
    let refused = journal.receipts(&run(1), &step).await;
    assert!(matches!(refused, Err(JournalError::Damaged { .. })), "{refused:?}");
    assert!(matches!(journal.verify(None).await, Err(JournalError::Damaged { .. })));
}
