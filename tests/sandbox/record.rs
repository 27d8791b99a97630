//! What the audit log says of a guest's uses: enough to know what was done, and no value that the grant does not fix.

use serde_json::Value;

use crate::{Behaviour, Scene, Seen, servers::Server};

/// The uses of a word: subject, rule, and whether there is a proof.
fn uses<'s>(seen: &'s Seen, word: &'s str) -> Vec<(&'s str, &'s str, bool)> {
    let of = seen.of("used").map(|what| &what["use"]).filter(move |used| used["word"] == word);
    of.map(|used| {
        let proof = used["proof"].as_str().is_some_and(|proof| proof.len() == 64);
        (used["subject"].as_str().unwrap(), used["rule"].as_str().unwrap(), proof)
    })
    .collect()
}

/// What `pipe log prove` finds of a text.
#[track_caller]
fn proven(scene: &Scene, word: &str, text: &str) -> Vec<Value> {
    let ended = scene.deployment.run_with_input(&["log", "prove", word, "--output", "json"], text);
    assert_eq!(ended.code, 0, "{ended}");
    ended.json()
}

#[track_caller]
fn nowhere(scene: &Scene, value: &str) {
    let exported = scene.deployment.run(&["log", "export"]);
    let uses = exported.stdout.lines().filter(|line| line.contains(r#""event":"used""#));
    let said: Vec<&str> = uses.filter(|line| line.contains(value)).collect();
    assert!(said.is_empty(), "{said:?}");
}

#[test]
pub(crate) fn a_statement_is_recorded_without_its_values_and_can_be_proven() {
    let statement = "INSERT INTO visits /* why */ VALUES ('Meier')";
    let scene = Scene::new(Behaviour::WriteStatement).database().with("peer", "clinic").with("text", statement);
    let scene = scene.allow(r#"allow.sql = ["write clinic"]"#);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    let expected = ("write clinic: INSERT INTO visits VALUES (?)", "write clinic", true);
    assert_eq!(uses(&seen, "sql")[1..], [expected]);
    nowhere(&scene, "Meier");
    let [found] = &proven(&scene, "sql", &format!("\n{statement};\n"))[..] else { panic!("not one entry") };
    assert_eq!(found["use"]["subject"], expected.0);
    assert!(proven(&scene, "sql", "INSERT INTO visits VALUES ('Huber')").is_empty());
    assert!(proven(&scene, "http", statement).is_empty(), "another word is another text");
}

#[test]
pub(crate) fn a_script_is_recorded_statement_by_statement() {
    let script = "-- two\nINSERT INTO visits VALUES ('Meier');\nDELETE FROM visits WHERE who = 'Huber';";
    let scene = Scene::new(Behaviour::SendScript).database().with("peer", "clinic").with("text", script);
    let seen = scene.allow(r#"allow.sql = ["write clinic"]"#).run();
    let subjects: Vec<&str> = uses(&seen, "sql").into_iter().map(|(subject, ..)| subject).collect();
    assert_eq!(
        subjects[1..],
        ["write clinic: INSERT INTO visits VALUES (?)", "write clinic: DELETE FROM visits WHERE who = ?"]
    );
}

#[test]
pub(crate) fn a_query_is_left_out_and_can_be_proven() {
    let server = Server::start();
    let scene = Scene::new(Behaviour::Request)
        .head(&server.peer("records"))
        .with("peer", "records")
        .with("method", "GET")
        .with("path", "/patients?name=Meier")
        .allow(r#"allow.http = ["GET records:/*"]"#);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    assert_eq!(uses(&seen, "http"), [("GET records:/patients?…", "GET records:/*", true)]);
    nowhere(&scene, "Meier");
    assert_eq!(proven(&scene, "http", "name=Meier\n").len(), 1);
}

#[test]
pub(crate) fn the_login_of_a_peer_is_recorded_by_name() {
    let server = Server::start();
    let peer = format!("{}\nbearer = \"login\"", server.peer("records"));
    let scene = Scene::new(Behaviour::Request)
        .head(&format!("[secrets]\nlogin.env = \"LOGIN\"\n\n{peer}"))
        .variable("LOGIN", "correct-horse-battery")
        .with("peer", "records")
        .with("method", "GET")
        .with("path", "/")
        .allow(r#"allow.http = ["GET records:/"]"#);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    assert_eq!(uses(&seen, "secrets"), [("login to records (bearer)", "GET records:/", false)]);
    nowhere(&scene, "horse");
}

#[test]
pub(crate) fn what_a_grant_leaves_open_of_a_command_is_left_out_and_can_be_proven() {
    let scene = Scene::new(Behaviour::RunProgram)
        .with_all("argv", &["echo", "patient", "Meier"])
        .allow(r#"allow.exec = [{ program = "echo", argv = ["patient", "*"] }]"#);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    let [(subject, _, proof)] = uses(&seen, "exec")[..] else { panic!("not one program") };
    assert_eq!((subject, proof), ("echo patient …", true));
    nowhere(&scene, "Meier");
    assert_eq!(proven(&scene, "exec", "patient\0Meier\0").len(), 1);
}

#[test]
pub(crate) fn variables_that_wasi_shows_count_as_used_once_each() {
    let scene = Scene::new(Behaviour::ListVariables).variable("WARD", "cardiology").variable("ROOM", "12");
    let seen = scene.allow(r#"allow.env = ["WARD", "ROOM", "UNSET"]"#).run();
    assert_eq!(uses(&seen, "env"), [("ROOM", "ROOM", false), ("WARD", "WARD", false)]);
    let other = Scene::new(Behaviour::Loop).variable("ROOM", "12").allow(r#"allow.env = ["ROOM"]"#).timeout("1s").run();
    assert!(uses(&other, "env").is_empty(), "one that never asks has used none");
}
