//! `mail`: messages, by peer, sender and recipients.

mod address;
mod request;

use std::fmt;

pub use self::{address::Address, request::MailRequest};
use crate::{
    line::{self, Table},
    peer,
    rule::{InToml, RuleError},
};

/// Whom a rule lets a message go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Recipient {
    /// One address.
    Address(Address),
    /// Every address of a domain, in lower case. Of none below it.
    Domain(String),
}

impl Recipient {
    /// Reads an address, or `*@DOMAIN`. The span counts in `text`.
    ///
    /// # Errors
    ///
    /// Anything else; a `*` that does not stand for the whole local part.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if let Some(domain) = text.strip_prefix("*@") {
            return match address::check_domain(domain) {
                Ok(()) => Ok(Self::Domain(domain.to_ascii_lowercase())),
                Err(error) => Err(error.shifted(2)),
            };
        }
        Address::parse(text).map(Self::Address).map_err(|error| match text.find('*') {
            Some(at) => RuleError::new("`*` stands for a whole local part and nothing else")
                .at(at..at + 1)
                .with_hint("as in `*@hospital.example`"),
            None => error,
        })
    }

    /// Whether it covers every address that `other` covers.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match other {
            Self::Address(address) => self.covers(address),
            Self::Domain(_) => self == other,
        }
    }

    /// Whether it covers an address.
    #[must_use]
    pub fn covers(&self, address: &Address) -> bool {
        match self {
            Self::Address(known) => known == address,
            Self::Domain(domain) => domain == address.domain(),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Domain(domain) => write!(f, "*@{domain}"),
        }
    }
}

/// Messages that may be sent: `{ peer = "smtp", from = "deploy@hospital.example", to = ["*@hospital.example"] }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailRule {
    /// Name of the peer.
    pub peer: String,
    /// The one who writes.
    pub from: Address,
    /// Those who may be written to.
    pub to: Vec<Recipient>,
}

impl MailRule {
    /// A rule from the values of the table. Errors name the key in [`RuleError::field`].
    ///
    /// # Errors
    ///
    /// A name that no peer can have, or nobody to write to.
    pub fn new(peer: &str, from: Address, to: Vec<Recipient>) -> Result<Self, RuleError> {
        peer::check_name(peer).map_err(|error| error.of("peer"))?;
        if to.is_empty() {
            return Err(RuleError::new("the rule names nobody to write to")
                .of("to")
                .with_hint("as in `to = [\"ops@hospital.example\"]`"));
        }
        Ok(Self { peer: peer.to_owned(), from, to })
    }

    /// Whether it covers a message: its peer, its sender and every recipient.
    #[must_use]
    pub fn covers(&self, request: &MailRequest) -> bool {
        self.sends(request) && self.missing(request).next().is_none()
    }

    /// Whether it covers every message that `other` covers.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let reaches = |narrow: &Recipient| self.to.iter().any(|wide| wide.includes(narrow));
        self.peer == other.peer && self.from == other.from && other.to.iter().all(reaches)
    }

    /// Whether it covers the peer and the sender.
    pub(crate) fn sends(&self, request: &MailRequest) -> bool {
        self.peer == request.peer() && self.from == *request.from()
    }

    /// The recipients that it does not cover.
    pub(crate) fn missing<'r>(&'r self, request: &'r MailRequest) -> impl Iterator<Item = &'r Address> {
        request.to().iter().filter(|address| !self.reaches(address))
    }

    /// Whether it covers a recipient.
    pub(crate) fn reaches(&self, address: &Address) -> bool {
        self.to.iter().any(|recipient| recipient.covers(address))
    }
}

impl fmt::Display for MailRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = line::array(self.to.iter().map(|recipient| line::text(&recipient.to_string())));
        let table = Table::default().text("peer", &self.peer).text("from", self.from.as_str()).value("to", &to);
        f.write_str(&table.finish())
    }
}

impl InToml for MailRule {
    fn in_toml(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(to: &[&str]) -> MailRule {
        let to = to.iter().map(|text| Recipient::parse(text).unwrap()).collect();
        MailRule::new("smtp", Address::parse("deploy@hospital.example").unwrap(), to).unwrap()
    }

    fn request(from: &str, to: &[&str]) -> MailRequest {
        MailRequest::parse("smtp", from, to.iter().copied()).unwrap()
    }

    #[test]
    fn a_star_stands_for_a_whole_local_part() {
        for text in ["ops@hospital.example", "*@hospital.example"] {
            assert_eq!(Recipient::parse(text).unwrap().to_string(), text);
        }
        for (text, span) in [
            ("*", 0..1),
            ("*@", 2..2),
            ("*@*", 2..3),
            ("ops-*@hospital.example", 4..5),
            ("ops@*.hospital.example", 4..5),
            ("ops@*", 4..5),
            ("**@hospital.example", 0..1),
            ("*@hospital.example.", 2..19),
        ] {
            assert_eq!(Recipient::parse(text).unwrap_err().span, Some(span), "{text}");
        }
    }

    #[test]
    fn a_domain_is_that_domain_alone() {
        let rule = rule(&["*@Hospital.example"]);
        for (to, covered) in [
            ("ops@hospital.example", true),
            ("ops@HOSPITAL.EXAMPLE", true),
            ("ops@sub.hospital.example", false),
            ("ops@nothospital.example", false),
            ("ops@hospital.example.evil.example", false),
            ("ops@example", false),
        ] {
            assert_eq!(rule.covers(&request("deploy@hospital.example", &[to])), covered, "{to}");
        }
    }

    #[test]
    fn one_rule_covers_the_whole_message() {
        let rule = rule(&["ops@hospital.example", "*@ward.example"]);
        let sends = |from: &str, to: &[&str]| rule.covers(&request(from, to));
        assert!(sends("deploy@hospital.example", &["ops@hospital.example", "a@ward.example", "b@ward.example"]));
        assert!(!sends("Deploy@hospital.example", &["ops@hospital.example"]));
        assert!(!sends("deploy@hospital.example", &["ops@hospital.example", "a@elsewhere.example"]));
        assert!(!sends("deploy@hospital.example", &["OPS@hospital.example"]));
        let elsewhere = MailRequest::parse("other", "deploy@hospital.example", ["ops@hospital.example"]).unwrap();
        assert!(!rule.covers(&elsewhere));
    }

    #[test]
    fn a_request_is_read_whole_or_not_at_all() {
        let twice = request("a@x", &["b@x", "b@X", "c@x"]);
        assert_eq!(twice.to_string(), "a@x to b@x, c@x via smtp");
        for (from, to, denial) in [
            ("a@x", &[][..], "mail a@x via smtp: the message has no recipient"),
            ("a", &["b@x"], "mail a via smtp: `a` is not an address"),
            ("a@x", &["b@x", "c@x\r\nBcc: d@y"], "mail c@x\\r\\nBcc: d@y via smtp: control characters in an address"),
        ] {
            let refused = MailRequest::parse("smtp", from, to.iter().copied()).unwrap_err();
            assert_eq!((refused.to_string().as_str(), refused.hint), (denial, None));
        }
    }

    #[test]
    fn a_rule_names_a_peer_and_somebody() {
        let from = || Address::parse("a@x").unwrap();
        assert_eq!(MailRule::new("SMTP", from(), vec![]).unwrap_err().field, Some("peer"));
        assert_eq!(MailRule::new("smtp", from(), vec![]).unwrap_err().field, Some("to"));
        let shown = r#"{ peer = "smtp", from = "deploy@hospital.example", to = ["a@x", "*@y"] }"#;
        assert_eq!(rule(&["a@x", "*@y"]).to_string(), shown);
    }
}
