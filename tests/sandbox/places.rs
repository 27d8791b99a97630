//! No grant reaches what is pipe's own: it is refused before the first step.

use std::{fs, os::unix::fs::symlink};

use pipe_tests::guest;

use crate::{
    Behaviour, Scene,
    scene::{content, quoted},
};

fn writing(path: &str) -> Scene {
    Scene::new(Behaviour::WriteFile).with("path", "x").allow(&format!("allow.write = [{}]", quoted(path)))
}

#[test]
pub(crate) fn the_folder_of_the_pipeline_file_is_not_written() {
    let ended = writing(".").refused_at_start();
    assert!(ended.stderr.contains(r#"step "attempt": `.` reaches"#), "{ended}");
    assert!(ended.stderr.contains("which belongs to pipe itself"), "{ended}");
}

#[test]
pub(crate) fn the_state_is_not_written() {
    for path in ["state", "state/artifacts", "data/link"] {
        let scene = writing(path).file("data/open.txt", "").file("state/artifacts/x", "");
        symlink("../state", scene.deployment.at("data/link")).unwrap();
        let ended = scene.refused_at_start();
        assert!(ended.stderr.contains("which belongs to pipe itself"), "{ended}");
    }
}

#[test]
pub(crate) fn the_plugin_and_pipe_itself_are_not_written() {
    let plugins = guest::component("hostile").parent().unwrap().to_owned();
    let pipe = pipe_tests::pipe().parent().unwrap().to_owned();
    for path in [plugins, pipe] {
        let ended = writing(path.to_str().unwrap()).refused_at_start();
        assert!(ended.stderr.contains("which belongs to pipe itself"), "{ended}");
    }
}

#[test]
pub(crate) fn the_machine_itself_is_not_written() {
    for path in ["/", "/proc/sys", "/sys", "/dev"] {
        let ended = writing(path).refused_at_start();
        assert!(ended.stderr.contains("which is the machine itself"), "{ended}");
    }
}

#[test]
pub(crate) fn another_name_of_what_is_pipes_own_is_not_written() {
    for own in ["pipeline.toml", "state/artifacts/run/backup.tar.zst"] {
        let linked = |grant: &str| {
            let scene = Scene::new(Behaviour::WriteFile)
                .file(own, "precious")
                .file("data/open.txt", "")
                .with("path", "data/innocent.txt")
                .allow(&format!("allow.write = [{}]", quoted(grant)));
            fs::hard_link(scene.deployment.at(own), scene.deployment.at("data/innocent.txt")).unwrap();
            scene
        };
        // By itself it is not even granted; in a directory it is found when it is opened.
        let ended = linked("data/innocent.txt").refused_at_start();
        assert!(ended.stderr.contains("which belongs to pipe itself"), "{ended}");
        let scene = linked("data");
        scene.run().fails("denied", "");
        assert_ne!(content(&scene.deployment.at(own)), "hostile", "{own}");
        assert_ne!(content(&scene.deployment.at(own)), "", "{own}");
    }
}

#[test]
pub(crate) fn the_memory_of_pipe_is_not_read() {
    let ended = Scene::new(Behaviour::ReadFile)
        .with("path", "/proc/self/environ")
        .allow(r#"allow.read = ["/proc/self"]"#)
        .refused_at_start();
    assert!(ended.stderr.contains("which is the machine itself"), "{ended}");
}
