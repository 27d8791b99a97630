//! The table of the markers, where somebody was there before: what hangs on a table acts as whoever uses it, so `pipe` uses none
//! that is not as it makes it. With a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::sync::Arc;

use outside::{Outside, marking, peer};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    session::Session,
    sql::{Access, SqlConnection, SqlValue},
    world::{Peer, TlsMode},
};
use postgres_server::{PASSWORD, server};
use tokio_postgres::Client;

/// As `pipe` makes it, but by somebody else, who puts the name together.
const SAME: &str = "CREATE TABLE public.pipe_marker (run text NOT NULL, step text NOT NULL, phase text NOT NULL, \
    digest text NOT NULL, occurrence bigint NOT NULL, first text NOT NULL, statements text NOT NULL, seal text NOT NULL, \
    at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, step, phase, digest, occurrence));";

/// Makes whoever runs it give its rights away.
const TRAP: &str = "CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
    BEGIN EXECUTE 'ALTER ROLE ' || current_database() || ' SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN ''; END $$;
    CREATE FUNCTION public.trapped() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN PERFORM public.trap(); RETURN NEW; END $$;";

/// A database of its own, and two logins: one that has its name, owns it and is nothing else, and `dba`, a superuser.
struct Place {
    name: &'static str,
    admin: Client,
}

impl Place {
    async fn new(name: &'static str) -> Self {
        let admin = server().admin().await;
        let login = format!("LOGIN PASSWORD '{PASSWORD}'");
        // Tests run side by side.
        let dba = format!("DO $$ BEGIN CREATE ROLE dba SUPERUSER {login}; EXCEPTION WHEN OTHERS THEN NULL; END $$");
        for statement in [format!("CREATE ROLE {name} {login}"), dba, format!("CREATE DATABASE {name} OWNER {name}")] {
            admin.batch_execute(&statement).await.unwrap();
        }
        let admin = client("postgres", name).await;
        Self { name, admin }
    }

    /// Somebody who knows nothing of `pipe`, with the small login.
    async fn app(&self) -> Client {
        client(self.name, self.name).await
    }

    async fn number(&self, sql: &str) -> i64 {
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn nobody_climbed(&self) {
        let climbed = format!("SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname = '{}'", self.name);
        assert_eq!(self.number(&climbed).await, 0, "{} became a superuser", self.name);
    }

    async fn open(&self, user: &str) -> Result<(SqlConnection, Arc<Session>), EffectError> {
        let url = format!("postgres://{user}@127.0.0.1:{}/{}", server().port, self.name);
        let peer = Peer { password: Some("db".to_owned()), tls: TlsMode::Disable, ..peer("main", &url) };
        let (session, _) =
            Outside::default().peer(peer).secret("db", PASSWORD).sql("write main").attempt("test", marking(1));
        let opened = session.sql_open("main", Access::Write).await;
        opened.map(|connection| (connection, session))
    }

    /// That a step with this login is refused as soon as it connects.
    async fn refused(&self, user: &str, odd: &str) -> EffectError {
        let error = self.open(user).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Failed, "{error}");
        assert!(
            error.message.contains("public.pipe_marker is not used") && error.message.contains(odd),
            "{odd}: {error}"
        );
        self.nobody_climbed().await;
        error
    }
}

async fn client(user: &str, database: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server().port).user(user).password(PASSWORD).dbname(database);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn a_trigger_that_was_there_first_never_runs_as_somebody_greater() {
    let place = Place::new("trigger_first").await;
    // A step of somebody else does it, past the fence: this one is not marked.
    let url = format!("postgres://trigger_first@127.0.0.1:{}/trigger_first", server().port);
    let low = Peer { password: Some("db".to_owned()), tls: TlsMode::Disable, ..peer("main", &url) };
    let (session, _) = Outside::default().peer(low).secret("db", PASSWORD).sql("write main").session();
    let mut connection = session.sql_open("main", Access::Write).await.unwrap();
    let table = SAME.replace("CREATE TABLE public.pipe_marker", "EXECUTE 'CREATE TABLE ' || t || '").replace(';', "';");
    let trigger =
        "EXECUTE 'CREATE TRIGGER trap BEFORE INSERT ON ' || t || ' FOR EACH ROW EXECUTE FUNCTION public.trapped()'";
    connection.script(TRAP).await.unwrap();
    let text = format!("DO $x$ DECLARE t text := 'public.pipe_' || 'marker'; BEGIN {table} {trigger}; END $x$");
    connection.script(&text).await.unwrap();
    session.close().await;

    let error = place.refused("dba", "it has a trigger; its owner is `trigger_first`").await;
    assert!(error.hint.unwrap().contains("somebody may have set a trap for `dba`"));
    place.refused("trigger_first", "it has a trigger").await;
}

#[tokio::test]
async fn a_view_that_was_there_first_is_not_even_read() {
    let place = Place::new("view_first").await;
    let view = "CREATE VIEW public.pipe_marker AS SELECT public.trap() AS run, public.trap() AS step, public.trap() AS phase, \
        ''::text AS digest, 0::bigint AS occurrence, ''::text AS first, ''::text AS statements, ''::text AS seal, now() AS at";
    place.app().await.batch_execute(&format!("{TRAP} {view}")).await.unwrap();
    place.refused("dba", "it is no ordinary table").await;
}

#[tokio::test]
async fn nothing_may_hang_on_the_table() {
    let place = Place::new("hanging").await;
    let app = place.app().await;
    app.batch_execute(TRAP).await.unwrap();
    app.batch_execute(
        "CREATE DOMAIN public.trapping AS text CHECK (public.trap() IS NOT NULL); CREATE TYPE public.text AS (a int); \
         CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now() WHERE public.trap() IS NOT NULL'; \
         CREATE FUNCTION public.still(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql IMMUTABLE AS \
         'BEGIN PERFORM public.trap(); RETURN $1; END'; CREATE TABLE public.child_of_it (a int PRIMARY KEY)",
    )
    .await
    .unwrap();
    let on = "ALTER TABLE public.pipe_marker";
    for (change, odd) in [
        (
            "CREATE TRIGGER a AFTER DELETE ON public.pipe_marker EXECUTE FUNCTION public.trapped()".to_owned(),
            "it has a trigger",
        ),
        ("CREATE RULE a AS ON INSERT TO public.pipe_marker DO ALSO SELECT public.trap()".to_owned(), "it has a rule"),
        (format!("{on} ENABLE ROW LEVEL SECURITY"), "it has row security"),
        ("CREATE POLICY a ON public.pipe_marker USING (public.trap() IS NOT NULL)".to_owned(), "it has row security"),
        (format!("{on} ADD COLUMN more pg_catalog.text"), "its columns are others"),
        (format!("{on} ADD COLUMN more pg_catalog.text; {on} DROP COLUMN more"), "its columns are others"),
        (format!("{on} ALTER COLUMN first TYPE public.trapping"), "its columns are others"),
        (format!("{on} ALTER COLUMN first TYPE pg_catalog.varchar"), "its columns are others"),
        (format!("{on} ALTER COLUMN seal DROP NOT NULL"), "its columns are others"),
        (format!("{on} ALTER COLUMN first TYPE pg_catalog.text COLLATE \"C\""), "its columns are others"),
        (format!("{on} ALTER COLUMN at SET DEFAULT public.now()"), "a column has another default"),
        (format!("{on} ALTER COLUMN seal SET DEFAULT public.trap()"), "a column has another default"),
        (
            format!(
                "{on} DROP COLUMN seal, ADD COLUMN seal pg_catalog.text NOT NULL GENERATED ALWAYS AS (public.still(run)) STORED"
            ),
            "a column has another default",
        ),
        (format!("{on} ADD CHECK (public.trap() IS NOT NULL)"), "it has a constraint"),
        (format!("{on} ADD FOREIGN KEY (occurrence) REFERENCES public.child_of_it"), "it has a constraint"),
        ("CREATE INDEX a ON public.pipe_marker (public.still(run))".to_owned(), "it has an index on an expression"),
        (
            "CREATE INDEX a ON public.pipe_marker (run) WHERE public.still(run) = ''".to_owned(),
            "it has an index on an expression",
        ),
        (format!("{on} DROP CONSTRAINT pipe_marker_pkey"), "its primary key is another"),
        (format!("{on} DROP CONSTRAINT pipe_marker_pkey; {on} ADD PRIMARY KEY (run)"), "its primary key is another"),
        (format!("{on} SET UNLOGGED"), "it does not outlive a crash"),
        ("CREATE TABLE public.child () INHERITS (public.pipe_marker)".to_owned(), "it inherits or is inherited from"),
    ] {
        app.batch_execute(&SAME.replace(" text ", " pg_catalog.text ")).await.unwrap();
        app.batch_execute(&change).await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
        place.refused("dba", odd).await;
        place.refused("hanging", odd).await;
        app.batch_execute("DROP TABLE public.pipe_marker CASCADE").await.unwrap();
    }
    let partitioned = "CREATE TABLE public.pipe_marker (run pg_catalog.text) PARTITION BY LIST (run)";
    app.batch_execute(partitioned).await.unwrap();
    place.refused("dba", "it is no ordinary table").await;
    app.batch_execute("DROP TABLE public.pipe_marker; CREATE SEQUENCE public.pipe_marker").await.unwrap();
    place.open("dba").await.map(|_| ()).unwrap_err();
    place.nobody_climbed().await;
}

#[tokio::test]
async fn the_owner_of_the_table_is_somebody_who_could_do_all_that_anyway() {
    let place = Place::new("owning").await;
    let app = place.app().await;
    app.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    // Made by a step with the small login: good for that one, and for nobody greater.
    let (mut connection, session) = place.open("owning").await.unwrap();
    connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    session.close().await;
    let error = place.refused("dba", "its owner `owning` could put a trigger on it, which would run as `dba`").await;
    let (_, statements) = error.hint.as_deref().unwrap().split_once(": ").unwrap();
    place.admin.batch_execute(statements).await.unwrap();
    for user in ["dba", "owning"] {
        let (mut connection, session) = place.open(user).await.unwrap();
        connection.query(&format!("INSERT INTO t VALUES (2) /* {user} */"), vec![]).await.unwrap();
        connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
        session.close().await;
    }
    assert_eq!(place.number("SELECT count(*) FROM t").await, 3);

    // A role that both are members of: the one could become the owner, and not the other.
    let group = "CREATE ROLE owning_group; CREATE ROLE owning_peer LOGIN PASSWORD 'correct-horse-battery'; \
                 GRANT owning_group TO owning, owning_peer; GRANT ALL ON public.t TO owning_peer; \
                 ALTER TABLE public.pipe_marker OWNER TO owning_group";
    place.admin.batch_execute(group).await.unwrap();
    place.refused("owning_peer", "its owner `owning_group`").await;
    place.refused("owning", "its owner `owning_group`").await;
    // An owner who is a member of the login can be the login.
    place
        .admin
        .batch_execute("REVOKE owning_group FROM owning, owning_peer; GRANT owning TO owning_group")
        .await
        .unwrap();
    place.admin.batch_execute("GRANT SELECT, INSERT ON public.pipe_marker TO owning, owning_peer").await.unwrap();
    place.open("owning").await.unwrap();
    place.refused("owning_peer", "its owner `owning_group`").await;
}

#[tokio::test]
async fn a_trap_that_is_set_meanwhile_is_found_before_it_springs() {
    let place = Place::new("meanwhile").await;
    let app = place.app().await;
    app.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let (mut connection, _session) = place.open("dba").await.unwrap();
    // Whoever owns the database may drop the table, whosoever it is, and make another.
    let swap = format!("DROP TABLE IF EXISTS public.pipe_marker; {SAME}");
    let trigger = "CREATE TRIGGER a BEFORE INSERT ON public.pipe_marker FOR EACH ROW EXECUTE FUNCTION public.trapped()";
    connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    app.batch_execute(&format!("{TRAP} {swap} {trigger}")).await.unwrap();
    for odd in ["it has a trigger", "its owner `meanwhile`"] {
        let error = connection.query("INSERT INTO t VALUES (2)", vec![]).await.unwrap_err();
        assert!(error.message.contains(odd), "{error}");
        let error = connection.script("INSERT INTO t VALUES (2)").await.unwrap_err();
        assert!(error.message.contains(odd), "{error}");
        connection.begin().await.unwrap();
        connection.query("INSERT INTO t VALUES (2)", vec![]).await.unwrap();
        assert!(connection.commit().await.unwrap_err().message.contains(odd));
        app.batch_execute("DROP TRIGGER IF EXISTS a ON public.pipe_marker").await.unwrap();
    }
    assert_eq!(place.number("SELECT count(*) FROM t").await, 1);
    place.nobody_climbed().await;
}

#[tokio::test]
async fn a_transaction_that_looks_at_the_past_is_no_way_around() {
    let place = Place::new("the_past").await;
    let app = place.app().await;
    app.batch_execute(&format!("CREATE TABLE t (a int); {TRAP}")).await.unwrap();
    let (mut connection, _session) = place.open("the_past").await.unwrap();
    connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    app.batch_execute("SET lock_timeout = '200ms'").await.unwrap();
    let trigger = "CREATE TRIGGER a BEFORE INSERT ON public.pipe_marker FOR EACH ROW EXECUTE FUNCTION public.trapped()";
    connection.begin().await.unwrap();
    // Which must come before anything else: the lock before it sees nothing.
    connection.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", vec![]).await.unwrap();
    connection.query("INSERT INTO t VALUES (2)", vec![]).await.unwrap();
    let error = app.batch_execute(trigger).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "55P03", "{error:?}");
    connection.commit().await.unwrap();

    // In between it can be made, and is seen.
    connection.query("SET default_transaction_isolation = 'repeatable read'", vec![]).await.unwrap();
    connection.query("INSERT INTO t VALUES (3)", vec![]).await.unwrap();
    app.batch_execute(trigger).await.unwrap();
    let error = connection.query("INSERT INTO t VALUES (4)", vec![]).await.unwrap_err();
    assert!(error.message.contains("it has a trigger"), "{error}");
    assert_eq!(place.number("SELECT count(*) FROM t").await, 3);
}

#[tokio::test]
async fn what_the_guest_sets_changes_nothing_for_the_host() {
    let place = Place::new("settings").await;
    let make = "CREATE ROLE settings_role; GRANT settings_role TO settings; CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine TO settings_role";
    place.admin.batch_execute(make).await.unwrap();
    let (mut connection, session) = place.open("settings").await.unwrap();
    connection.script("CREATE TEMP TABLE pg_class (a int); CREATE TEMP TABLE pg_trigger (a int)").await.unwrap();
    connection
        .script("SET quote_all_identifiers = on; SET search_path = pg_temp, mine; SET ROLE settings_role")
        .await
        .unwrap();
    connection.query("CREATE TABLE mine.t (a int)", vec![]).await.unwrap();
    connection.begin().await.unwrap();
    let user = connection.query("SELECT current_user::text", vec![]).await.unwrap();
    assert_eq!(user.rows, [[SqlValue::Text("settings_role".to_owned())]]);
    connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    connection.commit().await.unwrap();
    let user = connection.query("SELECT current_user::text", vec![]).await.unwrap();
    assert_eq!(user.rows, [[SqlValue::Text("settings_role".to_owned())]]);
    session.close().await;
    assert_eq!(place.number("SELECT count(*) FROM mine.t").await, 1);
    assert_eq!(place.number("SELECT count(*) FROM pipe_marker").await, 3);
}

#[tokio::test]
async fn a_guest_that_has_markers_removed_cannot_commit_that() {
    let place = Place::new("removing").await;
    let (mut connection, session) = place.open("removing").await.unwrap();
    connection.query("CREATE TABLE t (a int)", vec![]).await.unwrap();
    let trap = "DO $x$ DECLARE t text := 'public.pipe_' || 'marker'; BEGIN EXECUTE 'CREATE FUNCTION public.gone() RETURNS trigger \
                LANGUAGE plpgsql AS $$ BEGIN DELETE FROM ' || t || '; RETURN NULL; END $$'; EXECUTE 'CREATE TRIGGER gone AFTER \
                INSERT ON ' || t || ' FOR EACH ROW EXECUTE FUNCTION public.gone()'; END $x$";
    let error = connection.query(trap, vec![]).await.unwrap_err();
    assert!(error.message.contains("it has a trigger"), "{error}");
    connection.begin().await.unwrap();
    connection.script(trap).await.unwrap();
    assert!(connection.commit().await.unwrap_err().message.contains("it has a trigger"));
    // Nothing of it is left.
    for _ in 0..2 {
        connection.query("INSERT INTO t VALUES (1)", vec![]).await.unwrap();
    }
    session.close().await;
    assert_eq!(place.number("SELECT count(*) FROM pipe_marker").await, 3);
}
