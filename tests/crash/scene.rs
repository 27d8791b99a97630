//! A deployment in all six stages and three phases whose verification fails, so that everything is undone; and what is left in the end.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use pipe_tests::{Deployment, guest};
use rusqlite::Connection;
use serde_json::Value;

use crate::{
    call::SAID,
    desk::{Desk, Slip},
    tracer::{Point, Traced, trace},
};

pub(crate) const RUN: [&str; 4] = ["run", "pipeline.toml", "--env", "test"];
pub(crate) const RESUME: [&str; 2] = ["resume", "last"];

/// Exit code of a run that failed and was rolled back.
const ROLLED_BACK: i32 = 5;

const PIPELINE: &str = r#"
name = "crash"
environments = ["test"]

[plugins]
clerk = { path = "clerk.wasm" }

[secrets]
backup.env = "BACKUP_KEY"

[peers]
app = { url = "sqlite:live/app.db" }
desk = { url = "http://127.0.0.1:PORT", addresses = ["127.0.0.0/8"] }

[window]
start = "START"
duration = "24h"
late = "48h"

[[step]]
name = "preflight"
stage = "precheck"
phase = "t-24h"
allow.read = ["data"]
with.check = [{ kind = "file", path = "data/patients.csv" }]

[[step]]
name = "backup"
stage = "backup"
phase = "t-1h"
allow.read = ["data"]
allow.artifacts = ["write"]
allow.secrets = [{ name = "backup", to = "artifacts" }]
with = { kind = "archive", directory = "data", encrypt = "backup" }

[[step]]
name = "migrate"
stage = "migrate"
allow.sql = ["write app"]
allow.read = ["migrations"]
with = { kind = "sql-files", peer = "app", directory = "migrations" }

[[step]]
name = "clerk"
stage = "release"
plugin = "clerk"
in_flight = "retry"
allow.sql = ["write app"]
allow.http = ["POST desk:/*"]
with = { book = "app", desk = "desk" }

[[step]]
name = "files"
stage = "release"
in_flight = "retry"
allow.read = ["app"]
allow.write = ["live/www"]
with = { kind = "files", source = "app", destination = "live/www", version = "2" }

[[step]]
name = "program"
stage = "release"
in_flight = "retry"
allow.exec = [{ program = "touch", argv = ["live/program/*"], write = ["live/program"] }]
[step.with]
kind = "program"
version = "2"
publish = { program = "touch", arguments = ["live/program/published"] }
undo = { program = "touch", arguments = ["live/program/taken-back"] }

[[step]]
name = "announce"
stage = "notify"
allow.http = ["POST desk:/announced"]
with = { kind = "webhook", peer = "desk", path = "/announced" }

[[step]]
name = "verify"
stage = "verify"
allow.read = ["live/www"]
with.check = [{ kind = "file", path = "live/www/current/index.html", contains = "what is not there" }]

[[notify]]
on = ["started", "step-failed", "rollback-started", "rolled-back"]
allow.http = ["POST desk:/news"]
with = { kind = "webhook", peer = "desk", path = "/news" }
"#;

/// Everything that is left when the run has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Left {
    outcome: String,
    /// How each step stands.
    steps: BTreeMap<String, String>,
    /// Rows of the database, each as often as it is there.
    rows: Vec<String>,
    /// Files of the deployment, links by where they lead.
    files: Vec<String>,
    /// What was done at the desk: each at least once, with one key.
    slips: Vec<String>,
    /// Artifacts on the disk that the journal knows, and those that it does not.
    artifacts: Vec<String>,
    unknown: Vec<String>,
}

/// The deployment in a folder of its own, before its run.
pub(crate) struct Scene<'d> {
    pub(crate) deployment: Deployment,
    desk: &'d Desk,
}

impl<'d> Scene<'d> {
    pub(crate) fn new(desk: &'d Desk) -> Self {
        desk.remember(Vec::new());
        // Every phase is due, and its beginning is in the journal before its first step.
        let start = jiff::Timestamp::now().to_string();
        let deployment = Deployment::new()
            .file("pipeline.toml", PIPELINE.replace("PORT", &desk.port.to_string()).replace("START", &start))
            .file("clerk.wasm", fs::read(guest::component("clerk")).unwrap())
            .file("data/patients.csv", "id,name\n1,A\n")
            .file("app/index.html", "<h1>2</h1>\n")
            .file(
                "migrations/001_visits.up.sql",
                "CREATE TABLE visits (who TEXT);\nINSERT INTO book (what) VALUES ('migrated');\n",
            )
            .file(
                "migrations/001_visits.down.sql",
                "DROP TABLE visits;\nINSERT INTO book (what) VALUES ('migrated back');\n",
            )
            .folder("live/www")
            .folder("live/program")
            .variable("BACKUP_KEY", "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33");
        let database = Connection::open(deployment.at("live/app.db")).unwrap();
        database.execute_batch("CREATE TABLE book (what TEXT)").unwrap();
        Self { deployment, desk }
    }

    /// Runs `pipe` under the tracer.
    pub(crate) fn trace(&self, arguments: &[&str], point: Option<&Point>) -> io::Result<Traced> {
        let home = self.deployment.path();
        trace(&self.deployment.command(arguments), home, &self.deployment.at(SAID), point)
    }

    /// What it printed under the tracer.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.deployment.at(SAID)).unwrap_or_default()
    }

    /// Goes on until the run has ended: with `resume` where there is one, else by running again.
    pub(crate) fn go_on(&self) -> Result<(), String> {
        let arguments: &[&str] = match self.standing()? {
            Standing::None => &RUN,
            Standing::Open => &RESUME,
            Standing::Ended => return Ok(()),
        };
        let ended = self.deployment.run(arguments);
        match ended.code {
            ROLLED_BACK => Ok(()),
            _ => Err(format!("`pipe {}` did not end the run:\n{ended}", arguments[0])),
        }
    }

    fn standing(&self) -> Result<Standing, String> {
        let open = self.deployment.run(&["status", "--output", "json"]);
        let known = self.deployment.run(&["history", "--output", "json"]);
        match (open.code, open.json().len(), known.json().len()) {
            (0, 1, _) => Ok(Standing::Open),
            (0, 0, 1..) => Ok(Standing::Ended),
            (0, 0, 0) => Ok(Standing::None),
            // Nothing has been run here yet, says pipe.
            _ if open.stderr.contains("error: there is no journal at") => Ok(Standing::None),
            _ => Err(format!("`pipe status` does not know what is open:\n{open}\n{known}")),
        }
    }

    /// What is left.
    pub(crate) fn left(&self) -> Result<Left, String> {
        let verified = self.deployment.run(&["log", "verify"]);
        if verified.code != 0 {
            return Err(format!("the journal is damaged:\n{verified}"));
        }
        let shown = self.deployment.run(&["show", "last", "--output", "json"]);
        let lines = shown.json();
        let run = lines.first().map(|line| text(line, "run")).unwrap_or_default();
        let events: Vec<Value> = lines.into_iter().map(|mut line| line["what"].take()).collect();
        let (artifacts, unknown) = self.artifacts(&events);
        Ok(Left {
            outcome: text(
                events.iter().rfind(|event| event["event"] == "run-finished").unwrap_or(&Value::Null),
                "outcome",
            ),
            steps: steps(&events),
            rows: rows(&self.deployment.at("live/app.db")),
            files: files(&self.deployment.at("live"), self.deployment.path(), &run),
            slips: slips(self.desk.slips()),
            artifacts,
            unknown,
        })
    }

    fn artifacts(&self, events: &[Value]) -> (Vec<String>, Vec<String>) {
        let stored = events.iter().filter(|event| event["event"] == "artifact-stored").map(|event| &event["artifact"]);
        let stored: BTreeMap<String, String> = stored.map(|a| (text(a, "location"), text(a, "name"))).collect();
        let mut found = Vec::new();
        walk(&self.deployment.at("state/artifacts"), &mut found);
        let (known, unknown): (Vec<_>, Vec<_>) =
            found.iter().map(|path| path.display().to_string()).partition(|path| stored.contains_key(path));
        let missing = stored.keys().filter(|path| !known.contains(path)).map(|path| format!("missing: {path}"));
        let mut names: Vec<String> = known.iter().map(|path| stored[path].clone()).chain(missing).collect();
        // A backup that was taken again is there twice; both are known.
        names.dedup();
        (names, unknown)
    }
}

enum Standing {
    None,
    Open,
    Ended,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The last that was written down of each step and notification.
fn steps(events: &[Value]) -> BTreeMap<String, String> {
    let mut steps = BTreeMap::new();
    for event in events {
        let step = text(&event["step"], "name");
        match event["event"].as_str() {
            Some("step-finished") => steps.insert(step, text(event, "status")),
            Some("undo-finished") if event["failure"].is_null() => steps.insert(step, "undone".to_owned()),
            Some("undo-finished") => steps.insert(step, "undo failed".to_owned()),
            Some("notified") => {
                steps.insert(format!("{step} of {}", text(event, "about")), event["failure"].to_string())
            }
            _ => None,
        };
    }
    steps
}

/// What is in every table but those that name the run.
fn rows(path: &Path) -> Vec<String> {
    let database = Connection::open(path).unwrap();
    let mut statement = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'pipe%' ORDER BY name")
        .unwrap();
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let mut statement = database.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let found = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        rows.push(table);
        rows.extend(found.map(|row| format!("  {}", row.unwrap().unwrap_or_default())));
    }
    rows
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found);
        }
        found.push(path);
    }
    found.retain(|path| !path.is_dir() || path.is_symlink());
    found.sort();
}

fn files(folder: &Path, home: &Path, run: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    let database = |path: &Path| path.extension().is_some_and(|end| end == "db");
    let shown = found.iter().filter(|path| !database(path)).map(|path| {
        let name = path.strip_prefix(home).unwrap_or(path).display();
        match fs::read_link(path) {
            Ok(to) => format!("{name} -> {}", to.display()),
            Err(_) => format!("{name}: {:?}", String::from_utf8_lossy(&fs::read(path).unwrap()).replace(run, "RUN")),
        }
    });
    shown.collect()
}

/// Every act once, whatever number of times it was handed in, with the number of different keys that it came with.
fn slips(slips: Vec<Slip>) -> Vec<String> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for slip in slips {
        // A notification's key says what it is about: KEY-rolled-back.
        let (key, about) = slip.key.split_once('-').unwrap_or((&slip.key, ""));
        let keys = keys.entry(format!("{} {about}", slip.path)).or_default();
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys.into_iter().map(|(act, keys)| format!("{act}, {} key", keys.len())).collect()
}
