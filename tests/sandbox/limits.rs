//! What a pipeline file lets one call take: each limit is reached from inside, and the step says which one it was.

use std::fs;

use crate::{Behaviour, Scene, Seen, servers::Server};

/// The scene with limits of its step: `handles = 20`.
fn limited(scene: Scene, limits: &str) -> Seen {
    scene.allow(&format!("limits = {{ {limits} }}")).run()
}

fn reading(behaviour: Behaviour) -> Scene {
    Scene::new(behaviour).file("data/open.txt", "open").with("path", "data/open.txt").allow(r#"allow.read = ["data"]"#)
}

#[test]
pub(crate) fn memory() {
    let seen = limited(Scene::new(Behaviour::EatMemory), r#"memory = "16MiB""#);
    seen.fails("out-of-memory", "more than 16.0 MiB of memory (`limits.memory`)");
}

#[test]
pub(crate) fn tables() {
    let seen = limited(Scene::new(Behaviour::ReportNothing), "tables = 10");
    seen.fails("out-of-memory", "more than 10 table elements (`limits.tables`)");
}

#[test]
pub(crate) fn instances() {
    let seen = limited(Scene::new(Behaviour::ReportNothing), "instances = 1");
    seen.fails("trap", "more than 1 core instances (`limits.instances`)");
}

#[test]
pub(crate) fn handles() {
    let seen = limited(reading(Behaviour::KeepHandles), "handles = 20");
    seen.fails("trap", "more than 20 open handles (`limits.handles`)");
}

#[test]
pub(crate) fn log_lines() {
    let seen = limited(Scene::new(Behaviour::FloodLog), "log_lines = 10");
    let logged = seen.logged();
    assert_eq!((seen.ended.code, logged.len(), logged[8]), (0, 10, "line 8"));
    assert_eq!(logged[9], "the plugin said more than 10 lines (`limits.log_lines`); further lines are dropped");
}

#[test]
pub(crate) fn log_bytes() {
    let seen = limited(Scene::new(Behaviour::FloodLog), r#"log_bytes = "1KiB""#);
    let last = "the plugin said more than 1.0 KiB of log (`limits.log_bytes`); further lines are dropped";
    assert_eq!(seen.logged().last(), Some(&last));
    assert!(seen.logged().len() < 200);
}

#[test]
pub(crate) fn bytes_in_of_files() {
    let seen = limited(reading(Behaviour::ReadFile), r#"bytes_in = "3B""#);
    seen.fails("other", "the plugin took in more than 3 B (`limits.bytes_in`)");
    assert_eq!(limited(reading(Behaviour::ReadFile), r#"bytes_in = "4B""#).observed(), "open");
    let seen = limited(reading(Behaviour::OpenAsItStands), r#"bytes_in = "3B""#);
    seen.fails("other", "the plugin took in more than 3 B (`limits.bytes_in`)");
}

#[test]
pub(crate) fn bytes_in_of_responses() {
    let server = Server::start();
    let scene = Scene::new(Behaviour::Request).head(&server.peer("ward")).with("peer", "ward").with("method", "GET");
    let scene = scene.with("path", "/").allow(r#"allow.http = ["GET ward:/"]"#);
    limited(scene, r#"bytes_in = "3B""#).fails("other", "the plugin took in more than 3 B (`limits.bytes_in`)");
}

#[test]
pub(crate) fn bytes_in_of_rows() {
    let scene = Scene::new(Behaviour::ReadDatabase).database().with("peer", "clinic");
    let database = rusqlite::Connection::open(scene.deployment.at("clinic.db")).unwrap();
    database.execute("INSERT INTO visits VALUES (?1)", ["x".repeat(2_000)]).unwrap();
    let scene = scene.allow(r#"allow.sql = ["read clinic"]"#);
    limited(scene, r#"bytes_in = "1KiB""#).fails("other", "the plugin took in more than 1.0 KiB (`limits.bytes_in`)");
}

#[test]
pub(crate) fn bytes_in_of_programs() {
    let scene = Scene::new(Behaviour::RunProgram).with_all("argv", &["echo", "hello"]);
    let scene = scene.allow(r#"allow.exec = [{ program = "echo", argv = ["hello"] }]"#);
    limited(scene, r#"bytes_in = "3B""#).fails("other", "the plugin took in more than 3 B (`limits.bytes_in`)");
}

#[test]
pub(crate) fn bytes_out_of_files() {
    let file = |behaviour| reading(behaviour).with("text", "hostile").allow(r#"allow.write = ["data"]"#);
    for (behaviour, after) in [(Behaviour::WriteFile, ""), (Behaviour::AppendFile, "open")] {
        let scene = file(behaviour);
        let path = scene.deployment.at("data/open.txt");
        let scene = scene.allow(r#"limits = { bytes_out = "3B" }"#);
        scene.run().fails("other", "the plugin gave out more than 3 B (`limits.bytes_out`)");
        assert_eq!(fs::read_to_string(path).unwrap(), after, "{behaviour:?}");
    }
}

#[test]
pub(crate) fn bytes_out_of_requests() {
    let server = Server::start();
    let scene = Scene::new(Behaviour::Request).head(&server.peer("ward")).with("peer", "ward").with("method", "POST");
    let scene = scene.with("path", "/").with("text", "a body").allow(r#"allow.http = ["POST ward:/"]"#);
    limited(scene, r#"bytes_out = "3B""#).fails("other", "the plugin gave out more than 3 B (`limits.bytes_out`)");
}

#[test]
pub(crate) fn bytes_out_of_statements() {
    let scene = Scene::new(Behaviour::WriteDatabase).database().with("peer", "clinic");
    let scene = scene.allow(r#"allow.sql = ["write clinic"]"#);
    limited(scene, r#"bytes_out = "8B""#).fails("other", "the plugin gave out more than 8 B (`limits.bytes_out`)");
}

#[test]
pub(crate) fn artifacts() {
    let scene = Scene::new(Behaviour::StoreArtifact).file("data/large.bin", vec![7; 100_000]).with("path", "data");
    let scene = scene.allow(r#"allow.read = ["data"]"#);
    let scene = scene.allow(r#"allow.artifacts = ["write"]"#).allow(r#"limits = { artifact = "64KiB" }"#);
    let seen = scene.run();
    assert_ne!(seen.ended.code, 0, "{}", seen.ended);
    let message = seen.failure()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("the artifact holds more than 64.0 KiB (`limits.artifact`)"), "{message}");
    assert_eq!(seen.of("artifact-stored").count(), 0);
    let runs: Vec<_> = fs::read_dir(scene.deployment.at("state/artifacts")).unwrap().flatten().collect();
    assert_eq!(runs.len(), 1);
    assert_eq!(fs::read_dir(runs[0].path()).unwrap().count(), 0, "something partial stayed");
}

#[test]
pub(crate) fn of_the_file_and_of_a_step() {
    let file = || Scene::new(Behaviour::EatMemory).head("[limits]\nmemory = \"16MiB\"\n");
    file().run().fails("out-of-memory", "more than 16.0 MiB of memory (`limits.memory`)");
    limited(file(), r#"memory = "32MiB""#).fails("out-of-memory", "more than 32.0 MiB of memory");
    limited(file(), "handles = 20").fails("out-of-memory", "more than 16.0 MiB of memory");
}
