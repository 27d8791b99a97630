//! Tables that somebody has made before `pipe` or its plugins do, with something on them that acts as whoever uses the table. Who
//! sets such a trap waits for a login that may do more.

use crate::{outlived::migrating, postgres::Postgres};

const RUN: [&str; 4] = ["run", "pipeline.toml", "--env", "demo"];

/// Says in a table who sprang it.
const TRAP: &str = "CREATE TABLE sprung (by text); GRANT INSERT ON sprung TO PUBLIC; \
                    CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS \
                    $$ BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN NEW; END $$;";

#[test]
fn a_table_with_a_trap_is_refused_by_name_and_nothing_springs() {
    for table in ["pipe_migrations", "pipe_marker"] {
        let server = Postgres::shared();
        let database = server.database();
        database.sql("CREATE TABLE held (n int); ALTER TABLE held OWNER TO medical_user");
        let deployment = migrating(&server, &database);
        let first = deployment.run(&RUN);
        assert_eq!(first.code, 0, "{table}\n{first}");
        assert_eq!(database.sql(&format!("SELECT to_regclass('public.{table}') IS NOT NULL")), "t");
        database.sql(&format!(
            "{TRAP} CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON public.{table} FOR EACH ROW EXECUTE FUNCTION spring()"
        ));
        let deployment = deployment
            .file("migrations/003_more.up.sql", "CREATE TABLE more ();\n")
            .file("migrations/003_more.down.sql", "DROP TABLE more;\n");
        let refused = deployment.run(&RUN);
        assert_ne!(refused.code, 0, "{table}\n{refused}");
        assert!(refused.stderr.contains(table) && refused.stderr.contains("it has a trigger"), "{table}\n{refused}");
        assert_eq!(database.sql("SELECT count(*) FROM sprung"), "0", "{table}\n{refused}");
        assert_eq!(database.sql("SELECT to_regclass('public.more') IS NULL"), "t", "{table}\n{refused}");
        // An administrator takes the trap away.
        database.sql(&format!("DROP TRIGGER trap ON public.{table}"));
        let again = deployment.run(&RUN);
        assert_eq!(again.code, 0, "{table}\n{again}");
    }
}

#[test]
fn a_table_of_somebody_who_could_set_one_is_refused_too() {
    let server = Postgres::shared();
    let database = server.database();
    let vendor = format!("vendor_{}", database.name);
    database.sql(&format!(
        "CREATE ROLE {vendor}; CREATE TABLE held (n int); ALTER TABLE held OWNER TO medical_user; \
         CREATE TABLE pipe_migrations (version text); ALTER TABLE pipe_migrations OWNER TO {vendor}; \
         GRANT ALL ON pipe_migrations TO medical_user"
    ));
    let deployment = migrating(&server, &database);
    let refused = deployment.run(&RUN);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains("pipe_migrations") && refused.stderr.contains(&vendor), "{refused}");
    database.sql(&format!("DROP TABLE pipe_migrations; DROP ROLE {vendor}"));
    let again = deployment.run(&RUN);
    assert_eq!(again.code, 0, "{again}");
}
