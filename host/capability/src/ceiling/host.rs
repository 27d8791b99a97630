//! Which hosts a ceiling speaks of. In a grant a host is never a pattern, since a plugin would choose the name; a ceiling is
//! held against grants, and nobody chooses anything.

use std::fmt;

use crate::{http::authority, rule::RuleError};

/// A host, or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host.
    Any,
    /// `*.hms.internal`: every name that ends so, and not the name itself.
    Within(String),
    /// One host, in its one spelling.
    One(String),
}

impl HostPattern {
    /// Reads `*`, `*.domain` or a host.
    ///
    /// # Errors
    ///
    /// A `*` elsewhere, an odd form of an address, what is no host.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (domain, within) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        if let Some(at) = text.rfind('*').filter(|at| *at > 0 || !within) {
            return Err(RuleError::new("a `*` within the name of a host")
                .at(at..at + 1)
                .with_hint("`*.example.com` is every name below it, `*` every host"));
        }
        let (host, port) = authority(domain).map_err(|error| error.shifted(text.len() - domain.len()))?;
        if port.is_some() {
            return Err(RuleError::new("a port in the place of a host").at(0..text.len()));
        }
        match host {
            url::Host::Domain(name) if within => Ok(Self::Within(format!(".{name}"))),
            _ if within => Err(RuleError::new("nothing lies below an address").at(0..text.len())),
            host => Ok(Self::One(host.to_string())),
        }
    }

    /// Whether it speaks of a host. `host` is in lower case and without a trailing dot.
    #[must_use]
    pub fn includes(&self, host: &str) -> bool {
        // A list of hosts, or an encoded one, could end in a domain and mean another.
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        match self {
            Self::Any => true,
            Self::Within(end) => host.len() > end.len() && host.ends_with(end) && host.bytes().all(plain),
            Self::One(name) => host == name,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Within(end) => write!(f, "*{end}"),
            Self::One(host) => f.write_str(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (pattern, host, included) in [
            ("*", "anything", true),
            ("*.hms.internal", "db.hms.internal", true),
            ("*.hms.internal", "a.b.hms.internal", true),
            ("*.hms.internal", "hms.internal", false),
            ("*.hms.internal", ".hms.internal", false),
            ("*.hms.internal", "evilhms.internal", false),
            ("*.hms.internal", "db.hms.internal.evil.example", false),
            ("*.hms.internal", "evil.example,db.hms.internal", false),
            ("*.hms.internal", "evil.example%2f.hms.internal", false),
            ("*.HMS.internal.", "db.hms.internal", true),
            ("db", "db", true),
            ("DB.", "db", true),
            ("db", "db2", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("[::1]", "[::1]", true),
            ("[::1]", "::1", false),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().includes(host), included, "{pattern} {host}");
        }
        for text in ["", "**", "a.*", "*a", "*.*.a", "*.", "a*b", "*.127.0.0.1", "127.1", "a:80", "u@a", "*.[::1]"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
