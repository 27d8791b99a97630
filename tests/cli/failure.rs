//! Deployments that fail: what is undone, what is said, and which code the shell gets.

use std::{fs, path::Path};

use pipe_tests::{Deployment, Ended};
use rusqlite::{Connection, OpenFlags};

const RUN: [&str; 4] = ["run", "example.toml", "--env", "demo"];

/// The example with version 1.0.0 live, about to get version 1.1.0: another page, another table.
fn about_to_upgrade() -> Deployment {
    let deployment = Deployment::example();
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 0, "{ended}");
    deployment
        .edit("example.toml", "default = \"1.0.0\"", "default = \"1.1.0\"")
        .file("example/app/index.html", "<h1>Appointments, better</h1>\n")
        .file("example/migrations/002_rooms.up.sql", "CREATE TABLE rooms (id INTEGER PRIMARY KEY);\n")
        .file("example/migrations/002_rooms.down.sql", "DROP TABLE rooms;\n")
}

/// Every table with every row, as text.
fn database(deployment: &Deployment) -> Vec<String> {
    let path = deployment.at("example/live/app.db");
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).expect(sql);
        let columns = statement.column_count();
        let row = statement.query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|column| row.get_ref(column).map(|cell| format!("{cell:?}")))
                .collect::<Result<_, _>>()?;
            Ok(cells.join(" "))
        });
        row.expect(sql).collect::<Result<_, _>>().expect(sql)
    };
    // What was committed stays marked, whatever is taken back.
    let named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'pipe_marker' ORDER BY name";
    let mut statement = database.prepare(named).expect("tables");
    let tables = statement.query_map([], |row| row.get::<_, String>(0)).expect("tables");
    let tables: Vec<String> = tables.collect::<Result<_, _>>().expect("tables");
    tables.iter().flat_map(|table| [vec![table.clone()], rows(&format!("SELECT * FROM {table}"))].concat()).collect()
}

/// Every file below a folder with its content, links by where they lead.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let shown = path.display();
        if path.is_symlink() {
            found.push(format!("{shown} -> {}", fs::read_link(&path).expect("a link").display()));
        } else if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_some_and(|name| name != ".pipe-switch.json") {
            found.push(format!("{shown}: {}", fs::read_to_string(&path).expect("text")));
        }
    }
    found.sort();
    found
}

fn outcome(ended: &Ended, code: i32, headline: &str) {
    assert_eq!(ended.code, code, "{ended}");
    assert!(ended.stderr.lines().any(|line| line.starts_with(headline)), "no line begins with {headline:?}\n{ended}");
    assert_eq!(ended.stdout, "", "talk on stdout");
}

#[test]
fn a_verification_that_fails_brings_the_last_version_back() {
    let deployment = about_to_upgrade().edit("example.toml", "min = 2 }", "min = 3 }");
    let (rows, pages) = (database(&deployment), files(&deployment.at("example/live/www")));
    let ended = deployment.run(&RUN);
    outcome(&ended, 5, "rolled back after ");
    insta::assert_snapshot!(ended);
    assert_eq!(database(&deployment), rows, "the database is not as it was");
    assert_eq!(files(&deployment.at("example/live/www")), pages, "the release is not as it was");
    let history = fs::read_to_string(deployment.at("example/live/history/deployments.md")).expect("the history");
    let told = "  Version: 1.1.0\n  Status: Rolled Back\n  Reason: step \"verify\": 1 of 2 checks failed: sql app\n";
    assert!(history.contains(told), "nobody was told:\n{history}");
}

#[test]
fn a_migration_that_fails_half_way_leaves_nothing_of_itself() {
    let deployment = about_to_upgrade().file(
        "example/migrations/002_rooms.up.sql",
        "CREATE TABLE rooms (id INTEGER PRIMARY KEY);\nINSERT INTO no_such_table VALUES (1);\n",
    );
    let (rows, pages) = (database(&deployment), files(&deployment.at("example/live/www")));
    let ended = deployment.run(&RUN);
    assert!(matches!(ended.code, 1 | 5), "{ended}");
    assert!(ended.stderr.contains("no_such_table"), "{ended}");
    assert_eq!(database(&deployment), rows, "the database is not as it was");
    assert_eq!(files(&deployment.at("example/live/www")), pages, "the release is not as it was");
}

#[test]
fn a_precheck_that_fails_leaves_nothing_to_undo() {
    let deployment = Deployment::example().edit("example.toml", "10MiB", "900TiB");
    let ended = deployment.run(&RUN);
    outcome(&ended, 1, "failed after ");
    insta::assert_snapshot!(ended);
    assert!(!deployment.at("example/live/app.db").exists(), "a later step ran");
}

#[test]
fn a_refused_capability_says_which_line_would_allow_it() {
    let line = "allow.disk = [\"example/live\"]\n";
    let deployment = Deployment::example().edit("example.toml", line, "");
    let ended = deployment.run(&RUN);
    outcome(&ended, 4, "failed after ");
    insta::assert_snapshot!(ended);
    assert!(ended.stderr.contains(&format!("hint: in step \"preflight\", {line}")), "{ended}");
    // The line is the whole truth: with it, the deployment succeeds.
    let mended = deployment.edit(
        "example.toml",
        "with.check = [\n    { kind = \"file\"",
        &format!("{line}with.check = [\n    {{ kind = \"file\""),
    );
    let ended = mended.run(&RUN);
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn a_refusal_after_something_was_started_is_undone() {
    let deployment = about_to_upgrade().edit("example.toml", "allow.write = [\"example/live/www\"]\n", "");
    let rows = database(&deployment);
    let ended = deployment.run(&RUN);
    outcome(&ended, 5, "rolled back after ");
    assert!(ended.stderr.contains("  hint: in step \"release\", allow."), "{ended}");
    assert_eq!(database(&deployment), rows, "the database is not as it was");
}

#[test]
fn an_undo_that_fails_calls_for_a_person() {
    let deployment = Deployment::new()
        .file(
            "pipeline.toml",
            r#"
name = "stubborn"
environments = ["demo"]

[[step]]
name = "switch"
stage = "release"
allow.exec = [{ program = "true", argv = [] }, { program = "false", argv = [] }]
[step.with]
kind = "program"
version = "2"
publish = { program = "true" }
undo = { program = "false" }

[[step]]
name = "look"
stage = "verify"
allow.read = ["seen"]
with.check = [{ kind = "file", path = "seen/nothing-here.txt" }]
"#,
        )
        .folder("seen");
    let ended = deployment.run(&["run", "pipeline.toml", "--env", "demo"]);
    outcome(&ended, 6, "rollback failed after ");
    insta::assert_snapshot!(ended);
}

#[test]
fn a_secret_that_is_not_there_stops_the_run_before_it_begins() {
    let deployment = Deployment::example()
        .edit("example.toml", "[peers]", "[secrets]\nbackup.env = \"BACKUP_KEY\"\n\n[peers]")
        .edit("example.toml", "encrypt = false", "encrypt = \"backup\"")
        .edit(
            "example.toml",
            "allow.artifacts = [\"write\"]",
            "allow.artifacts = [\"write\"]\nallow.secrets = [{ name = \"backup\", to = \"artifacts\" }]",
        );
    let ended = deployment.run(&RUN);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("secret `backup`: the variable BACKUP_KEY is not set"), "{ended}");
    assert!(ended.stderr.contains("--> example.toml:") && ended.stderr.contains("declared here"), "{ended}");
    assert!(ended.stderr.contains("hint: export BACKUP_KEY before the run"), "{ended}");
    assert!(!deployment.at("example/live/app.db").exists(), "a step ran");
}

#[test]
fn a_grant_that_is_refused_is_shown_at_its_own_line() {
    let pipeline = "name = \"x\"\nenvironments = [\"demo\"]\n\n[[step]]\nname = \"look\"\nstage = \"precheck\"\nallow.read = [\"here\", \
                    \"nowhere\"]\nwith.check = [{ kind = \"env-required\", names = [\"HOME\"] }]\n";
    let deployment = Deployment::new().folder("here").file("x.toml", pipeline);
    let ended = deployment.run(&["run", "x.toml", "--env", "demo"]);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("step \"look\": `nowhere` does not exist"), "{ended}");
    assert!(ended.stderr.contains("--> x.toml:7:23"), "{ended}");
}
