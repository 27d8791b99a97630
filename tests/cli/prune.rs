//! `pipe prune`: by what the record says, never by what lies there; each removal in the record before it happens.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use pipe_tests::{Deployment, pipe};
use serde_json::Value;

const PRUNE: [&str; 4] = ["prune", "example.toml", "--env", "demo"];

fn deployment() -> Deployment {
    Deployment::example().edit("example.toml", "keep_min = 3", "keep_min = 1")
}

/// A run of so many days ago, before the machine was started last.
fn ran(deployment: &Deployment, days: u32) -> String {
    let boot = deployment.at("boot");
    fs::write(&boot, "11111111-2222-3333-4444-555555555555\n").expect("written");
    let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec faketime \"$@\"";
    let plain = deployment.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(boot)
        .args(["-f", &format!("-{days}d")])
        .arg(pipe())
        .args(["run", "example.toml", "--env", "demo"])
        .current_dir(deployment.path())
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null());
    let output = command.output().expect("unshare");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    newest(deployment)
}

fn newest(deployment: &Deployment) -> String {
    let listed = deployment.run(&["history", "--output", "json"]).json();
    listed[0]["run"].as_str().expect("a run").to_owned()
}

/// The files among the artifacts of a run.
fn files(deployment: &Deployment, run: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(deployment.at("state/artifacts").join(run));
    folder.map(|folder| folder.map(|entry| entry.expect("an entry").path()).collect()).unwrap_or_default()
}

/// Verdict for each run.
fn verdicts(deployment: &Deployment) -> Vec<(String, String)> {
    let listed = deployment.run(&[&PRUNE[..], &["--dry-run", "--output", "json"]].concat());
    assert_eq!(listed.code, 0, "{listed}");
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    listed.json().iter().map(|line| (text(line, "run"), text(line, "verdict"))).collect()
}

fn events(deployment: &Deployment, run: &str, kind: &str) -> Vec<Value> {
    let events = deployment.run(&["show", run, "--output", "json"]).json();
    events.into_iter().map(|event| event["what"].clone()).filter(|what| what["event"] == kind).collect()
}

#[test]
fn what_is_old_goes_and_the_record_says_so() {
    let deployment = deployment();
    let runs = [ran(&deployment, 400), ran(&deployment, 300), ran(&deployment, 200), ran(&deployment, 10)];
    let verdict = |run: &str, word: &str| (run.to_owned(), word.to_owned());
    assert_eq!(
        verdicts(&deployment),
        [verdict(&runs[3], "needed"), verdict(&runs[2], "goes"), verdict(&runs[1], "goes"), verdict(&runs[0], "goes")]
    );
    assert!(runs.iter().all(|run| files(&deployment, run).len() == 1), "a dry run removes nothing");
    assert!(runs.iter().all(|run| events(&deployment, run, "artifact-pruned").is_empty()), "and records nothing");

    let pruned = deployment.run(&PRUNE);
    assert_eq!(pruned.code, 0, "{pruned}");
    insta::assert_snapshot!(pruned);
    assert!(runs[..3].iter().all(|run| files(&deployment, run).is_empty()));
    assert_eq!(files(&deployment, &runs[3]).len(), 1);
    for run in &runs[..3] {
        let recorded = events(&deployment, run, "artifact-pruned");
        assert_eq!(recorded.len(), 1, "{recorded:?}");
        assert_eq!(
            (&recorded[0]["found"], &recorded[0]["reason"]),
            (&Value::from(true), &Value::from("older than 90d"))
        );
        let shown = deployment.run(&["show", run]);
        assert!(shown.stdout.contains("pruned on 20") && shown.stdout.contains(": older than 90d"), "{shown}");
        assert!(shown.stdout.contains("succeeded"), "a run that is over stays as it was\n{shown}");
    }
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
    let again = deployment.run(&PRUNE);
    assert!(again.stdout.starts_with("0 artifacts (0 B) pruned; "), "{again}");
    assert_eq!(events(&deployment, &runs[0], "artifact-pruned").len(), 1, "once is enough");
}

#[test]
fn the_newest_verified_ones_stay_however_old_they_are() {
    let deployment = deployment().edit("example.toml", "keep_min = 1", "keep_min = 3");
    let runs = [ran(&deployment, 400), ran(&deployment, 300), ran(&deployment, 200), ran(&deployment, 100)];
    let kept: Vec<String> = verdicts(&deployment).into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(kept, ["needed", "newest", "newest", "goes"]);
    // What is not there any more does not count as kept.
    fs::remove_file(&files(&deployment, &runs[2])[0]).expect("removed");
    let kept: Vec<String> = verdicts(&deployment).into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(kept, ["needed", "goes", "newest", "newest"]);
    let pruned = deployment.run(&PRUNE);
    assert!(pruned.stdout.contains("gone already"), "{pruned}");
    assert_eq!(events(&deployment, &runs[2], "artifact-pruned")[0]["found"], false);
    assert_eq!(files(&deployment, &runs[0]).len(), 1);
}

#[test]
fn a_removal_that_was_cut_off_is_finished_by_the_next() {
    let deployment = deployment();
    let old = ran(&deployment, 400);
    ran(&deployment, 10);
    let file = files(&deployment, &old).remove(0);
    let content = fs::read(&file).expect("the artifact");
    assert_eq!(deployment.run(&PRUNE).code, 0);
    assert!(!file.exists());
    // As a kill between the entry and the removal leaves it.
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(&file, content).expect("written");
    let pruned = deployment.run(&PRUNE);
    assert_eq!(pruned.code, 0, "{pruned}");
    assert!(!file.exists(), "{pruned}");
    assert_eq!(events(&deployment, &old, "artifact-pruned").len(), 2, "each removal has its entry");
}

#[test]
fn killed_at_the_removal_it_has_said_so_and_the_next_one_finishes() {
    let deployment = deployment();
    let old = ran(&deployment, 400);
    ran(&deployment, 10);
    let file = files(&deployment, &old).remove(0);
    let killed = traced(&deployment, &file);
    assert!(!killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    assert!(file.exists(), "it was killed before the file went");
    assert_eq!(events(&deployment, &old, "artifact-pruned").len(), 1, "the entry comes first");
    assert_eq!(deployment.run(&PRUNE).code, 0);
    assert!(!file.exists());
    let verified = deployment.run(&["log", "verify"]);
    assert_eq!(verified.code, 0, "{verified}");
}

/// Prunes, and is killed at the system call that removes the file.
fn traced(deployment: &Deployment, file: &std::path::Path) -> std::process::Output {
    let plain = deployment.command(&[]);
    let name = file.file_name().expect("a name").to_str().expect("text");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=unlink,unlinkat", "-P", name, "-P"])
        .arg(file)
        .args(["-e", "inject=unlink,unlinkat:signal=KILL:retval=0"])
        .arg(pipe())
        .args(PRUNE)
        .current_dir(deployment.path())
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null());
    command.output().expect("strace")
}

#[test]
fn what_nobody_recorded_stays_and_is_named() {
    let deployment = deployment();
    let old = ran(&deployment, 400);
    ran(&deployment, 10);
    let file = files(&deployment, &old).remove(0);
    let stranger = file.with_file_name("notes.txt");
    fs::write(&stranger, "mine").expect("written");
    let pin = deployment.at("state/pins/notes.txt");
    fs::write(&pin, "mine").expect("written");
    let pruned = deployment.run(&PRUNE);
    assert_eq!(pruned.code, 0, "{pruned}");
    for path in [&stranger, &pin] {
        assert!(path.exists());
        assert!(pruned.stderr.contains(&format!("{} is in no run's record, and stays", path.display())), "{pruned}");
    }
    assert!(!file.exists());
}

#[test]
fn a_file_that_took_the_place_of_an_artifact_stays() {
    let deployment = deployment();
    let old = ran(&deployment, 400);
    ran(&deployment, 10);
    let file = files(&deployment, &old).remove(0);
    fs::write(&file, "something else").expect("written");
    let pruned = deployment.run(&PRUNE);
    assert_eq!(pruned.code, 70, "{pruned}");
    assert!(pruned.stderr.contains("it is not the file that was stored"), "{pruned}");
    assert_eq!(fs::read_to_string(&file).expect("is there"), "something else");
}

#[test]
fn a_clock_that_jumps_makes_nothing_old() {
    let deployment = deployment();
    for _ in 0..3 {
        let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
        assert_eq!(ended.code, 0, "{ended}");
    }
    let plain = deployment.command(&[]);
    for jump in ["+400d", "-400d"] {
        let mut command = Command::new("faketime");
        command
            .args(["-f", jump])
            .arg(pipe())
            .args(PRUNE)
            .current_dir(deployment.path())
            .env_clear()
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            // What no clock change moves.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stdin(Stdio::null());
        let output = command.output().expect("faketime");
        let (out, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{jump}: {talk}");
        assert!(out.starts_with("0 artifacts (0 B) pruned; stays: 2 not old enough, 1 of a run"), "{jump}: {out}");
    }
    let runs = deployment.run(&["history", "--output", "json"]).json();
    assert!(runs.iter().all(|run| files(&deployment, run["run"].as_str().expect("a run")).len() == 1));
}

#[test]
fn copies_of_what_old_runs_began_with_go_and_those_of_others_stay() {
    let deployment = deployment();
    let old = ran(&deployment, 400);
    let began = events(&deployment, &old, "run-started").remove(0);
    let pin = |key: &str| deployment.at("state/pins").join(began[key].as_str().expect("a digest"));
    assert!(pin("pipeline_digest").exists() && deployment.at("state/copies").join(&old).exists());
    // The same plugins, another file.
    let deployment = deployment.edit("example.toml", "default = \"1.0.0\"", "default = \"1.1.0\"");
    let new = ran(&deployment, 10);
    let pins = || fs::read_dir(deployment.at("state/pins")).expect("pins").count();
    let before = pins();
    kept(&deployment, 0);
    let pruned = deployment.run(&PRUNE);
    assert_eq!(pruned.code, 0, "{pruned}");
    // They were kept just now, by the clock of the files: nobody knows whether a run is about to name them.
    assert_eq!(pins(), before, "{pruned}");
    assert!(events(&deployment, &new, "copies-pruned").is_empty() && deployment.at("state/copies").join(&old).exists());
    kept(&deployment, 10);
    let pruned = deployment.run(&PRUNE);
    assert_eq!(pruned.code, 0, "{pruned}");
    assert!(pins() < before && !deployment.at("state/pins").join(began["pipeline_digest"].as_str().unwrap()).exists());
    assert!(!deployment.at("state/copies").join(&old).exists() && deployment.at("state/copies").join(&new).exists());
    assert_eq!(events(&deployment, &new, "copies-pruned")[0]["runs"][0], old.as_str());
    // The new one can still be undone.
    let undone = deployment.run(&["rollback", "last", "--reason", "a test"]);
    assert_eq!(undone.code, 5, "{undone}");
}

/// Lets every copy have been wanted last so many days ago, by the clock of the files.
fn kept(deployment: &Deployment, days: u64) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
    for entry in fs::read_dir(deployment.at("state/pins")).expect("pins") {
        let file = fs::File::options().write(true).open(entry.expect("an entry").path()).expect("a copy");
        file.set_modified(then).expect("set");
    }
}

#[test]
fn while_a_run_is_going_on_nothing_is_pruned_and_without_a_rule_nothing_ever() {
    let deployment = deployment();
    ran(&deployment, 400);
    let lock = fs::File::open(deployment.at("state/locks/example@demo")).expect("the lock");
    lock.try_lock().expect("free");
    assert_eq!(deployment.run(&PRUNE).code, 8);
    drop(lock);
    let unknown = deployment.run(&["prune", "example.toml"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("hint: `--env demo`"), "{unknown}");
    let rule = "[retention]\nartifacts = \"90d\"\nkeep_min = 3\n";
    let deployment = Deployment::example().edit("example.toml", rule, "");
    let without = deployment.run(&PRUNE);
    assert_eq!(without.code, 3, "{without}");
    assert!(without.stderr.contains("hint: [retention] with artifacts = \"90d\""), "{without}");
}
