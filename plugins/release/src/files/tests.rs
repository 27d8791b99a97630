use std::cell::RefCell;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use pipe_sdk::{FailureKind, Status};
use tempfile::TempDir;

use super::*;
use crate::files_undo::undo;

/// Keeps receipts as the host does: the same key replaces.
#[derive(Default)]
struct Desk(RefCell<Vec<(String, Receipt, String)>>);

impl Desk {
    fn receipts(&self) -> Vec<Receipt> {
        self.0.borrow().iter().map(|(_, receipt, _)| receipt.clone()).collect()
    }
}

impl Host for Desk {
    fn mode(&self, path: &Path) -> Result<u32, Failure> {
        Ok(fs::metadata(path).map_err(failed(path))?.permissions().mode() & 0o7777)
    }

    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure> {
        self.0.borrow_mut().retain(|(other, _, _)| other != key);
        self.0.borrow_mut().push((key.to_owned(), receipt.clone(), summary.to_owned()));
        Ok(())
    }
}

struct Place {
    directory: TempDir,
    runs: u64,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), runs: 0 };
        fs::create_dir_all(place.path("source/css/empty")).unwrap();
        fs::create_dir(place.path("srv")).unwrap();
        place.put("source/css/a.css", "body {}");
        symlink("css/a.css", place.path("source/style")).unwrap();
        place.content("one");
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn content(&self, text: &str) {
        self.put("source/index.html", text);
    }

    fn settings(&self, version: &str) -> Files {
        Files {
            source: self.path("source").to_str().unwrap().to_owned(),
            destination: self.path("srv").to_str().unwrap().to_owned(),
            version: version.to_owned(),
            keep: 5,
            permissions: Permissions::Refuse,
        }
    }

    fn context(&mut self) -> Context {
        self.runs += 1;
        Context {
            run_id: format!("20261123000000-{:06x}", self.runs),
            pipeline: "p".to_owned(),
            environment: "e".to_owned(),
            step: "release".to_owned(),
            instance: None,
            attempt: 1,
            idempotency_key: "k".to_owned(),
            deadline_unix_ms: 0,
            started_unix_ms: self.runs,
            settings: String::new(),
        }
    }

    fn release(&mut self, version: &str) -> (Context, Desk, Report) {
        let (context, desk) = (self.context(), Desk::default());
        let report = publish(&context, &self.settings(version), &desk).unwrap();
        (context, desk, report)
    }

    fn seen(&self) -> String {
        fs::read_to_string(self.path("srv/current/index.html")).unwrap()
    }

    fn versions(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("srv/releases")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn releases_switches_and_goes_back() {
    let mut place = Place::new();
    let (_, first_desk, report) = place.release("1");
    assert_eq!((report.previous.as_deref(), report.current.as_str()), (None, "1"));
    assert_eq!(place.seen(), "one");
    assert_eq!(fs::read_link(place.path("srv/current/style")).unwrap(), PathBuf::from("css/a.css"));
    assert!(place.path("srv/current/css/empty").is_dir());
    assert_eq!(first_desk.receipts().len(), 2);

    place.content("two");
    let (context, desk, report) = place.release("2");
    assert_eq!(report.previous.as_deref(), Some("1"));
    assert_eq!(place.seen(), "two");
    assert!(desk.0.borrow()[1].2.ends_with("srv/current") && desk.0.borrow()[1].2.starts_with("ln -sfn releases/1 "));

    let report = undo(&context, &place.settings("2"), desk.receipts()).unwrap();
    assert_eq!(report.undone, ["switched back from 2 to 1", "removed the release 2"]);
    assert_eq!((place.seen(), place.versions()), ("one".to_owned(), vec!["1".to_owned()]));
    assert!(undo(&context, &place.settings("2"), desk.receipts()).unwrap().undone.is_empty());
}

#[test]
fn the_first_release_is_taken_back_to_nothing() {
    let mut place = Place::new();
    let (context, desk, _) = place.release("1");
    let report = undo(&context, &place.settings("1"), desk.receipts()).unwrap();
    assert_eq!(report.undone.len(), 2);
    assert!(!place.path("srv/current").exists() && place.versions().is_empty());
}

#[test]
fn receipts_whose_acts_never_happened_do_no_harm() {
    let mut place = Place::new();
    place.release("1");
    let context = place.context();
    let receipts = vec![
        Receipt::Create { version: "2".to_owned() },
        Receipt::Switch { from: Some("releases/1".to_owned()), to: "releases/2".to_owned() },
    ];
    fs::create_dir(place.path(&format!("srv/releases/.pipe-staging-2-{}", context.run_id))).unwrap();
    let report = undo(&context, &place.settings("2"), receipts).unwrap();
    assert!(report.undone.is_empty());
    assert_eq!((place.seen(), place.versions()), ("one".to_owned(), vec!["1".to_owned()]));
}

#[test]
fn undo_touches_no_release_of_another_run() {
    let mut place = Place::new();
    place.release("1");
    let context = place.context();
    let receipts = vec![Receipt::Create { version: "1".to_owned() }];
    point(&Layout::new(&place.settings("1").destination, "1", "x").unwrap(), "releases/other").unwrap();
    assert!(undo(&context, &place.settings("1"), receipts).unwrap().undone.is_empty());
    assert_eq!(place.versions(), ["1"]);
}

#[test]
fn somebody_elses_switch_is_left_alone() {
    let mut place = Place::new();
    place.release("1");
    let (context, desk, _) = place.release("2");
    place.release("3");
    let report = undo(&context, &place.settings("2"), desk.receipts()).unwrap();
    assert_eq!(report.findings[0].status, Status::Warn);
    assert_eq!(fs::read_link(place.path("srv/current")).unwrap(), PathBuf::from("releases/3"));
    assert_eq!(place.versions(), ["1", "3"]);
}

#[test]
fn the_same_version_again() {
    let mut place = Place::new();
    place.release("1");
    place.content("two");
    place.release("2");
    let failure = publish(&place.context(), &place.settings("1"), &Desk::default()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert!(failure.message.contains("file index.html is not the same"), "{}", failure.message);

    place.content("one");
    let (context, desk, report) = place.release("1");
    assert_eq!((report.previous.as_deref(), place.seen().as_str()), (Some("2"), "one"));
    assert_eq!(desk.receipts().len(), 1, "nothing was made");
    undo(&context, &place.settings("1"), desk.receipts()).unwrap();
    assert_eq!((place.seen().as_str(), place.versions().len()), ("two", 2));
}

#[test]
fn a_release_that_was_changed_is_not_used_again() {
    let mut place = Place::new();
    place.release("1");
    place.put("srv/releases/1/css/a.css", "hacked");
    let failure = publish(&place.context(), &place.settings("1"), &Desk::default()).unwrap_err();
    assert!(failure.message.contains("was changed after its release"), "{}", failure.message);
    fs::create_dir(place.path("srv/releases/9")).unwrap();
    let failure = publish(&place.context(), &place.settings("9"), &Desk::default()).unwrap_err();
    assert!(failure.message.contains("pipe did not make it"), "{}", failure.message);
}

#[test]
fn a_retry_after_the_switch_still_knows_what_was_live() {
    let mut place = Place::new();
    place.release("1");
    let (context, desk, _) = place.release("2");
    let again = publish(&Context { attempt: 2, ..context.clone() }, &place.settings("2"), &desk).unwrap();
    assert_eq!(again.previous.as_deref(), Some("1"));
    assert_eq!(desk.receipts().len(), 2);
    undo(&context, &place.settings("2"), desk.receipts()).unwrap();
    assert_eq!(place.versions(), ["1"]);

    let (_, _, report) = place.release("1");
    assert_eq!(report.previous.as_deref(), Some("1"), "another run finds it live");
}

#[test]
fn old_releases_go_and_strangers_stay() {
    let mut place = Place::new();
    for version in 1..=4 {
        place.content(&version.to_string());
        place.release(&version.to_string());
    }
    fs::create_dir(place.path("srv/releases/by-hand")).unwrap();
    fs::create_dir(place.path("srv/releases/.pipe-trash-0-x")).unwrap();
    place.content("5");
    let context = place.context();
    let settings = Files { keep: 1, ..place.settings("5") };
    let report = publish(&context, &settings, &Desk::default()).unwrap();
    assert_eq!(place.versions(), ["3", "4", "5", "by-hand"]);
    assert!(report.findings.iter().any(|finding| finding.message == "removed 1, 2"), "{:?}", report.findings);
}

#[test]
fn permission_bits_are_refused_before_anything_is_touched() {
    let mut place = Place::new();
    fs::set_permissions(place.path("source/index.html"), fs::Permissions::from_mode(0o755)).unwrap();
    let (context, desk) = (place.context(), Desk::default());
    let failure = publish(&context, &place.settings("1"), &desk).unwrap_err();
    assert!(failure.message.starts_with("index.html is executable (mode 0755)"), "{}", failure.message);
    assert!(desk.receipts().is_empty() && !place.path("srv/releases").exists());
    publish(&context, &Files { permissions: Permissions::Lose, ..place.settings("1") }, &desk).unwrap();
    assert_eq!((lost(0o644), lost(0o444)), (None, None));
    assert!(lost(0o640).is_some() && lost(0o645).is_some());
}

#[test]
fn what_cannot_be_released() {
    let mut place = Place::new();
    let inside = Files { destination: place.path("source/srv").to_str().unwrap().to_owned(), ..place.settings("1") };
    assert_eq!(publish(&place.context(), &inside, &Desk::default()).unwrap_err().kind, FailureKind::Settings);

    fs::create_dir(place.path("srv/current")).unwrap();
    let failure = publish(&place.context(), &place.settings("1"), &Desk::default()).unwrap_err();
    assert!(failure.message.contains("is not a symbolic link"), "{}", failure.message);
    fs::remove_dir(place.path("srv/current")).unwrap();

    for name in ["source/index.html", "source/css/a.css"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    let failure = publish(&place.context(), &place.settings("1"), &Desk::default()).unwrap_err();
    assert!(failure.message.contains("holds no file"), "{}", failure.message);
}

#[test]
fn a_previous_release_that_is_gone_cannot_be_shown() {
    let mut place = Place::new();
    place.release("1");
    let (context, desk, _) = place.release("2");
    fs::remove_dir_all(place.path("srv/releases/1")).unwrap();
    let failure = undo(&context, &place.settings("2"), desk.receipts()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert_eq!(fs::read_link(place.path("srv/current")).unwrap(), PathBuf::from("releases/2"));
}

fn preview(place: &mut Place, version: &str) -> Result<Vec<String>, Failure> {
    let (context, desk) = (place.context(), Desk::default());
    let lines = crate::files_preview::preview(&context, &place.settings(version), &desk)?;
    assert!(desk.receipts().is_empty(), "a preview is about to do nothing");
    let root = place.directory.path().to_str().unwrap();
    Ok(lines.into_iter().map(|line| line.replace(root, "…")).collect())
}

#[test]
fn a_preview_says_what_would_be_copied_switched_and_removed() {
    let mut place = Place::new();
    assert_eq!(
        preview(&mut place, "1").unwrap(),
        [
            "copy 2 files, 10 B, to …/srv/releases/1",
            "make …/srv/current, which would show 1; nothing is live there now"
        ]
    );
    assert_eq!(fs::read_dir(place.path("srv")).unwrap().count(), 0, "it only looked");

    let (first, ..) = place.release("1");
    assert_eq!(
        preview(&mut place, "1").unwrap(),
        [
            format!("use …/srv/releases/1, which holds the same since run {}", first.run_id),
            "leave …/srv/current, which shows 1 already".to_owned()
        ]
    );
    for version in 2..=7 {
        place.content(&version.to_string());
        place.release(&version.to_string());
    }
    place.content("eight");
    assert_eq!(
        preview(&mut place, "8").unwrap(),
        ["copy 2 files, 12 B, to …/srv/releases/8", "switch …/srv/current from 7 to 8", "remove the old release 1",]
    );
    assert_eq!(place.versions(), ["1", "2", "3", "4", "5", "6", "7"]);
    place.release("8");
    assert_eq!(place.versions(), ["2", "3", "4", "5", "6", "7", "8"], "what was said is what is done");
}

#[test]
fn what_publishing_would_refuse_a_preview_refuses() {
    let mut place = Place::new();
    place.release("1");
    place.content("other");
    assert!(preview(&mut place, "1").unwrap_err().message.contains("other content"));
    place.put("srv/releases/1/index.html", "changed");
    place.content("one");
    assert!(preview(&mut place, "1").unwrap_err().message.contains("was changed after its release"));
}
