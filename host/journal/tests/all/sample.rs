//! Events to write, and a place to write them.

use std::collections::BTreeMap;

use pipe_core::{
    digest::Digest,
    event::{EventKind, LogLevel, Outcome, Use},
    id::{RunId, StepId},
    redact::Redactor,
};
use pipe_journal::Journal;
use tempfile::TempDir;

pub(crate) fn journal() -> (TempDir, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(&directory.path().join("state"), Redactor::default()).unwrap();
    (directory, journal)
}

pub(crate) fn run(number: u32) -> RunId {
    format!("20261123021500-{number:06x}").parse().unwrap()
}

pub(crate) fn started(pipeline: &str, environment: &str) -> EventKind {
    EventKind::RunStarted {
        pipeline: pipeline.into(),
        environment: environment.into(),
        file: None,
        pipeline_digest: Digest::of(b"pipeline"),
        plan_digest: Digest::of(b"plan"),
        pipe_version: "0.1.0".into(),
        actor: "ada@host".into(),
        started: None,
        copies: None,
        previous: BTreeMap::new(),
        policy_files: Vec::new(),
        inputs: BTreeMap::from([("version".into(), "1.2.3".into())]),
        policies: Vec::new(),
        boot: None,
        steps: Vec::new(),
        further: 0,
    }
}

pub(crate) fn finished(outcome: Outcome, reason: Option<&str>) -> EventKind {
    EventKind::RunFinished { outcome, reason: reason.map(Into::into), duration_ms: 1_234 }
}

pub(crate) fn used(number: u64) -> EventKind {
    let subject = format!("GET k8s:/version/{number}");
    let used = Use { word: "http".into(), subject, rule: "GET k8s:/version/*".into(), ..Use::default() };
    EventKind::Used { step: StepId::new("preflight"), used }
}

pub(crate) fn logged(message: &str) -> EventKind {
    EventKind::Logged {
        step: StepId::new("preflight"),
        level: LogLevel::Info,
        message: message.into(),
        fields: BTreeMap::new(),
    }
}
