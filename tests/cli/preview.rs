//! `pipe plan --preview`: what each step would do, by the word of its own plugin, with nothing changed.

use std::{collections::BTreeMap, fs, path::Path};

use pipe_tests::{Deployment, Ended};
use serde_json::Value;

const PLAN: [&str; 6] = ["plan", "example.toml", "--env", "demo", "--set", "version=1.1.0"];

/// The example after its first deployment, with a second migration, another page, and a backup's size yet to be known.
fn second() -> Deployment {
    let deployment = Deployment::example();
    let first = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(first.code, 0, "{first}");
    deployment
        .file("example/migrations/002_rooms.up.sql", "CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT)")
        .file("example/migrations/002_rooms.down.sql", "DROP TABLE rooms")
        .file("example/app/index.html", "<title>Appointments and rooms</title>")
}

fn preview(deployment: &Deployment, more: &[&str]) -> Ended {
    let ended = deployment.run(&[&PLAN[..], &["--preview"], more].concat());
    assert_eq!(ended.code, 0, "{ended}");
    ended
}

/// The last line of a plan in JSON.
fn previews(ended: &Ended) -> Value {
    let previews = ended.json().pop().unwrap_or_default();
    assert_eq!(previews["schema"], "pipe.preview/v1", "{ended}");
    previews
}

/// Everything in a folder, byte for byte.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.display().to_string();
        let kind = fs::symlink_metadata(&entry).expect("metadata").file_type();
        if kind.is_symlink() {
            found.insert(name, fs::read_link(&entry).expect("a link").as_os_str().as_encoded_bytes().to_vec());
        } else if kind.is_dir() {
            found.insert(name, Vec::new());
            found.extend(content(&entry));
        } else {
            found.insert(name, fs::read(&entry).expect("a file"));
        }
    }
    found
}

#[test]
fn the_plan_says_what_each_step_would_do_and_changes_nothing() {
    let deployment = second();
    let before = content(&deployment.at("example"));
    let planned = preview(&deployment, &[]);
    insta::assert_snapshot!(planned);
    assert_eq!(content(&deployment.at("example")), before, "it only looked");
    // And then it does what was said.
    let ran = deployment.run(&["run", "example.toml", "--env", "demo", "--set", "version=1.1.0"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("002_rooms"), "{ran}");
    let again = preview(&deployment, &[]);
    for line in ["leave app at 002: there is nothing to apply", "which shows 1.1.0 already"] {
        assert!(again.stdout.contains(line), "{line}: {again}");
    }
}

#[test]
fn for_programs_it_is_a_line_of_its_own() {
    let deployment = second();
    let ended = preview(&deployment, &["--output", "json"]);
    let lines = ended.json();
    assert_eq!(lines.len(), 2, "{ended}");
    assert_eq!(lines[0]["schema"], "pipe.plan/v1");
    let pretty = serde_json::to_string_pretty(&previews(&ended)).expect("JSON");
    insta::assert_snapshot!(pipe_tests::normalise::normalise(&pretty, deployment.path()));
}

#[test]
fn the_plan_and_its_hash_are_the_same_with_it_and_without() {
    let deployment = second();
    let hash = |ended: &Ended| {
        let line = ended.stdout.lines().find(|line| line.starts_with("plan ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no hash: {ended}"))
    };
    let without = deployment.run(&PLAN);
    let with = preview(&deployment, &["--out", "plan.json"]);
    assert_eq!(hash(&without), hash(&with));
    let written = fs::read_to_string(deployment.at("plan.json")).expect("a plan");
    assert!(!written.contains("pipe.preview") && !written.contains("would"), "{written}");
    // What is bound to it is what the plan says, however the world looks by then.
    let deployment = deployment.file("example/app/index.html", "<title>Appointments, again another page</title>");
    let ran = deployment.run(&["run", "example.toml", "--plan", "plan.json"]);
    assert_eq!(ran.code, 0, "{ran}");
}

#[test]
fn every_use_is_in_the_record_and_the_record_is_of_no_run() {
    let deployment = second();
    let runs = deployment.run(&["history", "--output", "json"]).stdout;
    let previews = previews(&preview(&deployment, &["--output", "json"]));
    let id = previews["preview"].as_str().expect("an identity");
    let export = deployment.run(&["log", "export", "--run", id]);
    assert_eq!(export.code, 0, "{export}");
    let events: Vec<Value> = export.json().into_iter().skip(1).map(|mut line| line["body"].take()).collect();
    let of = |event: &str| events.iter().filter(|body| body["event"] == event).cloned().collect::<Vec<_>>();
    let [started] = of("preview-started").try_into().expect("one beginning");
    assert_eq!((&started["pipeline"], &started["environment"]), (&"example".into(), &"demo".into()));
    assert_eq!(started["plan_digest"], previews["plan"]);
    let asked: Vec<Value> = of("preview-asked").into_iter().map(|body| body["step"]["name"].clone()).collect();
    assert_eq!(asked.len(), 3, "backup, migrate, release: {asked:?}");
    assert_eq!(of("preview-told").len(), 3);
    let used: Vec<String> = of("used").iter().map(|body| body["use"]["subject"].to_string()).collect();
    assert!(used.iter().any(|subject| subject.contains("read app: open")), "{used:?}");
    assert!(used.iter().any(|subject| subject.contains("example/app")), "{used:?}");
    assert!(of("used").iter().all(|body| body["use"]["effect"] == false), "{used:?}");
    // A statement that it sent is found by whoever knows it.
    let statement = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1 COLLATE NOCASE";
    let proven = deployment.run_with_input(&["log", "prove", "sql"], statement);
    assert!(proven.stdout.contains(&format!("of run {id}")), "{proven}");

    for command in [
        &["log", "verify"][..],
        &["history"],
        &["status"],
        &["show", "last"],
        &["prune", "example.toml", "--env", "demo", "--dry-run"],
    ] {
        let ended = deployment.run(command);
        assert_eq!(ended.code, 0, "{command:?}: {ended}");
        assert!(!ended.stdout.contains(id), "{command:?}: {ended}");
    }
    assert_eq!(deployment.run(&["history", "--output", "json"]).stdout, runs, "there is no run more");
    assert_eq!(deployment.run(&["show", id]).code, 2, "it is none that could be shown, resumed or undone");
    let ran = deployment.run(&["run", "example.toml", "--env", "demo", "--set", "version=1.1.0"]);
    assert_eq!(ran.code, 0, "it stands in the way of no run: {ran}");
}

#[test]
fn it_may_look_while_a_run_is_open() {
    let deployment = second().edit("example.toml", "min = 2", "min = 200").edit(
        "example.toml",
        "name = \"example\"\n",
        "name = \"example\"\non_interrupt = \"stop\"\n",
    );
    let failed = deployment.run(&["run", "example.toml", "--env", "demo", "--set", "version=1.1.0"]);
    assert_eq!(failed.code, 5, "{failed}");
    assert!(preview(&deployment, &[]).stdout.contains("bring app from 001 to 002 with 1 migration"));
}

#[test]
fn what_an_earlier_step_puts_out_is_known_only_then() {
    let deployment = second().edit(
        "example.toml",
        "version = \"${inputs.version}\" }\n\n[[step]]\nname = \"verify\"",
        "version = \"${steps.migrate.outputs.after}\" }\n\n[[step]]\nname = \"verify\"",
    );
    let ended = preview(&deployment, &[]);
    assert!(ended.stdout.contains("    what it would do is known only once \"migrate\" has run\n"), "{ended}");
    let previews = previews(&preview(&deployment, &["--output", "json"]));
    let release = &previews["steps"][3];
    assert_eq!((&release["said"], &release["after"][0]), (&"later".into(), &"migrate".into()), "{release}");
}

#[test]
fn what_is_in_the_way_is_said_at_its_step_and_the_others_are_asked() {
    let deployment = second().file("example/migrations/001_appointments.up.sql", "CREATE TABLE changed (id INTEGER)");
    let ended = preview(&deployment, &[]);
    let said = "what it would do is not known: conflict: 001_appointments.up.sql was changed after it was applied";
    assert!(ended.stdout.contains(said), "{ended}");
    assert!(ended.stdout.contains("switch example/live/www/current from 1.0.0 to 1.1.0"), "{ended}");
    // A place that is gone is the trouble of the step that is to read it.
    fs::remove_dir_all(deployment.at("example/app")).expect("removed");
    let ended = preview(&deployment, &[]);
    assert!(ended.stdout.contains("what it would do is not known: denied: step \"release\": "), "{ended}");
    assert!(ended.stdout.contains("store example/data "), "{ended}");
}

#[test]
fn before_anything_was_deployed_it_looks_at_what_is_there() {
    let deployment = Deployment::example();
    let ended = preview(&deployment, &[]);
    assert!(ended.stdout.contains("make example/live/www/current, which would show 1.1.0"), "{ended}");
    assert!(!deployment.at("example/live/app.db").exists(), "looking makes no database");
    assert!(!deployment.at("example/live/www").exists(), "and no directory");
    assert!(deployment.at("state/journal.db").exists(), "what was used is written down");
}

#[test]
fn every_instance_of_a_repeated_step_is_asked_under_its_own_grant() {
    let toml = r#"
name = "wards"
environments = ["demo"]

[sets.wards]
north = "North"
south = "South"

[[step]]
name = "release"
stage = "release"
for_each = { in = "wards" }
allow.read = ["example/app"]
allow.write = ["live/${each.key}"]
with = { kind = "files", source = "example/app", destination = "live/${each.key}", version = "1.0.0" }
"#;
    let deployment = Deployment::example().file("wards.toml", toml).folder("live");
    let ended = deployment.run(&["plan", "wards.toml", "--env", "demo", "--preview", "--output", "json"]);
    assert_eq!(ended.code, 0, "{ended}");
    let previews = previews(&ended);
    for (place, key) in ["north", "south"].into_iter().enumerate() {
        let step = &previews["steps"][place];
        assert_eq!(step["step"]["instance"], key);
        let last = step["lines"].as_array().and_then(|lines| lines.last()).and_then(Value::as_str).unwrap_or_default();
        assert!(last.starts_with(&format!("make live/{key}/current")), "{step}");
    }
}
