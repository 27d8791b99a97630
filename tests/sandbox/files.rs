//! Files: outside, above, through links, and through grants that cover less.

use std::{os::unix::fs::symlink, process::Command};

use crate::{Behaviour, Scene, scene::content};

/// A folder `data` with a file, which is granted for reading, and a folder `private` with one, which is not.
fn two_folders(behaviour: Behaviour) -> Scene {
    Scene::new(behaviour)
        .file("data/open.txt", "open")
        .file("private/diagnosis.txt", "confidential")
        .allow(r#"allow.read = ["data"]"#)
}

#[test]
pub(crate) fn a_file_outside_is_not_read() {
    let both = two_folders(Behaviour::ReadFile)
        .with("path", "private/diagnosis.txt")
        .refused_until(r#"allow.read = ["data", "private/diagnosis.txt"]"#);
    assert!(!both.refused.ended.stderr.contains("confidential"));
    assert_eq!(both.granted.observed(), "confidential");
}

#[test]
pub(crate) fn an_absolute_path_is_not_read() {
    let scene = two_folders(Behaviour::ReadFile).with("path", "/etc/hostname");
    scene.refused_until(r#"allow.read = ["data", "/etc/hostname"]"#);
}

#[test]
pub(crate) fn nothing_is_read_where_nothing_is_granted() {
    let scene = Scene::new(Behaviour::ReadFile).file("data/open.txt", "open").with("path", "data/open.txt");
    scene.refused_until(r#"allow.read = ["data/open.txt"]"#);
}

#[test]
pub(crate) fn a_path_that_climbs_out_is_not_read() {
    let both = two_folders(Behaviour::ReadFile)
        .with("path", "data/../private/diagnosis.txt")
        .refused_until(r#"allow.read = ["data", "private/diagnosis.txt"]"#);
    assert_eq!(both.granted.observed(), "confidential");
}

#[test]
pub(crate) fn a_link_that_leads_out_is_not_read() {
    let scene = two_folders(Behaviour::ReadFile).with("path", "data/link");
    symlink("../private/diagnosis.txt", scene.deployment.at("data/link")).unwrap();
    let both = scene.refused_until(r#"allow.read = ["data", "private/diagnosis.txt"]"#);
    assert_eq!(both.granted.observed(), "confidential");
}

#[test]
pub(crate) fn an_absolute_link_that_leads_out_is_not_read() {
    let scene = two_folders(Behaviour::ReadFile).with("path", "data/deep/diagnosis.txt");
    symlink(scene.deployment.at("private"), scene.deployment.at("data/deep")).unwrap();
    let both = scene.refused_until(r#"allow.read = ["data", "private/diagnosis.txt"]"#);
    assert_eq!(both.granted.observed(), "confidential");
}

#[test]
pub(crate) fn a_link_of_its_own_making_does_not_lead_out() {
    let scene = two_folders(Behaviour::ReadThroughOwnLink)
        .allow(r#"allow.write = ["data"]"#)
        .with("path", "data/own")
        .with("to", "../private/diagnosis.txt");
    let seen = scene.run();
    seen.fails("denied", "");
    assert!(!seen.ended.stderr.contains("confidential"));
}

#[test]
pub(crate) fn a_directory_outside_is_not_listed() {
    let both = two_folders(Behaviour::ListDirectory)
        .with("path", "private")
        .refused_until(r#"allow.read = ["data", "private"]"#);
    assert_eq!(both.granted.observed(), "diagnosis.txt");
}

#[test]
pub(crate) fn permissions_outside_are_not_told() {
    let scene = two_folders(Behaviour::StatFile).with("path", "private/diagnosis.txt");
    scene.refused_until(r#"allow.read = ["data", "private/diagnosis.txt"]"#);
}

#[test]
pub(crate) fn nothing_is_written_through_a_grant_for_reading() {
    let scene = two_folders(Behaviour::WriteFile).with("path", "data/new.txt");
    let both = scene.refused_until(r#"allow.write = ["data/new.txt"]"#);
    assert_eq!(both.refused.refusals().next().unwrap()["reason"], "the step has no `allow.write`");
    assert_eq!(both.granted.observed(), "written");
}

#[test]
pub(crate) fn nothing_is_emptied_removed_or_moved_through_a_grant_for_reading() {
    for behaviour in [Behaviour::TruncateFile, Behaviour::RemoveFile, Behaviour::RenameFile] {
        let scene = two_folders(behaviour).with("path", "data/open.txt").with("to", "data/moved.txt");
        let file = scene.deployment.at("data/open.txt");
        scene.run().fails("denied", "");
        assert_eq!(content(&file), "open", "{behaviour:?}");
        let line = if behaviour == Behaviour::TruncateFile { "data/open.txt" } else { "data" };
        scene.refused_until(&format!("allow.write = [\"{line}\"]"));
    }
}

#[test]
pub(crate) fn a_file_is_not_moved_out_of_what_may_be_written() {
    let scene = two_folders(Behaviour::RenameFile)
        .allow(r#"allow.write = ["data"]"#)
        .with("path", "data/open.txt")
        .with("to", "private/open.txt");
    let file = scene.deployment.at("private/open.txt");
    scene.run().fails("denied", "");
    assert!(!file.exists());
}

#[test]
pub(crate) fn a_hard_link_carries_nothing_into_what_may_be_written() {
    let scene = two_folders(Behaviour::LinkFile)
        .allow(r#"allow.read = ["private"]"#)
        .allow(r#"allow.write = ["data"]"#)
        .with("path", "private/diagnosis.txt")
        .with("to", "data/diagnosis.txt");
    let both = scene.refused_until(r#"allow.write = ["data", "private"]"#);
    assert_eq!(both.granted.observed(), "linked");
}

#[test]
pub(crate) fn a_fifo_does_not_hang_the_run() {
    for behaviour in [Behaviour::ReadFile, Behaviour::WriteFile] {
        let scene = two_folders(behaviour).allow(r#"allow.write = ["data"]"#).with("path", "data/fifo");
        let made = Command::new("mkfifo").arg(scene.deployment.at("data/fifo")).status().unwrap();
        assert!(made.success());
        scene.run().fails("denied", "");
    }
}

#[test]
pub(crate) fn a_device_is_not_opened() {
    let scene = Scene::new(Behaviour::ReadFile).allow(r#"allow.read = ["/dev"]"#).with("path", "/dev/zero");
    scene.run().fails("denied", "");
}

#[test]
pub(crate) fn times_are_not_set_through_a_grant_for_reading() {
    let scene = Scene::new(Behaviour::SetTimes).file("data/open.txt", "open").with("path", "data/open.txt");
    scene.allow(r#"allow.read = ["data"]"#).run().fails("denied", "no times for data/open.txt");
    let scene = Scene::new(Behaviour::SetTimes).file("data/open.txt", "open").with("path", "data/open.txt");
    let seen = scene.allow(r#"allow.write = ["data"]"#).run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
}

#[test]
pub(crate) fn a_directory_is_not_removed_through_a_grant_for_reading() {
    let scene = Scene::new(Behaviour::RemoveDirectory).file("data/open.txt", "open").with("path", "data/old");
    std::fs::create_dir(scene.deployment.at("data/old")).unwrap();
    let old = scene.deployment.at("data/old");
    let scene = scene.allow(r#"allow.read = ["data"]"#);
    scene.run().fails("denied", "");
    assert!(old.is_dir());
    let scene = scene.allow(r#"allow.write = ["data"]"#);
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0, "{}", seen.ended);
    assert!(!old.exists());
}
