//! What a peer says about itself: its URL, decoded, and its secrets.

use secrecy::ExposeSecret as _;

use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
    session::Session,
    world::Peer,
};

impl Peer {
    /// Where it lies. `default_port` counts where the URL names none.
    pub(crate) fn endpoint(&self, default_port: u16) -> Result<Endpoint, EffectError> {
        let host = match self.url.host() {
            Some(url::Host::Ipv4(address)) => address.to_string(),
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(url::Host::Domain(name)) if !name.is_empty() && !name.contains(['%', '/']) => {
                name.trim_end_matches('.').to_ascii_lowercase()
            }
            _ => {
                return Err(self
                    .wrong("names no host that can be connected to")
                    .with_hint("sockets of UNIX are no peers"));
            }
        };
        let port = self.url.port_or_known_default().unwrap_or(default_port);
        Ok(Endpoint { peer: Some(self.name.clone()), host, port })
    }

    /// The user in the URL.
    pub(crate) fn user(&self) -> Result<Option<String>, EffectError> {
        match self.url.username() {
            "" => Ok(None),
            user => self.decoded(user).map(Some),
        }
    }

    /// The path of the URL, decoded, with its first slash.
    pub(crate) fn path(&self) -> Result<String, EffectError> {
        self.decoded(self.url.path())
    }

    /// The URL is not one that the effect can work with.
    pub(crate) fn wrong(&self, what: &str) -> EffectError {
        EffectError::new(ErrorKind::Invalid, format!("the `url` of the peer `{}` {what}", self.name))
    }

    fn decoded(&self, text: &str) -> Result<String, EffectError> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, others)) = rest.split_first() {
            let (byte, after) = match (first, others) {
                (b'%', [high, low, after @ ..]) => {
                    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    let pair =
                        digit(high).zip(digit(low)).ok_or_else(|| self.wrong("holds a `%` without two digits"))?;
                    (pair.0 << 4 | pair.1, after)
                }
                (b'%', _) => return Err(self.wrong("holds a `%` without two digits")),
                _ => (first, others),
            };
            bytes.push(byte);
            rest = after;
        }
        match String::from_utf8(bytes) {
            Ok(decoded) if !decoded.contains('\0') => Ok(decoded),
            _ => Err(self.wrong("holds bytes that are no text")),
        }
    }
}

impl Session {
    /// The value of a secret, without the line break that files end with.
    pub(crate) fn secret_value(&self, name: &str) -> Result<&str, EffectError> {
        let unknown = || EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no secret `{name}`"));
        self.world.secrets.get(name).map(|value| value.expose_secret().trim()).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::TlsMode;

    fn peer(url: &str) -> Peer {
        Peer {
            name: "main".to_owned(),
            url: url.parse().unwrap(),
            password: None,
            bearer: None,
            secret_path: None,
            tls: TlsMode::VerifyFull,
            ca: None,
            client: None,
            addresses: Vec::new(),
            pinned: None,
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, place, user, path) in [
            ("https://Kube.Example.:6443/api", "kube.example:6443", None, "/api"),
            ("https://example.com", "example.com:443", None, "/"),
            ("postgres://a%40b@db/x%20y", "db:5432", Some("a@b"), "/x y"),
            ("postgres://u@[::1]:5433/d", "[::1]:5433", Some("u"), "/d"),
            ("postgres://u@127.0.0.1/d", "127.0.0.1:5432", Some("u"), "/d"),
        ] {
            let peer = peer(url);
            assert_eq!(peer.endpoint(5432).unwrap().place(), place);
            assert_eq!(peer.user().unwrap().as_deref(), user);
            assert_eq!(peer.path().unwrap(), path);
        }
    }

    #[test]
    fn odd_urls_are_refused() {
        for url in ["postgres:///d", "postgres://u@%2Fvar%2Frun/d", "sqlite:/x"] {
            assert!(peer(url).endpoint(5432).is_err(), "{url}");
        }
        for url in ["sqlite:/a%00b", "sqlite:/a%ff"] {
            assert!(peer(url).path().is_err(), "{url}");
        }
    }
}
