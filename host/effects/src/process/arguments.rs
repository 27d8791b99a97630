//! The arguments of a program: bounded, and shown for the record.

use pipe_capability::exec::ExecRule;

use super::Command;
use crate::error::{EffectError, ErrorKind};

/// The most arguments of one program.
const MOST_ARGUMENTS: usize = 4096;

/// The most bytes of all arguments together. The kernel takes 2 MiB, of which the environment has its share.
const MOST_ARGUMENT_BYTES: usize = 1 << 20;

/// Refuses what no program can be started with.
pub(super) fn check(command: &Command) -> Result<(), EffectError> {
    let bytes: usize = command.arguments.iter().map(|argument| argument.len() + 1).sum();
    if command.arguments.len() > MOST_ARGUMENTS || bytes > MOST_ARGUMENT_BYTES {
        return Err(EffectError::new(
            ErrorKind::Limit,
            format!("more than {MOST_ARGUMENTS} arguments or {MOST_ARGUMENT_BYTES} bytes of them"),
        ));
    }
    if command.arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(EffectError::new(ErrorKind::Invalid, "an argument holds a NUL"));
    }
    Ok(())
}

/// The command as a line of a shell would have it, for the record: with `…` for what the rule leaves open, where a guest may
/// have put anything. The rule covers the command.
pub(super) fn shown(rule: &ExecRule, command: &Command) -> String {
    let outline = rule.outline(&command.arguments);
    let words = std::iter::once(&command.program).chain(&outline);
    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// All arguments as the text of a proof, where the rule leaves something open.
pub(super) fn left_open(rule: &ExecRule, command: &Command) -> Option<Vec<u8>> {
    (rule.outline(&command.arguments) != command.arguments)
        .then(|| command.arguments.iter().flat_map(|argument| argument.bytes().chain([0])).collect())
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+…".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let shown: String =
        word.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    format!("'{}'", shown.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use pipe_capability::exec::ArgumentPattern;

    use super::*;

    fn command(arguments: &[&str]) -> Command {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Command { program: "pg_dump".into(), arguments }
    }

    fn rule(argv: &[&str]) -> ExecRule {
        let argv = argv.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect();
        ExecRule { program: "pg_dump".into(), argv, ..ExecRule::default() }
    }

    #[test]
    fn a_command_is_shown_unambiguously() {
        for (arguments, expected) in [
            (&["-F", "c", "--file=a/b"][..], "pg_dump -F c --file=a/b"),
            (&["a b", "", "it's", "x\ny"], "pg_dump 'a b' '' 'it'\\''s' 'x\\ny'"),
        ] {
            assert_eq!(shown(&rule(arguments), &command(arguments)), expected);
            assert_eq!(left_open(&rule(arguments), &command(arguments)), None);
        }
    }

    #[test]
    fn what_the_rule_leaves_open_is_not_shown() {
        for (argv, arguments, expected) in [
            (&["-F", "*"][..], &["-F", "c"][..], "pg_dump -F …"),
            (&["--table=*.*", "x"], &["--table=clinic.visits", "x"], "pg_dump --table=….… x"),
            (&["run", "**"], &["run", "Meier", "4711"], "pg_dump run … …"),
            (&["**"], &["Meier"], "pg_dump …"),
        ] {
            assert!(rule(argv).covers("pg_dump", &command(arguments).arguments));
            assert_eq!(shown(&rule(argv), &command(arguments)), expected);
            let text: String = arguments.iter().map(|argument| format!("{argument}\0")).collect();
            assert_eq!(left_open(&rule(argv), &command(arguments)), Some(text.into_bytes()));
        }
        assert_eq!(left_open(&rule(&["run", "**"]), &command(&["run"])), None, "nothing was put there");
    }

    #[test]
    fn arguments_are_bounded() {
        let command = |arguments| Command { program: "true".into(), arguments };
        assert_eq!(check(&command(vec![String::new(); 4097])).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(check(&command(vec!["x".repeat(1 << 20)])).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(check(&command(vec!["a\0b".into()])).unwrap_err().kind, ErrorKind::Invalid);
    }
}
