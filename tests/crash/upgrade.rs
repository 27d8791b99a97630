//! Between crash and resume somebody installs something else: the run ends with what it was begun with.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use pipe_tests::pipe;
use serde_json::Value;

use crate::{
    desk::Desk,
    scene::{RESUME, RUN, Scene},
    tracer::{Point, Side},
};

/// Replaces a text by another of the same length, which leaves a component valid: its content is another, and so is its digest.
fn patched(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from:?} is not there");
    bytes
}

/// What is in the journal of the last run.
fn events(scene: &Scene<'_>) -> Vec<Value> {
    let shown = scene.deployment.run(&["show", "last", "--output", "json"]);
    assert_eq!(shown.code, 0, "{shown}");
    shown.json().into_iter().map(|mut line| line["what"].take()).collect()
}

/// Plugins that the run was planned with, and those that its steps say they were started with: name and digest.
fn plugins(events: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let planned = events.iter().find(|event| event["event"] == "run-started").unwrap()["steps"].as_array().unwrap();
    let started = events.iter().filter(|event| event["event"] == "step-started");
    (
        planned.iter().map(|step| step["plugin"].clone()).collect(),
        started.map(|event| event["plugin"].clone()).collect(),
    )
}

#[test]
fn a_plugin_that_was_replaced_after_the_crash_is_not_used() {
    let desk = Desk::open();
    let scene = Scene::new(&desk);
    // After the clerk has published, and before it is taken back.
    let point = Point { call: "rename live/www/current".to_owned(), nth: 1, side: Side::Before };
    assert_eq!(scene.trace(&RUN, Some(&point)).unwrap().code, None, "it was not killed: {}", scene.said());
    let file = scene.deployment.at("clerk.wasm");
    fs::write(&file, patched(fs::read(&file).unwrap(), "the first edition", "the other edition")).unwrap();
    let ended = scene.deployment.run(&RESUME);
    assert_eq!(ended.code, 5, "{ended}");
    let told = events(&scene).iter().map(Value::to_string).collect::<String>();
    assert!(told.contains("undo-finished") && told.contains("clerk of the first edition"), "{told}");
    assert!(!told.contains("clerk of the other edition"), "{told}");
    // The next run has the other one.
    let ended = scene.deployment.run(&RUN);
    assert_eq!(ended.code, 5, "{ended}");
    let told = events(&scene).iter().map(Value::to_string).collect::<String>();
    assert!(told.contains("clerk of the other edition") && !told.contains("clerk of the first edition"), "{told}");
}

#[test]
fn an_upgrade_of_pipe_after_the_crash_changes_nothing_of_the_run() {
    const STANDARD: &str = "Sends messages to servers and people";
    const UPGRADED: &str = "Sends messages to people and servers";
    let desk = Desk::open();
    let scene = Scene::new(&desk);
    let point = Point { call: "open state/artifacts/*-*/.partial-*".to_owned(), nth: 1, side: Side::Before };
    assert_eq!(scene.trace(&RUN, Some(&point)).unwrap().code, None, "it was not killed: {}", scene.said());

    // The next release of `pipe`: all its standard plugins that send messages are others.
    let (bytes, upgraded) = (scene.deployment.at("upgraded-bytes"), scene.deployment.at("upgraded-pipe"));
    fs::write(&bytes, patched(fs::read(pipe()).unwrap(), STANDARD, UPGRADED)).unwrap();
    // Copied by another process: a child that another test starts meanwhile would hold a file of this one open for writing, and
    // what is open for writing cannot be run.
    let copied = Command::new("cp").arg(&bytes).arg(&upgraded).status().unwrap();
    assert!(copied.success(), "{copied}");
    fs::set_permissions(&upgraded, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, said) = by(&upgraded, &scene, &RESUME);
    assert_eq!(code, Some(5), "{said}");
    let (planned, started) = plugins(&events(&scene));
    assert!(started.len() >= 7, "{started:?}");
    assert!(started.iter().all(|plugin| planned.contains(plugin)), "{started:?} {planned:?}");

    // It is another release: its own run has other plugins.
    let (code, said) = by(&upgraded, &scene, &RUN);
    assert_eq!(code, Some(5), "{said}");
    let (next, _) = plugins(&events(&scene));
    let digest = |plugins: &[Value], name: &str| {
        plugins.iter().find(|plugin| plugin["name"] == name).map(|plugin| plugin["digest"].clone())
    };
    assert_ne!(digest(&next, "std:notify"), digest(&planned, "std:notify"));
    assert_eq!(digest(&next, "std:release"), digest(&planned, "std:release"));
}

/// Runs another `pipe` in the scene.
fn by(program: &Path, scene: &Scene<'_>, arguments: &[&str]) -> (Option<i32>, String) {
    let usual = scene.deployment.command(arguments);
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir(scene.deployment.path());
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = command.output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}
