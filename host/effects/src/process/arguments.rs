//! The arguments of a program: bounded, and shown for the record.

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

/// The command as a line of a shell would have it, for the record.
pub(super) fn shown(command: &Command) -> String {
    let words = std::iter::once(&command.program).chain(&command.arguments);
    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let shown: String =
        word.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    format!("'{}'", shown.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_unambiguously() {
        let command = |arguments: &[&str]| Command {
            program: "pg_dump".into(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        assert_eq!(shown(&command(&["-F", "c", "--file=a/b"])), "pg_dump -F c --file=a/b");
        assert_eq!(shown(&command(&["a b", "", "it's", "x\ny"])), "pg_dump 'a b' '' 'it'\\''s' 'x\\ny'");
    }

    #[test]
    fn arguments_are_bounded() {
        let command = |arguments| Command { program: "true".into(), arguments };
        assert_eq!(check(&command(vec![String::new(); 4097])).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(check(&command(vec!["x".repeat(1 << 20)])).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(check(&command(vec!["a\0b".into()])).unwrap_err().kind, ErrorKind::Invalid);
    }
}
