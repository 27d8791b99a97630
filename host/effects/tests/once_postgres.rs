//! SQL takes effect once, with a real PostgreSQL: transactions and their markers, and what becomes of both when the
//! connection dies around a commit.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "support/severing_proxy.rs"]
mod severing_proxy;

use std::sync::Arc;

use outside::{Outside, Recorded, marking, peer};
use pipe_effects::{
    error::ErrorKind,
    session::Session,
    sql::{Access, Marking, Phase, SqlConnection, SqlRows, SqlValue},
    world::{Peer, TlsMode},
};
use postgres_server::{PASSWORD, server};
use severing_proxy::{Dies, severing};

fn at(port: u16, user: &str, database: &str) -> Peer {
    let url = format!("postgres://{user}@127.0.0.1:{port}/{database}");
    Peer { password: Some("db".to_owned()), tls: TlsMode::Disable, ..peer("main", &url) }
}

fn session(peer: Peer, step: &str, marking: Marking) -> (Arc<Session>, Arc<Recorded>) {
    Outside::default().peer(peer).secret("db", PASSWORD).sql("write main").attempt(step, marking)
}

/// An attempt at a step of the run with this number.
async fn attempt(run: u32) -> (SqlConnection, Arc<Session>, Arc<Recorded>) {
    let (session, ledger) = session(at(server().port, "writer", "app"), "test", marking(run));
    (session.sql_open("main", Access::Write).await.unwrap(), session, ledger)
}

/// A table of `writer`'s.
async fn table(name: &str) {
    let made = format!("CREATE TABLE {name} (a int, b text); ALTER TABLE {name} OWNER TO writer");
    server().admin().await.batch_execute(&made).await.unwrap();
}

async fn count(table: &str) -> i64 {
    server().number(&format!("SELECT count(*) FROM {table}")).await
}

/// An empty database, with what `writer` may there.
async fn database(name: &str, rights: &str) -> tokio_postgres::Client {
    server().admin().await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server().port).user("postgres").password(PASSWORD).dbname(name);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(rights).await.unwrap();
    client
}

fn integer(number: i64) -> SqlValue {
    SqlValue::Integer(number)
}

/// What a step does, one way after the other. What it was answered.
async fn everything(connection: &mut SqlConnection, table: &str) -> Vec<SqlRows> {
    let mut answers = Vec::new();
    let one = format!("INSERT INTO {table} VALUES ($1, 'one'), (2, 'two')");
    answers.push(connection.query(&one, vec![integer(1)]).await.unwrap());
    // The same once more is another transaction.
    answers.push(connection.query(&one, vec![integer(1)]).await.unwrap());
    answers.push(connection.query(&format!("UPDATE {table} SET b = 'changed' WHERE a = 2"), vec![]).await.unwrap());
    let returning = format!("INSERT INTO {table} VALUES (3, NULL) RETURNING a, b, now()::text");
    answers.push(connection.query(&returning, vec![]).await.unwrap());
    let script = format!("INSERT INTO {table} VALUES (4, 'script'); INSERT INTO {table} VALUES (5, 'script')");
    answers.push(connection.script(&script).await.unwrap());
    connection.begin().await.unwrap();
    connection.query("SET LOCAL lock_timeout = '5s'", vec![]).await.unwrap();
    answers.push(connection.query(&format!("INSERT INTO {table} VALUES (6, 'begun')"), vec![]).await.unwrap());
    answers.push(connection.script(&format!("INSERT INTO {table} VALUES (7, 'begun')")).await.unwrap());
    answers.push(connection.query(&format!("DELETE FROM {table} WHERE a = 1 RETURNING b"), vec![]).await.unwrap());
    connection.commit().await.unwrap();
    answers
}

#[tokio::test]
async fn what_an_attempt_has_committed_another_one_does_not_repeat() {
    table("once").await;
    let (mut connection, session, _) = attempt(1).await;
    let answers = everything(&mut connection, "once").await;
    session.close().await;
    assert_eq!(answers.iter().map(|rows| rows.affected).collect::<Vec<_>>(), [2, 2, 2, 1, 0, 1, 0, 2]);
    let left = count("once").await;
    assert_eq!(left, 7);

    for there in [left, left + 1] {
        let (mut connection, session, ledger) = attempt(1).await;
        assert_eq!(everything(&mut connection, "once").await, answers);
        assert_eq!(count("once").await, there);
        let told = ledger.logs.lock().unwrap().iter().filter(|(_, line)| line.contains("it is not run again")).count();
        assert_eq!(told, 6);
        // What is new runs, once.
        connection.query("INSERT INTO once VALUES (8, 'new')", vec![]).await.unwrap();
        assert_eq!(count("once").await, left + 1);
        session.close().await;
    }

    // Another run, another step, the way back and the way after it are others.
    let other_run = marking(101);
    let undo = Marking { phase: Phase::Undo, ..marking(1) };
    let again = Marking { round: 1, ..marking(1) };
    for (number, (step, marking)) in
        (2..).zip([("test", other_run), ("other", marking(1)), ("test", undo), ("test", again)])
    {
        let (session, _) = self::session(at(server().port, "writer", "app"), step, marking);
        let mut connection = session.sql_open("main", Access::Write).await.unwrap();
        connection.query("INSERT INTO once VALUES (8, 'new')", vec![]).await.unwrap();
        assert_eq!(count("once").await, left + number);
        session.close().await;
    }
}

/// One attempt over a network that dies, another one over one that does not: the rows are there exactly once.
async fn dies(run: u32, table: &str, dies: Dies, unknown: bool) {
    self::table(table).await;
    let port = severing(server().port, dies).await;
    let insert = format!("INSERT INTO {table} VALUES (1, 'x')");
    let script = format!("INSERT INTO {table} VALUES (2, 'x'); INSERT INTO {table} VALUES (3, 'x')");
    let begun = format!("INSERT INTO {table} VALUES (4, 'x') RETURNING a");
    // Each connection dies at its first commit, so each way needs one of its own.
    let (session, _) = self::session(at(port, "writer", "app"), "test", marking(run));
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    let error = connection.query(&insert, vec![]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut, "{error}");
    assert!(error.message.contains("nobody knows whether it was committed"), "{error}");
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    connection.script(&script).await.unwrap_err();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    connection.begin().await.unwrap();
    connection.query(&begun, vec![]).await.unwrap();
    connection.commit().await.unwrap_err();
    session.close().await;
    assert_eq!(count(table).await, if unknown { 4 } else { 0 });

    let (mut connection, session, ledger) = attempt(run).await;
    assert_eq!(connection.query(&insert, vec![]).await.unwrap().affected, 1);
    connection.script(&script).await.unwrap();
    connection.begin().await.unwrap();
    assert_eq!(connection.query(&begun, vec![]).await.unwrap().rows, [[integer(4)]]);
    connection.commit().await.unwrap();
    session.close().await;
    assert_eq!(count(table).await, 4);
    let told = ledger.logs.lock().unwrap().iter().filter(|(_, line)| line.contains("it is not run again")).count();
    assert_eq!(told, if unknown { 3 } else { 0 });
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_took_effect_once() {
    // There before, so that the first commit is the guest's.
    attempt(102).await.0.script("CREATE TABLE lost_answer_first (a int)").await.unwrap();
    dies(2, "lost_answer", Dies::AfterCommit, true).await;
}

#[tokio::test]
async fn a_commit_that_is_lost_itself_takes_effect_once() {
    attempt(103).await.0.script("CREATE TABLE lost_commit_first (a int)").await.unwrap();
    dies(3, "lost_commit", Dies::BeforeCommit, false).await;
}

#[tokio::test]
async fn the_same_attempt_may_ask_again_on_another_connection() {
    table("asked_again").await;
    attempt(104).await.0.script("CREATE TABLE asked_again_first (a int)").await.unwrap();
    let port = severing(server().port, Dies::AfterCommit).await;
    let (session, _) = session(at(port, "writer", "app"), "test", marking(4));
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    let insert = "INSERT INTO asked_again VALUES (1, 'x')";
    connection.query(insert, vec![]).await.unwrap_err();
    assert_eq!(count("asked_again").await, 1);
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    assert_eq!(connection.query(insert, vec![]).await.unwrap().affected, 1);
    assert_eq!(count("asked_again").await, 1);
    session.close().await;
}

#[tokio::test]
async fn what_failed_is_done_again() {
    table("failing").await;
    for _ in 0..2 {
        let (mut connection, session, _) = attempt(5).await;
        connection.query("INSERT INTO failing VALUES ('x')", vec![]).await.unwrap_err();
        connection.script("INSERT INTO failing VALUES (1); SELECT 1 / 0").await.unwrap_err();
        connection.begin().await.unwrap();
        connection.query("INSERT INTO failing VALUES (1)", vec![]).await.unwrap();
        connection.query("SELECT 1 / 0", vec![]).await.unwrap_err();
        let error = connection.commit().await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("25P02"), "{error}");
        connection.begin().await.unwrap();
        connection.query("INSERT INTO failing VALUES (1)", vec![]).await.unwrap();
        connection.rollback().await.unwrap();
        session.close().await;
        assert_eq!(count("failing").await, 0);
    }
    let (mut connection, _session, _) = attempt(5).await;
    connection.begin().await.unwrap();
    connection.query("INSERT INTO failing VALUES (1)", vec![]).await.unwrap();
    connection.commit().await.unwrap();
    assert_eq!(count("failing").await, 1);
}

#[tokio::test]
async fn a_transaction_that_goes_on_otherwise_is_refused() {
    table("diverging").await;
    let (mut connection, session, _) = attempt(6).await;
    connection.begin().await.unwrap();
    connection.query("INSERT INTO diverging VALUES (1)", vec![]).await.unwrap();
    connection.query("INSERT INTO diverging VALUES (2)", vec![]).await.unwrap();
    connection.commit().await.unwrap();
    session.close().await;
    let (mut connection, _session, _) = attempt(6).await;
    for rest in [Some("INSERT INTO diverging VALUES (3)"), None] {
        connection.begin().await.unwrap();
        assert_eq!(connection.query("INSERT INTO diverging VALUES (1)", vec![]).await.unwrap().affected, 1);
        if let Some(other) = rest {
            let error = connection.query(other, vec![]).await.unwrap_err();
            assert!(error.message.contains("went on otherwise") && error.hint.is_some(), "{error}");
        }
        assert!(connection.commit().await.unwrap_err().message.contains("went on otherwise"));
    }
    // Nothing of it happened, and the connection is fine.
    assert_eq!(count("diverging").await, 2);
    connection.query("INSERT INTO diverging VALUES (4)", vec![]).await.unwrap();
    assert_eq!(count("diverging").await, 3);
}

/// As `std:migrate` does: it asks its own table, and begins each transaction alike.
#[tokio::test]
async fn a_guest_that_keeps_its_own_history_goes_on_where_it_was() {
    table("history").await;
    for (applied, last) in [(0, 1), (1, 3)] {
        let (mut connection, session, _) = attempt(7).await;
        for version in applied + 1..=last {
            connection.begin().await.unwrap();
            connection.query("SELECT set_config('lock_timeout', '5s', true)", vec![]).await.unwrap();
            let rows = connection.query("SELECT a FROM history ORDER BY a", vec![]).await.unwrap();
            assert_eq!(rows.rows.len(), usize::try_from(version - 1).unwrap(), "an old answer");
            connection.script(&format!("CREATE TABLE history_{version} (a int)")).await.unwrap();
            connection.query("INSERT INTO history VALUES ($1)", vec![integer(version)]).await.unwrap();
            connection.commit().await.unwrap();
        }
        session.close().await;
    }
    assert_eq!(count("history").await, 3);
}

#[tokio::test]
async fn what_only_seems_to_read_is_marked_where_it_writes() {
    table("sneaking").await;
    let make = "CREATE FUNCTION sneak(n int) RETURNS int LANGUAGE sql AS 'INSERT INTO sneaking VALUES (n) RETURNING a'";
    server().admin().await.batch_execute(make).await.unwrap();
    for _ in 0..2 {
        let (mut connection, session, _) = attempt(8).await;
        let sneak = "SELECT sneak($1)";
        assert_eq!(connection.query(sneak, vec![integer(1)]).await.unwrap().rows, [[integer(1)]]);
        connection.begin().await.unwrap();
        assert_eq!(connection.query(sneak, vec![integer(2)]).await.unwrap().rows, [[integer(2)]]);
        connection.commit().await.unwrap();
        // What reads is never an old answer.
        let rows = connection.query("SELECT count(*) FROM sneaking", vec![]).await.unwrap();
        assert_eq!(rows.rows, [[integer(2)]]);
        session.close().await;
        assert_eq!(count("sneaking").await, 2);
    }
}

#[tokio::test]
async fn the_session_is_what_it_would_be() {
    server().admin().await.batch_execute("CREATE SCHEMA aside AUTHORIZATION writer").await.unwrap();
    for number in 1..3 {
        let (mut connection, session, _) = attempt(9).await;
        connection.script("SET search_path = aside; CREATE TABLE first (a int)").await.unwrap();
        connection.query("SET statement_timeout = '7s'", vec![]).await.unwrap();
        connection.query(&format!("CREATE TABLE later_{number} (a int)"), vec![]).await.unwrap();
        let shown = connection.query("SHOW statement_timeout", vec![]).await.unwrap();
        assert_eq!(shown.rows, [[SqlValue::Text("7s".to_owned())]]);
        session.close().await;
    }
    let aside = "SELECT count(*) FROM pg_tables WHERE schemaname = 'aside'";
    assert_eq!(server().number(aside).await, 3);
}

#[tokio::test]
async fn a_role_that_the_guest_takes_on_does_not_keep_the_marker_away() {
    let make = "CREATE ROLE owner_of_things; GRANT owner_of_things TO writer; CREATE SCHEMA things AUTHORIZATION owner_of_things";
    server().admin().await.batch_execute(make).await.unwrap();
    for _ in 0..2 {
        let (mut connection, session, _) = attempt(10).await;
        connection.script("SET ROLE owner_of_things; CREATE TABLE things.one (a int)").await.unwrap();
        connection.query("INSERT INTO things.one VALUES (1)", vec![]).await.unwrap();
        let user = connection.query("SELECT current_user::text", vec![]).await.unwrap();
        assert_eq!(user.rows, [[SqlValue::Text("owner_of_things".to_owned())]]);
        session.close().await;
        assert_eq!(count("things.one").await, 1);
    }
}

#[tokio::test]
async fn what_must_be_alone_runs_without_a_marker_and_is_written_down() {
    table("lonely").await;
    let procedure = "CREATE PROCEDURE lonely_steps() LANGUAGE plpgsql AS \
                     'BEGIN INSERT INTO lonely VALUES (1); COMMIT; INSERT INTO lonely VALUES (2); END'";
    server().admin().await.batch_execute(procedure).await.unwrap();
    let (mut connection, session, ledger) = attempt(11).await;
    connection.query("VACUUM lonely", vec![]).await.unwrap();
    connection.script("CREATE INDEX CONCURRENTLY lonely_index ON lonely (a)").await.unwrap();
    connection.query("CALL lonely_steps()", vec![]).await.unwrap();
    assert_eq!(count("lonely").await, 2);
    session.close().await;
    assert_eq!(
        *ledger.unmarked.lock().unwrap(),
        [
            "main: VACUUM lonely",
            "main: CREATE INDEX CONCURRENTLY lonely_index ON lonely (a)",
            "main: CALL lonely_steps()"
        ]
    );
    // It ran, so it can run again.
    let (mut connection, _session, _) = attempt(11).await;
    connection.query("CALL lonely_steps()", vec![]).await.unwrap();
    assert_eq!(count("lonely").await, 4);
}

#[tokio::test]
async fn nothing_is_made_where_nothing_is_written() {
    let admin = database("untouched", "GRANT CREATE ON SCHEMA public TO writer").await;
    let outside = Outside::default().peer(at(server().port, "writer", "untouched")).secret("db", PASSWORD);
    let (session, ledger) = outside.sql("read main").sql("write main").attempt("test", marking(12));
    let mut connection = session.sql_open("main", Access::Read).await.unwrap();
    connection.query("SELECT 1", vec![]).await.unwrap();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    connection.query("SELECT 1", vec![]).await.unwrap();
    connection.query("SET lock_timeout = 5", vec![]).await.unwrap();
    let made = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(admin.query_one(made, &[]).await.unwrap().get::<_, i64>(0), 0);
    // What writes makes it, and says so before.
    connection.query("CREATE TABLE t (a int)", vec![]).await.unwrap();
    session.close().await;
    assert_eq!(admin.query_one(made, &[]).await.unwrap().get::<_, i64>(0), 2);
    let used = ledger.used();
    assert_eq!(used.last().unwrap(), "sql write main: CREATE TABLE public.pipe_marker !", "{used:?}");
}

#[tokio::test]
async fn a_login_that_may_not_make_the_table_says_what_is_needed() {
    let admin = database("governed", "CREATE TABLE t (a int); GRANT ALL ON t TO writer").await;
    let peer = || at(server().port, "writer", "governed");
    let (session, _) = session(peer(), "test", marking(13));
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    let mut hint = String::new();
    for _ in 0..2 {
        let error = connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some("42501")), "{error}");
        assert!(error.message.contains("the login `writer` may not make the table public.pipe_marker"), "{error}");
        hint = error.hint.unwrap();
    }
    connection.begin().await.unwrap_err();
    session.close().await;
    assert_eq!(admin.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 0);

    // As the administrator reads it.
    let (_, statements) = hint.split_once(": ").unwrap();
    admin.batch_execute(statements).await.unwrap();
    for _ in 0..2 {
        let (session, _) = self::session(peer(), "test", marking(13));
        let mut connection = session.sql_open("main", Access::Write).await.unwrap();
        connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
        session.close().await;
    }
    assert_eq!(admin.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 1);
    // Not even reading is allowed: it says so at once.
    admin.batch_execute("REVOKE ALL ON public.pipe_marker FROM writer").await.unwrap();
    let (session, _) = self::session(peer(), "test", marking(13));
    let error = session.sql_open("main", Access::Write).await.unwrap_err();
    assert!(error.message.contains("may not read the table") && error.hint.unwrap().contains("GRANT SELECT"));
}

#[tokio::test]
async fn a_guest_cannot_make_the_host_skip_the_transaction_of_another_step() {
    table("coveted").await;
    let insert = "INSERT INTO coveted VALUES (1, 'x')";
    let (mut connection, session, ledger) = attempt(14).await;
    for statement in [
        "INSERT INTO pipe_marker SELECT * FROM pipe_marker",
        "UPDATE public.pipe_marker SET step = 'other'",
        "DELETE FROM \"pipe_marker\"",
        "SELECT * FROM pipe_marker",
        "CREATE TRIGGER t BEFORE INSERT ON pipe_marker EXECUTE FUNCTION slow()",
        "DROP TABLE U&\"pipe\\005fmarker\"",
    ] {
        let error = connection.query(statement, vec![]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{statement}: {error}");
        assert_eq!(connection.script(statement).await.unwrap_err().kind, ErrorKind::Denied, "{statement}");
    }
    assert_eq!(ledger.denied().len(), 12);
    connection.query(insert, vec![]).await.unwrap();
    // No fence sees a text that a statement puts together: its own marker becomes one of another step.
    let forge = "DO $$ BEGIN EXECUTE 'INSERT INTO pipe_' || 'marker SELECT run, ''victim'', phase, digest, occurrence, \
                 first, statements, seal FROM pipe_' || 'marker WHERE run = ''20261127150000-00000e'''; END $$";
    connection.query(forge, vec![]).await.unwrap();
    session.close().await;

    // Which is passed over: the step runs.
    let victim = || self::session(at(server().port, "writer", "app"), "victim", marking(14));
    let (session, ledger) = victim();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    connection.query(insert, vec![]).await.unwrap();
    assert_eq!(count("coveted").await, 2);
    let logs = ledger.logs.lock().unwrap().clone();
    assert!(
        logs.iter().any(|(_, line)| line.contains("rows of pipe_marker were copied from other places")),
        "{logs:?}"
    );
    session.close().await;

    // Nor can it change what another one is answered.
    let (mut connection, session, _) = attempt(14).await;
    let change =
        "DO $$ BEGIN EXECUTE 'UPDATE pipe_' || 'marker SET statements = ''[]'' WHERE step = ''victim'''; END $$";
    connection.query(change, vec![]).await.unwrap();
    session.close().await;
    let (session, _) = victim();
    assert!(session.sql_open("main", Access::Write).await.unwrap_err().message.contains("what pipe has not marked"));
}

#[tokio::test]
async fn a_marker_that_the_table_swallows_takes_its_transaction_with_it() {
    let admin = database(
        "swallowing",
        "GRANT CREATE ON SCHEMA public TO writer; CREATE TABLE t (a int); GRANT ALL ON t TO writer",
    )
    .await;
    let (session, _) = session(at(server().port, "writer", "swallowing"), "test", marking(15));
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    let trap = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                CREATE TRIGGER trap BEFORE INSERT ON pipe_marker FOR EACH ROW EXECUTE FUNCTION swallow()";
    admin.batch_execute(trap).await.unwrap();
    let error = connection.query("INSERT INTO t VALUES (2)", vec![]).await.unwrap_err();
    assert!(error.message.contains("it has a trigger"), "{error}");
    assert_eq!(admin.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn whoever_reads_the_markers_learns_nothing_of_what_statements_returned() {
    let admin = database(
        "confided",
        "GRANT CREATE ON SCHEMA public TO writer; CREATE TABLE t (a text); GRANT ALL ON t TO writer; \
         ALTER DEFAULT PRIVILEGES FOR ROLE writer GRANT SELECT ON TABLES TO reader",
    )
    .await;
    let insert = "INSERT INTO t VALUES ('Jane Doe, HIV+') RETURNING a";
    for _ in 0..2 {
        let (session, _) = session(at(server().port, "writer", "confided"), "test", marking(17));
        let mut connection = session.sql_open("main", Access::Write).await.unwrap();
        let rows = connection.query(insert, vec![]).await.unwrap();
        assert_eq!(rows.rows, [[SqlValue::Text("Jane Doe, HIV+".to_owned())]]);
        session.close().await;
    }
    assert_eq!(admin.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 1);
    admin.batch_execute("SET ROLE reader").await.unwrap();
    let kept = "SELECT row_to_json(m)::text, statements FROM pipe_marker AS m";
    let (row, sealed) =
        admin.query_one(kept, &[]).await.map(|row| (row.get::<_, String>(0), row.get::<_, String>(1))).unwrap();
    assert!(!row.contains("Jane") && !row.contains("columns"), "{row}");
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sealed).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("Jane"));
}

#[tokio::test]
async fn two_connections_of_an_attempt_may_do_the_same_at_once() {
    table("crowded").await;
    let (first, session, _) = attempt(16).await;
    let mut connections = vec![first];
    for _ in 0..3 {
        connections.push(session.sql_open("main", Access::Write).await.unwrap());
    }
    let insert = "INSERT INTO crowded VALUES (1, 'x')";
    let running = connections.into_iter().map(|mut connection| {
        tokio::spawn(async move { connection.query(insert, vec![]).await.map(|rows| rows.affected) })
    });
    for one in running.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Ok(1));
    }
    session.close().await;
    assert_eq!(count("crowded").await, 4);
    let (mut connection, _session, _) = attempt(16).await;
    for left in [4, 4, 4, 4, 5] {
        connection.query(insert, vec![]).await.unwrap();
        assert_eq!(count("crowded").await, left);
    }
}
