//! Databases, programs, variables, free space and time.

use crate::{Behaviour, Scene};

#[test]
pub(crate) fn a_database_that_may_be_read_is_not_written() {
    let both = Scene::new(Behaviour::WriteDatabase)
        .database()
        .with("peer", "clinic")
        .allow(r#"allow.sql = ["read clinic"]"#)
        .refused_until(r#"allow.sql = ["read clinic", "write clinic"]"#);
    let refusal = both.refused.refusals().next().unwrap();
    assert_eq!(refusal["reason"], "the peer `clinic` may be read only");
}

#[test]
pub(crate) fn a_database_that_is_not_granted_is_not_opened() {
    let scene = Scene::new(Behaviour::WriteDatabase).database().with("peer", "clinic");
    scene.refused_until(r#"allow.sql = ["write clinic"]"#);
}

#[test]
pub(crate) fn a_connection_for_reading_writes_nothing_whatever_is_granted() {
    let scene = Scene::new(Behaviour::WriteThroughReading)
        .database()
        .with("peer", "clinic")
        .allow(r#"allow.sql = ["write clinic"]"#);
    scene.run().fails("denied", "");
    let database = rusqlite::Connection::open(scene.deployment.at("clinic.db")).unwrap();
    let rows: u32 = database.query_one("SELECT count(*) FROM visits", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[test]
pub(crate) fn a_link_in_the_place_of_a_database_is_not_followed() {
    let scene = Scene::new(Behaviour::ReplaceDatabase)
        .file("data/clinic.db", "")
        .file("private/other.db", "")
        .head("[peers.clinic]\nurl = \"sqlite:data/clinic.db\"");
    for (file, who) in [("data/clinic.db", "nobody"), ("private/other.db", "confidential")] {
        let database = rusqlite::Connection::open(scene.deployment.at(file)).unwrap();
        database
            .execute_batch(&format!("CREATE TABLE visits (who TEXT); INSERT INTO visits VALUES ('{who}')"))
            .unwrap();
    }
    let seen = scene
        .with("path", "data/clinic.db")
        .with("to", "../private/other.db")
        .with("peer", "clinic")
        .allow(r#"allow.write = ["data"]"#)
        .allow(r#"allow.sql = ["read clinic"]"#)
        .run();
    seen.fails("denied", "leads elsewhere than when the run began");
    assert!(!seen.ended.stderr.contains("confidential"));
}

#[test]
pub(crate) fn a_program_that_is_not_granted_does_not_run() {
    let both = Scene::new(Behaviour::RunProgram)
        .with_all("argv", &["echo", "hello"])
        .refused_until(r#"allow.exec = [{ program = "echo", argv = ["hello"] }]"#);
    assert_eq!(both.granted.observed(), "hello");
}

#[test]
pub(crate) fn another_program_does_not_run() {
    Scene::new(Behaviour::RunProgram)
        .with_all("argv", &["env"])
        .allow(r#"allow.exec = [{ program = "echo", argv = ["**"] }]"#)
        .refused_until(r#"allow.exec = [{ program = "echo", argv = ["**"] }, { program = "env", argv = [] }]"#);
}

#[test]
pub(crate) fn other_arguments_are_refused() {
    Scene::new(Behaviour::RunProgram)
        .with_all("argv", &["echo", "--version; rm -rf /"])
        .allow(r#"allow.exec = [{ program = "echo", argv = ["hello"] }]"#)
        .refused_until(
            r#"allow.exec = [{ program = "echo", argv = ["hello"] }, { program = "echo", argv = ["--version; rm -rf /"] }]"#,
        );
}

#[test]
pub(crate) fn a_program_sees_nothing_of_the_operators_environment() {
    let seen = Scene::new(Behaviour::RunProgram)
        .variable("WARD", "cardiology")
        .with_all("argv", &["env"])
        .allow(r#"allow.exec = [{ program = "env", argv = [] }]"#)
        .run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    assert!(!seen.observed().contains("cardiology"), "{}", seen.observed());
}

#[test]
pub(crate) fn a_variable_is_told_where_it_is_granted_by_name() {
    let both = Scene::new(Behaviour::ReadVariable)
        .variable("WARD", "cardiology")
        .with("name", "WARD")
        .allow(r#"allow.env = ["LANG"]"#)
        .refused_until(r#"allow.env = ["LANG", "WARD"]"#);
    assert_eq!(both.granted.observed(), "cardiology");
    assert!(!both.refused.ended.stderr.contains("cardiology"));
}

#[test]
pub(crate) fn wasi_shows_the_granted_variables_and_no_other() {
    let scene = Scene::new(Behaviour::ListVariables).variable("WARD", "cardiology").variable("ROOM", "12");
    assert_eq!(scene.run().observed(), "");
    assert_eq!(scene.allow(r#"allow.env = ["ROOM"]"#).run().observed(), "ROOM=12");
}

#[test]
pub(crate) fn free_space_is_told_where_it_is_granted() {
    let scene = Scene::new(Behaviour::AskDisk).file("data/open.txt", "").with("path", "data");
    let scene = scene.allow(r#"allow.read = ["data"]"#);
    scene.refused_until(r#"allow.disk = ["data"]"#);
}

#[test]
pub(crate) fn a_guest_knows_how_much_time_it_has() {
    let seen = Scene::new(Behaviour::AskTime).timeout("20s").run();
    let left: Vec<u64> = seen.observed().split(' ').map(|text| text.parse().unwrap()).collect();
    let [before, after] = left[..] else { panic!("{left:?}") };
    assert!(before <= 20_000 && before > 10_000, "{left:?}");
    assert!(after <= before - 500 && after > before - 5_000, "{left:?}");
}

#[test]
pub(crate) fn a_variable_of_another_name_is_not_told() {
    for name in ["WARD", "room", "ROO", "ROOM_2", "ROOM=12", "", "*"] {
        let scene = Scene::new(Behaviour::ReadVariable).variable("ROOM", "12").variable("WARD", "cardiology");
        let seen = scene.with("name", name).allow(r#"allow.env = ["ROOM"]"#).run();
        seen.fails("denied", "");
        assert!(!seen.ended.stderr.contains("cardiology"), "{name}: {}", seen.ended);
    }
}

#[test]
pub(crate) fn free_space_of_another_place_is_not_told() {
    for asked in ["private", "data/../private", "data/link", "/", "."] {
        let scene = Scene::new(Behaviour::AskDisk).file("data/open.txt", "").file("private/x", "").with("path", asked);
        std::os::unix::fs::symlink("../private", scene.deployment.at("data/link")).unwrap();
        scene.allow(r#"allow.disk = ["data"]"#).run().fails("denied", "");
    }
}

#[test]
pub(crate) fn free_space_is_not_told_to_whoever_may_read_and_write_there() {
    let scene = Scene::new(Behaviour::AskDisk).file("data/open.txt", "").with("path", "data");
    let scene = scene.allow(r#"allow.read = ["data"]"#).allow(r#"allow.write = ["data"]"#);
    let both = scene.refused_until(r#"allow.disk = ["data"]"#);
    assert_eq!(both.refused.refusals().next().unwrap()["reason"], "the step has no `allow.disk`");
}

#[test]
pub(crate) fn free_space_of_what_holds_a_granted_place_is_not_told() {
    let inner =
        || Scene::new(Behaviour::AskDisk).file("data/inner/open.txt", "").allow(r#"allow.disk = ["data/inner"]"#);
    for outer in ["data", "data/inner/..", "data/inner/../../data"] {
        inner().with("path", outer).run().fails("denied", "");
    }
    assert_eq!(inner().with("path", "data/inner").run().observed(), "true");
}

#[test]
pub(crate) fn a_variable_of_a_program_is_none_of_the_guest() {
    let scene = Scene::new(Behaviour::ReadVariable).variable("WARD", "cardiology").with("name", "WARD");
    let seen = scene.allow(r#"allow.exec = [{ program = "env", argv = [], env = { WARD = "surgery" } }]"#).run();
    seen.fails("denied", "");
    assert_eq!(seen.refusals().next().unwrap()["hint"], r#"allow.env = ["WARD"]"#);
    assert!(!seen.ended.stderr.contains("cardiology") && !seen.ended.stderr.contains("surgery"), "{}", seen.ended);
}
