//! PostgreSQL behind the fences, with a real server.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use outside::{Outside, Recorded, peer, proof};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    session::Session,
    sql::{Access, Dialect, SqlConnection, SqlRows, SqlValue},
    world::{Peer, TlsMode},
};
use postgres_server::{PASSWORD, server};

fn main_peer(user: &str) -> Peer {
    let server = server();
    Peer {
        password: Some("db".to_owned()),
        ca: Some(server.ca.clone()),
        ..peer("main", &format!("postgres://{user}@localhost:{}/app", server.port))
    }
}

fn outside(peer: Peer) -> Outside {
    Outside::default().peer(peer).secret("db", PASSWORD)
}

async fn open(user: &str, access: Access) -> (SqlConnection, Arc<Session>, Arc<Recorded>) {
    let (session, ledger) = outside(main_peer(user)).sql(&format!("{access} main")).session();
    (session.sql_open("main", access).await.unwrap(), session, ledger)
}

async fn refused(peer: Peer, access: Access) -> EffectError {
    let (session, _) = outside(peer).sql(&format!("{access} main")).session();
    let error = session.sql_open("main", access).await.unwrap_err();
    tokio::time::timeout(Duration::from_secs(5), session.close()).await.unwrap();
    error
}

fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.to_owned())
}

async fn one(connection: &mut SqlConnection, statement: &str, parameters: Vec<SqlValue>) -> SqlValue {
    connection.query(statement, parameters).await.unwrap_or_else(|error| panic!("{statement}: {error}")).rows[0][0]
        .clone()
}

#[tokio::test]
async fn rows_come_over_tls() {
    let (mut connection, _session, ledger) = open("reader", Access::Read).await;
    assert_eq!(connection.dialect(), Dialect::Postgresql);
    let rows =
        connection.query("SELECT a, b FROM fixed WHERE a <> $1 ORDER BY a", vec![SqlValue::Integer(2)]).await.unwrap();
    assert_eq!(rows.columns, ["a", "b"]);
    assert_eq!(rows.rows, [[SqlValue::Integer(1), text("one")], [SqlValue::Integer(3), SqlValue::Null]]);
    assert_eq!(rows.affected, 0);
    let encrypted = one(&mut connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", vec![]).await;
    assert_eq!(encrypted, SqlValue::Boolean(true));
    assert_eq!(one(&mut connection, "SHOW application_name", vec![]).await, text("pipe/test"));
    let statement = "SELECT a, b FROM fixed WHERE a <> $1 ORDER BY a";
    assert_eq!(
        ledger.used()[..3],
        ["sql read main: open", "secrets db to main (password)", &format!("sql read main: {statement}")]
    );
    let uses = ledger.uses.lock().unwrap();
    assert_eq!((uses[1].rule.as_str(), uses[2].proof), ("read main", proof("sql", statement)));
}

#[tokio::test]
async fn logins_that_fail_are_told() {
    let server = server();
    let url =
        |host: &str, user: &str, path: &str| format!("postgres://{user}@{host}:{}{path}", server.port).parse().unwrap();
    let wrong_ca = Peer { ca: Some(server.other_ca.clone()), ..main_peer("reader") };
    let no_ca = Peer { ca: None, ..main_peer("reader") };
    let wrong_name = Peer { url: url("127.0.0.1", "reader", "/app"), ..main_peer("reader") };
    for (peer, what) in [
        (wrong_ca, "comes from an unknown authority"),
        (no_ca, "comes from an unknown authority"),
        (wrong_name, "the certificate is for `localhost`, not for `127.0.0.1`"),
    ] {
        let error = refused(peer, Access::Read).await;
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains(what) && error.hint.is_some(), "{error}");
    }

    let (session, _) =
        Outside::default().peer(main_peer("reader")).secret("db", "wrong-password").sql("read main").session();
    let error = session.sql_open("main", Access::Read).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some("28P01")), "{error}");
    assert!(error.hint.unwrap().contains("`db`"));

    let nobody = refused(Peer { password: None, ..main_peer("reader") }, Access::Read).await;
    assert_eq!(nobody.kind, ErrorKind::Invalid, "{nobody}");
    let nowhere =
        refused(Peer { url: url("localhost", "reader", "/missing"), ..main_peer("reader") }, Access::Read).await;
    assert_eq!(nowhere.code.as_deref(), Some("3D000"), "{nowhere}");
    for path in ["", "/"] {
        assert_eq!(
            refused(Peer { url: url("localhost", "reader", path), ..main_peer("reader") }, Access::Read).await.kind,
            ErrorKind::Invalid
        );
    }
    let no_user =
        Peer { url: format!("postgres://localhost:{}/app", server.port).parse().unwrap(), ..main_peer("reader") };
    assert_eq!(refused(no_user, Access::Read).await.kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn addresses_and_passwords_are_guarded() {
    let refused_address = refused(Peer { addresses: vec![], ..main_peer("reader") }, Access::Read).await;
    assert_eq!(refused_address.kind, ErrorKind::Denied);
    assert!(refused_address.hint.unwrap().starts_with("addresses = ["));

    let clear = Peer { tls: TlsMode::Disable, ..peer("main", "postgres://u@93.184.216.34/d") };
    let error = refused(Peer { password: Some("db".to_owned()), ..clear }, Access::Read).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("in the clear"), "{error}");

    let (session, _) = outside(Peer { tls: TlsMode::Disable, ..main_peer("reader") }).sql("read main").session();
    let mut connection = session.sql_open("main", Access::Read).await.unwrap();
    let encrypted = one(&mut connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", vec![]).await;
    assert_eq!(encrypted, SqlValue::Boolean(false));
}

#[tokio::test]
async fn a_server_without_tls_is_not_trusted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"N").await.unwrap();
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await.unwrap();
        rest
    });
    let url = format!("postgres://reader@localhost:{port}/app").parse().unwrap();
    let error = refused(Peer { url, ..main_peer("reader") }, Access::Read).await;
    assert!(error.message.contains("does not offer TLS"), "{error}");
    assert_eq!(server.await.unwrap(), b"", "something was sent in the clear");
}

#[tokio::test]
async fn only_plain_logins_read() {
    for (user, what) in
        [("postgres", "is a superuser"), ("sneaky", "member of `pg_execute_server_program`"), ("climber", "member of")]
    {
        let error = refused(main_peer(user), Access::Read).await;
        assert_eq!(error.kind, ErrorKind::Denied, "{user}");
        assert!(error.message.contains(what), "{error}");
    }
    drop(open("writer", Access::Read).await);
    drop(open("sneaky", Access::Write).await);
    let (_connection, _session, ledger) = open("postgres", Access::Write).await;
    assert!(ledger.logs.lock().unwrap()[0].1.contains("`postgres` is a superuser"));
}

#[tokio::test]
async fn reading_only_reads() {
    let (mut connection, session, ledger) = open("writer", Access::Read).await;
    for statement in [
        "INSERT INTO fixed VALUES (9, 'x')",
        "DELETE FROM fixed",
        "WITH gone AS (DELETE FROM fixed RETURNING *) SELECT * FROM gone",
        "SELECT a INTO other FROM fixed",
        "SELECT * FROM fixed FOR UPDATE",
        "SELECT wipe()",
        "SELECT nextval('counter')",
        "SELECT setval('counter', 100)",
        "SELECT * FROM (SELECT set_config('transaction_read_only', 'off', false)) x, LATERAL (SELECT wipe() OFFSET 0) y",
        "EXPLAIN ANALYZE DELETE FROM fixed",
        "EXPLAIN (ANALYZE, COSTS off) WITH gone AS (DELETE FROM fixed RETURNING *) SELECT * FROM gone",
        "BEGIN",
        "COMMIT",
        "START TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "SET SESSION AUTHORIZATION writer",
        "RESET ALL",
        "LOCK fixed",
        "DO $$ BEGIN DELETE FROM fixed; END $$",
        "CALL anything()",
        "COPY fixed TO STDOUT",
        "COPY fixed FROM STDIN",
        "COPY fixed TO PROGRAM 'cat > /tmp/x'",
        "VACUUM",
        "LISTEN x",
        "PREPARE p AS DELETE FROM fixed",
        "DECLARE c CURSOR FOR SELECT 1",
        "CREATE TEMP TABLE x (a int)",
        "TRUNCATE fixed",
    ] {
        let Err(error) = connection.query(statement, vec![]).await else { panic!("{statement} ran") };
        // What sets the transaction to writing fails as such, before the write.
        let is_setting = error.code.as_deref() == Some("25001") || error.code.as_deref() == Some("22023");
        assert!(error.kind == ErrorKind::Denied || is_setting, "{statement}: {error}");
        if error.kind == ErrorKind::Denied {
            assert_eq!(error.hint.as_deref(), Some(r#"allow.sql = ["read main", "write main"]"#), "{statement}");
        }
    }
    for statement in ["SELECT 1; DELETE FROM fixed", "SELECT 1; COMMIT; DELETE FROM fixed; BEGIN", ""] {
        assert_eq!(connection.query(statement, vec![]).await.unwrap_err().kind, ErrorKind::Invalid);
    }
    assert_eq!(connection.script("SELECT 1").await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(connection.begin().await.unwrap_err().kind, ErrorKind::Denied);
    // Settings end with the statement that makes them.
    for (setting, value) in
        [("default_transaction_read_only", "off"), ("statement_timeout", "0"), ("standard_conforming_strings", "off")]
    {
        let statement = format!("SELECT set_config('{setting}', '{value}', false)");
        assert_eq!(one(&mut connection, &statement, vec![]).await, text(value));
        assert_ne!(one(&mut connection, &format!("SHOW {setting}"), vec![]).await, text(value));
    }
    assert_eq!(one(&mut connection, "SHOW transaction_read_only", vec![]).await, text("on"));
    one(&mut connection, "SELECT lo_create(0)", vec![]).await;
    for statement in
        ["TABLE fixed", "VALUES (1)", "EXPLAIN DELETE FROM fixed", "EXPLAIN ANALYZE SELECT 1", "((SELECT 1))"]
    {
        connection.query(statement, vec![]).await.unwrap();
    }
    session.close().await;
    assert_eq!(server().number("SELECT count(*) FROM fixed").await, 3);
    assert_eq!(server().number("SELECT count(*) FROM pg_largeobject_metadata").await, 0);
    assert_eq!(server().number("SELECT last_value FROM counter").await, 1);
    assert!(ledger.denied().len() > 20);
    assert!(ledger.used().iter().all(|used| !used.ends_with('!')));
}

/// What a reader may ask of a server that could touch more than tables, one by one: refused by our own fence, by the login's
/// rights, or by the transaction. `Denied` comes with a line that would help; a server's own refusal says why.
#[tokio::test]
async fn a_reader_reaches_nothing_beside_the_tables() {
    let (mut connection, session, ledger) = open("reader", Access::Read).await;
    let refused: &[(&str, Option<&str>)] = &[
        // Our fence, before any server sees it.
        ("COPY fixed TO PROGRAM 'id'", None),
        ("COPY fixed TO '/tmp/pipe-copy'", None),
        ("COPY fixed FROM '/etc/passwd'", None),
        ("DO $$ BEGIN PERFORM pg_sleep(0); END $$", None),
        ("LOCK TABLE fixed IN ACCESS EXCLUSIVE MODE", None),
        ("PREPARE TRANSACTION 'x'", None),
        ("COMMIT PREPARED 'x'", None),
        ("LISTEN x", None),
        ("NOTIFY x, 'payload'", None),
        ("UNLISTEN *", None),
        ("SET TRANSACTION READ WRITE", None),
        ("SET default_transaction_read_only = off", None),
        ("LOAD '/tmp/evil.so'", None),
        ("ALTER SYSTEM SET archive_command = 'id'", None),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", None),
        ("CREATE EXTENSION dblink", None),
        ("REFRESH MATERIALIZED VIEW v", None),
        ("EXPLAIN ANALYZE INSERT INTO fixed VALUES (9, 'x')", None),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", None),
        ("SELECT pg_cancel_backend(pid) FROM pg_stat_activity", None),
        ("SELECT dblink_exec('dbname=app', 'DELETE FROM fixed')", None),
        ("SELECT query_to_xml('DELETE FROM fixed', true, true, '')", None),
        // The transaction.
        ("SELECT nextval('counter')", Some("25006")),
        ("SELECT * FROM fixed FOR UPDATE", Some("25006")),
        ("SELECT * FROM fixed FOR KEY SHARE", Some("25006")),
        ("WITH gone AS (UPDATE fixed SET b = 'x' RETURNING *) SELECT * FROM gone", Some("25006")),
        ("SELECT set_config('transaction_read_only', 'off', false)", Some("25001")),
        ("SELECT set_config('transaction_read_only', 'off', true)", Some("25001")),
        // The login's rights.
        ("SELECT pg_read_file('/etc/passwd')", Some("42501")),
        ("SELECT pg_read_binary_file('/etc/passwd')", Some("42501")),
        ("SELECT pg_ls_dir('/')", Some("42501")),
        ("SELECT pg_stat_file('/etc/passwd')", Some("42501")),
        ("SELECT pg_reload_conf()", Some("42501")),
        ("SELECT pg_rotate_logfile()", Some("42501")),
        ("SELECT pg_switch_wal()", Some("42501")),
        ("SELECT lo_export(1, '/tmp/pipe-lo')", Some("42501")),
        ("SELECT lo_import('/etc/passwd')", Some("42501")),
        ("SELECT set_config('session_replication_role', 'replica', false)", Some("42501")),
        ("SELECT set_config('role', 'postgres', false)", Some("42501")),
        ("SELECT set_config('session_authorization', 'postgres', false)", Some("42501")),
    ];
    for &(statement, code) in refused {
        let Err(error) = connection.query(statement, vec![]).await else { panic!("{statement} ran") };
        match code {
            None => assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Denied, None), "{statement}: {error}"),
            // PostgreSQL says which: of several walls the first one counts.
            Some(code) => assert_eq!(error.code.as_deref(), Some(code), "{statement}: {error}"),
        }
    }
    session.close().await;
    assert_eq!(server().number("SELECT count(*) FROM fixed").await, 3);
    assert!(!std::path::Path::new("/tmp/pipe-copy").exists() && !std::path::Path::new("/tmp/pipe-lo").exists());
    assert!(ledger.denied().len() >= 18);
}

/// What a reader may do although it looks like more: it ends with its statement, and nothing of it stays.
#[tokio::test]
async fn what_a_reader_leaves_behind_ends_with_the_statement() {
    let (mut connection, session, _) = open("reader", Access::Read).await;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    for lock in ["pg_advisory_xact_lock", "pg_advisory_lock", "pg_try_advisory_lock_shared"] {
        connection.query(&format!("SELECT {lock}(4711)"), vec![]).await.unwrap();
        assert_eq!(server().number(locks).await, 0, "{lock}");
    }
    connection.query("SELECT pg_notify('x', 'y')", vec![]).await.unwrap();
    connection.query("SELECT set_config('search_path', 'evil', false)", vec![]).await.unwrap();
    assert_ne!(one(&mut connection, "SHOW search_path", vec![]).await, text("evil"));
    session.close().await;
}

#[tokio::test]
async fn do_blocks_run_under_write_alone_and_are_proven() {
    let (mut connection, _session, ledger) = open("writer", Access::Write).await;
    let block = "DO $$ BEGIN PERFORM 'Meier'; END $$";
    connection.query(block, vec![]).await.unwrap();
    let last = ledger.uses.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.subject.as_str(), last.proof, last.effect), ("write main: DO ?", proof("sql", block), true));
    // The server keeps such a block from its programs and files, whatever is in it.
    for body in ["COPY fixed TO PROGRAM ''id''", "COPY fixed TO ''/tmp/x''", "SELECT pg_read_file(''/etc/passwd'')"] {
        let error = connection.query(&format!("DO $$ BEGIN EXECUTE '{body}'; END $$"), vec![]).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("42501"), "{body}: {error}");
    }
}

#[tokio::test]
async fn values_out_of_the_database() {
    let (mut connection, _session, _) = open("reader", Access::Read).await;
    for (expression, value) in [
        ("true", SqlValue::Boolean(true)),
        ("1::int2", SqlValue::Integer(1)),
        ("-2::int4", SqlValue::Integer(-2)),
        ("9223372036854775807::int8", SqlValue::Integer(i64::MAX)),
        ("7::oid", SqlValue::Integer(7)),
        ("1.5::float4", SqlValue::Float(1.5)),
        ("'-Infinity'::float8", SqlValue::Float(f64::NEG_INFINITY)),
        ("'x'::text", text("x")),
        ("'x'::varchar(5)", text("x")),
        ("'x'::char(3)", text("x  ")),
        ("'x'::name", text("x")),
        ("'x'", text("x")),
        ("'x'::\"char\"", text("x")),
        ("'\\x00ff'::bytea", SqlValue::Bytes(vec![0, 255])),
        ("NULL::int", SqlValue::Null),
        ("'{\"a\": 1}'::json", text("{\"a\": 1}")),
        ("'{\"a\":1}'::jsonb", text("{\"a\": 1}")),
        ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("12345.6780::numeric", text("12345.6780")),
        ("-0.00012::numeric", text("-0.00012")),
        ("100000000000000000000::numeric", text("100000000000000000000")),
        ("'NaN'::numeric", text("NaN")),
        ("'2026-11-23 02:15:00.5'::timestamp", text("2026-11-23T02:15:00.5")),
        ("'2026-11-23 02:15:00+01'::timestamptz", text("2026-11-23T01:15:00Z")),
        ("'infinity'::timestamptz", text("infinity")),
        ("'0044-03-15 BC'::date", text("-0043-03-15")),
        ("'2026-11-23'::date", text("2026-11-23")),
        ("'02:15'::time", text("02:15:00")),
        ("'02:15+05:30'::timetz", text("02:15:00+05:30")),
        ("'1 year 2 months 3 days 04:05:06.5'::interval", text("P1Y2M3DT4H5M6.5S")),
        ("'10.0.0.1'::inet", text("10.0.0.1")),
        ("'fe80::1/64'::inet", text("fe80::1/64")),
        ("'10.0.0.0/8'::cidr", text("10.0.0.0/8")),
        ("'08:00:2b:01:02:03'::macaddr", text("08:00:2b:01:02:03")),
        ("B'101'", text("101")),
        ("'16/B374D848'::pg_lsn", text("16/B374D848")),
        ("'ok'::mood", text("ok")),
        ("7::small", SqlValue::Integer(7)),
        ("ARRAY[1,2,NULL]", text("{1,2,NULL}")),
        ("ARRAY[[1,2],[3,4]]", text("{{1,2},{3,4}}")),
        ("'[0:1]={a,b}'::text[]", text("[0:1]={a,b}")),
        ("ARRAY['a b', 'q\"', '', 'null', 'ä']", text(r#"{"a b","q\"","","null",ä}"#)),
        ("ARRAY[]::int[]", text("{}")),
        ("ARRAY[true, false]", text("{t,f}")),
        ("ARRAY['ok']::mood[]", text("{ok}")),
        ("pg_sleep(0)", SqlValue::Null),
    ] {
        assert_eq!(one(&mut connection, &format!("SELECT {expression}"), vec![]).await, value, "{expression}");
    }
    for expression in ["ROW(1, 2)", "'[1,2]'::int4range", "'1'::money", "'(1,2)'::point", "'a'::tsvector"] {
        let statement = format!("SELECT {expression} AS odd");
        let mut fresh = open("reader", Access::Read).await.0;
        let error = fresh.query(&statement, vec![]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{expression}: {error}");
        assert!(error.message.contains("`odd`") && error.hint.unwrap().contains("::text"));
        one(&mut connection, &format!("SELECT ({expression})::text"), vec![]).await;
    }
}

#[tokio::test]
async fn values_into_the_database() {
    let (mut connection, _session, _) = open("reader", Access::Read).await;
    for (ty, value, shown) in [
        ("bool", SqlValue::Boolean(true), "true"),
        ("text", SqlValue::Boolean(true), "true"),
        ("int2", SqlValue::Integer(-5), "-5"),
        ("int4", SqlValue::Integer(5), "5"),
        ("int8", SqlValue::Integer(i64::MIN), "-9223372036854775808"),
        ("int4", text("12"), "12"),
        ("float4", SqlValue::Float(1.5), "1.5"),
        ("float8", SqlValue::Float(1e300), "1e+300"),
        ("float8", SqlValue::Float(f64::NAN), "NaN"),
        ("float8", SqlValue::Float(f64::INFINITY), "Infinity"),
        ("float8", SqlValue::Integer(3), "3"),
        ("numeric", text("12345.67800"), "12345.67800"),
        ("numeric", SqlValue::Integer(7), "7"),
        ("text", text("a'b\\c"), "a'b\\c"),
        ("varchar", text("x"), "x"),
        ("name", text("x"), "x"),
        ("json", text("{\"a\":1}"), "{\"a\":1}"),
        ("jsonb", text("{\"a\":1}"), "{\"a\": 1}"),
        ("uuid", text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("timestamptz", text("2026-11-23T02:15:00Z"), "2026-11-23 02:15:00+00"),
        ("timestamp", text("2026-11-23T02:15:00"), "2026-11-23 02:15:00"),
        ("date", text("2026-11-23"), "2026-11-23"),
        ("interval", text("P1DT2H"), "1 day 02:00:00"),
        ("bytea", SqlValue::Bytes(vec![0, 255]), "\\x00ff"),
        ("int[]", text("{1,2}"), "{1,2}"),
        ("mood", text("sad"), "sad"),
        ("small", SqlValue::Integer(9), "9"),
        ("inet", text("10.0.0.1"), "10.0.0.1/32"),
    ] {
        // The time zone is the server's: the text form of a point in time depends on it.
        let statement = if ty == "timestamptz" {
            "SELECT ($1::timestamptz AT TIME ZONE 'UTC')::text || '+00'".to_owned()
        } else {
            format!("SELECT $1::{ty}::text")
        };
        assert_eq!(one(&mut connection, &statement, vec![value.clone()]).await, text(shown), "{ty} {value:?}");
    }
    assert_eq!(one(&mut connection, "SELECT $1::int IS NULL", vec![SqlValue::Null]).await, SqlValue::Boolean(true));
    for (statement, parameters) in [
        ("SELECT $1::int", vec![]),
        ("SELECT 1", vec![SqlValue::Null]),
        ("SELECT $1::int", vec![SqlValue::Bytes(vec![1])]),
        ("SELECT $1::bytea", vec![text("x")]),
        ("SELECT $1::text", vec![text("a\0b")]),
    ] {
        assert_eq!(connection.query(statement, parameters).await.unwrap_err().kind, ErrorKind::Invalid, "{statement}");
    }
    for (ty, value, code) in [
        ("int2", SqlValue::Integer(70_000), "22003"),
        ("uuid", text("x"), "22P02"),
        ("small", SqlValue::Integer(500), "23514"),
    ] {
        let error = connection.query(&format!("SELECT $1::{ty}"), vec![value]).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some(code)), "{error}");
    }
    assert_eq!(one(&mut connection, "SELECT 1", vec![]).await, SqlValue::Integer(1));
}

#[tokio::test]
async fn writing_counts_and_commits() {
    let (mut connection, session, ledger) = open("writer", Access::Write).await;
    connection
        .script("CREATE TABLE counted (a int, b text); INSERT INTO counted VALUES (1, 'x'), (2, 'y')")
        .await
        .unwrap();
    let rows = connection
        .query("INSERT INTO counted VALUES ($1, $2) RETURNING a", vec![SqlValue::Integer(3), text("z")])
        .await
        .unwrap();
    assert_eq!(rows, SqlRows { columns: vec!["a".to_owned()], rows: vec![vec![SqlValue::Integer(3)]], affected: 1 });
    assert_eq!(connection.query("UPDATE counted SET b = 'w'", vec![]).await.unwrap().affected, 3);
    assert_eq!(connection.query("SELECT * FROM counted", vec![]).await.unwrap().affected, 0);
    let both = "WITH gone AS (DELETE FROM counted WHERE a = 1 RETURNING *) SELECT a FROM gone";
    assert_eq!(connection.query(both, vec![]).await.unwrap().affected, 0);
    let verb = "WITH which AS (SELECT 2 AS a) DELETE FROM counted USING which WHERE counted.a = which.a";
    assert_eq!(connection.query(verb, vec![]).await.unwrap().affected, 1);
    assert_eq!(server().number("SELECT count(*) FROM counted").await, 1);
    connection.query("CREATE INDEX CONCURRENTLY counted_a ON counted (a)", vec![]).await.unwrap();
    connection.query("VACUUM counted", vec![]).await.unwrap();
    connection.query("DO $$ BEGIN DELETE FROM counted; COMMIT; END $$", vec![]).await.unwrap();
    assert_eq!(server().number("SELECT count(*) FROM counted").await, 0);
    let used = ledger.used();
    assert!(used.contains(&"sql write main: UPDATE counted SET b = ? !".to_owned()), "{used:?}");

    connection.begin().await.unwrap();
    assert_eq!(connection.begin().await.unwrap_err().kind, ErrorKind::Invalid);
    connection.query("INSERT INTO counted VALUES (1)", vec![]).await.unwrap();
    assert_eq!(server().number("SELECT count(*) FROM counted").await, 0);
    connection.commit().await.unwrap();
    assert_eq!(server().number("SELECT count(*) FROM counted").await, 1);
    assert_eq!(connection.commit().await.unwrap_err().kind, ErrorKind::Invalid);
    connection.begin().await.unwrap();
    connection.query("DELETE FROM counted", vec![]).await.unwrap();
    connection.rollback().await.unwrap();
    connection.begin().await.unwrap();
    connection.query("DELETE FROM counted", vec![]).await.unwrap();
    drop(connection);
    session.close().await;
    assert_eq!(server().number("SELECT count(*) FROM counted").await, 1);
}

#[tokio::test]
async fn a_failed_transaction_is_not_committed() {
    let (mut connection, _session, _) = open("writer", Access::Write).await;
    connection
        .script("CREATE TABLE failing (a int PRIMARY KEY, b int REFERENCES failing DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    connection.begin().await.unwrap();
    connection.query("INSERT INTO failing VALUES (1, 1)", vec![]).await.unwrap();
    let error = connection.query("INSERT INTO failing VALUES (1, 1)", vec![]).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some("23505")));
    let error = connection.commit().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some("25P02")), "{error}");
    assert_eq!(server().number("SELECT count(*) FROM failing").await, 0);

    connection.begin().await.unwrap();
    connection.query("INSERT INTO failing VALUES (2, 99)", vec![]).await.unwrap();
    let error = connection.commit().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some("23503")), "{error}");
    connection.query("INSERT INTO failing VALUES (3, 3)", vec![]).await.unwrap();
    assert_eq!(server().number("SELECT count(*) FROM failing").await, 1);
}

#[tokio::test]
async fn a_script_is_all_or_nothing() {
    let (mut connection, _session, _) = open("writer", Access::Write).await;
    connection.script("CREATE TABLE scripted (a int)").await.unwrap();
    let error = connection.script("INSERT INTO scripted VALUES (1); SELECT 1/0").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("22012"));
    assert_eq!(server().number("SELECT count(*) FROM scripted").await, 0);
    for text in [
        "COMMIT",
        "BEGIN",
        "ROLLBACK",
        "END",
        "SAVEPOINT a",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'x'",
        "COPY scripted FROM PROGRAM 'id'",
        "COPY scripted TO '/tmp/x'",
        "COPY scripted FROM STDIN",
        "SELECT 1; /* ; */ -- ;\n COMMIT",
    ] {
        let script = format!("INSERT INTO scripted VALUES (1); {text}; INSERT INTO scripted VALUES (2)");
        assert_eq!(connection.script(&script).await.unwrap_err().kind, ErrorKind::Denied, "{text}");
        assert!(
            matches!(connection.query(text, vec![]).await.unwrap_err().kind, ErrorKind::Denied | ErrorKind::Invalid),
            "{text}"
        );
    }
    assert_eq!(server().number("SELECT count(*) FROM scripted").await, 0);
    connection
        .script(
            "CREATE FUNCTION body(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN x = 1 THEN 2 END; SELECT x; END;
             CREATE FUNCTION text_body() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN ';'; END $f$;
             DO $$ BEGIN INSERT INTO scripted VALUES (7); END $$;
             INSERT INTO scripted SELECT body(5)",
        )
        .await
        .unwrap();
    assert_eq!(server().number("SELECT sum(a) FROM scripted").await, 12);
}

#[tokio::test]
async fn no_setting_of_the_guest_hides_a_commit() {
    let (mut connection, _session, _) = open("writer", Access::Write).await;
    connection.script("CREATE TABLE hidden (a int)").await.unwrap();
    connection.query("SELECT set_config('standard_conforming_strings', 'off', false)", vec![]).await.unwrap();
    connection.query("SELECT set_config('backslash_quote', 'on', false)", vec![]).await.unwrap();
    connection.begin().await.unwrap();
    connection.query("INSERT INTO hidden VALUES (1)", vec![]).await.unwrap();
    // With the guest's setting the server would see a COMMIT here, where the fence sees a string.
    connection.script(r"SELECT '\''; COMMIT; --'").await.unwrap();
    connection.rollback().await.unwrap();
    assert_eq!(server().number("SELECT count(*) FROM hidden").await, 0);
}

#[tokio::test]
async fn too_much_is_an_error_and_leaves_no_change() {
    for statement in [
        "SELECT generate_series(1, 10001)",
        "SELECT generate_series(1, 1000000000)",
        "SELECT repeat('x', 9000000)",
        "SELECT repeat('x', 200000000)",
        "SELECT repeat('x', 1000000) FROM generate_series(1, 100)",
    ] {
        let (mut connection, session, _) = open("reader", Access::Read).await;
        let error = connection.query(statement, vec![]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Limit, "{statement}: {error}");
        let error = connection.query("SELECT 1", vec![]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        tokio::time::timeout(Duration::from_secs(5), session.close()).await.unwrap();
    }
    let (mut connection, session, _) = open("writer", Access::Write).await;
    connection.script("CREATE TABLE limited (a int)").await.unwrap();
    let error =
        connection.query("INSERT INTO limited SELECT generate_series(1, 10001) RETURNING a", vec![]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");
    session.close().await;
    assert_eq!(server().number("SELECT count(*) FROM limited").await, 0);
    let (mut connection, ..) = open("reader", Access::Read).await;
    assert_eq!(connection.query("SELECT generate_series(1, 10000)", vec![]).await.unwrap().rows.len(), 10_000);
}

async fn running(mark: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{mark}%' AND pid <> pg_backend_pid()"
    );
    server().number(&sql).await
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_session_ends_its_statements() {
    for (user, access, mark) in [("reader", Access::Read, "mark_read"), ("writer", Access::Write, "mark_write")] {
        let (mut connection, session, _) = open(user, access).await;
        let statement = format!("SELECT pg_sleep(60) AS {mark}");
        let asking = tokio::spawn(async move { (connection.query(&statement, vec![]).await, connection) });
        until("it runs", async || running(mark).await == 1).await;
        let started = Instant::now();
        session.close().await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(running(mark).await, 0);
        let (result, mut connection) = asking.await.unwrap();
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TimedOut);
        assert_eq!(error.message.contains("nobody knows"), access == Access::Write, "{error}");
        assert_eq!(connection.query("SELECT 1", vec![]).await.unwrap_err(), EffectError::cancelled());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_goes_away_ends_its_statement() {
    let (mut connection, session, _) = open("reader", Access::Read).await;
    let asking =
        tokio::spawn(async move { connection.query("SELECT pg_sleep(60) AS mark_gone", vec![]).await.map(drop) });
    until("it runs", async || running("mark_gone").await == 1).await;
    asking.abort();
    until("it ends", async || running("mark_gone").await == 0).await;
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_closes_while_connections_are_held() {
    let (mut connection, session, _) = open("writer", Access::Write).await;
    connection.begin().await.unwrap();
    let pid = one(&mut connection, "SELECT pg_backend_pid()", vec![]).await;
    let SqlValue::Integer(pid) = pid else { panic!("{pid:?}") };
    tokio::time::timeout(Duration::from_secs(5), session.close()).await.unwrap();
    until("the backend ends", async || {
        server().number(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")).await == 0
    })
    .await;
    assert_eq!(connection.commit().await.unwrap_err(), EffectError::cancelled());
}

/// A table whose commit takes two seconds.
async fn slow_table(name: &str) {
    let sql = format!(
        "CREATE TABLE {name} (a int); GRANT ALL ON {name} TO writer;
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {name} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
    );
    server().admin().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_knows_what_became_of_a_commit_that_was_cut_off() {
    slow_table("cut_off").await;
    let (mut connection, session, _) = open("writer", Access::Write).await;
    connection.begin().await.unwrap();
    connection.query("INSERT INTO cut_off VALUES (1)", vec![]).await.unwrap();
    let committing = tokio::spawn(async move { connection.commit().await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    session.close().await;
    let error = committing.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("nobody knows whether it was committed"), "{error}");
    // The session waited for the server's word: what is seen now stays so.
    assert_eq!(server().number("SELECT count(*) FROM cut_off").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_knows_what_became_of_a_commit_when_the_server_goes() {
    slow_table("gone_away").await;
    let (mut connection, _session, _) = open("writer", Access::Write).await;
    let SqlValue::Integer(pid) = one(&mut connection, "SELECT pg_backend_pid()", vec![]).await else {
        panic!("no pid")
    };
    connection.begin().await.unwrap();
    connection.query("INSERT INTO gone_away VALUES (1)", vec![]).await.unwrap();
    let committing = tokio::spawn(async move { (connection.commit().await, connection) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    server().admin().await.batch_execute(&format!("SELECT pg_terminate_backend({pid})")).await.unwrap();
    let (result, mut connection) = committing.await.unwrap();
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut, "{error}");
    assert!(error.message.contains("nobody knows whether it was committed"), "{error}");
    assert_eq!(connection.query("SELECT 1", vec![]).await.unwrap_err().kind, ErrorKind::Unavailable);

    // Within a transaction it is known: it was rolled back.
    let (mut connection, ..) = open("writer", Access::Write).await;
    let SqlValue::Integer(pid) = one(&mut connection, "SELECT pg_backend_pid()", vec![]).await else {
        panic!("no pid")
    };
    connection.begin().await.unwrap();
    server().admin().await.batch_execute(&format!("SELECT pg_terminate_backend({pid})")).await.unwrap();
    let error = connection.query("SELECT 1", vec![]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("rolled back"), "{error}");
}

#[tokio::test]
async fn what_the_server_says_holds_no_secret() {
    let (session, ledger) = outside(main_peer("writer")).secret("other", "hunter2hunter2").sql("write main").session();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    connection.script("DO $$ BEGIN RAISE WARNING 'it is hunter2hunter2\n!'; END $$").await.unwrap();
    let error = connection.query("SELECT hunter2hunter2", vec![]).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("42703"));
    assert!(error.message.contains("[secret]"), "{error}");
    let logs = ledger.logs.lock().unwrap().clone();
    assert!(logs.iter().any(|(_, line)| line == "main: WARNING: it is [secret] !"), "{logs:?}");
    assert!(!format!("{logs:?}{:?}", ledger.used()).contains("hunter2"));
}

#[tokio::test]
async fn a_client_certificate_is_a_login() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let certificate = server.authority.issue_client("certain");
    let peer = Peer { password: None, client: Some(certificate.write(directory.path())), ..main_peer("certain") };
    let (session, _) = Outside::default().peer(peer).secret("key", &certificate.key).sql("write main").session();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    assert_eq!(one(&mut connection, "SELECT current_user::text", vec![]).await, text("certain"));

    let stranger = server.authority.issue_client("stranger");
    let peer = Peer { password: None, client: Some(stranger.write(directory.path())), ..main_peer("certain") };
    let (session, _) = Outside::default().peer(peer).secret("key", &stranger.key).sql("write main").session();
    let error = session.sql_open("main", Access::Write).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("28000"), "{error}");
}
