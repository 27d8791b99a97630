//! History, and events of a later version.

use pipe_core::{
    event::{EventKind, Outcome},
    redact::Redactor,
};
use pipe_journal::{Durability::*, Journal, Recorded, RunFilter, chain};

use crate::sample::{finished, journal, run, started, used};

#[tokio::test]
async fn runs_come_newest_first_with_how_they_ended() {
    let (_directory, journal) = journal();
    let runs = [
        ("hms", "production", Some((Outcome::Succeeded, None))),
        ("hms", "staging", Some((Outcome::RolledBack, Some("step `traffic` failed")))),
        ("emr", "production", Some((Outcome::Succeeded, None))),
        ("hms", "production", Some((Outcome::Failed, Some("no")))),
        ("hms", "production", None),
    ];
    for (number, (pipeline, environment, end)) in (1..).zip(runs) {
        journal.append(&run(number), vec![started(pipeline, environment), used(1)], Soon).await.unwrap();
        if let Some((outcome, reason)) = end {
            journal.append(&run(number), vec![finished(outcome, reason)], Soon).await.unwrap();
        }
    }
    let all = journal.runs(RunFilter::default()).await.unwrap();
    assert_eq!(all.iter().map(|summary| summary.run.clone()).collect::<Vec<_>>(), [5, 4, 3, 2, 1].map(run));
    assert_eq!((all[0].finished, all[0].outcome), (None, None));
    assert_eq!(all[3].outcome, Some(Outcome::RolledBack));
    assert_eq!(all[3].reason.as_deref(), Some("step `traffic` failed"));
    assert!(all[3].finished.unwrap() >= all[3].started);
    assert_eq!((all[3].actor.as_str(), all[3].inputs["version"].as_str()), ("ada@host", "1.2.3"));

    let reader = journal.reader().unwrap();
    let numbers = |pipeline: Option<&str>, environment: Option<&str>, limit| {
        let filter = RunFilter { pipeline: pipeline.map(Into::into), environment: environment.map(Into::into), limit };
        reader.runs(&filter).unwrap().into_iter().map(|summary| summary.run).collect::<Vec<_>>()
    };
    assert_eq!(numbers(Some("hms"), None, None), [5, 4, 2, 1].map(run));
    assert_eq!(numbers(None, Some("production"), Some(2)), [5, 4].map(run));
    assert_eq!(numbers(Some("hms"), Some("staging"), Some(9)), [2].map(run));
    assert_eq!(numbers(Some("nothing"), None, None), []);

    let last = journal.last_succeeded("hms", "production").await.unwrap().unwrap();
    assert_eq!(last.run, run(1));
    assert_eq!(reader.last_succeeded("hms", "staging").unwrap(), None);
}

#[tokio::test]
async fn a_run_that_was_resumed_has_the_end_that_came_last() {
    let (_directory, journal) = journal();
    journal.append(&run(1), vec![started("hms", "production")], Soon).await.unwrap();
    journal.append(&run(1), vec![finished(Outcome::Interrupted, None)], Soon).await.unwrap();
    assert_eq!(journal.last_succeeded("hms", "production").await.unwrap(), None);
    journal.append(&run(1), vec![finished(Outcome::Succeeded, None)], Soon).await.unwrap();
    let runs = journal.runs(RunFilter::default()).await.unwrap();
    assert_eq!((runs.len(), runs[0].outcome), (1, Some(Outcome::Succeeded)));
    assert_eq!(journal.last_succeeded("hms", "production").await.unwrap().unwrap().run, run(1));
}

#[tokio::test]
async fn a_run_that_is_gone_on_with_has_no_end_and_does_not_count_until_it_has_one() {
    let (_directory, journal) = journal();
    for number in [1, 2] {
        journal.append(&run(number), vec![started("hms", "production")], Soon).await.unwrap();
        journal.append(&run(number), vec![finished(Outcome::Succeeded, None)], Soon).await.unwrap();
    }
    let last = async || journal.last_succeeded("hms", "production").await.unwrap().map(|summary| summary.run);
    assert_eq!(last().await, Some(run(2)));
    let resumed = EventKind::RunResumed { actor: "ada@host".into(), pipe_version: "1".into(), boot: None, epoch: 0 };
    journal.append(&run(2), vec![resumed], Soon).await.unwrap();
    let newest = async || journal.runs(RunFilter::default()).await.unwrap().remove(0);
    assert_eq!((newest().await.finished, newest().await.outcome), (None, None), "somebody is undoing it");
    assert_eq!(last().await, Some(run(1)), "what is being undone is no deployment that stands");
    journal.append(&run(2), vec![finished(Outcome::RolledBack, None)], Soon).await.unwrap();
    assert_eq!(newest().await.outcome, Some(Outcome::RolledBack));
    assert_eq!(last().await, Some(run(1)));
}

#[tokio::test]
async fn events_of_a_later_version_are_kept_as_they_are() {
    let (directory, journal) = journal();
    let first = journal.append(&run(1), vec![started("hms", "production")], Durable).await.unwrap().unwrap();
    journal.close().await.unwrap();
    let later = r#"{"event":"approved","by":["ada", 1.50]}"#;
    let ended = r#"{"event":"run-finished","outcome":"superseded","reason":null,"duration_ms":1,"by":"x"}"#;
    let path = directory.path().join("state");
    let database = rusqlite::Connection::open(path.join("journal.db")).unwrap();
    let mut prev = first.head;
    for (seq, body) in [(2, later), (3, ended)] {
        let at = "2027-01-01T00:00:00Z";
        let hash = chain::hash(seq, run(1).as_str(), at, 5, body, &prev);
        database
            .execute(
                "INSERT INTO events (seq, run, at, boot_ms, body, prev, hash) VALUES (?1, ?2, ?3, 5, ?4, ?5, ?6)",
                rusqlite::params![seq as i64, run(1).as_str(), at, body, prev.as_bytes(), hash.as_bytes()],
            )
            .unwrap();
        prev = hash;
    }
    let journal = Journal::open(&path, Redactor::default()).unwrap();
    let events = journal.events(&run(1)).await.unwrap();
    assert!(matches!(&events[1].event, Recorded::Unknown(raw) if raw.get() == later), "{events:?}");
    let summary = &journal.runs(RunFilter::default()).await.unwrap()[0];
    assert_eq!((summary.outcome, summary.finished.is_some()), (None, true));
    assert_eq!(journal.verify(Some(prev)).await.unwrap().since_head, Some(0));
}
