//! Statements, and whether they pass.

use super::*;

const BOTH: [Dialect; 2] = [Dialect::Postgresql, Dialect::Sqlite];

#[test]
fn reading_statements_pass() {
    for text in [
        "SELECT 1",
        "select 1;",
        "-- x\n/* y */ SELECT 1",
        "((SELECT 1) UNION SELECT 2)",
        "VALUES (1)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
    ] {
        for dialect in BOTH {
            assert_eq!(read(text, dialect), Ok(()), "{text}");
        }
    }
    for text in [
        "TABLE t",
        "SHOW server_version",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN (ANALYZE, BUFFERS) SELECT 1",
        "EXPLAIN (ANALYZE) (SELECT 1)",
        "EXPLAIN (SELECT 1)",
        "EXPLAIN VERBOSE UPDATE t SET a = 1",
        "EXPLAIN (FORMAT json) INSERT INTO t VALUES (1)",
    ] {
        assert_eq!(read(text, Dialect::Postgresql), Ok(()), "{text}");
    }
}

#[test]
fn everything_else_needs_writing() {
    for text in [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "MERGE INTO t USING s ON true",
        "DROP TABLE t",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "START TRANSACTION",
        "SAVEPOINT a",
        "SET ROLE x",
        "SET TRANSACTION READ WRITE",
        "RESET ALL",
        "LOCK t",
        "DO $$BEGIN END$$",
        "CALL p()",
        "COPY t TO STDOUT",
        "COPY t TO PROGRAM 'x'",
        "VACUUM",
        "LISTEN x",
        "NOTIFY x",
        "PREPARE a AS SELECT 1",
        "EXECUTE a",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH c",
        "DISCARD ALL",
        "LOAD 'x'",
        "ATTACH 'x' AS y",
        "REINDEX t",
        "GRANT a TO b",
        "CLUSTER",
        "CHECKPOINT",
        "\"SELECT\" 1",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXPLAIN ANALYSE VERBOSE DELETE FROM t",
        "EXPLAIN (ANALYZE true) DELETE FROM t",
        "EXPLAIN (VERBOSE, ANALYZE) INSERT INTO t VALUES (1)",
        "EXPLAIN (ANALYZE) ANALYZE DELETE FROM t",
        "EXPLAIN CALL p()",
        "EXPLAIN ANALYZE (DELETE FROM t)",
        "EXPLAIN",
        "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
        "EXPLAIN EXECUTE a",
    ] {
        assert!(matches!(read(text, Dialect::Postgresql), Err(Fence::NeedsWrite(_))), "{text}");
    }
    for text in
        ["TABLE t", "SHOW x", "INSERT INTO t VALUES (1)", "VACUUM INTO 'x'", "ATTACH 'x' AS y", "REPLACE INTO t"]
    {
        assert!(matches!(read(text, Dialect::Sqlite), Err(Fence::NeedsWrite(_))), "{text}");
    }
}

#[test]
fn functions_that_reach_further_need_writing_however_they_are_written() {
    for text in [
        "SELECT pg_terminate_backend(1)",
        "SELECT PG_Terminate_Backend(1)",
        "SELECT pg_catalog . \"pg_cancel_backend\" (1)",
        "SELECT * FROM dblink('host=x', 'SELECT 1') AS t (a int)",
        "SELECT dblink_exec('x')",
        "SELECT U&\"\\0070g_cancel_backend\"(1)",
        "VALUES (query_to_xml_and_xmlschema('DELETE FROM t', true, true, ''))",
        "EXPLAIN ANALYZE SELECT ts_stat('SELECT pg_terminate_backend(1)')",
        "WITH a AS (SELECT pg_logical_emit_message(false, 'a', 'b')) SELECT 1",
    ] {
        assert!(matches!(read(text, Dialect::Postgresql), Err(Fence::NeedsWrite(_))), "{text}");
        assert_eq!(write(text, Dialect::Postgresql), Ok(()), "{text}");
    }
    for text in ["SELECT 'pg_terminate_backend(1)'", "SELECT a AS terminated -- dblink\n FROM t", "SELECT $$dblink$$"] {
        assert_eq!(read(text, Dialect::Postgresql), Ok(()), "{text}");
    }
}

#[test]
fn a_query_is_one_statement() {
    for dialect in BOTH {
        for text in ["", ";", "-- x", "SELECT 1; SELECT 2", "SELECT 1\0; DROP TABLE t"] {
            assert!(matches!(read(text, dialect), Err(Fence::Invalid(_))), "{text}");
            assert!(matches!(write(text, dialect), Err(Fence::Invalid(_))), "{text}");
        }
        assert_eq!(write("; DROP TABLE t ;; -- x", dialect), Ok(()));
    }
}

#[test]
fn transactions_are_the_hosts() {
    for dialect in BOTH {
        for text in [
            "begin",
            "Start Transaction",
            "COMMIT",
            "END",
            "ROLLBACK TO x",
            "abort",
            "SAVEPOINT a",
            "RELEASE a",
            "/* x */ COMMIT",
            "COMMIT PREPARED 'x'",
            "PREPARE TRANSACTION 'x'",
            "COPY t FROM '/etc/passwd'",
            "COPY t TO PROGRAM 'id'",
            "COPY (SELECT 1) TO STDOUT",
        ] {
            assert!(matches!(write(text, dialect), Err(Fence::Forbidden(_))), "{text}");
            let script_text = format!("CREATE TABLE t (a int); {text}; DROP TABLE t");
            assert!(matches!(script(&script_text, dialect), Err(Fence::Forbidden(_))), "{text}");
        }
    }
}

#[test]
fn scripts_count_their_statements() {
    for dialect in BOTH {
        assert_eq!(script("CREATE TABLE t (a int); ; INSERT INTO t VALUES (1);", dialect), Ok(2));
        assert_eq!(script("-- nothing", dialect), Ok(0));
    }
    for text in ["ATTACH 'x' AS y", "DETACH y", "VACUUM INTO 'x'"] {
        assert!(matches!(write(text, Dialect::Sqlite), Err(Fence::Forbidden(_))), "{text}");
    }
    assert!(matches!(script("INSERT INTO t VALUES ($1)", Dialect::Sqlite), Err(Fence::Invalid(_))));
    assert_eq!(script("PREPARE a AS SELECT 1; DO $$ BEGIN COMMIT; END $$", Dialect::Postgresql), Ok(2));
}

#[test]
fn markers_are_the_hosts_however_they_are_named() {
    for dialect in BOTH {
        for text in [
            "INSERT INTO pipe_marker VALUES (1)",
            "DELETE FROM public . Pipe_Marker",
            "DROP TABLE \"pipe_marker\"",
            "UPDATE public.pipe_ownership SET run = NULL",
            "CREATE TRIGGER t AFTER INSERT ON pipe_marker EXECUTE FUNCTION f()",
            "ALTER TABLE t RENAME TO pipe_marker",
            "/* a */ alter TABLE t RENAME TO 'Pipe_Marker'",
            "ALTER INDEX pipe_marker_pkey RENAME TO x",
        ] {
            assert!(matches!(write(text, dialect), Err(Fence::Forbidden(_))), "{text}");
            let within = format!("SELECT 1; {text}");
            assert!(matches!(script(&within, dialect), Err(Fence::Forbidden(_))), "{text}");
        }
        assert!(matches!(read("SELECT * FROM pipe_marker", dialect), Err(Fence::Forbidden(_))));
        assert_eq!(write("INSERT INTO t VALUES ('pipe_marker') -- pipe_marker", dialect), Ok(()));
    }
    for text in [
        "DELETE FROM U&\"\\0070ipe_marker\"",
        "DELETE FROM u&\"pipe\\+00005Fmarker\"",
        "DELETE FROM U&\"!0070ipe_marker\" UESCAPE '!'",
        "DELETE FROM U&\"\\00zz\"",
    ] {
        assert!(matches!(write(text, Dialect::Postgresql), Err(Fence::Forbidden(_))), "{text}");
    }
    assert_eq!(write("DELETE FROM U&\"caf\\00e9\"", Dialect::Postgresql), Ok(()));
}

#[test]
fn messages_show_no_text_of_the_guest() {
    let refused = read("drop\u{1b}table t", Dialect::Postgresql);
    assert_eq!(refused, Err(Fence::NeedsWrite("DROP does not only read".to_owned())));
    let refused = read("\"\u{1b}[2J\" t", Dialect::Postgresql);
    assert_eq!(refused, Err(Fence::NeedsWrite("the statement does not only read".to_owned())));
}
