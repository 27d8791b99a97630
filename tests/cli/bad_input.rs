//! Things that are no pipeline file, plugin or audit log: each is refused soon, by name, and never read without end.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use pipe_tests::{Deployment, Ended};

/// What any command may take with any of these.
const SOON: Duration = Duration::from_secs(10);

fn refused_soon(deployment: &Deployment, arguments: &[&str], says: &str) -> Ended {
    let began = Instant::now();
    let ended = deployment.run(arguments);
    assert!(began.elapsed() < SOON, "{arguments:?} took {:?}", began.elapsed());
    assert_eq!(ended.code, 3, "{arguments:?}\n{ended}");
    assert!(ended.stderr.contains(says), "{arguments:?} does not say {says:?}\n{ended}");
    assert!(!ended.stderr.contains("panicked"), "{ended}");
    ended
}

fn named_pipe(deployment: &Deployment, name: &str) {
    let made = Command::new("mkfifo").arg(deployment.at(name)).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
}

#[test]
fn what_is_no_pipeline_file_is_refused_by_name_and_with_advice() {
    let deployment =
        Deployment::new().folder("folder").file("latin1.toml", b"name = \"caf\xe9\"\n").file("empty.toml", "");
    named_pipe(&deployment, "fifo.toml");
    for (file, says, hint) in [
        ("missing.toml", "there is no file `missing.toml`", "hint: "),
        ("folder", "`folder` is a directory", "hint: "),
        ("latin1.toml", "is not UTF-8: byte 11", "hint: save it as UTF-8"),
        ("empty.toml", "`name` is missing", "hint: "),
        ("fifo.toml", "is not a regular file", "hint: "),
        ("/dev/zero", "is not a regular file", "hint: "),
    ] {
        for command in ["check", "run", "plan"] {
            let ended = refused_soon(&deployment, &[command, file, "--env", "demo"], says);
            assert!(ended.stderr.contains(hint), "{ended}");
        }
    }
}

#[test]
fn a_hundred_megabytes_of_toml_are_refused_without_being_read() {
    let deployment = Deployment::new();
    let file = File::create(deployment.at("large.toml")).and_then(|file| file.set_len(100 << 20));
    assert!(file.is_ok(), "a sparse file");
    let command = format!("ulimit -v 4000000; exec '{}' check large.toml", pipe_tests::pipe().display());
    let output = Command::new("sh").args(["-c", &command]).current_dir(deployment.path()).output();
    let output = output.expect("sh");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    refused_soon(&deployment, &["check", "large.toml"], "`large.toml` is larger than 1 MiB");
}

#[test]
fn toml_that_is_deep_or_wide_is_refused_soon() {
    let deployment = Deployment::new()
        .file("deep.toml", format!("name = {}{}", "[".repeat(100_000), "]".repeat(100_000)))
        .file("dots.toml", format!("{} = 1", vec!["a"; 50_000].join(".")))
        .file("wide.toml", "[[step]]\n".repeat(50_000));
    for file in ["deep.toml", "dots.toml", "wide.toml"] {
        let ended = refused_soon(&deployment, &["check", file], "error");
        assert!(ended.stderr.len() < 1 << 20, "{file}: {} bytes of errors", ended.stderr.len());
    }
}

#[test]
fn what_is_no_plugin_is_refused_by_name() {
    let deployment = Deployment::new()
        .folder("folder")
        .file("text.wasm", "not wasm")
        .file("empty.wasm", "")
        .file("module.wasm", b"\0asm\x01\0\0\0")
        .file("cut.wasm", b"\0asm\x0d\0\x01\0\x07\xff\xff");
    named_pipe(&deployment, "fifo.wasm");
    for (file, says) in [
        ("missing.wasm", "cannot read missing.wasm"),
        ("folder", "not a regular file"),
        ("fifo.wasm", "not a regular file"),
        ("text.wasm", "not a WebAssembly file"),
        ("empty.wasm", "not a WebAssembly file"),
        ("module.wasm", "not a component"),
        ("cut.wasm", "not a valid component"),
    ] {
        refused_soon(&deployment, &["inspect", file], says);
    }
}

#[test]
fn what_is_no_audit_log_is_refused_by_line() {
    let deployment = Deployment::new()
        .folder("folder")
        .file("empty.jsonl", "")
        .file("text.jsonl", "hello\n")
        .file("binary.jsonl", [0xff; 64])
        .file("endless.jsonl", "x".repeat(64 << 20));
    for (file, says) in [
        ("folder", "Is a directory"),
        ("empty.jsonl", "holds no audit entry"),
        ("text.jsonl", "line 1: not an audit entry"),
        ("binary.jsonl", "line 1: "),
        ("endless.jsonl", "line 1: "),
    ] {
        let ended = refused_soon(&deployment, &["log", "verify", file], says);
        assert!(ended.stderr.len() < 2_000, "{file}: {} bytes", ended.stderr.len());
    }
}

#[test]
fn a_file_that_may_not_be_read_says_so() {
    let deployment = Deployment::new().file("secret.toml", "name = \"x\"");
    let closed = fs::set_permissions(deployment.at("secret.toml"), fs::Permissions::from_mode(0o000));
    assert!(closed.is_ok());
    // The superuser may read anything.
    if File::open(deployment.at("secret.toml")).is_err() {
        refused_soon(&deployment, &["check", "secret.toml"], "cannot read `secret.toml`");
    }
}

/// A script that asks what is wrong gets the same answer from every command.
#[test]
fn a_file_that_is_missing_has_one_exit_code() {
    let deployment = Deployment::example();
    for arguments in [
        &["check", "missing.toml"][..],
        &["plan", "missing.toml"],
        &["run", "missing.toml"],
        &["audit", "missing.toml"],
        &["lock", "missing.toml"],
        &["inspect", "missing.wasm"],
        &["diff", "missing.wasm", "missing.wasm"],
        &["log", "verify", "missing.jsonl"],
        &["check", "example.toml", "--policy", "missing.toml"],
    ] {
        refused_soon(&deployment, arguments, "missing.");
    }
}

#[test]
fn where_the_pages_of_the_manual_cannot_be_written_is_said() {
    let deployment = Deployment::new().file("file", "");
    let ended = deployment.run(&["man", "--out", "file"]);
    assert_eq!(ended.code, 70, "{ended}");
    assert!(ended.stderr.contains("cannot write the pages into file: ") && ended.stderr.contains("hint: "), "{ended}");
}

#[test]
fn commands_that_are_shown_can_be_pasted_whatever_a_path_is_called() {
    let deployment = Deployment::example();
    let text = fs::read(deployment.at("example.toml")).expect("the example");
    let deployment = deployment.file("it's mine.toml", text);
    let ended = deployment.run(&["check", "it's mine.toml", "--locked"]);
    assert!(ended.stderr.contains(r"hint: `pipe lock 'it'\''s mine.toml'` accepts the file as it is"), "{ended}");
    let state = ["--state", "my state", "run", "it's mine.toml", "--env", "demo"];
    let ended = deployment.run(&state);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stderr.contains("--state 'my state'"), "{ended}");
}

#[test]
fn a_name_that_is_no_text_is_found_before_anything_is_copied_and_said_in_words() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let deployment = Deployment::example();
    fs::write(deployment.at("example/app").join(OsStr::from_bytes(b"caf\xe9.html")), "x").expect("a file");
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_ne!(ended.code, 0, "{ended}");
    assert!(ended.stderr.contains("a name there is not UTF-8"), "{ended}");
    assert!(!ended.stderr.contains("os error"), "{ended}");
    assert!(!deployment.at("example/live/www").exists(), "something was copied");
}
