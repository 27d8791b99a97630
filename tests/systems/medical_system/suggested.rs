//! What a run used becomes the grant of the next one: it suffices, and nothing of it can be spared.

use std::{
    fs,
    io::Write as _,
    ops::Range,
    process::{Command, Stdio},
};

use pipe_tests::Ended;

use super::{FILE, Hospital, grants::refusal};

/// More than the deployment needs: what stands in the file, and what is granted instead.
const GENEROUS: [(&str, &str); 9] = [
    (
        "allow.read = [\"medical-system/certs\"]\nallow.sql = [\"read database\"]\nallow.env = [",
        "allow.read = [\"medical-system/certs\", \"medical-system/files\", \"medical-system/app\"]\n\
         allow.sql = [\"write database\"]\nallow.http = [\"* api:/**\"]\nallow.env = [\"HOME\", \"PATH\", ",
    ),
    ("allow.disk = [\"medical-system/live\"]", "allow.disk = [\"medical-system\", \"medical-system/live\"]"),
    (
        "    { program = \"pg_restore\", argv = [\"--file=/dev/null\"] },\n",
        "    { program = \"pg_restore\", argv = [\"--file=/dev/null\"] },\n    { program = \"psql\", argv = [\"**\"], peer = \"database\" },\n",
    ),
    ("allow.read = [\"medical-system/files\"]", "allow.read = [\"medical-system/files\", \"medical-system/app\"]"),
    (
        "allow.read = [\"medical-system/migrations\"]",
        "allow.read = [\"medical-system/app\", \"medical-system/migrations\"]\nallow.write = [\"medical-system/live\"]",
    ),
    (
        "[[step]]\nname = \"schema\"\nstage = \"migrate\"\nallow.sql = [\"read database\"]",
        "[[step]]\nname = \"schema\"\nstage = \"migrate\"\nallow.sql = [\"write database\"]",
    ),
    ("allow.write = [\"medical-system/live/www\"]", "allow.write = [\"medical-system/live\"]"),
    ("allow.http = [\"GET api:/health\", \"GET api:/\", \"GET api:/no-such-page\"]", "allow.http = [\"* api:/**\"]"),
    ("allow.http = [\"POST slack:/\"]", "allow.http = [\"* slack:/**\", \"GET api:/**\"]"),
];

/// The file after a run of the generous one and its suggestion, applied with `patch`.
fn suggested() -> String {
    let hospital = Hospital::new();
    let mut file = fs::read_to_string(hospital.deployment.at(FILE)).unwrap();
    for (own, generous) in GENEROUS {
        assert!(file.contains(own), "{own}");
        file = file.replacen(own, generous, 1);
    }
    hospital.write(FILE, &file);
    let ended = hospital.deploy("1.0.0");
    assert_eq!(ended.code, 0, "{ended}");
    let suggested = hospital.deployment.run(&["suggest", "last", "--patch"]);
    assert_eq!(suggested.code, 0, "{suggested}");
    let mut patch = Command::new("patch")
        .args(["-p0", "--fuzz=0"])
        .current_dir(hospital.deployment.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    patch.stdin.take().unwrap().write_all(suggested.stdout.as_bytes()).unwrap();
    assert!(patch.wait().unwrap().success(), "{suggested}");
    let ended = hospital.deploy("1.1.0");
    assert_eq!(ended.code, 0, "{ended}");
    fs::read_to_string(hospital.deployment.at(FILE)).unwrap()
}

#[test]
fn a_generous_grant_is_narrowed_to_the_one_that_people_wrote() {
    let file = suggested();
    let fresh = Hospital::new();
    let written = fs::read_to_string(fresh.deployment.at(FILE)).unwrap();
    for (own, generous) in GENEROUS {
        assert!(!file.contains(generous), "{generous}\n{file}");
        let own: Vec<&str> = own.lines().filter(|line| line.starts_with("allow.") && !line.ends_with('[')).collect();
        for line in own.into_iter().filter(|line| !line.starts_with("allow.read = [\"medical-system/certs")) {
            assert!(file.contains(line), "{line}\n{file}");
        }
    }
    let comments =
        |text: &str| text.lines().filter(|line| line.trim().starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    // What a step that had nothing to do keeps is said in one that is added.
    let (kept, own) = (comments(&file), comments(&written));
    assert_eq!(own.iter().filter(|line| !kept.contains(line)).count(), 0, "no comment is lost: {kept:#?}");
    // Where nothing was ever deployed, too.
    fresh.write(FILE, &file);
    let ended = fresh.deploy("1.0.0");
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn no_suggested_word_of_the_steps_before_the_release_can_be_spared() {
    spare_each(|step| matches!(step, "preflight" | "backup" | "migrate" | "schema"), 11);
}

#[test]
fn no_suggested_word_of_the_release_and_what_follows_can_be_spared() {
    spare_each(|step| matches!(step, "release" | "verify" | "history" | "slack"), 6);
}

/// Takes every single word of some steps away, and asserts that it is missed by name.
fn spare_each(steps: impl Fn(&str) -> bool, words: usize) {
    let file = suggested();
    let hospital = Hospital::with_patients();
    let granted: Vec<_> = granted(&file).into_iter().filter(|(step, ..)| steps(step)).collect();
    assert_eq!(granted.len(), words, "{granted:?}");
    for (number, (step, word, line)) in granted.into_iter().enumerate() {
        // Something for every step to do.
        let (up, down) = (format!("CREATE TABLE spared_{number} ();\n"), format!("DROP TABLE spared_{number};\n"));
        hospital.migration(&format!("{:03}_spared", 200 + number), &up, &down);
        let mut left = file.clone();
        left.replace_range(line.clone(), "");
        let version = format!("2.{number}.0");
        let what = format!("{step} without {word}");
        assert_eq!(refused(&hospital, &left, &version, &step, &what), word, "{what}");
    }
}

/// The word that a step is refused.
fn refused(hospital: &Hospital, file: &str, version: &str, step: &str, what: &str) -> String {
    hospital.write(FILE, file);
    let ended = hospital.deploy(version);
    let notification = matches!(step, "history" | "slack");
    let failed = |line: &&str| {
        line.starts_with(&format!("└ ✗ {step} ")) || notification && line.contains(&format!("notification \"{step}\""))
    };
    // A notification that fails never changes the outcome.
    assert!(if notification { ended.code == 0 } else { matches!(ended.code, 4 | 5) }, "{what}: {ended}");
    assert!(ended.stderr.lines().any(|line| failed(&line)), "{what}: {ended}");
    refusal(&ended).0.split(' ').next().unwrap_or_default().to_owned()
}

/// Every word of every step and notification: its name, the word, and where its line stands.
fn granted(file: &str) -> Vec<(String, String, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut step = String::new();
    for line in file.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("name = \"") {
            step = name.trim_end().trim_end_matches('"').to_owned();
        }
        if let Some((word, _)) = line.strip_prefix("allow.").and_then(|rest| rest.split_once(" = ")) {
            let end = file[at..].find("]\n").map_or(file.len(), |length| at + length + 2);
            found.push((step.clone(), word.to_owned(), at..end));
        }
        at += line.len();
    }
    found
}

#[test]
fn what_a_failed_run_needed_is_not_known() {
    let hospital = Hospital::new();
    hospital.needs_tables(&["no such table"]);
    let ended: Ended = hospital.deploy("1.0.0");
    assert_eq!(ended.code, 5, "{ended}");
    let suggested = hospital.deployment.run(&["suggest"]);
    assert_eq!(suggested.code, 0, "{suggested}");
    let verify = suggested.stdout.split("\nverify\n").nth(1).unwrap_or_default();
    assert!(verify.trim_start().starts_with("keep    everything: it failed, and may have needed more"), "{suggested}");
}
