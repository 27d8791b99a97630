//! A policy that asks for a backup that was restored: what the host saw counts, whatever the plugin says.

use std::fs;

use pipe_tests::{Ended, guest};

use super::{FILE, Hospital};
use crate::postgres::Database;

const POLICY: &str = "[[allow]]
any = [\"*\"]

[require]
encrypted_backup_before_migrate = true
restored_backup_before_migrate = true
";

/// A hospital whose backup may restore into a scratch database, and verifies as these settings say.
fn hospital(plugin: &str, verify: impl Fn(&str) -> String) -> (Hospital, Database) {
    let hospital = Hospital::new();
    let scratch = hospital.database.scratch();
    let arguments = format!(r#"["--exit-on-error", "--no-owner", "--dbname={}"]"#, scratch.name);
    let file = fs::read_to_string(hospital.deployment.at(FILE)).unwrap();
    let read = r#"    { program = "pg_restore", argv = ["--file=/dev/null"] },"#;
    let restore = format!("{read}\n    {{ program = \"pg_restore\", argv = {arguments}, peer = \"database\" }},");
    let file = file
        .replacen(read, &restore, 1)
        .replacen(r#"verify = "read""#, &format!("verify = {}", verify(&arguments)), 1)
        .replacen("stage = \"backup\"", &format!("stage = \"backup\"\n{plugin}"), 1);
    hospital.write(FILE, &file);
    hospital.write("policy.toml", POLICY);
    (hospital, scratch)
}

fn pipe(hospital: &Hospital, command: &str) -> Ended {
    let mut arguments = hospital.arguments("1.0.0");
    arguments[0] = command.to_owned();
    arguments.extend(["--policy", "policy.toml"].map(str::to_owned));
    hospital.deployment.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn is_migrated(hospital: &Hospital) -> bool {
    hospital.database.sql("SELECT to_regclass('public.patients') IS NOT NULL") == "t"
}

#[test]
fn a_dump_that_is_only_read_is_refused_before_anything_starts() {
    let (hospital, _scratch) = hospital("", |_| "\"read\"".to_owned());
    for command in ["check", "plan", "run"] {
        let ended = pipe(&hospital, command);
        assert_eq!(ended.code, 4, "{command}\n{ended}");
        assert!(ended.stderr.contains("restores nothing: line ") && ended.stderr.contains("verify = "), "{ended}");
        assert!(ended.stderr.contains("policy.toml:6"), "{ended}");
    }
    assert!(!is_migrated(&hospital) && hospital.artifacts().is_empty());
}

#[test]
fn a_dump_that_was_restored_lets_the_migration_begin() {
    let (hospital, scratch) = hospital("", |arguments| format!("{{ restore = {{ arguments = {arguments} }} }}"));
    hospital.database.sql("CREATE TABLE before (n int); INSERT INTO before SELECT generate_series(1, 300)");
    hospital.database.sql("ALTER TABLE before OWNER TO medical_user");
    let ended = pipe(&hospital, "run");
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stderr.contains("verified by pg_restore --exit-on-error (0 entries), restored"), "{ended}");
    assert_eq!(scratch.sql("SELECT count(*) FROM before"), "300", "nothing was restored");
    assert!(is_migrated(&hospital));
    let record = hospital.deployment.run(&["log", "export"]).stdout;
    assert_eq!(record.matches("\"restored\":true").count(), 1, "the archive of the files was only read\n{record}");
}

#[test]
fn a_restore_that_fails_is_none() {
    let (hospital, scratch) = hospital("", |arguments| format!("{{ restore = {{ arguments = {arguments} }} }}"));
    // Something is in its way.
    hospital.database.sql("CREATE TABLE before (n int); ALTER TABLE before OWNER TO medical_user");
    scratch.sql("CREATE TABLE before (n int)");
    let ended = pipe(&hospital, "run");
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stderr.contains("relation \"before\" already exists"), "{ended}");
    assert!(!is_migrated(&hospital), "{ended}");
}

#[test]
fn a_vendors_plugin_that_restores_nothing_is_found_out_before_the_migration() {
    let (hospital, _scratch) = hospital("plugin = \"acme\"", |_| "\"read\"".to_owned());
    // The standard plugin, as a vendor would write it who does not say which setting restores.
    let mut plugin = fs::read(guest::component("hostile").with_file_name("backup.wasm")).unwrap();
    let (mark, other) = (b"x-pipe-restores", b"x-acme-whatever");
    let found: Vec<usize> =
        plugin.windows(mark.len()).enumerate().filter(|(_, it)| it == mark).map(|it| it.0).collect();
    assert!(!found.is_empty(), "the keyword");
    found.into_iter().for_each(|at| plugin[at..at + mark.len()].copy_from_slice(other));
    fs::write(hospital.deployment.at("acme.wasm"), plugin).unwrap();
    let file = fs::read_to_string(hospital.deployment.at(FILE)).unwrap();
    hospital.write(FILE, &file.replacen("[peers]", "[plugins]\nacme = { path = \"acme.wasm\" }\n\n[peers]", 1));
    let checked = pipe(&hospital, "check");
    assert_eq!(checked.code, 0, "nobody can know\n{checked}");
    let ended = pipe(&hospital, "run");
    assert_eq!(ended.code, 4, "{ended}");
    let told = "the policy requires a backup of this run that is encrypted and was restored, and there is none";
    assert!(ended.stderr.contains(told), "{ended}");
    assert!(!is_migrated(&hospital), "{ended}");
}
