//! `artifacts`: the files that a run keeps.

use std::fmt;

use crate::{
    line,
    rule::{InToml, RuleError, check_text},
};

/// What may be done with artifacts: `"write"`, or `"read STEP"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArtifactRule {
    /// Store new ones. Covers no reading.
    Write,
    /// Read those that the step of this name stored.
    Read(String),
}

impl ArtifactRule {
    /// Reads `write` or `read STEP`. The name of a step may hold spaces.
    ///
    /// # Errors
    ///
    /// Another word, or no name of a step. There are no patterns.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        match text.split_once(' ') {
            None if text == "write" => Ok(Self::Write),
            None if text == "read" => {
                Err(RuleError::new("`read` names no step").at(0..4).with_hint("as in `read backup`"))
            }
            Some(("read", step)) => check_step(step).map(|()| Self::Read(step.to_owned())).map_err(|e| e.shifted(5)),
            Some(("write", rest)) => Err(RuleError::new("`write` takes no name: a step stores artifacts of its own")
                .at(5..6 + rest.len())
                .with_hint("`write`")),
            _ => Err(RuleError::new(format!("`{text}` is neither `write` nor `read STEP`")).at(0..text.len())),
        }
    }

    /// Whether it covers all that `other` covers: the same.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self == other
    }
}

fn check_step(step: &str) -> Result<(), RuleError> {
    let whole = 0..step.len();
    if step.trim().is_empty() {
        return Err(RuleError::new("`read` names no step").at(whole).with_hint("as in `read backup`"));
    }
    if step.trim() != step {
        return Err(RuleError::new("spaces around the name of the step").at(whole));
    }
    if step.contains('*') {
        return Err(RuleError::new("artifacts are granted step by step").at(whole).with_hint("name each step"));
    }
    if step.contains(char::is_control) {
        return Err(RuleError::new("control characters in the name of the step").at(whole));
    }
    Ok(())
}

impl fmt::Display for ArtifactRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write => f.write_str("write"),
            Self::Read(step) => write!(f, "read {step}"),
        }
    }
}

impl InToml for ArtifactRule {
    fn in_toml(&self) -> String {
        line::text(&self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        for text in ["write", "read backup", "read manual verification", "read \"quoted\""] {
            assert_eq!(ArtifactRule::parse(text).unwrap().to_string(), text);
        }
        for (text, span) in [
            ("", None),
            ("read", Some(0..4)),
            ("read ", Some(5..5)),
            ("read  backup", Some(5..12)),
            ("read *", Some(5..6)),
            ("read a\nb", Some(5..8)),
            ("write backup", Some(5..12)),
            ("delete", Some(0..6)),
            ("Write", Some(0..5)),
        ] {
            assert_eq!(ArtifactRule::parse(text).unwrap_err().span, span, "{text}");
        }
    }
}
