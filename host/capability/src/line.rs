//! Writes TOML: the values and lines of hints, valid as they stand.

use std::{collections::BTreeMap, fmt::Write as _};

pub(crate) use pipe_core::text::is_unprintable;

use crate::word::Word;

/// The line that sets a word: `allow.http = ["GET k8s:/version"]`.
pub(crate) fn set(word: Word, values: impl IntoIterator<Item = String>) -> String {
    format!("allow.{word} = {}", array(values))
}

/// An array of values that are quoted already.
pub(crate) fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

/// A string. Literal quotes spare the reader a second layer of backslashes.
pub(crate) fn text(value: &str) -> String {
    let needs_escape = value.contains(['"', '\\']);
    if needs_escape && !value.contains('\'') && !value.chars().any(is_unprintable) {
        return format!("'{value}'");
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_unprintable(c) => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// An inline table whose keys are written in the order given.
#[derive(Default)]
pub(crate) struct Table(Vec<String>);

impl Table {
    /// Adds a key whose value is quoted already. Keys must be bare ones.
    pub(crate) fn value(mut self, key: &str, value: &str) -> Self {
        self.0.push(format!("{key} = {value}"));
        self
    }

    /// Adds a text.
    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        let quoted = text(value);
        self.value(key, &quoted)
    }

    /// Adds a text, where there is one.
    pub(crate) fn optional(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// Adds an array of values that are quoted already, where it holds any.
    pub(crate) fn values(self, key: &str, values: impl IntoIterator<Item = String>) -> Self {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() { self } else { self.value(key, &array(values)) }
    }

    /// Adds a table of texts, where it holds any.
    pub(crate) fn texts(self, key: &str, values: &BTreeMap<String, String>) -> Self {
        if values.is_empty() {
            return self;
        }
        let inner = values.iter().fold(Self::default(), |table, (name, value)| table.text(name, value)).finish();
        self.value(key, &inner)
    }

    /// The whole table.
    pub(crate) fn finish(self) -> String {
        if self.0.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", self.0.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_the_lightest_that_hold() {
        for (value, quoted) in [
            ("plain", r#""plain""#),
            (r"a\*b", r"'a\*b'"),
            ("say \"x\"", "'say \"x\"'"),
            ("it's \\", r#""it's \\""#),
            ("a\nb\u{1b}", "\"a\\nb\\U0000001B\""),
            ("\u{202e}gpj", "\"\\U0000202Egpj\""),
            ("", r#""""#),
        ] {
            assert_eq!(text(value), quoted);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives(value in proptest::arbitrary::any::<String>()) {
            let line = set(Word::Env, [text(&value)]);
            let table: toml::Table = line.parse()?;
            proptest::prop_assert_eq!(table["allow"]["env"][0].as_str(), Some(value.as_str()));
        }
    }
}
