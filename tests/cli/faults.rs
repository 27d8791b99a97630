//! Disks that fill up, that may only be read, that lose a page; clocks that jump back. What was durable stays, and a run can still
//! be undone.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use pipe_tests::{
    Deployment, Ended, pipe,
    waiting::{is_running, wait_until},
};

/// A release, a step that waits for a program, and a second release.
fn pipeline(seconds: &str) -> Deployment {
    Deployment::example()
        .file(
            "pipeline.toml",
            format!(
                r#"
name = "faulty"
environments = ["demo"]

[[step]]
name = "first"
stage = "release"
in_flight = "undo"
allow.read = ["example/app"]
allow.write = ["www"]
with = {{ kind = "files", source = "example/app", destination = "www", version = "1" }}

[[step]]
name = "wait"
stage = "release"
in_flight = "undo"
allow.exec = [{{ program = "sleep", argv = ["{seconds}"] }}, {{ program = "true", argv = [] }}]
with = {{ kind = "program", version = "1", publish = {{ program = "sleep", arguments = ["{seconds}"] }}, undo = {{ program = "true" }} }}

[[step]]
name = "second"
stage = "release"
in_flight = "undo"
allow.read = ["example/app"]
allow.write = ["other"]
with = {{ kind = "files", source = "example/app", destination = "other", version = "1" }}
"#
            ),
        )
        .folder("www")
        .folder("other")
}

const RUN: [&str; 4] = ["run", "pipeline.toml", "--env", "demo"];

/// A script in a mount namespace of its own, where `state` is a file system of `size`. `$pipe` is the program under test.
fn on_a_disk_of(size: &str, deployment: &Deployment, script: &str) -> Ended {
    let state = deployment.at("state");
    fs::create_dir_all(&state).expect("a folder");
    let own = if is_root() { &["-m"][..] } else { &["-r", "-m"] };
    let script = format!("set -u\nmount -t tmpfs -o size={size},mode=700 none \"$PIPE_STATE\" || exit 99\n{script}");
    let command = deployment.command(&[]);
    let mut shell = Command::new("unshare");
    shell.args(own).args(["bash", "-c", &script]).current_dir(deployment.path()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("pipe", pipe());
    deployment.ended(shell.stdin(Stdio::null()).output().expect("unshare"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn succeeds(deployment: &Deployment, arguments: &[&str]) -> Ended {
    let ended = deployment.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
    ended
}

/// A run that was killed while it waited. Returns its name.
fn cut_off(deployment: &Deployment, seconds: &str) -> String {
    let mut command = deployment.command(&RUN);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    wait_until("the step waits", || is_running(&["sleep", seconds]));
    child.kill().expect("dies");
    child.wait().expect("is dead");
    wait_until("its program is dead", || !is_running(&["sleep", seconds]));
    let listed = deployment.run(&["history", "--output", "json"]).json();
    listed[0]["run"].as_str().expect("a run").to_owned()
}

fn published(deployment: &Deployment, folder: &str) -> bool {
    deployment.at(folder).join("current").exists()
}

#[test]
fn a_disk_that_fills_up_in_the_middle_is_said_and_the_run_undone() {
    let deployment = pipeline("2.031");
    let ended = on_a_disk_of(
        "24m",
        &deployment,
        r#"
"$pipe" run pipeline.toml --env demo 2> run.txt & run=$!
until pgrep -f '^sleep 2.031' > /dev/null; do sleep 0.02; done
stat -c %s "$PIPE_STATE/reserve" > reserve-before.txt
dd if=/dev/zero of="$PIPE_STATE/ballast" bs=64k 2> /dev/null
dd if=/dev/zero of="$PIPE_STATE/ballast-2" bs=1 count=65536 2> /dev/null
df --output=avail "$PIPE_STATE" | tail -1 | tr -d ' ' > free.txt
wait $run; echo $? > code.txt
stat -c %s "$PIPE_STATE/reserve" > reserve-after.txt
"$pipe" log verify > verify.txt 2>&1; echo $? >> verify.txt
"$pipe" show --events > show.txt 2>&1
"$pipe" run pipeline.toml --env demo > again.txt 2>&1; echo $? >> again.txt
rm "$PIPE_STATE"/ballast*
"$pipe" run pipeline.toml --env demo > third.txt 2>&1; echo $? >> third.txt
stat -c %s "$PIPE_STATE/reserve" > reserve-third.txt
"#,
    );
    assert_eq!(ended.code, 0, "{ended}");
    let read = |name: &str| fs::read_to_string(deployment.at(name)).unwrap_or_default();
    let number = |name: &str| read(name).trim().parse::<u64>().unwrap_or_else(|_| panic!("{name}: {}", read(name)));
    assert_eq!(number("free.txt"), 0, "the disk was not full");
    let run = read("run.txt");
    assert_eq!(read("code.txt"), "5\n", "{run}");
    assert!(run.contains("the disk of the state directory is full: nothing new is begun"), "{run}");
    assert!(run.contains("rolled back after "), "{run}");
    assert!(read("show.txt").contains("rolled-back"), "the end was not recorded: {}", read("show.txt"));
    assert!(read("verify.txt").ends_with("\n0\n"), "{}", read("verify.txt"));
    let before = number("reserve-before.txt");
    assert_eq!(before, (24 << 20) / 16);
    assert!(number("reserve-after.txt") < before, "nothing of the reserve was given back");
    // A run that could not be undone is not begun.
    let again = read("again.txt");
    let refused =
        again.contains("error: cannot set 1572864 bytes aside in ") && again.contains("hint: free some space");
    // What was undone may just have made room for a reserve, and for nothing else.
    let full = again.contains("the disk of the state directory is full") || again.contains("No space left on device");
    let undone = full && again.contains("rolled back after ");
    assert!(refused && again.ends_with("\n70\n") || undone && again.ends_with("\n5\n"), "{again}");
    assert!(read("third.txt").ends_with("\n0\n"), "{}", read("third.txt"));
    assert_eq!(number("reserve-third.txt"), before, "the next run sets it aside again");
}

#[test]
fn a_journal_that_may_only_be_read_stops_a_run_before_it_begins_and_keeps_the_rest() {
    let deployment = pipeline("0.032");
    let ended = on_a_disk_of(
        "24m",
        &deployment,
        r#"
"$pipe" run pipeline.toml --env demo > first.txt 2>&1; echo $? >> first.txt
rm -r www/* other/*
# The kernel takes a moment to forget the namespaces of programs that have ended.
for try in $(seq 100); do mount -o remount,ro "$PIPE_STATE" 2> /dev/null && break; sleep 0.05; done
touch "$PIPE_STATE/x" 2> /dev/null && exit 98
"$pipe" run pipeline.toml --env demo > second.txt 2>&1; echo $? >> second.txt
"$pipe" rollback last --reason x > back.txt 2>&1; echo $? >> back.txt
ls www other > left.txt
"$pipe" history > history.txt 2>&1; echo $? >> history.txt
"$pipe" log verify > verify.txt 2>&1; echo $? >> verify.txt
mount -o remount,rw "$PIPE_STATE"
"$pipe" rollback last --reason x > third.txt 2>&1; echo $? >> third.txt
"#,
    );
    assert_eq!(ended.code, 0, "{ended}");
    let read = |name: &str| fs::read_to_string(deployment.at(name)).unwrap_or_default();
    assert!(read("first.txt").ends_with("\n0\n"), "{}", read("first.txt"));
    for name in ["second.txt", "back.txt"] {
        let told = read(name);
        assert!(told.ends_with("\n70\n"), "{name}: {told}");
        assert!(told.contains("error: cannot ") && told.contains("ead-only"), "{name}: {told}");
    }
    assert_eq!(read("left.txt"), "other:\n\nwww:\n", "something was done without a record");
    assert!(
        read("history.txt").contains("succeeded") && read("history.txt").ends_with("\n0\n"),
        "{}",
        read("history.txt")
    );
    assert!(read("verify.txt").ends_with("\n0\n"), "{}", read("verify.txt"));
    assert!(read("third.txt").ends_with("\n5\n"), "{}", read("third.txt"));
}

/// Every page in turn is overwritten with rubbish. Either the run is undone as if nothing had happened, or pipe says that its journal
/// is damaged and changes nothing; and what else is undone by hand is not invented.
#[test]
fn a_damaged_page_is_said_or_in_nobodys_way() {
    let deployment = pipeline("6033");
    // Earlier runs fill pages that the last one has no part in.
    let quick = deployment.edit("pipeline.toml", "6033", "0.033").edit("pipeline.toml", "6033", "0.033");
    for _ in 0..3 {
        succeeds(&quick, &RUN);
    }
    for folder in ["www", "other"] {
        fs::remove_dir_all(quick.at(folder)).and_then(|()| fs::create_dir(quick.at(folder))).expect("a folder");
    }
    let deployment = quick.edit("pipeline.toml", "0.033", "6033").edit("pipeline.toml", "0.033", "6033");
    let run = cut_off(&deployment, "6033");
    // Bring the log into the file, as the next process that closes the journal does.
    succeeds(&deployment, &["resolve", &run, "wait", "--undone", "--reason", "its program is dead"]);
    assert!(!deployment.at("state/journal.db-wal").exists(), "the log is not in the file");
    let saved = deployment.at("saved");
    copy(&deployment, &["state", "www", "other"], &saved);
    let whole = fs::read(deployment.at("state/journal.db")).expect("the journal");
    let (mut undone, mut told) = (0, 0);
    for page in 0..whole.len() / 4_096 {
        for folder in ["state", "www", "other"] {
            fs::remove_dir_all(deployment.at(folder)).expect("a folder");
        }
        for folder in ["state", "www", "other"] {
            let copied = Command::new("cp").arg("-a").arg(saved.join(folder)).arg(deployment.at(folder)).status();
            assert!(copied.is_ok_and(|status| status.success()));
        }
        let mut broken = whole.clone();
        broken[page * 4_096..(page + 1) * 4_096].fill(0xA5);
        fs::write(deployment.at("state/journal.db"), &broken).expect("the journal");
        let ended = deployment.run(&["rollback", &run, "--reason", "a page is damaged"]);
        match ended.code {
            5 => {
                assert!(!published(&deployment, "www"), "page {page}: not undone\n{ended}");
                undone += 1;
            }
            70 => {
                assert!(ended.stderr.contains("is damaged: "), "page {page}\n{ended}");
                assert!(ended.stderr.contains("hint: keep all files "), "page {page}\n{ended}");
                told += 1;
            }
            _ => panic!("page {page}\n{ended}"),
        }
    }
    println!("{undone} of {} damaged pages were in nobody's way, {told} were told", undone + told);
    assert!(undone >= 3 && told >= 3, "{undone} {told}");
}

fn copy(deployment: &Deployment, folders: &[&str], to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for folder in folders {
        let copied = Command::new("cp").arg("-a").arg(deployment.at(folder)).arg(to.join(folder)).status();
        assert!(copied.is_ok_and(|status| status.success()));
    }
}

const FAKE: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn a_clock_that_jumps_back_changes_no_order() {
    let deployment = pipeline("6034");
    let clock = deployment.at("clock").display().to_string();
    let deployment = deployment
        .file("clock", "+0\n")
        .variable("LD_PRELOAD", FAKE)
        .variable("FAKETIME_TIMESTAMP_FILE", clock)
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let quick = deployment.edit("pipeline.toml", "6034", "1.034").edit("pipeline.toml", "6034", "1.034");
    // In the middle of a run.
    let mut child = quick.command(&RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pipe");
    wait_until("the step waits", || is_running(&["sleep", "1.034"]));
    let quick = quick.file("clock", "-3d\n");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    // Between two runs, and between a run and its end in another process.
    let deployment =
        quick.file("clock", "-6d\n").edit("pipeline.toml", "1.034", "6034").edit("pipeline.toml", "1.034", "6034");
    let run = cut_off(&deployment, "6034");
    let deployment = deployment.file("clock", "-9d\n");
    let undone = deployment.run(&["resume", "last"]);
    assert_eq!(undone.code, 5, "{undone}");

    let listed = deployment.run(&["history", "--output", "json"]).json();
    assert_eq!(listed[0]["run"].as_str(), Some(run.as_str()), "the newest is the one that was begun last");
    let started = |at: usize| listed[at]["started"].as_str().unwrap_or_default().to_owned();
    assert!(started(0) < started(1), "the clock did not jump: {listed:?}");
    let events = deployment.run(&["show", &run, "--events", "--output", "json"]).json();
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(seqs.is_sorted() && seqs.len() == events.len());
    let at = |event: &serde_json::Value| event["at"].as_str().unwrap_or_default().to_owned();
    assert!(events.first().map(at) > events.last().map(at), "the clock did not jump");
    assert_eq!(events.last().expect("an event")["what"]["event"], "run-finished");
    succeeds(&deployment, &["log", "verify"]);
}
