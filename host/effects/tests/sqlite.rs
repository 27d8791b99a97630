//! SQLite behind the fences, with real files.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/outside.rs"]
mod outside;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use outside::{Outside, Recorded, peer, proof};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    session::Session,
    sql::{Access, Dialect, MOST_CONNECTIONS, MOST_ROWS, SqlConnection, SqlRows, SqlValue},
};
use tempfile::TempDir;

struct Database {
    directory: TempDir,
    session: Arc<Session>,
    ledger: Arc<Recorded>,
}

impl Database {
    /// A file with the table `t (a, b)` and three rows.
    fn new(grant: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("data.db");
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection
            .execute_batch("CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL)")
            .unwrap();
        Self::at(directory, &format!("sqlite:{}", file.display()), grant)
    }

    fn at(directory: TempDir, url: &str, grant: &str) -> Self {
        let (session, ledger) = Outside::default().peer(peer("main", url)).sql(grant).session();
        Self { directory, session, ledger }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn open(&self, access: Access) -> SqlConnection {
        self.session.sql_open("main", access).await.unwrap()
    }

    /// What a connection of our own sees.
    fn count(&self) -> i64 {
        let connection = rusqlite::Connection::open(self.file("data.db")).unwrap();
        connection.query_row("SELECT count(*) FROM t", (), |row| row.get(0)).unwrap()
    }
}

fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.to_owned())
}

#[track_caller]
fn denied(result: Result<SqlRows, EffectError>, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.kind, ErrorKind::Denied, "{what}: {error}");
}

#[tokio::test]
async fn rows_come_with_their_types() {
    let database = Database::new("read main");
    let mut connection = database.open(Access::Read).await;
    assert_eq!(connection.dialect(), Dialect::Sqlite);
    let rows = connection
        .query("SELECT a, b, 1.5 AS c, x'00ff' AS d, NULL AS e FROM t ORDER BY a LIMIT $1", vec![SqlValue::Integer(1)])
        .await
        .unwrap();
    assert_eq!(rows.columns, ["a", "b", "c", "d", "e"]);
    let expected =
        [SqlValue::Integer(1), text("one"), SqlValue::Float(1.5), SqlValue::Bytes(vec![0, 255]), SqlValue::Null];
    assert_eq!(rows.rows, [expected]);
    assert_eq!(rows.affected, 0);
    let subject = "sql read main: SELECT a, b, ? AS c, ? AS d, NULL AS e FROM t ORDER BY a LIMIT $1";
    assert_eq!(database.ledger.used(), ["sql read main: open", subject]);
}

#[tokio::test]
async fn parameters_count_by_their_number() {
    let database = Database::new("read main");
    let mut connection = database.open(Access::Read).await;
    let two = || vec![text("first"), text("second")];
    for statement in ["SELECT $2, $1, $2", "SELECT ?2, ?1, ?2"] {
        let rows = connection.query(statement, two()).await.unwrap();
        assert_eq!(rows.rows, [[text("second"), text("first"), text("second")]], "{statement}");
    }
    assert_eq!(connection.query("SELECT ?, ?", two()).await.unwrap().rows, [[text("first"), text("second")]]);
    for (statement, parameters) in [
        ("SELECT $1", two()),
        ("SELECT $3", two()),
        ("SELECT :a", vec![text("x")]),
        ("SELECT $0", vec![]),
        ("SELECT 1", two()),
    ] {
        let error = connection.query(statement, parameters).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{statement}: {error}");
    }
}

#[tokio::test]
async fn reading_only_reads() {
    let database = Database::new("read main");
    let mut connection = database.open(Access::Read).await;
    let other = database.file("other.db");
    for statement in [
        "INSERT INTO t VALUES (4, 'x')",
        "WITH x AS (SELECT 4) INSERT INTO t SELECT 4, 'x'",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "DROP TABLE t",
        "CREATE TABLE u (a)",
        "CREATE TEMP TABLE u (a)",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT x",
        "VACUUM",
        &format!("VACUUM INTO '{}'", other.display()),
        &format!("ATTACH '{}' AS other", other.display()),
        "PRAGMA user_version = 5",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA journal_mode = off",
        "SELECT load_extension('x')",
        "SELECT load_extension('x', 'init')",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "PRAGMA main.writable_schema = ON",
        "PRAGMA journal_mode = delete",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA optimize",
        "PRAGMA incremental_vacuum",
        "PRAGMA data_store_directory = '/tmp'",
        "PRAGMA trusted_schema = 1",
        "REINDEX",
        "ANALYZE",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "REPLACE INTO t VALUES (1, 'x')",
        "/* SELECT */ DELETE FROM t",
    ] {
        denied(connection.query(statement, vec![]).await, statement);
    }
    assert!(connection.query("SELECT 1; DELETE FROM t", vec![]).await.is_err());
    denied(connection.script("SELECT 1").await, "a script");
    assert_eq!(connection.begin().await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(database.count(), 3);
    assert!(!other.exists());
    let refusals = database.ledger.denied();
    assert_eq!(refusals[0].hint.as_deref(), Some(r#"allow.sql = ["read main", "write main"]"#));
    assert_eq!(refusals[0].subject, "read main: INSERT INTO t VALUES (?, ?)");
    for statement in
        ["PRAGMA user_version", "PRAGMA table_info(t)", "SELECT name FROM pragma_table_info('t')", "VALUES (1)"]
    {
        connection.query(statement, vec![]).await.unwrap();
    }
}

#[tokio::test]
async fn writing_stays_in_its_file() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    let other = database.file("other.db");
    for statement in [
        &format!("VACUUM INTO '{}'", other.display()),
        &format!("ATTACH '{}' AS other", other.display()),
        "ATTACH '' AS other",
        "ATTACH $1 AS other",
        "DETACH main",
        "VACUUM",
        "SELECT load_extension('x')",
        "PRAGMA journal_mode = memory",
        "PRAGMA synchronous = off",
        "PRAGMA writable_schema = 1",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT x",
    ] {
        denied(connection.query(statement, vec![]).await, statement);
        denied(connection.script(&format!("SELECT 1; {statement}")).await, statement);
    }
    assert!(!other.exists());
    let error = connection.query("INSERT INTO sqlite_schema VALUES (1, 2, 3, 4, 5)", vec![]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed, "{error}");
    let rows =
        connection.query("INSERT INTO t VALUES ($1, $2) RETURNING a", vec![SqlValue::Integer(4), text("four")]).await;
    assert_eq!(
        rows.unwrap(),
        SqlRows { columns: vec!["a".to_owned()], rows: vec![vec![SqlValue::Integer(4)]], affected: 1 }
    );
    assert_eq!(connection.query("DELETE FROM t WHERE a < 3", vec![]).await.unwrap().affected, 2);
    assert_eq!(connection.query("SELECT * FROM t", vec![]).await.unwrap().affected, 0);
    assert_eq!(connection.query("PRAGMA journal_mode = wal", vec![]).await.unwrap().rows, [[text("wal")]]);
    assert_eq!(database.count(), 2);
    assert!(database.ledger.used().contains(&"sql write main: INSERT INTO t VALUES ($1, $2) RETURNING a !".to_owned()));
}

#[tokio::test]
async fn a_script_is_all_or_nothing() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    let trigger =
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = 'by trigger' WHERE a = NEW.a; SELECT 1; END;
                   INSERT INTO t (a) VALUES (10)";
    connection.script(trigger).await.unwrap();
    let rows = connection.query("SELECT b FROM t WHERE a = 10", vec![]).await.unwrap();
    assert_eq!(rows.rows, [[text("by trigger")]]);

    let error = connection.script("DELETE FROM t; INSERT INTO missing VALUES (1)").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed);
    assert_eq!(error.code.as_deref(), Some("1"));
    assert_eq!(database.count(), 4);

    connection.begin().await.unwrap();
    connection.query("DELETE FROM t WHERE a = 1", vec![]).await.unwrap();
    connection.script("DELETE FROM t; INSERT INTO missing VALUES (1)").await.unwrap_err();
    connection.commit().await.unwrap();
    assert_eq!(database.count(), 3);
    assert_eq!(connection.script("-- nothing").await.unwrap(), SqlRows::default());
}

#[tokio::test]
async fn transactions_begin_and_end_by_method() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    assert_eq!(connection.commit().await.unwrap_err().kind, ErrorKind::Invalid);
    connection.begin().await.unwrap();
    assert_eq!(connection.begin().await.unwrap_err().kind, ErrorKind::Invalid);
    connection.query("DELETE FROM t", vec![]).await.unwrap();
    connection.rollback().await.unwrap();
    assert_eq!(database.count(), 3);

    connection.begin().await.unwrap();
    connection.query("DELETE FROM t", vec![]).await.unwrap();
    drop(connection);
    database.session.close().await;
    assert_eq!(database.count(), 3);
    let used = database.ledger.used();
    assert!(used.contains(&"sql write main: BEGIN".to_owned()), "{used:?}");
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_does_not_go_on() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    connection
        .script("CREATE TABLE u (a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK); INSERT INTO u VALUES (1)")
        .await
        .unwrap();
    connection.begin().await.unwrap();
    connection.query("DELETE FROM t", vec![]).await.unwrap();
    connection.query("INSERT INTO u VALUES (1)", vec![]).await.unwrap_err();
    let error = connection.query("DELETE FROM t WHERE a = 1", vec![]).await.unwrap_err();
    assert!(error.message.contains("rolled back"), "{error}");
    assert!(connection.commit().await.unwrap_err().message.contains("rolled back"));
    assert_eq!(database.count(), 3);
    connection.query("DELETE FROM t WHERE a = 1", vec![]).await.unwrap();
    assert_eq!(database.count(), 2);
}

#[tokio::test]
async fn too_much_is_an_error_and_leaves_no_change() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    let series = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {MOST_ROWS})");
    for statement in [
        format!("{series} SELECT i FROM n"),
        format!("{series} INSERT INTO t (a) SELECT i FROM n RETURNING a"),
        "SELECT randomblob(9000000)".to_owned(),
        "SELECT zeroblob(1000000000)".to_owned(),
    ] {
        let error = connection.query(&statement, vec![]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Limit, "{statement}: {error}");
    }
    assert_eq!(database.count(), 3);
    let error = connection.query(&format!("SELECT '{}'", "x".repeat(17 << 20)), vec![]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_session_ends_a_statement() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    let session = Arc::clone(&database.session);
    let endless = tokio::spawn(async move {
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        (connection.query(endless, vec![]).await, connection)
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::timeout(Duration::from_secs(5), session.close()).await.unwrap();
    let (result, mut connection) = endless.await.unwrap();
    assert_eq!(result.unwrap_err(), EffectError::cancelled());
    assert_eq!(connection.query("SELECT 1", vec![]).await.unwrap_err(), EffectError::cancelled());
}

/// What one call of a function may take: each statement is cut off after a quarter of a second.
#[tokio::test(flavor = "multi_thread")]
async fn no_function_outlasts_the_end_of_the_session() {
    let many = "hex(zeroblob(4000000))";
    for statement in [
        format!("SELECT instr({many}, substr({many}, 1, 4000000) || '1')"),
        format!("SELECT length(replace({many}, substr({many}, 1, 4000000) || '1', ''))"),
        format!("SELECT length(trim({many}, {many} || 'x'))"),
        format!("SELECT length(unhex({many}, {many} || 'x'))"),
        format!("SELECT {many} LIKE '{}b'", "%0%_".repeat(45)),
        format!("SELECT {many} GLOB '{}b'", "*0*?".repeat(45)),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(length(hex(zeroblob(4000000 + i % 2)))) FROM n".to_owned(),
        format!(
            "SELECT max(a.i + b.i) FROM ({0}) a, ({0}) b",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT i FROM n"
        ),
    ] {
        let database = Database::new("read main");
        let mut connection = database.open(Access::Read).await;
        let session = Arc::clone(&database.session);
        let asked = statement.clone();
        let asking = tokio::spawn(async move { connection.query(&asked, vec![]).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(250)).await;
        let closing = Instant::now();
        session.close().await;
        assert!(closing.elapsed() < Duration::from_secs(4), "{statement}: {:?}", closing.elapsed());
        drop(asking.await.unwrap());
    }
}

#[tokio::test]
async fn a_function_without_a_bound_is_refused() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    for statement in ["SELECT json_patch('{}', '{}')", "SELECT Jsonb_Patch('{}', '{}')"] {
        denied(connection.query(statement, vec![]).await, statement);
    }
    for statement in
        [format!("SELECT 'x' LIKE '{}'", "x".repeat(201)), format!("SELECT max({})", vec!["1"; 101].join(","))]
    {
        assert!(connection.query(&statement, vec![]).await.is_err(), "{statement}");
    }
    // As before for what is not out of all measure: also within a schema.
    connection
        .script(
            "CREATE TABLE p (phone TEXT); CREATE INDEX plain ON p (replace(phone, '-', ''));
             CREATE VIEW trimmed AS SELECT trim(phone, '+') AS phone FROM p; INSERT INTO p VALUES ('+49-30-1')",
        )
        .await
        .unwrap();
    let rows = connection.query("SELECT phone, instr(phone, '-') FROM trimmed", vec![]).await.unwrap();
    assert_eq!(rows.rows, [[text("49-30-1"), SqlValue::Integer(3)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_lock_ends_with_the_session() {
    let database = Database::new("write main");
    let other = rusqlite::Connection::open(database.file("data.db")).unwrap();
    let mut connection = database.open(Access::Write).await;
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let waiting = tokio::spawn(async move { connection.query("DELETE FROM t", vec![]).await });
    tokio::time::sleep(Duration::from_millis(250)).await;
    let closing = Instant::now();
    database.session.close().await;
    assert!(closing.elapsed() < Duration::from_secs(2), "{:?}", closing.elapsed());
    assert_eq!(waiting.await.unwrap().unwrap_err(), EffectError::cancelled());
}

/// What the record says of statements: each by itself, without values, and provable.
#[tokio::test]
async fn statements_are_recorded_without_values_and_can_be_proven() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    connection.query("DELETE FROM t WHERE b = 'Meier' -- by hand", vec![]).await.unwrap();
    connection.query("INSERT INTO t VALUES ($1, $2)", vec![SqlValue::Integer(4711), text("Meier")]).await.unwrap();
    connection
        .script("/* both */ UPDATE t SET b = 'Meier' WHERE a = 4711;\n\nDELETE FROM t WHERE b = 'Meier';;")
        .await
        .unwrap();
    let uses = database.ledger.uses.lock().unwrap().clone();
    let lines: Vec<(&str, Option<_>)> = uses.iter().skip(1).map(|used| (used.subject.as_str(), used.proof)).collect();
    let deleted = "DELETE FROM t WHERE b = 'Meier'";
    assert_eq!(
        lines,
        [
            ("write main: DELETE FROM t WHERE b = ?", proof("sql", deleted)),
            ("write main: INSERT INTO t VALUES ($1, $2)", proof("sql", "INSERT INTO t VALUES ($1, $2)")),
            ("write main: UPDATE t SET b = ? WHERE a = ?", proof("sql", "UPDATE t SET b = 'Meier' WHERE a = 4711")),
            ("write main: DELETE FROM t WHERE b = ?", proof("sql", deleted)),
        ]
    );
    assert!(uses.iter().skip(1).all(|used| used.effect && used.rule == "write main"));
    assert!(!format!("{uses:?}").contains("Meier") && !format!("{uses:?}").contains("4711"));
}

#[tokio::test]
async fn the_statements_of_an_endless_script_are_counted() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    connection.script(&"INSERT INTO t (a) VALUES (7);".repeat(2_500)).await.unwrap();
    let used = database.ledger.used();
    assert_eq!(used.len(), 1 + 1_000 + 1);
    assert_eq!(used[1_001], "sql write main: … (1500 further statements) !");
    let rest = vec!["INSERT INTO t (a) VALUES (7)"; 1_500].join(";");
    assert_eq!(database.ledger.uses.lock().unwrap()[1_001].proof, proof("sql", &rest));
}

#[tokio::test]
async fn a_locked_database_is_told() {
    let database = Database::new("write main");
    let other = rusqlite::Connection::open(database.file("data.db")).unwrap();
    let mut connection = database.open(Access::Write).await;
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = connection.query("DELETE FROM t", vec![]).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Unavailable, Some("5")));
    other.execute_batch("ROLLBACK").unwrap();
    connection.query("DELETE FROM t", vec![]).await.unwrap();
}

#[tokio::test]
async fn files_are_what_they_must_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    std::fs::write(directory.path().join("text.db"), "this is no database, but it is long enough to be one").unwrap();
    std::os::unix::fs::symlink(directory.path().join("nowhere"), directory.path().join("dangling.db")).unwrap();
    let open = async |name: &str, access| {
        let grant = if access == Access::Read { "read main" } else { "write main" };
        let outside = Outside::default().peer(peer("main", &format!("sqlite:{name}"))).sql(grant);
        outside.session().0.sql_open("main", access).await
    };
    for (name, access, kind) in [
        ("missing.db", Access::Read, ErrorKind::Unavailable),
        ("no/directory.db", Access::Write, ErrorKind::Unavailable),
        ("dangling.db", Access::Write, ErrorKind::Unavailable),
        ("text.db", Access::Read, ErrorKind::Unavailable),
        ("", Access::Read, ErrorKind::Unavailable),
    ] {
        let error = open(&format!("{path}/{name}"), access).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
    }
    assert_eq!(open("/dev/zero", Access::Read).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(!directory.path().join("missing.db").exists());
    let mut made = open(&format!("{path}/made.db"), Access::Write).await.unwrap();
    made.script("CREATE TABLE t (a); INSERT INTO t VALUES (1)").await.unwrap();
    assert!(directory.path().join("made.db").exists());
}

#[tokio::test]
async fn our_own_files_are_out_of_reach() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let (state, link) = (root.join("state"), root.join("link"));
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("journal.db"), "").unwrap();
    std::os::unix::fs::symlink(&state, &link).unwrap();
    for (file, access) in [
        (state.join("journal.db"), Access::Read),
        (state.join("new.db"), Access::Write),
        (link.join("journal.db"), Access::Write),
        (root.join("link/../state/journal.db"), Access::Read),
    ] {
        let mut outside =
            Outside::default().peer(peer("main", &format!("sqlite:{}", file.display()))).sql("write main");
        outside.world.protected = vec![state.clone()];
        let (session, ledger) = outside.session();
        let error = session.sql_open("main", access).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{}: {error}", file.display());
        assert_eq!(ledger.denied().len(), 1);
    }
    assert!(!state.join("new.db").exists());
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let database = Database::new("read main");
    for (name, access, hint) in [
        ("main", Access::Write, r#"allow.sql = ["read main", "write main"]"#),
        ("other", Access::Read, r#"allow.sql = ["read main", "read other"]"#),
    ] {
        let error = database.session.sql_open(name, access).await.unwrap_err();
        assert_eq!((error.kind, error.hint.as_deref()), (ErrorKind::Denied, Some(hint)));
    }
    let outside = Outside::default().peer(peer("web", "https://example.com")).sql("read web").sql("read none");
    let (session, _) = outside.session();
    for name in ["web", "none"] {
        assert_eq!(session.sql_open(name, Access::Read).await.unwrap_err().kind, ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn connections_are_counted() {
    let database = Database::new("read main");
    let mut open = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        open.push(database.open(Access::Read).await);
    }
    let error = database.session.sql_open("main", Access::Read).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit);
    open.pop();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while database.session.sql_open("main", Access::Read).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_runs_that_cannot_be_written_down() {
    let database = Database::new("write main");
    let mut connection = database.open(Access::Write).await;
    *database.ledger.broken.lock().unwrap() = true;
    let error = connection.query("DELETE FROM t", vec![]).await.unwrap_err();
    assert!(error.message.contains("the disk is full"), "{error}");
    assert_eq!(database.count(), 3);
}

#[tokio::test]
async fn what_the_database_says_holds_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("data.db").display());
    let outside = Outside::default().peer(peer("main", &url)).sql("write main").secret("s", "hunter2hunter2");
    let (session, ledger) = outside.session();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    let error = connection.query("SELECT hunter2hunter2", vec![]).await.unwrap_err();
    assert!(!error.message.contains("hunter2hunter2") && error.message.contains("[secret]"), "{error}");
    assert!(!format!("{:?}", ledger.used()).contains("hunter2hunter2"));
}
