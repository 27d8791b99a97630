//! What a server shows in a TLS handshake. Capability: `tls`.

use crate::Error;
use crate::bindings::host::pipe::host::tls as host;

pub use host::{Certificate, Facts, Version};

/// Shakes hands with a peer, or with `host:port`. A server that is not trusted is no error.
///
/// # Errors
///
/// The host refuses a server that is not granted, and says why there was no handshake: where the server refused it, the
/// alert is the error's code.
pub fn handshake(server: &str) -> Result<Facts, Error> {
    Ok(host::handshake(server, None)?)
}

/// The same, with no higher version offered than `most`: shows whether the server would take it.
///
/// # Errors
///
/// As [`handshake`].
pub fn handshake_at_most(server: &str, most: Version) -> Result<Facts, Error> {
    Ok(host::handshake(server, Some(most))?)
}

impl Certificate {
    /// Whether the certificate covers a host name or an address. A star stands for one whole label.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|covered| match covered.to_ascii_lowercase().strip_prefix("*.") {
            Some(rest) => name.split_once('.').is_some_and(|(label, parent)| !label.is_empty() && parent == rest),
            None => covered.eq_ignore_ascii_case(&name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label() {
        let certificate = Certificate {
            subject: String::new(),
            issuer: String::new(),
            names: vec!["API.example".into(), "*.clinic.example".into(), "10.0.0.1".into()],
            not_before_unix_ms: 0,
            not_after_unix_ms: 0,
            serial: String::new(),
            sha256_fingerprint: String::new(),
            key_type: String::new(),
        };
        for (name, covered) in [
            ("api.example", true),
            ("api.EXAMPLE.", true),
            ("a.clinic.example", true),
            ("10.0.0.1", true),
            ("clinic.example", false),
            ("a.b.clinic.example", false),
            (".clinic.example", false),
            ("example", false),
            ("10.0.0.2", false),
        ] {
            assert_eq!(certificate.covers(name), covered, "{name}");
        }
    }
}
