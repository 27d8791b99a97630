//! Every line of a grant is needed: without it the step is refused, and with the line that is printed then it goes on.

use std::{fs, ops::Range};

use pipe_tests::Ended;

use super::{FILE, Hospital};

/// A rule that is taken away from a step.
struct Case {
    step: &'static str,
    word: &'static str,
    /// What goes out of the word's array. Nothing: the whole line goes.
    rule: &'static str,
    /// The words that are refused, one run after the other, until the hints are what was taken away.
    refused: &'static [&'static str],
    /// Exit code: 4 where nothing has been changed when the step is refused, 5 where something was undone.
    code: i32,
}

const CASES: [Case; 9] = [
    Case { step: "preflight", word: "env", rule: r#""DATABASE_SSL_MODE", "#, refused: &["env"], code: 4 },
    Case { step: "preflight", word: "disk", rule: "", refused: &["disk"], code: 4 },
    Case { step: "backup", word: "artifacts", rule: "", refused: &["artifacts"], code: 4 },
    Case { step: "backup", word: "secrets", rule: "", refused: &["secrets"], code: 4 },
    Case {
        step: "backup",
        word: "exec",
        rule: r#"{ program = "pg_restore", argv = ["--file=/dev/null"] },"#,
        refused: &["exec"],
        code: 4,
    },
    Case { step: "migrate", word: "read", rule: "", refused: &["read"], code: 4 },
    Case { step: "schema", word: "sql", rule: "", refused: &["sql"], code: 5 },
    Case { step: "release", word: "write", rule: "", refused: &["write"], code: 5 },
    Case { step: "verify", word: "http", rule: r#""GET api:/health", "#, refused: &["http"], code: 5 },
];

#[test]
fn every_rule_of_preflight_and_backup_is_needed() {
    try_all(&CASES[..5]);
}

#[test]
fn every_rule_of_the_other_steps_is_needed() {
    try_all(&CASES[5..]);
}

fn try_all(cases: &[Case]) {
    let hospital = Hospital::with_patients();
    let whole = fs::read_to_string(hospital.deployment.at(FILE)).unwrap();
    for (number, case) in cases.iter().enumerate() {
        let name = format!("{} of {}", case.word, case.step);
        // Something for every step to do.
        let (up, down) = (format!("CREATE TABLE more_{number} ();\n"), format!("DROP TABLE more_{number};\n"));
        hospital.migration(&format!("{:03}_more", 100 + number), &up, &down);
        let version = format!("1.{}.0", number + 1);

        let line = &whole[allow(&whole, case.step, case.word).unwrap()];
        assert!(line.contains(case.rule), "{line}");
        let left = if case.rule.is_empty() { "" } else { &line.replacen(case.rule, "", 1) };
        let mut file = set(&whole, case.step, case.word, left);
        for word in case.refused {
            hospital.write(FILE, &file);
            let ended = hospital.deploy(&version);
            assert_eq!(ended.code, case.code, "{name}: {ended}");
            let failed = ended.stderr.lines().find(|line| line.starts_with("└ ✗ ")).unwrap_or_default();
            assert!(failed.contains(case.step) && failed.contains(" denied: "), "{name}: {ended}");
            let (refused, hint) = refusal(&ended);
            assert_eq!(refused.split(' ').next(), Some(*word), "{name}: {ended}");
            file = set(&file, case.step, word, &hint);
        }
        hospital.write(FILE, &file);
        let ended = hospital.deploy(&version);
        assert_eq!(ended.code, 0, "{name}: {ended}");
    }
}

/// The file with another line for a word of a step.
fn set(file: &str, step: &str, word: &str, line: &str) -> String {
    let place = allow(file, step, word).unwrap_or_else(|| {
        let end = begin(file, step) + file[begin(file, step)..].find("\nwith").unwrap() + 1;
        end..end
    });
    format!("{}{line}\n{}", &file[..place.start], &file[place.end..])
}

/// Where `allow.WORD = […]` of a step stands in the file.
fn allow(file: &str, step: &str, word: &str) -> Option<Range<usize>> {
    let begin = begin(file, step);
    let end = file[begin..].find("\nwith").unwrap() + begin;
    let start = file[begin..end].find(&format!("\nallow.{word} = ["))? + begin + 1;
    let mut depth = 0_u32;
    for (at, character) in file[start..].char_indices() {
        match character {
            '[' => depth += 1,
            ']' if depth == 1 => return Some(start..start + at + 1),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn begin(file: &str, step: &str) -> usize {
    file.find(&format!("[[step]]\nname = \"{step}\"\n")).unwrap()
}

/// The last refusal that was printed, and the line that would allow it.
pub(super) fn refusal(ended: &Ended) -> (String, String) {
    let lines = || ended.stderr.lines().rev();
    let refused = lines().find_map(|line| line.split_once("✗ refused "));
    let hint = lines().find_map(|line| line.split_once("would allow it: "));
    let (Some((_, refused)), Some((_, hint))) = (refused, hint) else { panic!("{ended}") };
    (refused.to_owned(), hint.to_owned())
}
