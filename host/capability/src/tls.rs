//! `tls`: handshakes, by peer or by host and port. Whoever may shake hands learns what the server shows, and sends nothing.

use std::fmt;

use ipnet::IpNet;

use crate::{
    address::{self, AddressRefused},
    endpoint::{self, Endpoint},
    peer,
    rule::{InToml, RuleError, check_text},
};

/// Whom to shake hands with. A rule for one of the two never covers the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TlsTarget {
    /// A peer, by name: `api`.
    Peer(String),
    /// Any other host: `api.example:443`.
    Host(Endpoint),
}

impl TlsTarget {
    /// Reads the name of a peer, or `host:port`.
    ///
    /// # Errors
    ///
    /// A name that no peer can have; else as [`Endpoint::parse`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        if peer::check_name(text).is_ok() {
            return Ok(Self::Peer(text.to_owned()));
        }
        // Without colon and dot it can only be meant as a peer.
        if !text.contains([':', '.', '/', '$', '*', '{']) {
            return peer::check_name(text).map(|()| Self::Peer(text.to_owned()));
        }
        Endpoint::read(text, 443).map(Self::Host)
    }
}

impl fmt::Display for TlsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(name) => f.write_str(name),
            Self::Host(endpoint) => endpoint.fmt(f),
        }
    }
}

/// A server that may be shaken hands with: `"api"`, `"api.example:443"`, or
/// `{ rule = "api.example:443", addresses = ["10.0.0.0/8"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRule {
    text: String,
    target: TlsTarget,
    /// Networks whose private or special addresses the host may have. A peer has its own.
    pub addresses: Vec<IpNet>,
}

impl TlsRule {
    /// Reads the name of a peer, or `host:port`.
    ///
    /// # Errors
    ///
    /// As [`TlsTarget::parse`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Ok(Self { text: text.to_owned(), target: TlsTarget::parse(text)?, addresses: Vec::new() })
    }

    /// The rule with `addresses`, as a table of the pipeline file has them.
    ///
    /// # Errors
    ///
    /// The rule is about a peer, whose addresses stand with the peer.
    pub fn with_addresses(self, addresses: Vec<IpNet>) -> Result<Self, RuleError> {
        match &self.target {
            TlsTarget::Peer(name) if !addresses.is_empty() => {
                Err(RuleError::new(format!("the rule is about the peer `{name}`, which has addresses of its own"))
                    .of("addresses")
                    .with_hint(format!("write them in `[peers]`, as `addresses` of `{name}`")))
            }
            _ => Ok(Self { addresses, ..self }),
        }
    }

    /// Whom to shake hands with.
    #[must_use]
    pub const fn target(&self) -> &TlsTarget {
        &self.target
    }

    /// Whether everything that `other` covers is covered here.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.target == other.target && address::includes(&self.addresses, &other.addresses)
    }

    /// The rule that covers this target and no other.
    pub(crate) fn narrowest(target: &TlsTarget) -> Self {
        // An address that is not public is of no use by its name alone.
        let address = match target {
            TlsTarget::Host(endpoint) => endpoint.address(),
            TlsTarget::Peer(_) => None,
        };
        let refused = address.and_then(|address| crate::address::check(address, &[]).err());
        let addresses = refused.iter().map(AddressRefused::network).collect();
        Self { text: target.to_string(), target: target.clone(), addresses }
    }

    /// The same with one address more.
    pub(crate) fn wider(&self, refused: &AddressRefused) -> Self {
        let mut wider = self.clone();
        wider.addresses.push(refused.network());
        wider
    }
}

impl fmt::Display for TlsRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() { f.write_str(&self.text) } else { f.write_str(&self.in_toml()) }
    }
}

impl InToml for TlsRule {
    fn in_toml(&self) -> String {
        endpoint::in_toml(&self.text, &self.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_a_peer_or_a_host_and_a_port() {
        for (text, shown) in [("api", "api"), ("hms_db", "hms_db"), ("API.example.:443", "api.example:443")] {
            let rule = TlsRule::parse(text).unwrap();
            assert_eq!((rule.target().to_string().as_str(), rule.to_string().as_str()), (shown, text));
            assert_eq!(matches!(rule.target(), TlsTarget::Peer(_)), shown == text);
        }
        for (text, span, hint) in [
            ("", None, None),
            ("API", Some(0..3), Some("guests address a peer as a host, and hosts are lower case: `api`")),
            ("api.example", Some(0..11), Some("as in `api.example:443`")),
            ("https://api.example:443/", Some(0..8), Some("a host and a port: `api.example:443`")),
            ("*:443", Some(0..5), None),
            ("*", Some(0..1), None),
            ("api.peer:443", Some(0..12), None),
            ("${inputs.x}", Some(0..11), None),
            ("127.1:443", Some(0..5), Some("written plainly: `127.0.0.1`")),
        ] {
            let error = TlsRule::parse(text).expect_err(text);
            assert_eq!(error.span, span, "{text}: {error}");
            if hint.is_some() {
                assert_eq!(error.hint.as_deref(), hint, "{text}");
            }
        }
    }

    #[test]
    fn the_addresses_of_a_peer_stand_with_the_peer() {
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        let host = TlsRule::parse("api.example:443").unwrap().with_addresses(networks.clone()).unwrap();
        assert_eq!(host.to_string(), r#"{ rule = "api.example:443", addresses = ["10.0.0.0/8"] }"#);
        assert_eq!(TlsRule::parse("api").unwrap().with_addresses(networks).unwrap_err().field, Some("addresses"));
    }
}
