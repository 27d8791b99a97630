//! One file is granted, and only that: what is in it, never its name, and nothing beside it.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{Behaviour, Scene, scene::content};

/// A folder with two files and a folder beside it, of all of which only `data/open.txt` is granted, for reading.
fn one_file(behaviour: Behaviour) -> Scene {
    Scene::new(behaviour)
        .file("data/open.txt", "open")
        .file("data/other.txt", "other")
        .file("private/diagnosis.txt", "confidential")
        .allow(r#"allow.read = ["data/open.txt"]"#)
}

/// The same, for writing.
fn one_writable(behaviour: Behaviour) -> Scene {
    one_file(behaviour).allow(r#"allow.write = ["data/open.txt"]"#)
}

/// A step before the attempt that does this to what lies in `work`.
fn before(behaviour: &str, path: &str, to: &str) -> String {
    format!(
        "[[step]]\nname = \"before\"\nstage = \"verify\"\nplugin = \"hostile\"\nallow.write = [\"work\"]\n\
         with = {{ behaviour = \"{behaviour}\", path = \"{path}\", to = \"{to}\" }}\n"
    )
}

#[test]
pub(crate) fn a_granted_file_is_read_however_it_is_named() {
    let scene = one_file(Behaviour::ReadFile);
    let absolute = scene.deployment.at("data/open.txt").canonicalize().unwrap();
    for path in
        ["data/open.txt", "./data/open.txt", "data//./open.txt", "data/../data/open.txt", absolute.to_str().unwrap()]
    {
        let seen = one_file(Behaviour::ReadFile).file("data/open.txt", "open").with("path", path);
        if path.starts_with('/') {
            // Another folder, and so another path.
            seen.run().fails("denied", "");
        } else {
            assert_eq!(seen.run().observed(), "open", "{path}");
        }
    }
    assert_eq!(scene.with("path", absolute.to_str().unwrap()).run().observed(), "open");
}

#[test]
pub(crate) fn the_file_beside_it_is_not_read() {
    let both = one_file(Behaviour::ReadFile)
        .with("path", "data/other.txt")
        .refused_until(r#"allow.read = ["data/open.txt", "data/other.txt"]"#);
    assert_eq!(both.granted.observed(), "other");
}

#[test]
pub(crate) fn the_directory_that_holds_it_is_not_listed() {
    let both = one_file(Behaviour::ListDirectory)
        .with("path", "data")
        .refused_until(r#"allow.read = ["data/open.txt", "data"]"#);
    assert_eq!(both.granted.observed(), "open.txt other.txt");
}

#[test]
pub(crate) fn the_permissions_of_the_file_beside_it_are_not_told() {
    let scene = one_file(Behaviour::StatFile).with("path", "data/other.txt");
    scene.refused_until(r#"allow.read = ["data/open.txt", "data/other.txt"]"#);
    assert_eq!(one_file(Behaviour::StatFile).with("path", "data/open.txt").run().ended.code, 0);
}

#[test]
pub(crate) fn it_is_not_written_through_a_grant_for_reading() {
    for behaviour in [Behaviour::WriteFile, Behaviour::TruncateFile, Behaviour::AppendFile] {
        let scene = one_file(behaviour).with("path", "data/open.txt").with("text", "!");
        scene.refused_until(r#"allow.write = ["data/open.txt"]"#);
    }
}

#[test]
pub(crate) fn it_is_written_in_its_place() {
    for (behaviour, after) in
        [(Behaviour::WriteFile, "hostile"), (Behaviour::TruncateFile, ""), (Behaviour::AppendFile, "open!")]
    {
        let scene = one_writable(behaviour).with("path", "data/open.txt").with("text", "!");
        assert_eq!(scene.run().ended.code, 0, "{behaviour:?}");
        assert_eq!(content(&scene.deployment.at("data/open.txt")), after, "{behaviour:?}");
    }
}

#[test]
pub(crate) fn its_name_is_not_removed_moved_linked_or_taken() {
    let line = r#"allow.write = ["data/open.txt", "data"]"#;
    for behaviour in [Behaviour::RemoveFile, Behaviour::RenameFile, Behaviour::LinkFile] {
        let scene = one_writable(behaviour).with("path", "data/open.txt").with("to", "data/moved.txt");
        let (file, moved) = (scene.deployment.at("data/open.txt"), scene.deployment.at("data/moved.txt"));
        scene.run().fails("denied", "");
        assert_eq!((content(&file).as_str(), moved.exists()), ("open", false), "{behaviour:?}");
        let both = scene.refused_until(line);
        let reason = both.refused.refusals().next().unwrap()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("covers the file and not its name"), "{reason}");
    }
    // Nor does anything else come under its name.
    for behaviour in [Behaviour::RenameFile, Behaviour::LinkFile] {
        let scene = one_writable(behaviour).with("path", "data/other.txt").with("to", "data/open.txt");
        scene.run().fails("denied", "");
        assert_eq!(content(&scene.deployment.at("data/open.txt")), "open", "{behaviour:?}");
        assert_eq!(content(&scene.deployment.at("data/other.txt")), "other", "{behaviour:?}");
    }
}

#[test]
pub(crate) fn no_link_is_made_of_it_or_beside_it() {
    for path in ["data/open.txt", "data/link"] {
        let scene = one_writable(Behaviour::MakeLink).with("path", path).with("to", "../private/diagnosis.txt");
        let seen = scene.run();
        seen.fails("denied", "");
        assert!(
            seen.refusals().any(|refusal| refusal["hint"].as_str().is_some_and(|hint| hint.ends_with("\"data\"]")))
        );
        assert!(!scene.deployment.at(path).is_symlink(), "{path}");
    }
}

#[test]
pub(crate) fn nothing_is_created_beside_it() {
    let scene = one_writable(Behaviour::WriteFile).with("path", "data/new.txt");
    scene.run().fails("denied", "");
    let file = scene.deployment.at("data/new.txt");
    assert!(!file.exists());
    scene.refused_until(r#"allow.write = ["data/open.txt", "data/new.txt"]"#);
    let scene = one_writable(Behaviour::MakeDirectory).with("path", "data/new");
    scene.run().fails("denied", "");
    scene.refused_until(r#"allow.write = ["data/open.txt", "data/new"]"#);
}

#[test]
pub(crate) fn what_is_missing_is_made_as_a_file_or_as_a_directory() {
    for (behaviour, path, made) in [
        (Behaviour::WriteFile, "data/new", "data/new"),
        (Behaviour::AppendFile, "data/new", "data/new"),
        (Behaviour::MakeDirectory, "data/new", "data/new"),
        (Behaviour::WriteFile, "data/new/below", "data/new/below"),
        (Behaviour::MakeDirectory, "data/new/below", "data/new/below"),
    ] {
        let scene = one_file(behaviour).allow(r#"allow.write = ["data/new"]"#).with("path", path).with("text", "!");
        let seen = scene.run();
        assert_eq!(seen.ended.code, 0, "{behaviour:?} {path}: {}", seen.ended);
        assert!(scene.deployment.at(made).exists(), "{behaviour:?} {path}");
    }
    // Nothing is made that nobody asks for.
    let scene = one_file(Behaviour::ReadFile).allow(r#"allow.write = ["data/new"]"#).with("path", "data/open.txt");
    assert_eq!(scene.run().observed(), "open");
    assert!(!scene.deployment.at("data/new").exists());
}

#[test]
pub(crate) fn what_an_earlier_step_makes_is_read_by_a_later_one() {
    let seen = one_file(Behaviour::ReadFile)
        .head(&before("write-file", "work/result.txt", ""))
        .allow(r#"allow.read = ["work/result.txt"]"#)
        .with("path", "work/result.txt")
        .run();
    assert_eq!(seen.observed(), "hostile");
}

/// Runs the guest, and puts what `prepare` makes in the place of the granted file while it waits for that.
fn swapped(prepare: impl FnOnce(&Path)) -> (Scene, crate::Seen) {
    let scene = one_writable(Behaviour::UseAfterSwap).with("path", "data/open.txt");
    let prepared = scene.deployment.at("data/prepared");
    prepare(&prepared);
    let file: PathBuf = scene.deployment.at("data/open.txt");
    let swapper = thread::spawn(move || {
        for _ in 0..3_000 {
            if content(&file) == "ready" {
                // A file is replaced by a directory in two steps.
                if prepared.is_dir() && !prepared.is_symlink() {
                    fs::remove_file(&file).unwrap();
                }
                return fs::rename(&prepared, &file).unwrap();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the guest was never ready");
    });
    let seen = scene.run();
    swapper.join().unwrap();
    assert_ne!(seen.ended.code, 0, "{}", seen.ended);
    (scene, seen)
}

#[test]
pub(crate) fn a_link_that_takes_its_place_is_not_followed() {
    for to in ["../private/diagnosis.txt", "other.txt", "/etc/hostname", "/proc/self/environ"] {
        let (scene, seen) = swapped(|prepared| symlink(to, prepared).unwrap());
        seen.fails("denied", "");
        assert!(!seen.ended.stderr.contains("confidential"));
        assert_eq!(content(&scene.deployment.at("private/diagnosis.txt")), "confidential");
        assert_eq!(content(&scene.deployment.at("data/other.txt")), "other");
    }
}

#[test]
pub(crate) fn a_fifo_that_takes_its_place_hangs_nobody() {
    let (scene, seen) = swapped(|prepared| assert!(Command::new("mkfifo").arg(prepared).status().unwrap().success()));
    seen.fails("denied", "");
    assert!(fs::symlink_metadata(scene.deployment.at("data/open.txt")).unwrap().file_type().is_fifo());
}

#[test]
pub(crate) fn a_directory_that_takes_its_place_holds_nothing_more() {
    let (scene, _) = swapped(|prepared| fs::create_dir(prepared).unwrap());
    assert_eq!(fs::read_dir(scene.deployment.at("data/open.txt")).unwrap().count(), 0);
}

#[test]
pub(crate) fn what_a_granted_link_leads_to_is_decided_once() {
    let linked = || {
        let scene = one_file(Behaviour::ReadFile).file("work/real.txt", "real").with("path", "work/link");
        symlink("real.txt", scene.deployment.at("work/link")).unwrap();
        scene.allow(r#"allow.read = ["work/link"]"#)
    };
    assert_eq!(linked().run().observed(), "real");
    let seen = linked().head(&before("replace-by-link", "work/link", "../private/diagnosis.txt")).run();
    seen.fails("denied", "");
    assert!(!seen.ended.stderr.contains("confidential"));
}

#[test]
pub(crate) fn a_link_in_the_place_of_a_granted_directory_is_not_followed() {
    let scene =
        one_file(Behaviour::ReadFile).file("work/sub/diagnosis.txt", "harmless").with("path", "work/sub/diagnosis.txt");
    let scene = scene.allow(r#"allow.read = ["work/sub"]"#);
    assert_eq!(scene.run().observed(), "harmless");
    let seen = scene.head(&before("replace-by-link", "work/sub", "../private")).run();
    seen.fails("other", "`work/sub`: it leads elsewhere than when the run began");
    assert!(!seen.ended.stderr.contains("confidential"));
}

#[test]
pub(crate) fn a_link_on_the_way_to_a_granted_file_is_not_followed() {
    let scene =
        one_file(Behaviour::ReadFile).file("work/sub/diagnosis.txt", "harmless").with("path", "work/sub/diagnosis.txt");
    let scene = scene.allow(r#"allow.read = ["work/sub/diagnosis.txt"]"#);
    assert_eq!(scene.run().observed(), "harmless");
    let seen = scene.head(&before("replace-by-link", "work/sub", "../private")).run();
    seen.fails("other", "`work/sub/diagnosis.txt`: it leads elsewhere than when the run began");
    assert!(!seen.ended.stderr.contains("confidential"));
}

#[test]
pub(crate) fn what_is_no_file_is_not_granted() {
    let scene = one_file(Behaviour::ReadFile).allow(r#"allow.read = ["data/fifo"]"#);
    assert!(Command::new("mkfifo").arg(scene.deployment.at("data/fifo")).status().unwrap().success());
    let ended = scene.refused_at_start();
    assert!(ended.stderr.contains("`data/fifo` is neither a file nor a directory"), "{ended}");
    let ended = one_file(Behaviour::ReadFile).allow(r#"allow.read = ["/dev/zero"]"#).refused_at_start();
    assert!(ended.stderr.contains("`/dev/zero` is neither a file nor a directory"), "{ended}");
}

#[test]
pub(crate) fn what_the_kernel_shows_of_pipe_is_not_read() {
    for path in
        ["/proc/self/environ", "/proc/self/mem", "/proc/self/root/etc/hostname", "/proc/self/cwd/x", "/proc/1/environ"]
    {
        for behaviour in [Behaviour::ReadFile, Behaviour::OpenAsItStands] {
            one_file(behaviour).with("path", path).run().fails("denied", "");
        }
    }
}

#[test]
pub(crate) fn a_path_that_is_none_breaks_nothing() {
    let long = format!("data/{}", "x".repeat(10_000));
    let deep = "data/../".repeat(2_000) + "private/diagnosis.txt";
    for path in
        ["data/open.txt\0.png", "data/open\0", "\0", "", ".", "..", "../../..", "private/diagnosis.txt", &long, &deep]
    {
        for grant in [r#"allow.read = ["data/open.txt"]"#, r#"allow.read = ["data"]"#] {
            let seen = one_file(Behaviour::OpenAsItStands).allow(grant).with("path", path).run();
            assert_ne!(seen.ended.code, 0, "{path:.40}: {}", seen.ended);
            assert!(!seen.ended.stderr.contains("confidential"), "{path:.40}");
        }
    }
    assert_eq!(one_file(Behaviour::OpenAsItStands).with("path", "data/open.txt").run().observed(), "open");
}

#[test]
pub(crate) fn the_record_names_where_a_path_leads() {
    let scene = one_file(Behaviour::ReadFile).allow(r#"allow.read = ["data"]"#).with("path", "data/link");
    symlink("open.txt", scene.deployment.at("data/link")).unwrap();
    let seen = scene.run();
    assert_eq!(seen.observed(), "open");
    let used: Vec<&str> = seen.of("used").filter_map(|what| what["use"]["subject"].as_str()).collect();
    assert!(used.contains(&"data/open.txt") && !used.contains(&"data/link"), "{used:?}");
}
