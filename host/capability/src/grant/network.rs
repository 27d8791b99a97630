//! Decisions and denials of `tcp` and `tls`.
//!
//! A guest looks a name up first and connects to an address later. **An address counts only as an answer for a name that some
//! rule names**, together with that rule's port and that rule's `addresses`.

use std::net::SocketAddr;

use ipnet::IpNet;
use url::Host;

use super::{AddressRefused, Denial, Grant, InToml, TcpRule, TlsRule, TlsTarget, Word};
use crate::{address, endpoint, endpoint::Endpoint, tcp};

/// A name that may be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpName<'g> {
    /// In its one spelling.
    pub host: Host,
    /// The first rule that names it.
    pub rule: &'g TcpRule,
    /// Networks whose private or special addresses some rule of the name lets it have.
    pub addresses: Vec<IpNet>,
}

impl Grant {
    /// Whether a name may be looked up in order to connect to it.
    ///
    /// # Errors
    ///
    /// It is no name, or no rule of `tcp` names it. The hint of the latter has `PORT` where the port belongs: nobody knows it
    /// yet.
    pub fn tcp_name(&self, name: &str) -> Result<TcpName<'_>, Denial> {
        let host = endpoint::name(name).map_err(|error| Denial::new(Word::Tcp, name, error.message))?;
        let rules = self.tcp.iter().filter(|rule| rule.endpoint().host == host);
        let Some(rule) = rules.clone().next() else {
            let reason = self.why(Word::Tcp, format!("no rule names `{host}`"));
            let lines = self.rules(Word::Tcp).into_iter().chain([tcp::with_unknown_port(&host)]);
            return Err(Denial::new(Word::Tcp, name, reason).with_hint(self.line(Word::Tcp, lines)));
        };
        let addresses = rules.flat_map(|rule| rule.addresses.iter().copied()).collect();
        Ok(TcpName { host, rule, addresses })
    }

    /// The denial of a name that leads to no address which a rule of it allows.
    #[must_use]
    pub fn tcp_name_address(&self, name: &TcpName<'_>, refused: &AddressRefused) -> Denial {
        self.tcp_address(name.rule, refused)
    }

    /// Whether an address may be connected to, and by which rule. `names` are those that led to it when they were looked up.
    ///
    /// # Errors
    ///
    /// No rule names the address, or one of the names, with this port; or the rule's `addresses` do not hold it.
    pub fn tcp(&self, to: SocketAddr, names: &[Host]) -> Result<&TcpRule, Denial> {
        let address = to.ip().to_canonical();
        let leads_there = |endpoint: &Endpoint| {
            endpoint.port == to.port()
                && match endpoint.address() {
                    Some(literal) => literal == address,
                    None => names.contains(&endpoint.host),
                }
        };
        let mut refused = None;
        for rule in self.tcp.iter().filter(|rule| leads_there(rule.endpoint())) {
            match address::check(address, &rule.addresses) {
                Ok(()) => return Ok(rule),
                Err(error) => refused = refused.or(Some((rule, error))),
            }
        }
        Err(match refused {
            Some((rule, refused)) => self.tcp_address(rule, &refused),
            None => self.tcp_denied(to, names),
        })
    }

    fn tcp_address(&self, rule: &TcpRule, refused: &AddressRefused) -> Denial {
        let reason = format!("{refused}, and the rule's `addresses` do not hold it");
        let wider = rule.wider(refused);
        let rules = self.tcp.iter().map(|one| if one == rule { wider.in_toml() } else { one.in_toml() });
        Denial::new(Word::Tcp, &rule.endpoint().to_string(), reason).with_hint(self.line(Word::Tcp, rules))
    }

    fn tcp_denied(&self, to: SocketAddr, names: &[Host]) -> Denial {
        let endpoint = match names.first() {
            Some(host) => Endpoint { host: host.clone(), port: to.port() },
            None => Endpoint::from(to),
        };
        let reason = match names.first() {
            Some(host) => format!("no rule for `{host}` names port {}", to.port()),
            None => format!("no rule names it, and no name that a rule names has led to {}", to.ip()),
        };
        let rule = TcpRule::narrowest(&endpoint, address::check(to.ip(), &[]).err().as_ref());
        Denial::new(Word::Tcp, &endpoint.to_string(), self.why(Word::Tcp, reason))
            .with_hint(self.with(Word::Tcp, Some(rule)))
    }

    /// Whether a handshake may be made, and by which rule.
    ///
    /// # Errors
    ///
    /// No rule names the peer, or the host with this port.
    pub fn tls(&self, target: &TlsTarget) -> Result<&TlsRule, Denial> {
        self.tls.iter().find(|rule| rule.target() == target).ok_or_else(|| {
            let reason = match target {
                TlsTarget::Peer(name) => format!("no rule names the peer `{name}`"),
                TlsTarget::Host(endpoint) => format!("no rule names `{endpoint}`"),
            };
            Denial::new(Word::Tls, &target.to_string(), self.why(Word::Tls, reason))
                .with_hint(self.with(Word::Tls, Some(TlsRule::narrowest(target))))
        })
    }

    /// The denial of an address that the host of `rule` has. For a peer see [`AddressRefused::at_peer`].
    #[must_use]
    pub fn tls_address(&self, rule: &TlsRule, refused: &AddressRefused) -> Denial {
        let reason = format!("{refused}, and the rule's `addresses` do not hold it");
        let wider = rule.wider(refused);
        let rules = self.tls.iter().map(|one| if one == rule { wider.in_toml() } else { one.in_toml() });
        Denial::new(Word::Tls, &rule.target().to_string(), reason).with_hint(self.line(Word::Tls, rules))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(rules: &[&str]) -> Grant {
        Grant { tcp: rules.iter().map(|text| TcpRule::parse(text).unwrap()).collect(), ..Grant::default() }
    }

    fn private(rule: &str, network: &str) -> TcpRule {
        TcpRule::parse(rule).unwrap().with_addresses(vec![network.parse().unwrap()])
    }

    fn hosts(names: &[&str]) -> Vec<Host> {
        names.iter().map(|name| endpoint::name(name).unwrap()).collect()
    }

    #[test]
    fn a_name_is_looked_up_where_a_rule_names_it() {
        let grant = tcp(&["DB.prod.:5432", "cache:6379", "10.0.0.1:80"]);
        for name in ["db.prod", "DB.PROD", "db.prod.", "cache", "10.0.0.1"] {
            assert!(grant.tcp_name(name).is_ok(), "{name}");
        }
        for (name, denial, hint) in [
            (
                "evil.example",
                "tcp evil.example: no rule names `evil.example`",
                Some(r#"allow.tcp = ["DB.prod.:5432", "cache:6379", "10.0.0.1:80", "evil.example:PORT"]"#),
            ),
            ("prod", "tcp prod: no rule names `prod`", None),
            ("x.db.prod", "tcp x.db.prod: no rule names `x.db.prod`", None),
            ("127.1", "tcp 127.1: `127.1` is an odd form of 127.0.0.1", None),
            ("main.peer", "tcp main.peer: a peer has no address that a guest could connect to", None),
            ("a b", "tcp a b: `a b` is not a host", None),
        ] {
            let refused = grant.tcp_name(name).unwrap_err();
            assert_eq!(refused.to_string(), denial);
            if hint.is_some() {
                assert_eq!(refused.hint.as_deref(), hint);
            }
        }
        let refused = Grant::default().tcp_name("db").unwrap_err();
        assert_eq!(refused.to_string(), "tcp db: the step has no `allow.tcp`");
        assert_eq!(refused.hint.as_deref(), Some(r#"allow.tcp = ["db:PORT"]"#));
    }

    #[test]
    fn an_address_is_connected_to_where_a_granted_name_led_to_it() {
        let grant = tcp(&["db.prod:5432", "cache:6379", "93.184.216.34:80", "[2606:4700::1]:80"]);
        for (to, names, allowed) in [
            ("8.8.8.8:5432", &["db.prod"][..], true),
            ("8.8.8.8:6379", &["db.prod", "cache"], true),
            ("8.8.8.8:6379", &["db.prod"], false),
            ("8.8.8.8:5432", &[], false),
            ("8.8.8.8:5433", &["db.prod"], false),
            ("93.184.216.34:80", &[], true),
            ("[::ffff:93.184.216.34]:80", &[], true),
            ("93.184.216.34:81", &[], false),
            ("[2606:4700::1]:80", &[], true),
            // Private, whatever name led there.
            ("10.0.0.1:5432", &["db.prod"], false),
            ("127.0.0.1:5432", &["db.prod"], false),
        ] {
            assert_eq!(grant.tcp(to.parse().unwrap(), &hosts(names)).is_ok(), allowed, "{to} {names:?}");
        }
    }

    #[test]
    fn the_addresses_of_one_rule_are_not_those_of_another() {
        let grant = Grant {
            tcp: vec![private("db:5432", "10.0.0.0/8"), private("db:80", "192.168.0.0/16")],
            ..Grant::default()
        };
        let names = hosts(&["db"]);
        assert!(grant.tcp("10.1.1.1:5432".parse().unwrap(), &names).is_ok());
        assert!(grant.tcp("10.1.1.1:80".parse().unwrap(), &names).is_err());
        assert!(grant.tcp("192.168.1.1:80".parse().unwrap(), &names).is_ok());
        assert_eq!(grant.tcp_name("db").unwrap().addresses.len(), 2);
    }

    #[test]
    fn the_denial_of_a_connection_says_what_is_missing() {
        let grant = Grant { tcp: vec![private("db:5432", "10.0.0.0/8")], ..Grant::default() };
        for (to, names, denial, hint) in [
            (
                "10.1.1.1:5433",
                &["db"][..],
                "tcp db:5433: no rule for `db` names port 5433",
                r#"{ rule = "db:5433", addresses = ["10.1.1.1/32"] }"#,
            ),
            (
                "8.8.8.8:53",
                &[],
                "tcp 8.8.8.8:53: no rule names it, and no name that a rule names has led to 8.8.8.8",
                r#""8.8.8.8:53""#,
            ),
            (
                "[::1]:80",
                &[],
                "tcp [::1]:80: no rule names it, and no name that a rule names has led to ::1",
                r#"{ rule = "[::1]:80", addresses = ["::1/128"] }"#,
            ),
        ] {
            let refused = grant.tcp(to.parse().unwrap(), &hosts(names)).unwrap_err();
            assert_eq!(refused.to_string(), denial);
            let line = format!(r#"allow.tcp = [{{ rule = "db:5432", addresses = ["10.0.0.0/8"] }}, {hint}]"#);
            assert_eq!(refused.hint, Some(line));
        }
        let refused = grant.tcp("127.0.0.1:5432".parse().unwrap(), &hosts(&["db"])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "tcp db:5432: 127.0.0.1 is a loopback address, and the rule's `addresses` do not hold it"
        );
        assert_eq!(
            refused.hint.as_deref(),
            Some(r#"allow.tcp = [{ rule = "db:5432", addresses = ["10.0.0.0/8", "127.0.0.1/32"] }]"#)
        );
    }

    #[test]
    fn a_handshake_is_made_where_a_rule_names_the_server() {
        let rules = ["api", "LB.example.:443"].map(|text| TlsRule::parse(text).unwrap());
        let grant = Grant { tls: rules.into(), ..Grant::default() };
        let asked = |text: &str| TlsTarget::parse(text).unwrap();
        assert!(grant.tls(&asked("api")).is_ok() && grant.tls(&asked("lb.EXAMPLE:443")).is_ok());
        for (text, denial, hint) in [
            ("api2", "tls api2: no rule names the peer `api2`", r#""api2""#),
            ("lb.example:8443", "tls lb.example:8443: no rule names `lb.example:8443`", r#""lb.example:8443""#),
            (
                "10.0.0.1:443",
                "tls 10.0.0.1:443: no rule names `10.0.0.1:443`",
                r#"{ rule = "10.0.0.1:443", addresses = ["10.0.0.1/32"] }"#,
            ),
        ] {
            let refused = grant.tls(&asked(text)).unwrap_err();
            assert_eq!(refused.to_string(), denial);
            assert_eq!(refused.hint, Some(format!(r#"allow.tls = ["api", "LB.example.:443", {hint}]"#)));
        }
        let refused = address::check("10.0.0.1".parse().unwrap(), &[]).unwrap_err();
        let denial = grant.tls_address(&grant.tls[1], &refused);
        assert_eq!(
            denial.hint.as_deref(),
            Some(r#"allow.tls = ["api", { rule = "LB.example.:443", addresses = ["10.0.0.1/32"] }]"#)
        );
    }
}
