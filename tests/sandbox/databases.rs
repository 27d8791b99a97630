//! SQLite from inside: what a statement may reach, and for how long.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{Behaviour, Scene};

fn reading(statement: &str) -> Scene {
    let scene = Scene::new(Behaviour::ReadStatement).database().with("peer", "clinic").with("text", statement);
    scene.allow(r#"allow.sql = ["read clinic"]"#)
}

fn writing(behaviour: Behaviour, text: &str) -> Scene {
    let scene = Scene::new(behaviour).database().with("peer", "clinic").with("text", text);
    scene.allow(r#"allow.sql = ["write clinic"]"#)
}

/// Rows of the table, and files in the folder of the database.
fn state(scene: &Scene) -> (u32, Vec<String>) {
    let database = rusqlite::Connection::open(scene.deployment.at("clinic.db")).unwrap();
    let rows = database.query_one("SELECT count(*) FROM visits", [], |row| row.get(0)).unwrap();
    drop(database);
    let names = fs::read_dir(scene.deployment.at("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    (rows, names)
}

#[test]
pub(crate) fn a_reader_is_refused_whatever_reaches_further_than_rows() {
    for statement in [
        "INSERT INTO visits VALUES ('x')",
        "WITH x AS (SELECT 'x') INSERT INTO visits SELECT * FROM x",
        "EXPLAIN INSERT INTO visits VALUES ('x')",
        "ATTACH 'other.db' AS other",
        "ATTACH ':memory:' AS other",
        "VACUUM INTO 'other.db'",
        "SELECT load_extension('evil')",
        "PRAGMA writable_schema = 1",
        "PRAGMA query_only = 0",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = off",
        "PRAGMA temp_store_directory = '/tmp'",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "CREATE TEMP TABLE x (a)",
    ] {
        let scene = reading(statement);
        let seen = scene.run();
        assert_eq!(seen.ended.code, 4, "{statement}: {}", seen.ended);
        assert_eq!(seen.failure()["kind"], "denied", "{statement}: {}", seen.ended);
        let (rows, names) = state(&scene);
        assert_eq!(rows, 0, "{statement}");
        assert!(!names.contains(&"other.db".to_owned()), "{statement}: {names:?}");
    }
    let several = reading("SELECT 1; DELETE FROM visits").run();
    several.fails("settings", "a query is one statement");
}

#[test]
pub(crate) fn a_reader_may_read_and_look_around() {
    for statement in ["SELECT who FROM visits", "VALUES (1)", "PRAGMA table_info(visits)", "PRAGMA user_version"] {
        let seen = reading(statement).run();
        assert_eq!(seen.ended.code, 0, "{statement}: {}", seen.ended);
    }
}

#[test]
pub(crate) fn a_writer_stays_in_its_file_too() {
    for statement in [
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'other.db'",
        "SELECT load_extension('x')",
        "PRAGMA writable_schema = 1",
    ] {
        let scene = writing(Behaviour::WriteStatement, statement);
        scene.run().refused_for_ever();
        assert!(!state(&scene).1.contains(&"other.db".to_owned()), "{statement}");
    }
}

#[test]
pub(crate) fn a_script_hides_nothing() {
    for script in [
        "INSERT INTO visits VALUES ('x'); COMMIT; INSERT INTO visits VALUES ('y')",
        "INSERT INTO visits VALUES ('x'); /* ; */ ATTACH 'other.db' AS other",
        "INSERT INTO visits VALUES ('x; y'); VACUUM INTO 'other.db'",
        "INSERT INTO visits VALUES ('x'); PRAGMA journal_mode = off",
    ] {
        let scene = writing(Behaviour::SendScript, script);
        scene.run().refused_for_ever();
        assert_eq!(state(&scene).0, 0, "{script}: all of it or nothing");
    }
}

#[test]
pub(crate) fn no_function_of_a_statement_outlasts_the_deadline() {
    let many = "hex(zeroblob(4000000))";
    for statement in [
        format!("SELECT sum(instr({many} || i, substr({many}, 1, 4000000) || '1')) FROM visits_many"),
        format!("SELECT sum(length(replace({many} || i, '00', '1'))) FROM visits_many"),
        format!("SELECT sum(length(trim({many} || i, {many} || 'x'))) FROM visits_many"),
    ] {
        let endless = "WITH RECURSIVE visits_many(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM visits_many)";
        let began = Instant::now();
        let seen = reading(&format!("{endless} {statement}")).timeout("1s").run();
        seen.fails("deadline", "did not end within 1s");
        assert!(began.elapsed() < Duration::from_secs(15), "{statement}: {:?}", began.elapsed());
    }
}

#[test]
pub(crate) fn what_has_no_bound_is_refused() {
    reading("SELECT json_patch('{}', '{}')").run().fails("denied", "its time has no bound");
}

#[test]
pub(crate) fn a_wait_for_a_locked_database_ends_at_the_deadline() {
    let scene = writing(Behaviour::WriteStatement, "INSERT INTO visits VALUES ('x')").timeout("1s");
    let holder = rusqlite::Connection::open(scene.deployment.at("clinic.db")).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let seen = scene.run();
    seen.fails("deadline", "did not end within 1s");
    let took = seen.finished()["duration_ms"].as_u64().unwrap();
    assert!(took < 3_000, "{took} ms");
    drop(holder);
    assert_eq!(state(&scene).0, 0);
}
