//! What a guest says and asks is bounded, and that something was dropped is said.

use crate::{Behaviour, Scene, Seen};

const LINES_DROPPED: &str = "the plugin said more than 10000 lines (`limits.log_lines`); further lines are dropped";
const BYTES_DROPPED: &str = "the plugin said more than 2.0 MiB of log (`limits.log_bytes`); further lines are dropped";

/// Bytes of all log lines.
fn bytes(seen: &Seen) -> usize {
    seen.of("logged").map(|what| what["message"].to_string().len() + what["fields"].to_string().len()).sum()
}

#[test]
pub(crate) fn a_flood_of_lines() {
    let seen = Scene::new(Behaviour::FloodLog).run();
    assert_eq!(seen.ended.code, 0);
    let logged = seen.logged();
    assert_eq!(logged.len(), 10_000);
    assert_eq!((logged[0], logged[9_998], logged[9_999]), ("line 0", "line 9998", LINES_DROPPED));
}

#[test]
pub(crate) fn a_flood_of_long_lines_and_fields() {
    let seen = Scene::new(Behaviour::FloodLogAndFail).run();
    seen.fails("other", "said too much");
    assert_eq!(seen.logged().last(), Some(&BYTES_DROPPED));
    assert!(bytes(&seen) < 4 << 20, "{}", bytes(&seen));
}

#[test]
pub(crate) fn a_flood_without_a_line_end() {
    let seen = Scene::new(Behaviour::FloodOutput).run();
    assert_eq!((seen.ended.code, seen.logged().len()), (0, 1));
    assert!(bytes(&seen) < 5_000);
}

#[test]
pub(crate) fn a_flood_of_progress() {
    let seen = Scene::new(Behaviour::FloodProgress).run();
    assert_eq!(seen.ended.code, 0);
    assert!(!seen.ended.stderr.contains('\u{1b}'));
}

#[test]
pub(crate) fn a_flood_of_refusals_ends_the_call() {
    let seen = Scene::new(Behaviour::FloodRefusals).run();
    seen.fails("denied", "the plugin was refused 1000 times");
    assert_eq!(seen.refusals().count(), 1_000);
}

#[test]
pub(crate) fn a_flood_of_uses_ends_the_call() {
    let seen = Scene::new(Behaviour::FloodUses)
        .variable("WARD", "cardiology")
        .with("name", "WARD")
        .allow(r#"allow.env = ["WARD"]"#)
        .run();
    seen.fails("other", "the plugin used what it was granted 100000 times");
    assert_eq!(seen.of("used").count(), 100_000);
}
