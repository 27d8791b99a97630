//! A migration begins once a backup of the same run has been verified that is not too old, or once it is written down who accepts
//! that there is none.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pipe_tests::{Deployment, Ended, pipe};

/// The example, whose backup is replaced by one that stores nothing, since a program takes it.
fn without_verification() -> Deployment {
    Deployment::example().edit(
        "example.toml",
        "with = { kind = \"archive\", directory = \"example/data\", encrypt = false }",
        "with = { kind = \"archive\", directory = \"example/data\", encrypt = false, verify = \"none\" }",
    )
}

#[test]
fn a_backup_that_nobody_verified_is_none() {
    let deployment = without_verification();
    let ran = deployment.run(&["run", "example.toml", "--env", "demo"]);
    // A plugin that lets nobody leave the verification out says so at its line; one that does is stopped by the host.
    assert!([3, 4].contains(&ran.code), "{ran}");
    assert!(!deployment.at("example/live/app.db").exists(), "nothing was migrated\n{ran}");
}

#[test]
fn who_accepts_that_there_is_none_is_in_the_record() {
    let deployment = Deployment::example();
    let text = std::fs::read_to_string(deployment.at("example.toml")).expect("is there");
    let (before, rest) = text.split_once("[[step]]\nname = \"backup\"").expect("a backup");
    let (_, after) = rest.split_once("[[step]]\nname = \"migrate\"").expect("a migration");
    let bare = format!("{before}[[step]]\nname = \"migrate\"{after}");
    let deployment = deployment.file("example.toml", &bare);
    let refused = deployment.run(&["check", "example.toml", "--env", "demo"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(refused.stderr.contains("error[order-rule]: the migration `migrate` has no backup before it"), "{refused}");

    let waiver = "stage = \"migrate\"\nwithout_backup = { role = \"dba\", reason = \"the tables are new\" }";
    let deployment = deployment.file("example.toml", bare.replace("stage = \"migrate\"", waiver));
    let ran = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("│ ! without backup, accepted by dba: the tables are new"), "{ran}");
    let record = deployment.run(&["log", "export"]).stdout;
    assert_eq!(record.matches("\"event\":\"waived\"").count(), 1, "{record}");
}

const RUN: [&str; 4] = ["run", "example.toml", "--env", "demo"];

/// The example with a step of so many seconds between backup and migration, and what the migration says of its backup.
fn slow(seconds: &str, age: &str) -> Deployment {
    let wait = format!(
        "[[step]]\nname = \"wait\"\nstage = \"release\"\nin_flight = \"retry\"\n\
         allow.exec = [{{ program = \"sleep\", argv = [\"{seconds}\"] }}, {{ program = \"true\", argv = [] }}]\n\
         with = {{ kind = \"program\", version = \"1\", publish = {{ program = \"sleep\", arguments = [\"{seconds}\"] }}, \
         undo = {{ program = \"true\" }} }}\n\n[[step]]\nname = \"migrate\"\n{age}"
    );
    Deployment::example().edit("example.toml", "[[step]]\nname = \"migrate\"\n", &wait)
}

fn migrated(deployment: &Deployment) -> bool {
    deployment.at("example/live/app.db").exists()
}

/// The run waits, since its backup is too old.
fn stale(deployment: &Deployment, ended: &Ended, why: &str) {
    assert_eq!(ended.code, 7, "{ended}");
    let told = ended.stderr.contains(&format!("\"migrate\" does not begin: its backup \"backup\" {why}"));
    assert!(told && !ended.stderr.contains("┌ migrate"), "{ended}");
    assert!(!migrated(deployment), "{ended}");
}

fn count(deployment: &Deployment, event: &str) -> usize {
    deployment.run(&["log", "export"]).stdout.matches(&format!("\"event\":\"{event}\"")).count()
}

#[test]
fn a_backup_that_has_become_too_old_is_taken_again() {
    let deployment = slow("4.5041", "backup_max_age = \"4s\"\n");
    stale(&deployment, &deployment.run(&RUN), "began ");
    let status = deployment.run(&["status"]);
    assert!(status.stdout.contains(" --retry 'backup' --state "), "{status}");
    stale(&deployment, &deployment.run(&["resume", "last"]), "began ");
    let resumed = deployment.run(&["resume", "last", "--retry", "backup"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert!(migrated(&deployment) && !resumed.stderr.contains("┌ wait"), "what had succeeded ran again\n{resumed}");
    assert_eq!((count(&deployment, "artifact-stored"), count(&deployment, "in-flight-decided")), (2, 1));
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
    // It has ended, and there is nothing to take again.
    let late = deployment.run(&["resume", "last", "--retry", "backup"]);
    assert_eq!(late.code, 2, "{late}");
}

#[test]
fn a_run_whose_backup_is_too_old_can_be_undone_instead() {
    let deployment = slow("1.2042", "backup_max_age = \"1s\"\n");
    stale(&deployment, &deployment.run(&RUN), "began ");
    for (step, answer) in [("wait", "--retry"), ("backup", "--undo"), ("preflight", "--retry")] {
        let refused = deployment.run(&["resume", "last", answer, step]);
        assert_eq!(refused.code, 2, "{answer} {step}\n{refused}");
    }
    let undone = deployment.run(&["rollback", "last", "--reason", "enough for tonight"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert!(!migrated(&deployment));
}

#[test]
fn a_policy_says_how_old_a_backup_may_be_at_most() {
    let policy = |age: &str| format!("[[allow]]\nany = [\"*\"]\n\n[require]\nbackup_max_age = \"{age}\"\n");
    let bound = [&RUN[..], &["--policy", "policy.toml"]].concat();
    // It says less than the file would by itself.
    let deployment = slow("1.2043", "").file("policy.toml", policy("1s"));
    let ended = deployment.run(&bound);
    stale(&deployment, &ended, "began ");
    assert!(ended.stderr.contains("s ago, and may be 1s old: have \"backup\" taken again, or undo?"), "{ended}");
    // And no file may say more.
    let deployment = slow("1.2044", "backup_max_age = \"2h\"\n").file("policy.toml", policy("1h"));
    for command in ["check", "plan", "run"] {
        let ended = deployment.run(&[command, "example.toml", "--env", "demo", "--policy", "policy.toml"]);
        assert_eq!(ended.code, 4, "{ended}");
        let told = ended.stderr.contains("its backup may be 2h old") && ended.stderr.contains("1h is the most");
        assert!(told && ended.stderr.contains("policy.toml:5"), "{ended}");
    }
    let deployment = deployment.file("policy.toml", policy("2h"));
    let ended = deployment.run(&bound);
    assert_eq!(ended.code, 0, "{ended}");
}

/// A run that was cut off behind its backup.
fn cut_off(deployment: &Deployment, seconds: &str) {
    let mut child = deployment.command(&RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    let wanted = format!("sleep\0{seconds}\0").into_bytes();
    let sleeps = || {
        let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        processes.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default()).any(|line| line == wanted)
    };
    let began = Instant::now();
    while !sleeps() {
        assert!(began.elapsed() < Duration::from_secs(60), "the step does not begin");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("dies");
    child.wait().expect("is dead");
}

/// `pipe resume` with the wall clock moved; after another start of the machine where `started` says so.
fn resumed_at(deployment: &Deployment, moved: &str, started: bool, more: &[&str]) -> Ended {
    let boot = deployment.at("boot");
    fs::write(&boot, "11111111-2222-3333-4444-555555555555\n").expect("written");
    let script = "test -z \"$1\" || mount --bind \"$1\" /proc/sys/kernel/random/boot_id; shift; exec faketime \"$@\"";
    let plain = deployment.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(if started { boot.as_os_str() } else { "".as_ref() })
        .args(["-f", moved])
        .arg(pipe())
        .args(["resume", "last"])
        .args(more)
        .current_dir(deployment.path())
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        // What no clock change moves.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null());
    deployment.ended(command.output().expect("unshare"))
}

#[test]
fn no_clock_that_is_set_makes_a_backup_younger_or_older() {
    // Within one start of the machine the wall clock is nobody's business.
    for (moved, seconds) in [("+49h", "1.3045"), ("-49h", "1.3046")] {
        let deployment = slow(seconds, "");
        cut_off(&deployment, seconds);
        let resumed = resumed_at(&deployment, moved, false, &[]);
        assert_eq!(resumed.code, 0, "{moved}\n{resumed}");
    }
    for (moved, seconds, why) in [
        // Two days later, after the machine was started anew.
        ("+49h", "2.3047", "began 49h ago, and may be 1d old"),
        ("-49h", "2.3048", "is of unknown age, since the clock was set back since then"),
    ] {
        let deployment = slow(seconds, "");
        cut_off(&deployment, seconds);
        stale(&deployment, &resumed_at(&deployment, moved, true, &[]), why);
        let again = resumed_at(&deployment, moved, true, &["--retry", "backup"]);
        assert_eq!(again.code, 0, "{moved}\n{again}");
        assert!(migrated(&deployment));
    }
}
