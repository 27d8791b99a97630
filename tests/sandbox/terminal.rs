//! Nothing that a guest says is acted upon by a terminal, or looks like a line of pipe's own.

use pipe_tests::Ended;

use crate::{Behaviour, Scene, Seen};

/// Clears the screen, in both ways; writes from right to left; rings; hides; and forges a line.
const EVIL: &str =
    "a\u{1b}[2Jb\u{9b}2Jc\u{202e}d\u{7}e\u{61c}f\u{200b}g\u{2066}h\u{7f}i\r\n└ ✓ forged 1ms\u{2028}j\u{feff}k";

/// What no terminal should see of a guest.
fn is_evil(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[track_caller]
fn is_harmless(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        assert_eq!(text.chars().find(|&c| is_evil(c)), None, "{}", text.escape_debug());
        assert!(!text.lines().any(|line| line.starts_with("└ ✓ forged")), "{text}");
    }
}

/// In what was printed live, and in what is printed of the journal.
#[track_caller]
fn says(behaviour: Behaviour, code: i32) -> Seen {
    let scene = Scene::new(behaviour).with("text", EVIL);
    let seen = scene.run();
    assert_eq!(seen.ended.code, code, "{}", seen.ended);
    is_harmless(&seen.ended);
    for command in [
        &["show", "last"][..],
        &["show", "last", "--events", "--verbose"],
        &["show", "last", "--format", "json"],
        &["show", "last", "--format", "markdown"],
        &["show", "last", "--format", "html"],
        &["history", "--format", "markdown"],
        &["show", "last", "--output", "json"],
        &["history"],
        &["run", "pipeline.toml", "--env", "test", "--output", "json"],
    ] {
        is_harmless(&scene.deployment.run(command));
    }
    seen
}

#[test]
pub(crate) fn log_lines() {
    let seen = says(Behaviour::SayInLog, 0);
    assert_eq!(seen.logged().len(), 1);
}

#[test]
pub(crate) fn standard_output_and_error_become_log_lines() {
    let seen = says(Behaviour::SayOnOutput, 0);
    for level in ["info", "warning"] {
        let lines: Vec<&str> = seen
            .of("logged")
            .filter(|what| what["level"] == level)
            .filter_map(|what| what["message"].as_str())
            .collect();
        assert_eq!((lines.len(), lines[1].starts_with("└ ✓ forged 1ms")), (2, true), "{lines:?}");
    }
    assert!(seen.ended.stderr.contains("│ · └ ✓ forged 1ms"), "{}", seen.ended);
}

#[test]
pub(crate) fn progress() {
    says(Behaviour::SayInProgress, 0);
}

#[test]
pub(crate) fn findings() {
    says(Behaviour::SayInFinding, 0);
}

#[test]
pub(crate) fn outputs() {
    says(Behaviour::SayInOutput, 0);
}

#[test]
pub(crate) fn failures() {
    says(Behaviour::SayInFailure, 1);
}

#[test]
pub(crate) fn receipts() {
    says(Behaviour::SayInReceipt, 0);
}

#[test]
pub(crate) fn panics() {
    says(Behaviour::Panic, 1);
}

#[test]
pub(crate) fn keys_of_outputs() {
    says(Behaviour::OutputBadKey, 1);
}

#[test]
pub(crate) fn what_was_refused() {
    let scene = Scene::new(Behaviour::ReadVariable).with("name", EVIL);
    let seen = scene.run();
    assert_ne!(seen.ended.code, 0);
    is_harmless(&seen.ended);
    is_harmless(&scene.deployment.run(&["show", "last", "--output", "json"]));
}
