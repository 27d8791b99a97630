//! `pipe:host/tls`.

use std::sync::Arc;

use pipe_effects::tls::{CertificateFacts, TlsFacts, TlsVersion};

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::tls as wit, state::State};

impl wit::Host for State {
    async fn handshake(&mut self, server: String, most: Option<wit::Version>) -> HostResult<wit::Facts> {
        let session = Arc::clone(&self.session);
        let most = most.map(|most| match most {
            wit::Version::Tls12 => TlsVersion::Tls12,
            wit::Version::Tls13 => TlsVersion::Tls13,
        });
        told(session.tls_handshake(&server, most).await.map(wit::Facts::from))
    }
}

impl From<TlsFacts> for wit::Facts {
    fn from(facts: TlsFacts) -> Self {
        Self {
            protocol_version: facts.protocol_version,
            cipher: facts.cipher,
            chain: facts.chain.into_iter().map(wit::Certificate::from).collect(),
            verified: facts.verified,
            asks_for_client_certificate: facts.asks_for_client_certificate,
        }
    }
}

impl From<CertificateFacts> for wit::Certificate {
    fn from(facts: CertificateFacts) -> Self {
        Self {
            subject: facts.subject,
            issuer: facts.issuer,
            names: facts.names,
            not_before_unix_ms: facts.not_before_unix_ms,
            not_after_unix_ms: facts.not_after_unix_ms,
            serial: facts.serial,
            sha256_fingerprint: facts.sha256_fingerprint,
            key_type: facts.key_type,
        }
    }
}
