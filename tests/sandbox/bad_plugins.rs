//! Files that are no plugins, and plugins that are not what they should be: one clear error before the first step.

use std::fs;

use pipe_tests::{Deployment, Ended, guest};

/// A run with `plugin.wasm` as the plugin of a verify step.
fn run(deployment: &Deployment, step: &str) -> Ended {
    let file = format!(
        "name = \"clinic\"\nenvironments = [\"test\"]\n\n[plugins]\nvendor = {{ path = \"plugin.wasm\" }}\n\n\
         [[step]]\nname = \"look\"\nplugin = \"vendor\"\n{step}\n"
    );
    fs::write(deployment.at("pipeline.toml"), file).unwrap();
    deployment.run(&["run", "pipeline.toml", "--env", "test"])
}

/// Refused before anything was run, with one error that names the plugin.
#[track_caller]
fn refused(deployment: &Deployment) -> Ended {
    let ended = run(deployment, "stage = \"verify\"");
    assert_eq!(ended.code, 3, "{ended}");
    assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("error")).count(), 1, "{ended}");
    assert!(ended.stderr.contains("plugin `vendor`"), "{ended}");
    let history = deployment.run(&["history"]);
    assert_eq!((history.code, history.stdout.as_str()), (0, ""), "{history}");
    ended
}

/// A folder with these bytes as its plugin.
fn plugin(bytes: &[u8]) -> Deployment {
    Deployment::new().file("plugin.wasm", bytes)
}

/// The guest `hostile` with some of its names changed to others of the same length.
fn renamed(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    replace(fs::read(guest::component("hostile")).unwrap(), from.as_bytes(), to.as_bytes())
}

/// The guest `bad-schema`, told how to describe itself.
fn describing(mode: char) -> Deployment {
    let bytes = fs::read(guest::component("bad-schema")).unwrap();
    plugin(&replace(bytes, b"describe-mode: 0", format!("describe-mode: {mode}").as_bytes()))
}

fn replace(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, at)| *at == from).map(|at| at.0).collect();
    assert!(!places.is_empty(), "{} is not there", String::from_utf8_lossy(from));
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
pub(crate) fn files_that_are_no_components() {
    for (name, bytes) in [
        ("a text file", &b"echo hello\n"[..]),
        ("an empty file", b""),
        ("a core module", b"\0asm\x01\0\0\0"),
        ("an empty component", b"\0asm\x0d\0\x01\0"),
        ("a component cut off", b"\0asm\x0d\0\x01\0\x01\x64"),
        ("a header alone", b"\0asm"),
    ] {
        insta::assert_snapshot!(name, refused(&plugin(bytes)));
    }
}

#[test]
pub(crate) fn a_component_cut_off_anywhere() {
    let whole = fs::read(guest::component("bad-schema")).unwrap();
    for part in 1..10 {
        let ended = refused(&plugin(&whole[..whole.len() * part / 10]));
        assert!(ended.stderr.contains("not a valid component") || ended.stderr.contains("no stage"), "{ended}");
    }
}

#[test]
pub(crate) fn places_without_a_file() {
    insta::assert_snapshot!("a missing file", refused(&Deployment::new()));
    insta::assert_snapshot!("a directory", refused(&Deployment::new().folder("plugin.wasm")));
    insta::assert_snapshot!("a device", {
        let deployment = Deployment::new();
        std::os::unix::fs::symlink("/dev/zero", deployment.at("plugin.wasm")).unwrap();
        refused(&deployment)
    });
}

#[test]
pub(crate) fn imports_that_pipe_does_not_offer() {
    let unknown = renamed("wasi:filesystem/types", "evil:filesystem/types");
    insta::assert_snapshot!("an unknown package", refused(&plugin(&unknown)));
    let unknown = renamed("pipe:host/disk@", "pipe:host/dusk@");
    insta::assert_snapshot!("an unknown interface", refused(&plugin(&unknown)));
}

#[test]
pub(crate) fn another_contract() {
    let later = renamed("pipe:stage/verify@0.1.0", "pipe:stage/verify@9.1.0");
    insta::assert_snapshot!("a later stage", refused(&plugin(&later)));
}

#[test]
pub(crate) fn another_sha256() {
    let deployment = plugin(&fs::read(guest::component("bad-schema")).unwrap());
    assert_eq!(run(&deployment, "stage = \"verify\"").code, 0);
    let pipeline = fs::read_to_string(deployment.at("pipeline.toml")).unwrap();
    let pinned = pipeline.replace("plugin.wasm\" }", &format!("plugin.wasm\", sha256 = \"{}\" }}", "0".repeat(64)));
    fs::write(deployment.at("pipeline.toml"), pinned).unwrap();
    let ended = deployment.run(&["run", "pipeline.toml", "--env", "test"]);
    assert_eq!(ended.code, 3, "{ended}");
    insta::assert_snapshot!("another sha256", ended);
    assert_eq!(deployment.run(&["log", "verify"]).code, 0);
    // And nothing of it is run, not even to describe it.
    fs::copy(describing('l').at("plugin.wasm"), deployment.at("plugin.wasm")).unwrap();
    let ended = deployment.run(&["run", "pipeline.toml", "--env", "test"]);
    assert!(ended.stderr.contains("its sha256 is"), "{ended}");
}

#[test]
pub(crate) fn another_stage() {
    let deployment = plugin(&fs::read(guest::component("bad-schema")).unwrap());
    let ended = run(&deployment, "stage = \"precheck\"");
    assert_eq!(ended.code, 3, "{ended}");
    insta::assert_snapshot!("another stage", ended);
}

#[test]
pub(crate) fn schemas_that_are_not_used() {
    for (name, mode) in [
        ("a schema that leads elsewhere", 'r'),
        ("a schema that leads to a file", 'f'),
        ("a schema that is too large", 'h'),
        ("a schema with a pattern that looks ahead", 'p'),
        ("a schema that is nested too deep", 'n'),
    ] {
        insta::assert_snapshot!(name, refused(&describing(mode)));
    }
}

#[test]
pub(crate) fn descriptions_that_do_not_come() {
    for (name, mode) in [
        ("a description that loops", 'l'),
        ("a description that sleeps", 's'),
        ("a description that panics", 'b'),
        ("a description that takes a gigabyte", 'm'),
    ] {
        insta::assert_snapshot!(name, refused(&describing(mode)));
    }
}

#[test]
pub(crate) fn a_description_writes_nothing_of_its_own_on_the_terminal() {
    let deployment = describing('t');
    for ended in [
        run(&deployment, "stage = \"verify\""),
        deployment.run(&["inspect", "plugin.wasm"]),
        deployment.run(&["inspect", "plugin.wasm", "--output", "json"]),
        deployment.run(&["plan", "pipeline.toml", "--env", "test"]),
        deployment.run(&["show", "last", "--output", "json"]),
    ] {
        let evil = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!ended.stdout.contains(evil) && !ended.stderr.contains(evil), "{:?}", ended.stdout);
        assert!(!ended.stdout.lines().any(|line| line.starts_with("forged")), "{}", ended.stdout);
    }
}

#[test]
pub(crate) fn settings_nested_without_end() {
    let deployment = plugin(&fs::read(guest::component("hostile")).unwrap());
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let bomb = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let ended = run(&deployment, &format!("stage = \"verify\"\nwith.text = {bomb}"));
        assert_eq!(ended.code, 3, "{}", &ended.stderr[..ended.stderr.len().min(500)]);
        assert!(ended.stderr.len() < 10_000, "{} bytes of error", ended.stderr.len());
    }
}
