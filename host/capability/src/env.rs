//! `env`: variables of the operator, by exact name.

use std::fmt;

use crate::{
    line,
    rule::{InToml, RuleError, check_text},
};

/// A variable that may be read: `"HOME"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvRule(String);

impl EnvRule {
    /// Reads a name: a letter or `_`, then letters, digits and `_`.
    ///
    /// # Errors
    ///
    /// Anything else; patterns too.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        if is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let at = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(0);
        let wrong = text[at..].chars().next().map_or(0, char::len_utf8);
        let error = RuleError::new(format!("`{text}` is not the name of a variable")).at(at..at + wrong);
        Err(match text.as_bytes()[at] {
            b'*' => error.with_hint("variables are granted one by one: name each"),
            b'$' => error.with_hint("the name stands without `$`"),
            b'=' => error.with_hint("a grant names the variable; its value comes from the operator's environment"),
            _ => error.with_hint("letters, digits and `_`, not beginning with a digit"),
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it covers all that `other` covers: the same name.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self == other
    }
}

/// Whether `text` can be the name of a variable.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for EnvRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl InToml for EnvRule {
    fn in_toml(&self) -> String {
        line::text(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for name in ["HOME", "_x9", "a"] {
            assert_eq!(EnvRule::parse(name).unwrap().to_string(), name);
        }
        for (text, span) in [
            ("9A", Some(0..1)),
            ("A*", Some(1..2)),
            ("*", Some(0..1)),
            ("A B", Some(1..2)),
            ("A=B", Some(1..2)),
            ("Ä", Some(0..2)),
            ("A\0", Some(1..2)),
            ("$HOME", Some(0..1)),
            ("", None),
        ] {
            let error = EnvRule::parse(text).unwrap_err();
            assert_eq!(error.span, span, "{text}");
        }
    }
}
