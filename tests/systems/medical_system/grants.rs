//! Every line of a grant is needed: without it the step is refused, and the line that is printed then is the one that was
//! missing.

use std::{fs, ops::Range};

use pipe_tests::Ended;

use super::{FILE, Hospital};

/// A rule that is taken away from a step.
struct Case {
    step: &'static str,
    word: &'static str,
    /// What goes out of the word's array. Nothing: the whole line goes.
    rule: &'static str,
    /// Exit code: 4 where nothing has been changed when the step is refused, 5 where something was undone.
    code: i32,
}

const CASES: [Case; 9] = [
    Case { step: "preflight", word: "env", rule: r#""DATABASE_SSL_MODE", "#, code: 4 },
    Case { step: "preflight", word: "disk", rule: "", code: 4 },
    Case { step: "backup", word: "artifacts", rule: "", code: 4 },
    Case { step: "backup", word: "secrets", rule: "", code: 4 },
    Case { step: "backup", word: "exec", rule: r#"{ program = "pg_restore", argv = ["--file=/dev/null"] },"#, code: 4 },
    Case { step: "migrate", word: "read", rule: "", code: 4 },
    Case { step: "schema", word: "sql", rule: "", code: 5 },
    Case { step: "release", word: "write", rule: "", code: 5 },
    Case { step: "verify", word: "http", rule: r#""GET api:/health", "#, code: 5 },
];

#[test]
fn every_rule_is_needed_and_the_hint_is_the_rule_of_preflight_and_backup() {
    try_all(&CASES[..5]);
}

#[test]
fn every_rule_is_needed_and_the_hint_is_the_rule_of_the_other_steps() {
    try_all(&CASES[5..]);
}

fn try_all(cases: &[Case]) {
    let hospital = Hospital::with_patients();
    let whole = fs::read_to_string(hospital.deployment.at(FILE)).unwrap();
    for (number, case) in cases.iter().enumerate() {
        let name = format!("{} of {}", case.word, case.step);
        // Something for every step to do.
        let migration = format!("{:03}_more", 100 + number);
        hospital.migration(
            &migration,
            &format!("CREATE TABLE more_{number} ();\n"),
            &format!("DROP TABLE more_{number};\n"),
        );
        let version = format!("1.{}.0", number + 1);

        let place = allow(&whole, case.step, case.word);
        let line = &whole[place.clone()];
        assert!(line.contains(case.rule), "{line}");
        let left = if case.rule.is_empty() { String::new() } else { line.replacen(case.rule, "", 1) };
        let with = |line: &str| format!("{}{line}{}", &whole[..place.start], &whole[place.end..]);

        hospital.write(FILE, &with(&left));
        let ended = hospital.deploy(&version);
        assert_eq!(ended.code, case.code, "{name}: {ended}");
        let (refused, hint) = refusal(&ended);
        assert!(refused.starts_with(&format!("{} ", case.word)), "{name}: {refused}");
        let failed = ended.stderr.lines().find(|line| line.starts_with("└ ✗ ")).unwrap_or_default();
        assert!(failed.contains(case.step) && failed.contains(" denied: "), "{name}: {ended}");

        hospital.write(FILE, &with(&hint));
        let ended = hospital.deploy(&version);
        assert_eq!(ended.code, 0, "{name}, with {hint}: {ended}");
        hospital.write(FILE, &whole);
    }
}

/// Where `allow.WORD = […]` of a step stands in the file.
fn allow(file: &str, step: &str, word: &str) -> Range<usize> {
    let begin = file.find(&format!("[[step]]\nname = \"{step}\"\n")).unwrap();
    let key = format!("\nallow.{word} = [");
    let start = begin + file[begin..].find(&key).unwrap() + 1;
    let mut depth = 0_u32;
    for (at, character) in file[start..].char_indices() {
        match character {
            '[' => depth += 1,
            ']' if depth == 1 => return start..start + at + 1,
            ']' => depth -= 1,
            _ => {}
        }
    }
    panic!("allow.{word} of {step} has no end")
}

/// The last refusal that was printed, and the line that would allow it.
fn refusal(ended: &Ended) -> (String, String) {
    let lines = || ended.stderr.lines().rev();
    let refused = lines().find_map(|line| line.split_once("✗ refused "));
    let hint = lines().find_map(|line| line.split_once("would allow it: "));
    let (Some((_, refused)), Some((_, hint))) = (refused, hint) else { panic!("{ended}") };
    (refused.to_owned(), hint.to_owned())
}
