//! `pipe suggest`: the smallest grants that a run would have needed, as a patch that applies.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use pipe_tests::{Deployment, Ended};

/// The example with more granted than it needs, run once.
fn generous() -> Deployment {
    let deployment = Deployment::example()
        .edit(
            "example.toml",
            r#"allow.read = ["example/app/index.html", "example/migrations/001_appointments.up.sql"]"#,
            r#"allow.read = ["example"]"#,
        )
        .edit(
            "example.toml",
            r#"allow.disk = ["example/live"]"#,
            "allow.disk = [\"example\", \"example/data\"] # somewhere\nallow.env = [\"HOME\", \"PATH\"]",
        )
        .edit(
            "example.toml",
            r#"allow.artifacts = ["write"]"#,
            "allow.artifacts = [\n    \"write\",\n]\nallow.exec = [{ program = \"true\", argv = [\"**\"] }]",
        )
        .edit("example.toml", r#"allow.sql = ["read app"]"#, r#"allow.sql = ["write app"]"#);
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ended.code, 0, "{ended}");
    deployment
}

fn succeeds(deployment: &Deployment, arguments: &[&str]) -> Ended {
    let ended = deployment.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}\n{ended}");
    ended
}

/// Gives a patch to the real `patch`, as a person would.
fn apply(deployment: &Deployment, patch: &str) {
    let mut child = Command::new("patch")
        .args(["-p0", "--fuzz=0"])
        .current_dir(deployment.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("patch");
    child.stdin.take().expect("its stdin").write_all(patch.as_bytes()).expect("the patch");
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{}\n{patch}", String::from_utf8_lossy(&output.stdout));
    assert!(!deployment.at("example.toml.rej").exists() && !deployment.at("example.toml.orig").exists(), "{patch}");
}

fn file(deployment: &Deployment) -> String {
    fs::read_to_string(deployment.at("example.toml")).expect("the pipeline file")
}

#[test]
fn what_was_used_and_what_was_not() {
    let deployment = generous();
    insta::assert_snapshot!(succeeds(&deployment, &["suggest"]));
    insta::assert_snapshot!("the_patch", succeeds(&deployment, &["suggest", "last", "--patch"]));
}

#[test]
fn the_patch_applies_and_the_run_still_passes() {
    let deployment = generous();
    let before = file(&deployment);
    let patch = succeeds(&deployment, &["suggest", "--patch"]).stdout;
    apply(&deployment, &patch);
    let after = file(&deployment);
    assert_ne!(before, after);
    let comments =
        |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(comments(&before), comments(&after));
    succeeds(&deployment, &["check", "example.toml"]);
    succeeds(&deployment, &["run", "example.toml", "--env", "demo"]);
    // And where nothing was deployed yet.
    let fresh = Deployment::example().file("example.toml", &after);
    succeeds(&fresh, &["run", "example.toml", "--env", "demo"]);
    let again = succeeds(&fresh, &["suggest", "--patch"]);
    assert_eq!(again.stdout, "", "what was suggested is as narrow as it gets\n{again}");
}

/// The lines of a file that grant something to a step: number, step, word.
fn granted(text: &str) -> Vec<(usize, String, String)> {
    let mut step = String::new();
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("[[") {
            step = if line == "[[step]]" { "?" } else { "" }.to_owned();
        } else if let Some(name) = line.strip_prefix("name = \"").filter(|_| step == "?") {
            step = name.trim_end_matches('"').to_owned();
        } else if let Some((word, _)) = line.strip_prefix("allow.").and_then(|rest| rest.split_once(" = "))
            && !step.is_empty()
        {
            lines.push((number, step.clone(), word.to_owned()));
        }
    }
    lines
}

#[test]
fn every_word_that_is_suggested_is_needed() {
    let deployment = generous();
    let patch = succeeds(&deployment, &["suggest", "--patch"]).stdout;
    apply(&deployment, &patch);
    // One word on one line, so that a line can be taken away.
    let text = file(&deployment).replace("[\n    \"write\",\n]", "[\"write\"]");
    let words = granted(&text);
    assert!(words.len() >= 10, "{words:?}");
    for (number, step, word) in words {
        let fresh = Deployment::example().file("example.toml", &text);
        succeeds(&fresh, &["run", "example.toml", "--env", "demo"]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let removed = lines.remove(number);
        // A release looks at what is there before it writes: what may be written may be read, and is missed as that first.
        for first in [true, false] {
            let fresh_file = lines.join("\n");
            fs::write(fresh.at("example.toml"), fresh_file).expect("the pipeline file");
            let ended = fresh.run(&["run", "example.toml", "--env", "demo", "--set", "version=1.0.1"]);
            assert!(matches!(ended.code, 4 | 5), "{step} without {word}: {ended}");
            let failed = ended.stderr.lines().find(|line| line.starts_with("└ ✗ ")).unwrap_or_default();
            assert!(failed.contains(&step), "{step} without {word}: {ended}");
            let refused =
                ended.stderr.lines().rev().find_map(|line| line.split_once("✗ refused ")).unwrap_or_default().1;
            if refused.split(' ').next() == Some(&word) {
                break;
            }
            assert!(word == "write" && first && refused.starts_with("read "), "{step} without {word}: {ended}");
            let places = removed.split_once('[').and_then(|(_, rest)| rest.rsplit_once(']')).expect("an array").0;
            let step = lines[..number].iter().rposition(|line| line.starts_with("[[")).expect("a step");
            match lines[step..number].iter().position(|line| line.starts_with("allow.read = ")) {
                Some(at) => lines[step + at] = lines[step + at].replace(']', &format!(", {places}]")),
                None => lines.insert(number, format!("allow.read = [{places}]")),
            }
        }
    }
}

#[test]
fn only_what_ran_is_judged() {
    let deployment = Deployment::example().edit("example.toml", "min_size = \"10B\"", "min_size = \"10GiB\"");
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ended.code, 1, "{ended}");
    let suggested = succeeds(&deployment, &["suggest"]);
    assert!(suggested.stdout.contains("it failed, and may have needed more"), "{suggested}");
    assert!(suggested.stdout.contains("it did not run"), "{suggested}");
    let patch = succeeds(&deployment, &["suggest", "--patch"]);
    assert_eq!(patch.stdout, "", "{patch}");
    assert!(patch.stderr.contains("there is nothing to patch"), "{patch}");
}

#[test]
fn a_file_that_has_changed_is_not_patched_unasked() {
    let deployment = generous().edit("example.toml", "min = 2", "min = 1");
    let ended = deployment.run(&["suggest", "--patch"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""), "{ended}");
    assert!(ended.stderr.contains("example.toml is no longer the file that ran"), "{ended}");
    assert!(ended.stderr.contains("hint: `--file example.toml`"), "{ended}");
    let asked = succeeds(&deployment, &["suggest", "--patch", "--file", "example.toml"]);
    assert!(asked.stderr.contains("warning: example.toml is no longer the file that ran"), "{asked}");
    apply(&deployment, &asked.stdout);
    succeeds(&deployment, &["run", "example.toml", "--env", "demo"]);
}

/// The second deployment of a version finds everything in its place: it reads, and writes nothing.
#[test]
fn a_step_that_had_nothing_to_do_keeps_what_it_needs_when_it_has() {
    let deployment = generous();
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert_eq!(ended.code, 0, "{ended}");
    let before = file(&deployment);
    let told = succeeds(&deployment, &["suggest"]).stdout;
    let kept = "keep    everything: it had nothing to do in this run, and may need more when it has";
    for step in ["migrate", "release"] {
        let of_step = told.split(&format!("\n{step}\n")).nth(1).and_then(|rest| rest.split("\n\n").next());
        assert_eq!(of_step.map(str::trim), Some(kept), "{step}\n{told}");
    }
    assert!(told.contains("drop    allow.env \"HOME\""), "what others did not use is told all the same\n{told}");

    // The file says it too, above each of the two, and only once however often it is patched.
    for round in 0..2 {
        apply(&deployment, &succeeds(&deployment, &["suggest", "--patch", "--file", "example.toml"]).stdout);
        let after = file(&deployment);
        let mark = "# Not judged by `pipe suggest`: the step had nothing to do in run ";
        assert_eq!(after.matches(mark).count(), 2, "{after}");
        for line in
            ["allow.sql = [\"write app\"]\nallow.read = [\"example/migrations\"]", "allow.read = [\"example/app\"]\n"]
        {
            let at = after.find(line).unwrap_or_else(|| panic!("{line} is gone\n{after}"));
            assert!(after[..at].lines().next_back().is_some_and(|above| above.starts_with(mark)), "{line}\n{after}");
        }
        if round == 0 {
            // Something more to drop, so that there is another patch.
            let wider = after.replacen("allow.artifacts", "allow.env = [\"LANG\"]\nallow.artifacts", 1);
            fs::write(deployment.at("example.toml"), wider).expect("the file");
            let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
            assert_eq!(ended.code, 0, "{ended}");
        }
    }
    assert_ne!(file(&deployment), before);

    // And the next real deployment, with another version and another migration, passes under it.
    let deployment = deployment
        .file("example/migrations/002_room.up.sql", "ALTER TABLE appointments ADD COLUMN room TEXT;\n")
        .file("example/migrations/002_room.down.sql", "ALTER TABLE appointments DROP COLUMN room;\n");
    let ended = deployment.run(&["run", "example.toml", "--env", "demo", "--set", "version=1.1.0"]);
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn where_nothing_else_is_suggested_a_step_with_nothing_to_do_is_no_patch() {
    let of_verify = "with.check = [\n    { kind = \"sql\"";
    let deployment = Deployment::example().edit(
        "example.toml",
        &format!("allow.read = [\"example/live/www\"]\n{of_verify}"),
        &format!("allow.read = [\"example/live/www/releases\"]\n{of_verify}"),
    );
    for _ in 0..2 {
        assert_eq!(deployment.run(&["run", "example.toml", "--env", "demo"]).code, 0);
    }
    let ended = succeeds(&deployment, &["suggest", "--patch"]);
    assert_eq!(ended.stdout, "", "{ended}");
}

#[test]
fn nothing_is_suggested_from_a_record_that_was_changed() {
    let deployment = generous();
    crate::record::change_one_byte(&deployment, crate::record::STARTED, crate::record::RENAMED);
    for arguments in [&["suggest"][..], &["suggest", "--patch"], &["suggest", "--output", "json"]] {
        let ended = deployment.run(arguments);
        assert_eq!(ended.code, 3, "{arguments:?}\n{ended}");
        assert!(!ended.stdout.contains("allow.") && !ended.stdout.contains("entries\":"), "{arguments:?}\n{ended}");
        assert!(ended.stderr.contains("was changed: ") && ended.stderr.contains("does not match its hash"), "{ended}");
    }
}

#[test]
fn programs_get_it_as_json() {
    let deployment = generous();
    let [suggestion] = succeeds(&deployment, &["suggest", "--output", "json"]).json().try_into().expect("one value");
    assert_eq!(suggestion["schema"], "pipe.suggestion/v1");
    assert_eq!(suggestion["file_changed"], false);
    let preflight = &suggestion["entries"][0];
    assert_eq!(preflight["name"], "preflight");
    let env = preflight["rules"].as_array().expect("rules").iter().find(|rule| rule["word"] == "env").expect("env");
    assert_eq!((&env["advice"], &env["uses"], &env["rule"]), (&"drop".into(), &0.into(), &"\"HOME\"".into()));
    let patch = suggestion["patch"].as_str().expect("a patch");
    assert_eq!(patch, succeeds(&deployment, &["suggest", "--patch"]).stdout);
}

#[test]
fn a_run_that_is_not_there() {
    let deployment = generous();
    let ended = deployment.run(&["suggest", "19990101"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.stderr.contains("no run `19990101`"), "{ended}");
    fs::remove_file(deployment.at("example.toml")).expect("the pipeline file");
    let ended = deployment.run(&["suggest"]);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("there is no file"), "{ended}");
}
