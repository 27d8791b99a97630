//! What outlives a `pipe` that was killed is gone before anything is undone: a statement at a real PostgreSQL, and a program.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use pipe_tests::{
    Deployment, Ended,
    waiting::{is_running, wait_until},
};

use crate::{
    certificates::Authority,
    postgres::{Database, Postgres, ROLE},
};

const RUN: [&str; 4] = ["run", "pipeline.toml", "--env", "demo"];

/// Killed, as a machine kills that has no memory left.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn begin(deployment: &Deployment) -> Child {
    deployment.command(&RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// What the record says of the end of remains and the beginning of undoing, in order.
fn order(deployment: &Deployment) -> Vec<String> {
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
    let events = deployment.run(&["show", "last", "--events", "--output", "json"]).json();
    let words = events.iter().filter_map(|event| event["what"]["event"].as_str());
    let said = ["run-resumed", "remain-found", "remains-ended", "undo-started"];
    words.filter(|word| said.contains(word)).map(str::to_owned).collect()
}

fn undone(deployment: &Deployment, step: &str) -> Ended {
    let ended = deployment.run(&["resume", "last", "--undo", step]);
    assert_eq!(ended.code, 5, "{ended}");
    assert_eq!(order(deployment), ["run-resumed", "remain-found", "remains-ended", "undo-started"], "{ended}");
    ended
}

/// Two migrations of a database.
pub(crate) fn migrating(server: &Postgres, database: &Database) -> Deployment {
    let (port, name) = (server.port, &database.name);
    let toml = format!(
        r#"
name = "outlived"
environments = ["demo"]

[secrets]
db.file = "password"

[peers]
main = {{ url = "postgres://{ROLE}@localhost:{port}/{name}", password = "db", ca = "ca.pem", addresses = ["127.0.0.0/8", "::1/128"] }}

[[step]]
name = "migrate"
stage = "migrate"
without_backup = {{ role = "lead", reason = "nothing is in it" }}
allow.sql = ["write main"]
allow.read = ["migrations"]
with = {{ kind = "sql-files", peer = "main", directory = "migrations", lock_timeout = "10m" }}
"#
    );
    Deployment::new()
        .file("pipeline.toml", toml)
        .file("ca.pem", &Authority::shared().pem)
        .secret_file("password", format!("{}\n", server.password))
        .file("migrations/001_first.up.sql", "CREATE TABLE first ();\n")
        .file("migrations/001_first.down.sql", "DROP TABLE first;\n")
        .file("migrations/002_held.up.sql", "ALTER TABLE held ADD COLUMN more int;\n")
        .file("migrations/002_held.down.sql", "ALTER TABLE held DROP COLUMN more;\n")
}

const WAITS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                     AND query LIKE '%ALTER TABLE held%' AND pid <> pg_backend_pid()";
/// Sends whoever looks away.
const LOOKER: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
                      AND query LIKE '%pg_sleep(617)%' AND pid <> pg_backend_pid()";

#[test]
fn an_alter_table_that_waits_at_the_server_is_ended_before_anything_is_undone() {
    let server = Postgres::shared();
    let database = server.database();
    database.sql(&format!("CREATE TABLE held (n int); ALTER TABLE held OWNER TO {ROLE}"));
    let deployment = migrating(&server, &database);
    // Somebody looks at the table, and does not come to an end.
    let looker = database.beside("BEGIN; LOCK TABLE held IN ACCESS SHARE MODE; SELECT pg_sleep(617)");
    let looks =
        "SELECT count(*) FROM pg_locks WHERE relation = 'held'::regclass AND mode = 'AccessShareLock' AND granted";
    wait_until("somebody looks at the table", || database.sql(looks) == "1");
    let run = begin(&deployment);
    wait_until("the statement waits", || database.sql(WAITS) == "1");
    kill(run);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(database.sql(WAITS), "1", "nothing outlived the process: this test would show nothing");

    let ended = undone(&deployment, "migrate");
    assert_eq!(database.sql(WAITS), "0", "{ended}");
    assert_eq!(database.sql(LOOKER), "1");
    kill(looker);
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'held'::regclass AND attname = 'more'";
    assert_eq!(database.sql(columns), "0", "it takes effect no more");
    assert_eq!(database.sql("SELECT to_regclass('first') IS NULL"), "t", "the migration before it is undone");
}

#[test]
fn a_program_whose_supervisor_hangs_is_ended_before_anything_is_undone() {
    let toml = r#"
name = "outlived"
environments = ["demo"]

[[step]]
name = "wait"
stage = "release"
allow.exec = [{ program = "sleep", argv = ["6173"] }, { program = "true", argv = [] }]
with = { kind = "program", version = "1", publish = { program = "sleep", arguments = ["6173"] }, undo = { program = "true" } }
"#;
    let deployment = Deployment::new().file("pipeline.toml", toml);
    let run = begin(&deployment);
    wait_until("the program runs", || is_running(&["sleep", "6173"]));
    let supervisor = parent(&["sleep", "6173"]);
    let stopped = Command::new("kill").args(["-STOP", &supervisor]).status().unwrap();
    assert!(stopped.success());
    kill(run);
    thread::sleep(Duration::from_millis(500));
    assert!(is_running(&["sleep", "6173"]), "nothing outlived the process: this test would show nothing");

    let ended = undone(&deployment, "wait");
    assert!(!is_running(&["sleep", "6173"]), "{ended}");
}

/// Who started the process with these arguments.
fn parent(arguments: &[&str]) -> String {
    let wanted: Vec<u8> = arguments.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let found = fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .find(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted));
    let status = fs::read_to_string(found.unwrap().path().join("status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned()
}
