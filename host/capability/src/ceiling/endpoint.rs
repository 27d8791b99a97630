//! The connections and handshakes that a ceiling allows.

use super::{Place, PlacePattern, place::host_and_port};
use crate::{
    peer,
    rule::{RuleError, check_text},
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
};

/// What is spoken, as the scheme of a place. A peer's handshake is one at its place, whatever is spoken after it.
const TCP: &str = "tcp";
const TLS: &str = "tls";

/// Endpoints that may be reached at most: `"db.hms.internal:5432"`, `"*.hms.internal:*"`, and for handshakes a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCeiling {
    /// Where they are.
    pub place: PlacePattern,
}

impl EndpointCeiling {
    /// Reads `host:port` for connections, where the host may be `*` or `*.domain` and the port `*`.
    ///
    /// # Errors
    ///
    /// What is not of this shape; no port.
    pub fn tcp(text: &str) -> Result<Self, RuleError> {
        Self::endpoint(TCP, text)
    }

    /// Reads the same for handshakes, or the name of a peer. `place_of` says where a peer of that name is.
    ///
    /// # Errors
    ///
    /// What is not of this shape, what `place_of` refuses, and a peer that is not `https`.
    pub fn tls(text: &str, place_of: impl FnOnce(&str) -> Result<PlacePattern, RuleError>) -> Result<Self, RuleError> {
        if !peer::is_name(text) {
            return Self::endpoint(TLS, text);
        }
        match place_of(text)? {
            PlacePattern::Net { scheme, host, port, addresses, .. } if scheme == "https" => {
                let (scheme, user, database) = (TLS.to_owned(), None, None);
                Ok(Self { place: PlacePattern::Net { scheme, user, host, port, database, addresses } })
            }
            PlacePattern::Any => Ok(Self { place: PlacePattern::Any }),
            _ => Err(RuleError::new(format!("the peer `{text}` is not `https`")).at(0..text.len())),
        }
    }

    fn endpoint(scheme: &str, text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        if text.contains('/') {
            return Err(RuleError::new(format!("`{text}` is not `host:port`")).at(0..text.len()));
        }
        let (host, port) = host_and_port(scheme, text)?;
        // Neither scheme has a port of its own: what ends without one has none.
        if port.is_none() && !text.ends_with(":*") {
            let hint = format!("any port is `{text}:*`");
            return Err(RuleError::new("the rule names no port").at(0..text.len()).with_hint(hint));
        }
        let (scheme, user, database, addresses) = (scheme.to_owned(), None, None, Vec::new());
        Ok(Self { place: PlacePattern::Net { scheme, user, host, port, database, addresses } })
    }
}

/// Where the connections of a rule go.
pub(super) fn tcp_place(rule: &TcpRule) -> Place {
    let endpoint = rule.endpoint();
    at(TCP, endpoint.host.to_string(), Some(endpoint.port), &rule.addresses)
}

/// Where the handshakes of a rule go; `peer` is where its peer is, where it names one.
pub(super) fn tls_place(rule: &TlsRule, peer: Option<&Place>) -> Option<Place> {
    match (rule.target(), peer) {
        (TlsTarget::Host(endpoint), _) => {
            Some(at(TLS, endpoint.host.to_string(), Some(endpoint.port), &rule.addresses))
        }
        (TlsTarget::Peer(_), Some(Place::Net { host, port, addresses, .. })) => {
            Some(at(TLS, host.clone(), *port, addresses))
        }
        (TlsTarget::Peer(_), _) => None,
    }
}

fn at(scheme: &str, host: String, port: Option<u16>, addresses: &[ipnet::IpNet]) -> Place {
    Place::Net { scheme: scheme.to_owned(), user: None, host, port, database: None, addresses: addresses.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_compared_by_host_port_and_addresses() {
        let private = |rule: &str| TcpRule::parse(rule).unwrap().with_addresses(vec!["10.0.0.0/8".parse().unwrap()]);
        for (ceiling, rule, included) in [
            ("db.hms.internal:5432", "DB.hms.internal.:5432", true),
            ("db.hms.internal:5432", "db.hms.internal:5433", false),
            ("db.hms.internal:*", "db.hms.internal:5433", true),
            ("*.hms.internal:5432", "db.hms.internal:5432", true),
            ("*.hms.internal:5432", "evil.example:5432", false),
            ("*:443", "evil.example:443", true),
            ("*:443", "evil.example:80", false),
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("[::1]:80", "[::1]:80", true),
        ] {
            let ceiling = EndpointCeiling::tcp(ceiling).unwrap();
            assert_eq!(ceiling.place.includes(&tcp_place(&TcpRule::parse(rule).unwrap())), included, "{rule}");
            assert!(!ceiling.place.includes(&tcp_place(&private(rule))), "{rule}");
            let wider = ceiling.place.with_addresses(vec!["10.0.0.0/8".parse().unwrap()]);
            assert_eq!(wider.includes(&tcp_place(&private(rule))), included, "{rule}");
        }
        for text in ["", "db", "*", "db:", "db:0", "db:x", "https://db:443", "a*b:1", "127.1:80", "db:1/x"] {
            assert!(EndpointCeiling::tcp(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_peer_shakes_hands_where_it_really_is() {
        let place_of = |name: &str| match name {
            "api" => PlacePattern::parse("https://*.hms.internal"),
            "main" => PlacePattern::parse("postgres://db.hms.internal"),
            _ => Err(RuleError::new("no such peer")),
        };
        let at = |url: &str| Place::of_url(&url.parse().unwrap(), &[]);
        let rule = |text: &str| TlsRule::parse(text).unwrap();
        for (ceiling, rule, peer, included) in [
            ("api", rule("front"), Some(at("https://api.hms.internal")), true),
            ("api", rule("front"), Some(at("https://evil.example")), false),
            ("api", rule("api.hms.internal:443"), None, true),
            ("api", rule("api.hms.internal:8443"), None, false),
            ("*.hms.internal:443", rule("front"), Some(at("https://api.hms.internal")), true),
            ("*.hms.internal:443", rule("front"), Some(at("https://api.hms.internal:8443")), false),
        ] {
            let ceiling = EndpointCeiling::tls(ceiling, place_of).unwrap();
            let place = tls_place(&rule, peer.as_ref()).unwrap();
            assert_eq!(ceiling.place.includes(&place), included, "{ceiling:?} {place}");
            // To look at a server is one thing, to send it something another.
            assert!(!ceiling.place.includes(&tcp_place(&TcpRule::parse("api.hms.internal:443").unwrap())));
        }
        assert_eq!(tls_place(&rule("front"), None), None);
        for text in ["main", "other", "api.hms.internal", "*"] {
            assert!(EndpointCeiling::tls(text, place_of).is_err(), "{text}");
        }
    }
}
