//! Compiled code is machine code: what was changed on disk is not loaded.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use crate::{Behaviour, Scene};

/// A scene with a cache of its own.
fn scene() -> Scene {
    let scene = Scene::new(Behaviour::ListVariables);
    let cache = scene.deployment.at("cache");
    scene.variable("XDG_CACHE_HOME", cache.to_str().unwrap())
}

/// The compiled plugin.
fn entry(scene: &Scene) -> PathBuf {
    let files = fs::read_dir(scene.deployment.at("cache/pipe")).unwrap();
    files.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|end| end == "cwasm")).unwrap()
}

#[test]
pub(crate) fn a_changed_entry_is_replaced_wherever_it_was_changed() {
    let scene = scene();
    assert_eq!(scene.run().ended.code, 0);
    let entry = entry(&scene);
    let good = fs::read(&entry).unwrap();
    // The MAC, the facts, and the code.
    for place in [3, 50, good.len() / 2, good.len() - 1] {
        let mut changed = good.clone();
        changed[place] ^= 1;
        fs::write(&entry, &changed).unwrap();
        let inode = fs::metadata(&entry).unwrap().ino();
        assert_eq!(scene.run().ended.code, 0);
        assert_ne!(fs::metadata(&entry).unwrap().ino(), inode, "byte {place}: the entry was loaded");
        assert_ne!(fs::read(&entry).unwrap(), changed);
    }
}

#[test]
pub(crate) fn an_entry_that_is_cut_off_is_replaced() {
    let scene = scene();
    assert_eq!(scene.run().ended.code, 0);
    let entry = entry(&scene);
    for length in [0, 20, 36] {
        let good = fs::read(&entry).unwrap();
        fs::write(&entry, &good[..length]).unwrap();
        assert_eq!(scene.run().ended.code, 0);
        assert!(fs::metadata(&entry).unwrap().len() > 1_000);
    }
}

#[test]
pub(crate) fn an_entry_is_not_used_for_another_plugin() {
    let scene = scene();
    assert_eq!(scene.run().ended.code, 0);
    let entry = entry(&scene);
    let renamed = entry.with_file_name(format!("{}.cwasm", "0".repeat(64)));
    fs::rename(&entry, &renamed).unwrap();
    assert_eq!(scene.run().ended.code, 0);
    assert!(entry.exists());
}

#[test]
pub(crate) fn a_cache_that_others_may_write_is_not_used() {
    let scene = scene();
    assert_eq!(scene.run().ended.code, 0);
    let folder = scene.deployment.at("cache/pipe");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let seen = scene.run();
    assert_eq!(seen.ended.code, 0);
    assert!(seen.ended.stderr.contains("may be written by others"), "{}", seen.ended);
}
