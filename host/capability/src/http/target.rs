//! Where a request goes: a peer, or the origin of a URL.

use std::fmt;

use url::Host;

use crate::{peer, rule::RuleError};

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL: `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is written.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme of this name, whatever its case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a request goes. A rule for one of the two never covers a request to the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpTarget {
    /// A peer, by name. Written `k8s:/…`, and addressed by guests as the host `k8s.peer`.
    Peer(String),
    /// Any other host. Written `https://host[:port]/…`.
    Origin {
        /// How.
        scheme: Scheme,
        /// Lower case, without a trailing dot, in its ASCII form. Never ends in `.peer`.
        host: Host,
        /// Also where it is the scheme's own.
        port: u16,
    },
}

impl fmt::Display for HttpTarget {
    /// What stands before the path of a rule: `k8s:` or `https://host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(name) => write!(f, "{name}:"),
            Self::Origin { scheme, host, port } if *port == scheme.default_port() => write!(f, "{scheme}://{host}"),
            Self::Origin { scheme, host, port } => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

/// Reads `host[:port]`: what stands between `://` and the path.
pub(crate) fn authority(text: &str) -> Result<(Host, Option<u16>), RuleError> {
    if let Some(at) = text.rfind('@') {
        return Err(RuleError::new("a login in a URL")
            .at(0..at + 1)
            .with_hint("logins belong to a peer, where the host keeps them"));
    }
    let end = if text.starts_with('[') {
        text.find(']').map_or(text.len(), |at| at + 1)
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (name, rest) = text.split_at(end);
    let port = match rest.strip_prefix(':') {
        _ if rest.is_empty() => None,
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u16>().ok().filter(|port| *port != 0)
        }
        _ => None,
    };
    if !rest.is_empty() && port.is_none() {
        return Err(RuleError::new("the port is not a number from 1 to 65535").at(end..text.len()));
    }
    Ok((host(name).map_err(|error| error.at(0..end))?, port))
}

/// Reads a host name or an address in its one spelling.
fn host(text: &str) -> Result<Host, RuleError> {
    if text.is_empty() {
        return Err(RuleError::new("the host is missing"));
    }
    let no_host = || RuleError::new(format!("`{text}` is not a host"));
    if text.contains('%') {
        return Err(no_host());
    }
    let parsed = Host::parse(text).map_err(|_| no_host())?;
    let odd = |plain: String| {
        RuleError::new(format!("`{text}` is an odd form of {plain}")).with_hint(format!("written plainly: `{plain}`"))
    };
    match parsed {
        Host::Ipv4(address) if address.to_string() != text => Err(odd(address.to_string())),
        Host::Ipv6(address) => match address.to_ipv4_mapped() {
            Some(inner) => Err(odd(inner.to_string())),
            None if !text.eq_ignore_ascii_case(&format!("[{address}]")) => Err(odd(format!("[{address}]"))),
            None => Ok(Host::Ipv6(address)),
        },
        Host::Ipv4(address) => Ok(Host::Ipv4(address)),
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            let is_label = |label: &str| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            };
            if name.len() > 253 || !name.split('.').all(is_label) {
                return Err(no_host());
            }
            Ok(Host::Domain(name.to_owned()))
        }
    }
}

/// The target that a scheme and an authority name. What ends in `.peer` is a peer, whatever the scheme.
pub(super) fn target(scheme: Scheme, authority_text: &str) -> Result<HttpTarget, RuleError> {
    let (host, port) = authority(authority_text)?;
    let whole = 0..authority_text.len();
    if let Host::Domain(name) = &host
        && let Some(peer) = name.strip_suffix(peer::SUFFIX)
    {
        if !peer::is_name(peer) {
            return Err(RuleError::new(format!("`{peer}` is not the name of a peer")).at(whole));
        }
        if port.is_some_and(|port| port != scheme.default_port()) {
            return Err(RuleError::new("the port of a peer stands in the pipeline file, not in the request").at(whole));
        }
        return Ok(HttpTarget::Peer(peer.to_owned()));
    }
    Ok(HttpTarget::Origin { scheme, host, port: port.unwrap_or(scheme.default_port()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (text, shown) in [
            ("example.com", "https://example.com"),
            ("EXAMPLE.com", "https://example.com"),
            ("example.com.", "https://example.com"),
            ("example.com:443", "https://example.com"),
            ("example.com:0443", "https://example.com"),
            ("example.com:80", "https://example.com:80"),
            ("bücher.example", "https://xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("ｅxample．com", "https://example.com"),
            ("localhost", "https://localhost"),
            ("hms_db", "https://hms_db"),
            ("127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("[::1]", "https://[::1]"),
            ("[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("k8s.peer", "k8s:"),
            ("K8S.PEER.", "k8s:"),
            ("k8s.peer:443", "k8s:"),
            ("k8s。peer", "k8s:"),
            ("peer", "https://peer"),
            ("k8s.peer.example", "https://k8s.peer.example"),
            ("k8speer", "https://k8speer"),
        ] {
            assert_eq!(target(Scheme::Https, text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":443",
            "a b",
            "a..b",
            ".a",
            "a..",
            "*",
            "*.example.com",
            "a*b",
            "user@host",
            "user:pw@host",
            "@host",
            "host:",
            "host:0",
            "host:65536",
            "host:+80",
            "host:8a",
            "host:000443",
            "host:80:80",
            "%65xample.com",
            "a%2eb",
            "ex\\ample",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "127.1",
            "127.0.0.1.",
            "0127.0.0.1",
            "127.0.0.01",
            "１２７.0.0.1",
            "1.2.3.4.5",
            "256.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
            "[::127.0.0.1]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[v1.x]",
            "a.b.peer",
            ".peer",
            "_x.peer",
            "k8s.peer:6443",
            "k8s.peer:80",
            &format!("{}.com", "x".repeat(64)),
            &"a.".repeat(130),
        ] {
            assert!(target(Scheme::Https, text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_odd_address_is_told_plainly() {
        let error = target(Scheme::Http, "2130706433:80").unwrap_err();
        assert_eq!(error.message, "`2130706433` is an odd form of 127.0.0.1");
        assert_eq!(error.span, Some(0..10));
        assert_eq!(error.hint.as_deref(), Some("written plainly: `127.0.0.1`"));
    }
}
