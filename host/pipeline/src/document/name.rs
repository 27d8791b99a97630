//! What things may be called.

use std::{collections::BTreeMap, ops::Range};

use pipe_core::diagnostic::Diagnostic;

use crate::{
    document::{GateSpec, NotifySpec, RollbackSpec, StepSpec},
    fields::Located,
    report::Report,
};

/// Longest name, in bytes.
const MAXIMUM_NAME: usize = 100;

fn checked(report: &Report, what: &str, text: Located<String>, rule: &str, sound: bool) -> Option<Located<String>> {
    if sound && !text.value.is_empty() && text.value.len() <= MAXIMUM_NAME {
        return Some(text);
    }
    report.advise("bad-name", format!("`{}` cannot name {what}", shortened(&text.value)), text.span, rule);
    None
}

/// A text of any length as a message can bear it.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The pipeline itself: names directories and locks.
pub(crate) fn pipeline(report: &Report, text: Located<String>) -> Option<Located<String>> {
    let sound = is_word(&text.value);
    checked(report, "a pipeline", text, "letters, digits, `-` and `_`; it names directories", sound)
}

pub(crate) fn environment(report: &Report, text: Located<String>) -> Option<Located<String>> {
    let sound = is_word(&text.value);
    checked(report, "an environment", text, "letters, digits, `-` and `_`", sound)
}

/// An input, a set, a secret or a plugin.
pub(crate) fn entry(report: &Report, what: &str, text: Located<String>) -> Option<Located<String>> {
    let sound = is_word(&text.value);
    checked(report, what, text, "letters, digits, `-` and `_`", sound)
}

pub(crate) fn set_key(report: &Report, text: Located<String>) -> Option<Located<String>> {
    let sound = text.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    checked(
        report,
        "an entry of a set",
        text,
        "lower-case letters, digits and `-`; it is the identity of a repeated step",
        sound,
    )
}

/// A step, check or notification. Brackets would make `deploy[api]` a step and an instance at once.
pub(crate) fn step(report: &Report, text: Located<String>) -> Option<Located<String>> {
    let sound =
        text.value.trim() == text.value && !text.value.contains(|c: char| c.is_control() || "[]{}\"\\*$".contains(c));
    checked(
        report,
        "a step",
        text,
        "any characters but brackets, quotes, `*`, `$` and `\\`, and no space at either end",
        sound,
    )
}

/// Reports a name that stands a second time.
pub(crate) fn duplicate(report: &Report, what: &str, second: &Located<String>, first: &Range<usize>) {
    report.push(
        Diagnostic::error("duplicate-name", format!("there are two {what}s `{}`", second.value))
            .at(report.file(), second.span.clone(), "")
            .at(report.file(), first.clone(), "the first")
            .hint(format!("give one of them another name; a {what} is known by it alone")),
    );
}

/// Whatever runs has a name of its own: the journal knows it by that. Checks do not run by themselves.
pub(super) fn no_duplicates(
    report: &Report,
    steps: &[StepSpec],
    gates: &[GateSpec],
    checks: &[StepSpec],
    rollback: &[RollbackSpec],
    notifications: &[NotifySpec],
) {
    let rollback = rollback.iter().filter_map(|entry| match entry {
        RollbackSpec::Run(step) => Some(&step.name),
        RollbackSpec::Gate(gate) | RollbackSpec::Undo { gate: Some(gate), .. } => Some(&gate.name),
        RollbackSpec::Undo { gate: None, .. } => None,
    });
    let running = steps.iter().map(|step| &step.name).chain(gates.iter().map(|gate| &gate.name)).chain(rollback);
    unique(report, "step", running.chain(notifications.iter().map(|notification| &notification.step.name)));
    unique(report, "check", checks.iter().map(|check| &check.name));
}

fn unique<'n>(report: &Report, what: &str, names: impl Iterator<Item = &'n Located<String>>) {
    let mut seen: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
    for name in names {
        match seen.get(name.value.as_str()) {
            Some(first) => duplicate(report, what, name, first),
            None => {
                seen.insert(&name.value, &name.span);
            }
        }
    }
}
