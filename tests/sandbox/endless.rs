//! What does not end by itself ends at the step's deadline, and so does what it was waiting for.

use std::time::{Duration, Instant};

use crate::{Behaviour, Scene, Seen, servers::Server};

/// Runs it with one second, and gives a slow machine fifteen.
#[track_caller]
fn ends(scene: Scene) -> Seen {
    let began = Instant::now();
    let seen = scene.timeout("1s").run();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    seen.fails("deadline", "did not end within 1s");
    seen
}

#[test]
pub(crate) fn a_loop_ends() {
    ends(Scene::new(Behaviour::Loop));
}

#[test]
pub(crate) fn a_sleep_ends() {
    ends(Scene::new(Behaviour::Sleep));
}

#[test]
pub(crate) fn a_wait_for_a_server_that_never_answers_ends() {
    let server = Server::silent();
    let scene = Scene::new(Behaviour::Request).head(&server.peer("silent"));
    ends(
        scene.with("peer", "silent").with("method", "GET").with("path", "/").allow(r#"allow.http = ["GET silent:/"]"#),
    );
}

#[test]
pub(crate) fn a_program_ends_with_everything_that_it_started() {
    let scene = Scene::new(Behaviour::RunProgram).with_all("argv", &["setsid", "--fork", "--wait", "sleep", "4321"]);
    ends(scene.allow(r#"allow.exec = [{ program = "setsid", argv = ["**"] }]"#));
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 4321$"]).output().unwrap();
    assert!(left.stdout.is_empty(), "still there: {}", String::from_utf8_lossy(&left.stdout));
}

#[test]
pub(crate) fn a_statement_ends() {
    let scene = Scene::new(Behaviour::LoopInDatabase).database().with("peer", "clinic");
    ends(scene.allow(r#"allow.sql = ["read clinic"]"#));
}
