use std::cell::RefCell;

use pipe_sdk::{ErrorKind, FailureKind, Status};
use serde_json::json;

use super::*;

/// A host that stores what it is told to have stored.
struct Store {
    content: u64,
    read: Result<u64, Error>,
    calls: RefCell<Vec<String>>,
}

impl Store {
    fn new(content: u64) -> Self {
        Self { content, read: Ok(content), calls: RefCell::default() }
    }

    fn stored(&self, call: String, storing: &Storing) -> Result<Stored, Error> {
        self.calls.borrow_mut().push(call);
        Ok(Stored {
            digest: format!("digest-of-{}", storing.name),
            location: format!("/artifacts/{}", storing.name),
            bytes: self.content / 2,
            content_bytes: self.content,
            encrypted: storing.encrypt_with.is_some(),
        })
    }

    fn read(&self, call: String) -> Result<Verification, Error> {
        self.calls.borrow_mut().push(call);
        let content_bytes = self.read.clone()?;
        Ok(Verification { method: "test".to_owned(), content_bytes, entries: 3 })
    }
}

impl Host for Store {
    fn archive(&self, directory: &str, storing: &Storing) -> Result<Stored, Error> {
        self.stored(format!("archive {directory}"), storing)
    }

    fn capture(&self, producer: &Command, storing: &Storing) -> Result<Stored, Error> {
        self.stored(format!("{} {}", producer.program(), producer.arguments().join(" ")), storing)
    }

    fn verify_archive(&self, digest: &str) -> Result<Verification, Error> {
        self.read(format!("list {digest}"))
    }

    fn verify_with(&self, digest: &str, verifier: &Command) -> Result<Verification, Error> {
        self.read(format!("{} {} < {digest}", verifier.program(), verifier.arguments().join(" ")))
    }
}

fn items(value: serde_json::Value) -> Vec<Item> {
    serde_json::from_value(value).unwrap()
}

fn dump() -> Vec<Item> {
    items(json!([{ "kind": "pg-dump", "peer": "main", "encrypt": "backup" }]))
}

fn value<'r>(report: &'r Report, key: &str) -> &'r str {
    report.outputs.iter().find(|output| output.key == key).map_or("", |output| output.value.as_str())
}

#[test]
fn a_dump_is_stored_and_read_back() {
    let store = Store::new(4096);
    let report = take(&dump(), &store).unwrap();
    assert_eq!(
        *store.calls.borrow(),
        ["pg_dump --format=custom --no-password", "pg_restore --file=/dev/null < digest-of-main.dump"]
    );
    assert_eq!(report.artifacts, ["digest-of-main.dump"]);
    assert_eq!((value(&report, "digest"), value(&report, "bytes")), ("digest-of-main.dump", "2048"));
    let messages: Vec<_> = report.findings.iter().map(|finding| (finding.status, finding.message.as_str())).collect();
    assert_eq!(
        messages,
        [
            (Status::Pass, "pg_dump of main: 4.0 KiB stored as 2.0 KiB, encrypted"),
            (Status::Pass, "pg_restore read 4.0 KiB to the end; nothing was restored"),
        ]
    );
}

#[test]
fn several_items_have_numbered_outputs_and_their_own_names() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "a").unwrap();
    let archive =
        |name: &str| json!({ "kind": "archive", "directory": directory.path(), "name": name, "encrypt": false });
    let store = Store::new(10);
    let report = take(&items(json!([archive("one.tar"), archive("two.tar")])), &store).unwrap();
    assert_eq!(report.artifacts, ["digest-of-one.tar", "digest-of-two.tar"]);
    assert_eq!((value(&report, "name-2"), value(&report, "count")), ("two.tar", "2"));
    assert_eq!(report.findings[0].status, Status::Warn, "not encrypted");
    let failure = take(&items(json!([archive("one.tar"), archive("one.tar")])), &store).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Settings);
}

#[test]
fn what_is_empty_or_short_or_fails_is_no_backup() {
    let failure = take(&dump(), &Store::new(0)).unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Unmet, "main.dump: the backup is empty"));

    let failure = take(&dump(), &Store { read: Ok(9), ..Store::new(10) }).unwrap_err();
    assert_eq!(failure.message, "main.dump: verification read 9 bytes of the 10 that were stored");

    let error =
        Error { kind: ErrorKind::Failed, message: "pg_restore exited with 1".to_owned(), hint: None, code: None };
    let failure = take(&dump(), &Store { read: Err(error), ..Store::new(10) }).unwrap_err();
    assert_eq!(failure.message, "main.dump: verification: pg_restore exited with 1");
    assert_eq!(failure.findings.len(), 1);
}

#[test]
fn an_empty_or_missing_directory_is_not_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(10);
    let archive = |path: &Path| items(json!([{ "kind": "archive", "directory": path, "name": "x", "encrypt": false }]));
    assert!(take(&archive(directory.path()), &store).unwrap_err().message.contains("is empty: is it mounted?"));
    assert!(take(&archive(&directory.path().join("no")), &store).unwrap_err().message.contains("does not exist"));
    assert!(store.calls.borrow().is_empty());
}

#[test]
fn names_of_archives() {
    let name = |directory: &str| {
        let item = items(json!([{ "kind": "archive", "directory": directory, "encrypt": false }]));
        match &item[0] {
            Item::Archive(archive) => archive_name(archive),
            Item::PgDump(_) => panic!("an archive"),
        }
    };
    assert_eq!(name("/var/lib/medical-system").unwrap(), "medical-system");
    assert_eq!(name("data/").unwrap(), "data");
    assert_eq!(name("/srv/.hidden dir").unwrap(), "hidden_dir");
    for nameless in ["/", ".", ".."] {
        assert!(name(nameless).is_err(), "{nameless}");
    }
}
