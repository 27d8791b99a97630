//! `sql`: databases, by peer.

use std::fmt;

use crate::{
    line, peer,
    rule::{InToml, RuleError, check_text},
};

/// What is wanted of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Every statement runs in a read-only transaction.
    Read,
    /// Data and schema may change. Covers reading.
    Write,
}

impl Access {
    /// As it stands in a rule: `read`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A database that may be used: `"read main"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlRule {
    /// How.
    pub access: Access,
    /// Name of the peer.
    pub peer: String,
}

impl SqlRule {
    /// Reads `read PEER` or `write PEER`.
    ///
    /// # Errors
    ///
    /// Another word, no name, or a name that no peer can have.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        let Some((word, peer)) = text.split_once(' ') else {
            let error = RuleError::new(format!("`{text}` is not `read PEER` or `write PEER`")).at(0..text.len());
            let advice = if access(text).is_some() { format!("{text} main") } else { format!("read {text}") };
            return Err(error.with_hint(format!("as in `{advice}`")));
        };
        let access = access(word)
            .ok_or_else(|| RuleError::new(format!("`{word}` is neither `read` nor `write`")).at(0..word.len()))?;
        peer::check_name(peer).map_err(|error| error.shifted(word.len() + 1))?;
        Ok(Self { access, peer: peer.to_owned() })
    }

    /// Whether it covers `access` to `peer`.
    #[must_use]
    pub fn covers(&self, peer: &str, access: Access) -> bool {
        self.access >= access && self.peer == peer
    }

    /// Whether it covers all that `other` covers. Exact.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.covers(&other.peer, other.access)
    }
}

fn access(word: &str) -> Option<Access> {
    [Access::Read, Access::Write].into_iter().find(|access| access.as_str() == word)
}

impl fmt::Display for SqlRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.access, self.peer)
    }
}

impl InToml for SqlRule {
    fn in_toml(&self) -> String {
        line::text(&self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_two_words() {
        for text in ["read main", "write hms-db"] {
            assert_eq!(SqlRule::parse(text).unwrap().to_string(), text);
        }
        for (text, span) in [
            ("main", Some(0..4)),
            ("read", Some(0..4)),
            ("read ", None),
            ("admin main", Some(0..5)),
            ("Read main", Some(0..4)),
            ("read  main", Some(5..10)),
            ("read main ", Some(5..10)),
            ("read Main", Some(5..9)),
            ("read *", Some(5..6)),
            ("write main,other", Some(6..16)),
            ("", None),
        ] {
            assert_eq!(SqlRule::parse(text).unwrap_err().span, span, "{text}");
        }
    }

    #[test]
    fn writing_covers_reading_and_not_the_reverse() {
        let (read, write) = (SqlRule::parse("read main").unwrap(), SqlRule::parse("write main").unwrap());
        assert!(read.covers("main", Access::Read) && write.covers("main", Access::Read));
        assert!(!read.covers("main", Access::Write) && write.covers("main", Access::Write));
        assert!(!write.covers("other", Access::Read) && !write.covers("Main", Access::Read));
    }
}
