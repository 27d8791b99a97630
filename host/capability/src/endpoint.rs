//! A host and a port in their one spelling: what rules for `tcp` and `tls` name.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;
use url::Host;

use crate::{
    http,
    line::{self, Table},
    peer,
    rule::{RuleError, check_text},
};

/// A host and a port: `db.prod:5432`, `10.0.0.1:5432`, `[::1]:5432`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Lower case, without a trailing dot, in its ASCII form. Never ends in `.peer`.
    pub host: Host,
    /// From 1.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`.
    ///
    /// # Errors
    ///
    /// A host that is a pattern, a peer or an odd form of an address, a port that is missing or none, a scheme, a path.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Self::read(text, 5432)
    }

    /// The same, with the port that advice shows.
    pub(crate) fn read(text: &str, example: u16) -> Result<Self, RuleError> {
        check_text(text)?;
        http::check_resolved(text)?;
        let whole = 0..text.len();
        if let Some(at) = text.find("://") {
            let rest = &text[at + 3..];
            let rest = &rest[..rest.find('/').unwrap_or(rest.len())];
            return Err(RuleError::new("a scheme says nothing here")
                .at(0..at + 3)
                .with_hint(format!("a host and a port: `{rest}`")));
        }
        if text.contains('/') {
            return Err(RuleError::new(format!("`{text}` is not `host:port`")).at(whole));
        }
        if text.contains(['*', '{']) {
            return Err(RuleError::new("a host is never a pattern, and neither is a port").at(whole).with_hint(
                "a name that a plugin may choose carries data out by DNS alone: write a rule for each host",
            ));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Err(RuleError::new("the rule names no port")
                .at(whole)
                .with_hint(format!("as in `[{address}]:{example}`, with brackets around the address")));
        }
        let (host, port) = http::authority(text)?;
        let Some(port) = port else {
            return Err(RuleError::new("the rule names no port")
                .at(whole)
                .with_hint(format!("as in `{text}:{example}`")));
        };
        refuse_peer(&host, text)?;
        Ok(Self { host, port })
    }

    /// The address that the host is, where it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// The host as a resolver takes it: without brackets.
    #[must_use]
    pub fn bare_host(&self) -> String {
        self.address().map_or_else(|| self.host.to_string(), |address| address.to_string())
    }
}

impl From<SocketAddr> for Endpoint {
    /// An IPv4 address inside an IPv6 one becomes what it is.
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip().to_canonical() {
            IpAddr::V4(v4) => Host::Ipv4(v4),
            IpAddr::V6(v6) => Host::Ipv6(v6),
        };
        Self { host, port: address.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads a name that a guest wants to look up, in its one spelling. An IPv6 address may stand without brackets.
pub(crate) fn name(text: &str) -> Result<Host, RuleError> {
    if text.len() > 1024 {
        return Err(RuleError::new("the name is longer than any host's"));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return http::authority(&format!("[{address}]")).map(|(host, _)| host);
    }
    match http::authority(text)? {
        (host, None) => refuse_peer(&host, text).map(|()| host),
        (_, Some(_)) => Err(RuleError::new(format!("`{text}` is not a host"))),
    }
}

fn refuse_peer(host: &Host, text: &str) -> Result<(), RuleError> {
    match host {
        Host::Domain(name) if name.ends_with(peer::SUFFIX) => {
            Err(RuleError::new("a peer has no address that a guest could connect to")
                .at(0..text.len())
                .with_hint("write the host and the port"))
        }
        _ => Ok(()),
    }
}

/// A rule about a host as it stands in its array: a text, or a table where it has `addresses`.
pub(crate) fn in_toml(text: &str, addresses: &[IpNet]) -> String {
    if addresses.is_empty() {
        return line::text(text);
    }
    let addresses = line::array(addresses.iter().map(|net| line::text(&net.to_string())));
    Table::default().text("rule", text).value("addresses", &addresses).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_endpoint_has_one_spelling() {
        for (text, shown) in [
            ("db.prod:5432", "db.prod:5432"),
            ("DB.Prod.:5432", "db.prod:5432"),
            ("db:05432", "db:5432"),
            ("bücher.example:443", "xn--bcher-kva.example:443"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("[FD00::1]:80", "[fd00::1]:80"),
            ("localhost:1", "localhost:1"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown, "{text}");
            assert_eq!(Endpoint::parse(shown).unwrap(), Endpoint::parse(text).unwrap());
        }
    }

    #[test]
    fn what_is_no_endpoint_shows_its_place() {
        for (text, span, hint) in [
            ("", None, None),
            ("db.prod", Some(0..7), Some("as in `db.prod:5432`")),
            ("::1", Some(0..3), Some("as in `[::1]:5432`, with brackets around the address")),
            ("https://db.prod:443/x", Some(0..8), Some("a host and a port: `db.prod:443`")),
            ("db.prod:443/x", Some(0..13), None),
            ("db.prod:0", Some(7..9), None),
            ("db.prod:65536", Some(7..13), None),
            ("db.prod:https", Some(7..13), None),
            ("db.prod:", Some(7..8), None),
            (":5432", Some(0..0), None),
            ("user@db.prod:5432", Some(0..5), None),
            ("*.prod:5432", Some(0..11), None),
            ("db.prod:*", Some(0..9), None),
            ("{a,b}.prod:1", Some(0..12), None),
            ("${inputs.h}:1", Some(0..11), None),
            ("main.peer:5432", Some(0..14), Some("write the host and the port")),
            ("2130706433:80", Some(0..10), Some("written plainly: `127.0.0.1`")),
            ("0x7f.1:80", Some(0..6), Some("written plainly: `127.0.0.1`")),
            ("127.1:80", Some(0..5), Some("written plainly: `127.0.0.1`")),
            ("[::ffff:127.0.0.1]:80", Some(0..18), Some("written plainly: `127.0.0.1`")),
            ("db prod:1", Some(0..7), None),
            ("db%2eprod:1", Some(0..9), None),
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert_eq!(error.span, span, "{text}: {error}");
            if hint.is_some() {
                assert_eq!(error.hint.as_deref(), hint, "{text}");
            }
        }
    }

    #[test]
    fn names_are_hosts_and_nothing_else() {
        for (text, shown) in [("DB.prod.", "db.prod"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("10.0.0.1", "10.0.0.1")] {
            assert_eq!(name(text).unwrap().to_string(), shown, "{text}");
        }
        let long = "a.".repeat(600);
        for text in ["", "db:80", "127.1", "0177.0.0.1", "::ffff:127.0.0.1", "a b", "a/b", "u@a", "main.peer", &long] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
