//! What the deployment would do, asked of a hospital with patients: everything is looked at, and nothing is another afterwards.

use super::Hospital;

/// `pipe plan --preview`.
fn preview(hospital: &Hospital, version: &str) -> pipe_tests::Ended {
    let mut arguments = hospital.arguments(version);
    "plan".clone_into(&mut arguments[0]);
    arguments.push("--preview".to_owned());
    let ended = hospital.deployment.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended.code, 0, "{ended}");
    ended
}

#[test]
fn a_preview_says_what_would_be_done_and_changes_nothing() {
    let hospital = Hospital::with_patients();
    hospital.next_version();
    let database = &hospital.database;
    let before = (database.schema(), database.rows(), hospital.served(), hospital.artifacts(), hospital.history());
    let ended = preview(&hospital, "1.1.0");
    for line in [
        "store what pg_dump --format=custom --no-password writes of database as database.dump, encrypted with the secret backup",
        "store medical-system/files (3 files, ",
        "bring database from 005 to 006 with 1 migration",
        "apply 006_allergies.up.sql, which can be taken back",
        "look at 5 tables of database then",
        "copy 3 files, ",
        "switch medical-system/live/www/current from 1.0.0 to 1.1.0",
        "std:precheck does not say what it would do",
    ] {
        assert!(ended.stdout.contains(line), "{line}\n{ended}");
    }
    assert!(!ended.stdout.contains("is not known") && !ended.stdout.contains("refused"), "{ended}");
    let after = (database.schema(), database.rows(), hospital.served(), hospital.artifacts(), hospital.history());
    assert!(before == after, "it only looked");
    assert!(hospital.slack.said().is_empty(), "nobody was told");
    // With the password of the database, which nobody sees, and which is in the record by name.
    let export = hospital.deployment.run(&["log", "export"]).stdout;
    let needles = hospital.needles();
    for (place, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr), ("the record", &export)] {
        needles.refuse(place, text.as_bytes());
    }
    assert!(export.contains("\"subject\":\"db "), "the use of the secret is written down");

    let ran = hospital.deploy("1.1.0");
    assert_eq!(ran.code, 0, "{ran}");
    let again = preview(&hospital, "1.1.0");
    assert!(again.stdout.contains("leave database at 006: there is nothing to apply"), "{again}");
}

#[test]
fn what_a_migration_would_run_into_is_said_before_it_does() {
    let hospital = Hospital::with_patients();
    hospital.next_version();
    hospital.write("medical-system/migrations/006_allergies.up.sql", "CREATE TABLE allergies (id int); COMMIT;");
    let ended = preview(&hospital, "1.1.0");
    assert!(
        ended.stdout.contains("what it would do is not known: settings: 006_allergies.up.sql holds COMMIT"),
        "{ended}"
    );
    assert!(!hospital.database.schema().contains("allergies"));
}
