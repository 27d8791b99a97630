//! `reveal`: secrets that a guest is told, by exact name.

use std::fmt;

use crate::{
    line,
    rule::{InToml, RuleError, check_text},
    secret,
};

/// A secret whose plaintext the guest may have: `"token"`. From then on nobody but the guest decides where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevealRule(String);

impl RevealRule {
    /// Reads the name of a secret.
    ///
    /// # Errors
    ///
    /// A name that no secret can have; patterns too.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        match secret::check_name(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(error) if text.contains('*') => Err(error.with_hint("secrets are revealed one by one: name each")),
            Err(error) => Err(error),
        }
    }

    /// Whether it covers all that `other` covers: the same name.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self == other
    }

    /// Name of the secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RevealRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl InToml for RevealRule {
    fn in_toml(&self) -> String {
        line::text(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for name in ["token", "t_1-X"] {
            assert_eq!(RevealRule::parse(name).unwrap().to_string(), name);
        }
        for (text, span) in
            [("", None), ("*", Some(0..1)), ("to*", Some(2..3)), ("a b", Some(1..3)), ("a.b", Some(1..3))]
        {
            assert_eq!(RevealRule::parse(text).unwrap_err().span, span, "{text}");
        }
        assert!(RevealRule::parse("*").unwrap_err().hint.is_some_and(|hint| hint.contains("one by one")));
    }
}
