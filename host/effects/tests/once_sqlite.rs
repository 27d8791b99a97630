//! SQL takes effect once, with real SQLite files.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/outside.rs"]
mod outside;

use std::{path::PathBuf, sync::Arc};

use outside::{Outside, Recorded, marking, peer};
use pipe_effects::{
    error::ErrorKind,
    session::Session,
    sql::{Access, Marking, Phase, SqlConnection, SqlRows, SqlValue},
};
use tempfile::TempDir;

struct Database(TempDir);

impl Database {
    /// A file with an empty table `t (a, b)`.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Self(directory);
        database.own().execute_batch("CREATE TABLE t (a INTEGER, b TEXT)").unwrap();
        database
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("data.db")
    }

    /// A connection of our own.
    fn own(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        self.own().query_row(sql, (), |row| row.get(0)).unwrap()
    }

    fn count(&self) -> i64 {
        self.number("SELECT count(*) FROM t")
    }

    fn session(&self, step: &str, marking: Marking) -> (Arc<Session>, Arc<Recorded>) {
        let url = format!("sqlite:{}", self.file().display());
        Outside::default().peer(peer("main", &url)).sql("write main").sql("read main").attempt(step, marking)
    }

    async fn attempt(&self) -> (SqlConnection, Arc<Session>, Arc<Recorded>) {
        let (session, ledger) = self.session("test", marking(1));
        (session.sql_open("main", Access::Write).await.unwrap(), session, ledger)
    }
}

async fn everything(connection: &mut SqlConnection) -> Vec<SqlRows> {
    let mut answers = Vec::new();
    let insert = "INSERT INTO t VALUES ($1, 'one'), (2, 'two')";
    answers.push(connection.query(insert, vec![SqlValue::Integer(1)]).await.unwrap());
    answers.push(connection.query(insert, vec![SqlValue::Integer(1)]).await.unwrap());
    answers.push(connection.query("INSERT INTO t VALUES (3, NULL) RETURNING rowid, b", vec![]).await.unwrap());
    answers.push(connection.script("INSERT INTO t VALUES (4, 's'); INSERT INTO t VALUES (5, 's')").await.unwrap());
    connection.begin().await.unwrap();
    answers.push(connection.query("UPDATE t SET b = 'changed' WHERE a = 2", vec![]).await.unwrap());
    answers.push(connection.script("INSERT INTO t VALUES (6, 'begun')").await.unwrap());
    connection.commit().await.unwrap();
    answers
}

#[tokio::test]
async fn what_an_attempt_has_committed_another_one_does_not_repeat() {
    let database = Database::new();
    let (mut connection, session, _) = database.attempt().await;
    let answers = everything(&mut connection).await;
    session.close().await;
    assert_eq!(answers.iter().map(|rows| rows.affected).collect::<Vec<_>>(), [2, 2, 1, 0, 2, 0]);
    assert_eq!((database.count(), database.number("SELECT count(*) FROM pipe_marker")), (8, 5));

    let (mut connection, session, ledger) = database.attempt().await;
    assert_eq!(everything(&mut connection).await, answers);
    connection.query("INSERT INTO t VALUES (7, 'new')", vec![]).await.unwrap();
    session.close().await;
    assert_eq!(database.count(), 9);
    let told = ledger.logs.lock().unwrap().iter().filter(|(_, line)| line.contains("it is not run again")).count();
    assert_eq!(told, 5);

    let others = [
        ("test", marking(2)),
        ("other", marking(1)),
        ("test", Marking { phase: Phase::Undo, ..marking(1) }),
        ("test", Marking { round: 1, ..marking(1) }),
    ];
    for (count, (step, marking)) in (10..).zip(others) {
        let (session, _) = database.session(step, marking);
        let mut connection = session.sql_open("main", Access::Write).await.unwrap();
        connection.query("INSERT INTO t VALUES (7, 'new')", vec![]).await.unwrap();
        session.close().await;
        assert_eq!(database.count(), count);
    }
}

/// The process that is killed: see below.
#[test]
fn a_process_that_is_killed() {
    let Ok(file) = std::env::var("PIPE_TEST_KILLED_PROCESS") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite:{file}");
        let outside = Outside::default().peer(peer("main", &url)).sql("write main");
        let (session, _) = outside.attempt("test", marking(1));
        let mut connection = session.sql_open("main", Access::Write).await.unwrap();
        for number in 1.. {
            let statement = "INSERT INTO t VALUES ($1, NULL)";
            connection.query(statement, vec![SqlValue::Integer(number)]).await.unwrap();
        }
    });
}

#[tokio::test]
async fn whatever_a_killed_process_has_committed_is_there_once() {
    let database = Database::new();
    database.own().pragma_update(None, "journal_mode", "wal").unwrap();
    for round in 1..=5 {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_that_is_killed"])
            .env("PIPE_TEST_KILLED_PROCESS", database.file())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let before = database.count();
        while database.count() < before + 5 * round {
            assert_eq!(process.try_wait().unwrap(), None);
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(database.count(), database.number("SELECT max(a) FROM t"));
        assert_eq!(database.number("SELECT count(DISTINCT a) FROM t"), database.count());
        assert_eq!(database.number("SELECT count(*) FROM pipe_marker"), database.count());
    }
}

#[tokio::test]
async fn what_failed_is_done_again_and_what_goes_on_otherwise_is_refused() {
    let database = Database::new();
    let (mut connection, session, _) = database.attempt().await;
    connection.query("INSERT INTO t VALUES (1, $1, 2)", vec![SqlValue::Null]).await.unwrap_err();
    connection.script("INSERT INTO t VALUES (1, ''); INSERT INTO nowhere VALUES (1)").await.unwrap_err();
    connection.begin().await.unwrap();
    connection.query("INSERT INTO t VALUES (1, '')", vec![]).await.unwrap();
    connection.rollback().await.unwrap();
    assert_eq!(database.count(), 0);
    connection.begin().await.unwrap();
    connection.query("INSERT INTO t VALUES (1, '')", vec![]).await.unwrap();
    connection.query("INSERT INTO t VALUES (2, '')", vec![]).await.unwrap();
    connection.commit().await.unwrap();
    session.close().await;

    let (mut connection, _session, _) = database.attempt().await;
    connection.begin().await.unwrap();
    connection.query("INSERT INTO t VALUES (1, '')", vec![]).await.unwrap();
    let error = connection.query("INSERT INTO t VALUES (3, '')", vec![]).await.unwrap_err();
    assert!(error.message.contains("went on otherwise"), "{error}");
    assert!(connection.commit().await.unwrap_err().message.contains("went on otherwise"));
    connection.query("INSERT INTO t VALUES (3, '')", vec![]).await.unwrap();
    assert_eq!(database.count(), 3);
}

#[tokio::test]
async fn pragmas_and_reading_are_never_answered_from_the_past() {
    let database = Database::new();
    for round in 1..3 {
        let (mut connection, session, _) = database.attempt().await;
        connection.query("PRAGMA journal_mode = wal", vec![]).await.unwrap();
        connection.script("PRAGMA foreign_keys = off; INSERT INTO t VALUES (1, NULL)").await.unwrap();
        let keys = connection.query("PRAGMA foreign_keys", vec![]).await.unwrap();
        assert_eq!(keys.rows.len(), 1);
        let rows = connection.query("SELECT count(*) FROM t", vec![]).await.unwrap();
        assert_eq!(rows.rows, [[SqlValue::Integer(round)]]);
        database.own().execute_batch("INSERT INTO t VALUES (2, NULL)").unwrap();
        let rows = connection.query("SELECT count(*) FROM t", vec![]).await.unwrap();
        assert_eq!(rows.rows, [[SqlValue::Integer(round + 1)]]);
        session.close().await;
    }
}

#[tokio::test]
async fn nothing_is_made_where_nothing_is_written() {
    let database = Database::new();
    let (mut connection, session, _) = database.attempt().await;
    connection.query("SELECT * FROM t", vec![]).await.unwrap();
    connection.begin().await.unwrap();
    connection.query("SELECT * FROM t", vec![]).await.unwrap();
    connection.commit().await.unwrap();
    let mut reading = session.sql_open("main", Access::Read).await.unwrap();
    reading.query("SELECT * FROM t", vec![]).await.unwrap();
    session.close().await;
    assert_eq!(database.number("SELECT count(*) FROM sqlite_schema"), 1);
}

#[tokio::test]
async fn no_spelling_reaches_the_markers() {
    let database = Database::new();
    let (mut connection, session, _) = database.attempt().await;
    connection.query("INSERT INTO t VALUES (1, 'x')", vec![]).await.unwrap();
    for statement in [
        "DELETE FROM pipe_marker",
        "DELETE FROM 'pipe_marker'",
        "DELETE FROM [pipe_marker]",
        "DELETE FROM `PIPE_marker`",
        "UPDATE main.'pipe_marker' SET step = 'other'",
        "INSERT INTO 'Pipe_Marker' DEFAULT VALUES",
        "SELECT * FROM 'pipe_marker'",
        "CREATE VIEW v AS SELECT 1; SELECT * FROM [pipe_marker]",
        "CREATE TRIGGER g AFTER INSERT ON 'pipe_marker' BEGIN SELECT 1; END",
        "CREATE TEMP TABLE 'pipe_marker' (a)",
        "CREATE TEMP VIEW 'pipe_marker' AS SELECT 1",
        "DROP TABLE 'pipe_marker'",
        "ALTER TABLE 'pipe_marker' RENAME TO other",
        "CREATE INDEX i ON 'pipe_marker' (run)",
    ] {
        let error = connection.script(statement).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{statement}: {error}");
        connection.query(statement, vec![]).await.unwrap_err();
    }
    // A trigger of its own that reaches for them is refused when it is made or when it fires.
    let trigger = "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM 'pipe_marker'; END";
    if connection.script(trigger).await.is_ok() {
        connection.query("INSERT INTO t VALUES (2, 'y')", vec![]).await.unwrap_err();
        connection.script("DROP TRIGGER g").await.unwrap();
    }
    session.close().await;
    assert!(database.number("SELECT count(*) FROM pipe_marker") >= 1);
    let (mut connection, session, _) = database.attempt().await;
    connection.query("INSERT INTO t VALUES (1, 'x')", vec![]).await.unwrap();
    assert_eq!(database.count(), 1);
    session.close().await;

    // One that somebody has copied from another step is passed over, one that no host made is not.
    database.own().execute_batch("UPDATE pipe_marker SET step = 'other'").unwrap();
    let (session, ledger) = database.session("other", marking(1));
    session.sql_open("main", Access::Write).await.unwrap();
    let logs = ledger.logs.lock().unwrap().clone();
    assert!(logs.iter().any(|(_, line)| line.contains("were copied from other places")), "{logs:?}");
    session.close().await;
    database.own().execute_batch("UPDATE pipe_marker SET statements = '[]'").unwrap();
    let (session, _) = database.session("other", marking(1));
    let error = session.sql_open("main", Access::Write).await.unwrap_err();
    assert!(error.message.contains("what pipe has not marked"), "{error}");
}

/// As `pipe` makes it, but for the trigger that swallows whatever is put into it.
const SWALLOWING: [&str; 2] = [
    "CREATE TABLE fake (run text, step text, phase text, digest text, occurrence bigint, first text, statements text, seal text, \
     at text)",
    "CREATE TRIGGER swallow BEFORE INSERT ON fake BEGIN SELECT RAISE(IGNORE); END",
];

#[tokio::test]
async fn a_table_that_is_renamed_does_not_become_the_one_of_the_markers() {
    let database = Database::new();
    let (mut connection, session, _) = database.attempt().await;
    connection.script(&SWALLOWING.join(";")).await.unwrap();
    database.own().execute_batch("DROP TABLE pipe_marker").unwrap();
    for rename in [
        "ALTER TABLE fake RENAME TO 'pipe_marker'",
        "alter table fake rename to 'PIPE_marker'",
        "/* */ ALTER TABLE main.'fake' RENAME TO pipe_marker",
        "ALTER TABLE fake RENAME TO [pipe_marker]",
        "ALTER TABLE fake RENAME TO `pipe_marker`",
        "ALTER TABLE fake RENAME TO \"pipe_marker\"",
    ] {
        let error = connection.query(rename, vec![]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{rename}: {error}");
        assert_eq!(connection.script(rename).await.unwrap_err().kind, ErrorKind::Denied, "{rename}");
    }
    assert_eq!(database.number("SELECT count(*) FROM sqlite_schema WHERE name = 'pipe_marker' COLLATE NOCASE"), 0);
    session.close().await;
}

#[tokio::test]
async fn a_table_that_is_not_the_hosts_is_not_used() {
    let name = "ALTER TABLE fake RENAME TO 'pipe_marker'";
    let same = |database: &Database| -> String {
        let text = "SELECT sql FROM sqlite_schema WHERE name = 'pipe_marker'";
        database.own().query_row(text, (), |row| row.get(0)).unwrap()
    };
    for (change, odd) in [
        (format!("{}; {name}", SWALLOWING[0]), "table pipe_marker"),
        (format!("{}; {}; {name}", SWALLOWING[0], SWALLOWING[1]), "pipe_marker"),
        ("CREATE VIEW pipe_marker AS SELECT 1".to_owned(), "view pipe_marker"),
        ("CREATE VIEW PIPE_marker AS SELECT 1".to_owned(), "view PIPE_marker"),
        (
            "SAME; CREATE TRIGGER g AFTER INSERT ON pipe_marker BEGIN DELETE FROM pipe_marker; END".to_owned(),
            "trigger g",
        ),
        ("SAME; CREATE UNIQUE INDEX i ON pipe_marker (run)".to_owned(), "index i"),
        ("SAME; ALTER TABLE pipe_marker ADD COLUMN more text".to_owned(), "table pipe_marker"),
    ] {
        let database = Database::new();
        let (mut connection, session, _) = database.attempt().await;
        connection.query("INSERT INTO t VALUES (1, 'x')", vec![]).await.unwrap();
        let same = same(&database);
        // Behind the back of a connection, and before the next one.
        database.own().execute_batch(&format!("DROP TABLE pipe_marker; {}", change.replace("SAME", &same))).unwrap();
        let error = connection.query("INSERT INTO t VALUES (2, 'x')", vec![]).await.unwrap_err();
        assert!(error.message.contains("is not as pipe makes it") && error.message.contains(odd), "{change}: {error}");
        connection.begin().await.unwrap();
        connection.query("INSERT INTO t VALUES (2, 'x')", vec![]).await.unwrap();
        connection.commit().await.unwrap_err();
        session.close().await;
        assert_eq!(database.count(), 1, "{change}");
        let (session, _) = database.session("test", marking(1));
        let error = session.sql_open("main", Access::Write).await.unwrap_err();
        assert!(error.message.contains(odd) && error.hint.is_some(), "{change}: {error}");
    }
}

#[tokio::test]
async fn a_temporary_trigger_swallows_no_marker() {
    let database = Database::new();
    let (mut connection, session, _) = database.attempt().await;
    connection.query("INSERT INTO t VALUES (1, 'x')", vec![]).await.unwrap();
    for trigger in [
        "CREATE TEMP TRIGGER g BEFORE INSERT ON 'pipe_marker' BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TEMP TRIGGER g BEFORE INSERT ON main.'pipe_marker' BEGIN SELECT RAISE(IGNORE); END",
    ] {
        connection.script(trigger).await.unwrap_err();
    }
    // One that goes where its table goes.
    let trigger = "CREATE TEMP TRIGGER g BEFORE INSERT ON fake BEGIN SELECT RAISE(IGNORE); END";
    connection.script(&format!("CREATE TABLE fake (a); {trigger}")).await.unwrap();
    database.own().execute_batch("DROP TABLE pipe_marker; ALTER TABLE fake RENAME TO pipe_marker").unwrap();
    connection.query("INSERT INTO t VALUES (2, 'x')", vec![]).await.unwrap_err();
    session.close().await;
    assert_eq!(database.count(), 1);
}
