//! A pattern for one argument.

use std::fmt;

use crate::{
    line,
    pattern::{Glob, escaped},
    rule::{InToml, LONGEST_RULE, RuleError},
};

/// A pattern for one argument, or for all the rest of them.
///
/// Literal text in which `*` stands for any characters and `\` takes the meaning from what follows it. **A pattern that
/// begins with `*` never matches an argument that begins with `-`**: a free value must not become an option. `**` by itself
/// stands for any further arguments, options too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentPattern {
    text: String,
    /// Nothing: any further arguments.
    glob: Option<Glob>,
}

impl ArgumentPattern {
    /// Reads a pattern. The empty text is the empty argument.
    ///
    /// # Errors
    ///
    /// A NUL, `**` with anything beside it, or a backslash with nothing to escape.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.len() > LONGEST_RULE {
            return Err(RuleError::new(format!("the argument is longer than {LONGEST_RULE} bytes")));
        }
        if text == "**" {
            return Ok(Self { text: text.to_owned(), glob: None });
        }
        let mut glob = Glob::default();
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            match c {
                '\0' => return Err(RuleError::new("an argument cannot hold a NUL").at(at..at + 1)),
                '*' if characters.peek().is_some_and(|&(_, next)| next == '*') => {
                    return Err(RuleError::new("`**` has something beside it")
                        .at(at..at + 2)
                        .with_hint("`*` stands for any characters; `**` alone for any further arguments"));
                }
                '*' => glob.star(),
                '\\' => match characters.next() {
                    Some((_, next)) if !next.is_ascii_alphanumeric() && next != '\0' => glob.tail().push(next),
                    next => {
                        let end = next.map_or(at + 1, |(next_at, next)| next_at + next.len_utf8());
                        return Err(RuleError::new("the backslash has nothing to escape")
                            .at(at..end)
                            .with_hint("a backslash itself is written `\\\\`"));
                    }
                },
                c => glob.tail().push(c),
            }
        }
        Ok(Self { text: text.to_owned(), glob: Some(glob) })
    }

    /// The text of the pattern that matches `argument` and nothing else.
    pub(crate) fn exactly(argument: &str) -> String {
        escaped(argument, |c| matches!(c, '\\' | '*'))
    }

    /// Whether it stands for any further arguments.
    #[must_use]
    pub const fn is_rest(&self) -> bool {
        self.glob.is_none()
    }

    /// Whether it matches every argument that `other` does. `**` includes every pattern, and only `**` includes `**`. Exact
    /// but for alphabets.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let (Some(glob), Some(narrow)) = (&self.glob, &other.glob) else { return self.is_rest() };
        let may_be_an_option = !narrow.begins_with_star() && narrow.pieces()[0].starts_with('-');
        !(glob.begins_with_star() && may_be_an_option) && glob.includes(narrow, |_| true)
    }

    /// What it says of every argument that it matches, with `…` for what it leaves open: `--format=…`.
    #[must_use]
    pub fn outline(&self) -> String {
        self.glob.as_ref().map_or_else(|| OPEN.to_owned(), |glob| glob.pieces().join(OPEN))
    }

    /// The only argument that it matches; nothing where it leaves something open.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.glob.as_ref().map(Glob::pieces) {
            Some([literal]) => Some(literal),
            _ => None,
        }
    }

    /// What of an argument that it matches it leaves open: all behind its first fixed piece. Nothing where it is literal.
    pub(crate) fn open_part<'a>(&self, argument: &'a str) -> Option<&'a str> {
        match self.glob.as_ref().map(Glob::pieces) {
            Some([_literal]) => None,
            Some(pieces) => Some(argument.strip_prefix(pieces.first().map_or("", String::as_str)).unwrap_or(argument)),
            None => Some(argument),
        }
    }

    /// Whether it matches one argument. That `**` takes any is for the rule to say: by itself it matches none.
    #[must_use]
    pub fn matches(&self, argument: &str) -> bool {
        self.glob.as_ref().is_some_and(|glob| {
            !(glob.begins_with_star() && argument.starts_with('-')) && glob.matches(argument, |_| true)
        })
    }
}

/// Stands for what a pattern leaves open.
const OPEN: &str = "…";

impl fmt::Display for ArgumentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl InToml for ArgumentPattern {
    fn in_toml(&self) -> String {
        line::text(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, argument, matches) in [
            ("", "", true),
            ("", "x", false),
            ("-F", "-F", true),
            ("-F", "-f", false),
            ("*", "value", true),
            ("*", "", true),
            ("*", "-rf", false),
            ("*", "--", false),
            ("*.sql", "a.sql", true),
            ("*.sql", "-a.sql", false),
            ("-*", "-rf", true),
            ("--format=*", "--format=custom", true),
            ("--format=*", "--file=x", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"\*\*", "**", true),
            (r"\-*", "-x", true),
            (r"a\\b", r"a\b", true),
            ("a{b,c}", "ab", false),
            ("a{b,c}", "a{b,c}", true),
            ("a*c", "a\nb\nc", true),
            ("**", "anything", false),
        ] {
            assert_eq!(ArgumentPattern::parse(pattern).unwrap().matches(argument), matches, "{pattern} {argument}");
        }
    }

    #[test]
    fn what_no_pattern_holds() {
        for (text, span) in [
            ("a**", 1..3),
            ("**a", 0..2),
            ("***", 0..2),
            ("a\0", 1..2),
            (r"\d", 0..2),
            ("a\\", 1..2),
            (r"\\\", 2..3),
            ("\\\0", 0..2),
        ] {
            assert_eq!(ArgumentPattern::parse(text).unwrap_err().span, Some(span), "{text}");
        }
        assert!(ArgumentPattern::parse(&"x".repeat(LONGEST_RULE + 1)).is_err());
    }
}
