//! What a run used becomes a file that would have sufficed, with not a byte changed that is about something else.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs, sync::Arc};

use pipe_core::{
    diagnostic::SourceFile,
    event::{Checked, EventKind, StepStatus, Use, Wave},
    id::{RunId, StepId},
    report::FindingStatus,
};
use pipe_pipeline::{Advice, RunFacts, Selection, Suggestion, activity, check, parse, suggest};

/// A file in a folder with `data/`, `data/a.txt`, `data/in/b.txt`.
struct Scene {
    folder: tempfile::TempDir,
    file: Arc<SourceFile>,
    events: Vec<EventKind>,
}

const HEAD: &str = r#"name = "x"
[inputs]
version = { default = "1.4.0" }
[sets.services]
front = "f"
back = "b"
[peers]
api = { url = "https://api.example.com" }
main = { url = "postgres://u@db.example.com/x" }
"#;

impl Scene {
    fn new(steps: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/in")).unwrap();
        for file in ["data/a.txt", "data/in/b.txt"] {
            fs::write(folder.path().join(file), "x").unwrap();
        }
        let file = SourceFile { path: folder.path().join("x.toml"), text: format!("{HEAD}{steps}") };
        Self { folder, file: Arc::new(file), events: Vec::new() }
    }

    /// The step ran and succeeded, with these uses: word, subject, rule.
    fn ran(mut self, step: &str, uses: &[(&str, &str, &str)]) -> Self {
        let step = match step.split_once('[') {
            Some((name, key)) => StepId { name: name.to_owned(), instance: Some(key.trim_end_matches(']').to_owned()) },
            None => StepId::new(step),
        };
        for (word, subject, rule) in uses {
            let used = Use {
                word: (*word).to_owned(),
                subject: (*subject).to_owned(),
                rule: (*rule).to_owned(),
                ..Use::default()
            };
            self.events.push(EventKind::Used { step: step.clone(), used });
        }
        let (status, duration_ms) = (StepStatus::Succeeded, 1);
        self.events.push(EventKind::StepFinished { step, status, report: None, failure: None, duration_ms });
        self
    }

    fn suggestion(&self) -> Suggestion {
        let started = jiff::Timestamp::UNIX_EPOCH;
        let selection = Selection {
            environment: None,
            inputs: BTreeMap::new(),
            previous: BTreeMap::new(),
            run: RunFacts { id: RunId::new(started), started },
        };
        let document = parse(&self.file).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let suggestion = suggest(&document, &selection, &activity(&self.events)).unwrap();
        let after = SourceFile { path: self.file.path.clone(), text: suggestion.text.clone() };
        let after = parse(&Arc::new(after)).unwrap_or_else(|wrong| panic!("{wrong:?}\n{}", suggestion.text));
        check(&after, &selection).unwrap_or_else(|wrong| panic!("{wrong:?}\n{}", suggestion.text));
        suggestion
    }

    /// The steps of the file that is suggested.
    fn steps(&self) -> String {
        let text = self.suggestion().text;
        assert!(text.starts_with(HEAD), "{text}");
        text[HEAD.len()..].to_owned()
    }
}

#[test]
fn a_line_that_nothing_used_goes_and_every_other_byte_stays() {
    let scene = Scene::new(
        r#"
# The first.
[[step]]
name  =  "look"       # aligned by hand
stage = "verify"
allow.http = [ "GET api:/health",   "GET api:/other" ]
allow.env = ["HOME"]  # not needed
allow.sql = ["read main"]

with.check = [{ kind = "x" }]
# The end.
"#,
    );
    let scene =
        scene.ran("look", &[("http", "GET api:/health", "GET api:/health"), ("sql", "read main: open", "read main")]);
    assert_eq!(
        scene.steps(),
        r#"
# The first.
[[step]]
name  =  "look"       # aligned by hand
stage = "verify"
allow.http = ["GET api:/health"]
allow.sql = ["read main"]

with.check = [{ kind = "x" }]
# The end.
"#
    );
}

#[test]
fn rules_of_several_lines_are_changed_line_by_line() {
    let scene = Scene::new(
        r#"[[step]]
name = "look"
stage = "verify"
allow.http = [
    # what is served
    "GET api:/health",       # the health
    "GET|POST api:/v1/**",   # the rest
    "GET api:/other",        # never
    { rule = "* https://x.example/**", addresses = ["10.0.0.0/8"] }, # by itself
    "GET api:/last"
]
"#,
    );
    let scene = scene.ran(
        "look",
        &[
            ("http", "GET api:/health", "GET api:/health"),
            ("http", "GET api:/v1/a", "GET|POST api:/v1/**"),
            ("http", "POST api:/v1/b", "GET|POST api:/v1/**"),
            ("http", "PUT https://x.example/y", r#"{ rule = "* https://x.example/**", addresses = ["10.0.0.0/8"] }"#),
        ],
    );
    assert_eq!(
        scene.steps(),
        r#"[[step]]
name = "look"
stage = "verify"
allow.http = [
    # what is served
    "GET api:/health",       # the health
    "GET api:/v1/a",
    "POST api:/v1/b",   # the rest
    { rule = "PUT https://x.example/y", addresses = ["10.0.0.0/8"] }, # by itself
]
"#
    );
}

#[test]
fn every_way_to_write_a_grant_is_changed_in_that_way() {
    for (before, after) in [
        (
            "allow = { http = [\"GET api:/a\", \"GET api:/b\"], env = [\"HOME\"], sql = [\"write main\"] }\n",
            "allow = { http = [\"GET api:/a\"], sql = [\"read main\"] }\n",
        ),
        ("allow = { sql = [\"write main\"], env = [\"HOME\"] }\n", "allow = { sql = [\"read main\"] }\n"),
        ("allow = { env = [\"HOME\"] }\n", "allow = {  }\n"),
        (
            "[step.allow]\nhttp = ['GET api:/a']\nenv = [\"HOME\"]\nsql = [\"write main\"]\n",
            "[step.allow]\nhttp = ['GET api:/a']\nsql = [\"read main\"]\n",
        ),
        (
            "allow.\"env\" = [\n  \"HOME\",\n  \"PATH\",\n]\nallow.sql = [\"read main\"]\n",
            "allow.sql = [\"read main\"]\n",
        ),
        ("allow.env = [\"HOME\"]", ""),
    ] {
        let scene = Scene::new(&format!("[[step]]\nname = \"look\"\nstage = \"verify\"\n{before}"));
        let rule = if before.contains("read main") { "read main" } else { "write main" };
        let uses = [("http", "GET api:/a", "GET api:/a"), ("sql", "read main: open", rule)];
        let scene = scene.ran("look", &uses);
        assert_eq!(scene.steps(), format!("[[step]]\nname = \"look\"\nstage = \"verify\"\n{after}"), "{before}");
    }
}

#[test]
fn what_was_only_read_moves_to_reading() {
    for (before, after) in [
        ("allow.write = [\"data\"] # all of it\n", "allow.read = [\"data/in/b.txt\"] # all of it\n"),
        ("allow.read = [\"/usr\"]\nallow.write = [\"data\"]\n", "allow.read = [\"/usr\", \"data/in/b.txt\"]\n"),
        (
            "allow.write = [\"/var\", \"data\"]\nallow.read = [\n    \"/usr\", # u\n]\n",
            "allow.write = [\"/var\"]\nallow.read = [\n    \"/usr\",\n    \"data/in/b.txt\", # u\n]\n",
        ),
        ("allow = { write = [\"/var\", \"data\"] }\n", "allow = { write = [\"/var\"], read = [\"data/in/b.txt\"] }\n"),
        ("allow = { write = [\"data\"] }\n", "allow = { read = [\"data/in/b.txt\"] }\n"),
        (
            "  allow.write = [\"/var\", \"data\"]   # w\n",
            "  allow.write = [\"/var\"]   # w\n  allow.read = [\"data/in/b.txt\"]\n",
        ),
    ] {
        let scene = Scene::new(&format!("[[step]]\nname = \"look\"\nstage = \"verify\"\n{before}"));
        let uses = [("read", "data/in/b.txt", "data"), ("read", "/usr", "/usr"), ("write", "/var", "/var")];
        let granted = |(_, _, rule): &&(&str, &str, &str)| before.contains(&format!("\"{rule}\""));
        let scene = scene.ran("look", &uses.iter().filter(granted).copied().collect::<Vec<_>>());
        assert_eq!(scene.steps(), format!("[[step]]\nname = \"look\"\nstage = \"verify\"\n{after}"), "{before}");
    }
}

#[test]
fn what_was_written_and_read_beside_becomes_two_words() {
    let scene = Scene::new("[[step]]\nname = \"look\"\nstage = \"verify\"\nallow.write = [\".\"]\n");
    fs::create_dir(scene.folder.path().join("out")).unwrap();
    let scene = scene.ran("look", &[("read", "data/in/b.txt", "."), ("write", "out/x", ".")]);
    assert_eq!(
        scene.steps(),
        "[[step]]\nname = \"look\"\nstage = \"verify\"\nallow.write = [\"out\"]\nallow.read = [\"data/in/b.txt\"]\n"
    );
}

#[test]
fn references_are_kept_over_every_instance() {
    let scene = Scene::new(
        r#"[[step]]
name = "deploy"
stage = "release"
for_each = { in = "services" }
allow.http = ["GET|PATCH api:/apps/${each.key}/**", "GET api:/v/${inputs.version}/*"]
"#,
    );
    let rules = |key: &str| [format!("GET|PATCH api:/apps/{key}/**"), "GET api:/v/1.4.0/*".to_owned()];
    let [front, version] = rules("front");
    let [back, _] = rules("back");
    let scene = scene
        .ran("deploy[front]", &[("http", "GET api:/apps/front/sync", &front)])
        .ran("deploy[back]", &[("http", "GET api:/apps/back/sync", &back), ("http", "GET api:/v/1.4.0/x", &version)]);
    let steps = scene.steps();
    let line = steps.lines().last().unwrap();
    assert_eq!(line, r#"allow.http = ["GET api:/apps/${each.key}/sync", "GET api:/v/${inputs.version}/x"]"#);
}

#[test]
fn nothing_is_said_of_what_did_not_run_or_failed() {
    let file = r#"[[step]]
name = "one"
stage = "verify"
allow.env = ["HOME"]
[[step]]
name = "two"
stage = "release"
for_each = { in = "services" }
allow.env = ["HOME"]
[[notify]]
on = ["failed"]
allow.env = ["HOME"]
"#;
    let mut scene = Scene::new(file).ran("two[front]", &[]);
    let step = StepId::new("one");
    let (status, duration_ms) = (StepStatus::Failed, 1);
    scene.events.push(EventKind::StepFinished { step, status, report: None, failure: None, duration_ms });
    let suggestion = scene.suggestion();
    assert_eq!(suggestion.text, format!("{HEAD}{file}"));
    let why: Vec<_> = suggestion.entries.iter().map(|entry| entry.unknown.as_deref().unwrap_or_default()).collect();
    assert_eq!(why, ["it failed, and may have needed more", "\"two[back]\" did not run", "it did not run"]);
    assert!(suggestion.entries.iter().flat_map(|entry| &entry.rules).all(|rule| rule.advice == Advice::Keep));
}

#[test]
fn a_check_of_a_guard_or_a_watch_is_known_once_it_was_met() {
    let file = r#"[[step]]
name = "app"
stage = "release"
[watch]
for = "1h"
every = "1m"
checks = ["errors"]
[[check]]
name = "errors"
allow.http = ["GET api:/a", "GET api:/b"]
"#;
    let (check, wave) = (StepId::new("errors"), Wave { index: 1, count: 1, weight: 10_000 });
    let looked = |status| {
        let (message, findings) = ("seen".to_owned(), Vec::new());
        Checked { check: check.clone(), status, message, findings, duration_ms: 1 }
    };
    let mut scene = Scene::new(file).ran("errors", &[("http", "GET api:/a", "GET api:/a")]);
    scene.events.retain(|event| matches!(event, EventKind::Used { .. }));
    scene.events.push(EventKind::WatchChecked { checked: looked(FindingStatus::Fail) });
    assert!(scene.steps().contains("GET api:/b"), "one that was never met may need more: {}", scene.steps());
    scene.events.push(EventKind::GuardChecked { step: StepId::new("app"), wave, checked: looked(FindingStatus::Pass) });
    scene.events.push(EventKind::WatchChecked { checked: looked(FindingStatus::Fail) });
    assert!(scene.steps().ends_with("allow.http = [\"GET api:/a\"]\n"), "{}", scene.steps());
}

#[test]
fn a_check_is_judged_by_every_step_that_calls_it() {
    let scene = Scene::new(
        r#"[[check]]
name = "healthy"
allow.http = ["GET api:/a", "GET api:/b", "GET api:/c"]
[[step]]
name = "before"
check = "healthy"
[[step]]
name = "after"
check = "healthy"
"#,
    );
    let scene = scene
        .ran("before", &[("http", "GET api:/a", "GET api:/a")])
        .ran("after", &[("http", "GET api:/b", "GET api:/b")]);
    assert!(scene.steps().contains("\nallow.http = [\"GET api:/a\", \"GET api:/b\"]\n"), "{}", scene.steps());
}

#[test]
fn a_record_that_contradicts_the_file_changes_nothing() {
    // It names a rule of the file, and a path that the rule never covered.
    let scene = Scene::new("[[step]]\nname = \"look\"\nstage = \"verify\"\nallow.read = [\"data\"]\n");
    let scene = scene.ran("look", &[("read", "/etc/passwd", "data")]);
    assert!(scene.steps().ends_with("allow.read = [\"data\"]\n"));
}
