//! A handshake that is made to be looked at: what the server shows is told whether it is trusted or not, and nothing is sent.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;
use pipe_capability::{
    denial::Denial,
    tls::{TlsRule, TlsTarget},
    word::Word,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{CertificateFacts, Trust, Trusted, builder, handshake, provider, set_up};
use crate::{
    egress::{self, Endpoint, Unresolved, failure},
    error::{EffectError, ErrorKind},
    session::Session,
};

/// How long a connection may take, and then a handshake.
const LIMIT: Duration = Duration::from_secs(10);

/// The most certificates of a chain that are told.
const MOST_CERTIFICATES: usize = 10;

/// A version of TLS that can be spoken here. There are no others: rustls has no older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What a server shows in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// Version that was agreed on: `TLSv1.2` or `TLSv1.3`.
    pub protocol_version: String,
    /// Cipher suite, by its IANA name: `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The server's own certificate, and those that it sent beside. At most ten.
    pub chain: Vec<CertificateFacts>,
    /// Whether chain, validity, name and signature hold, or the first of them that does not, in words.
    pub verified: Result<(), String>,
    /// Whether the server asked for a certificate of the client. The peer's `client_cert` was shown then.
    pub asks_for_client_certificate: bool,
}

/// Where a handshake goes.
struct Destination<'g> {
    endpoint: Endpoint,
    addresses: Vec<IpNet>,
    trust: Trust,
    rule: &'g TlsRule,
}

impl Session {
    /// Shakes hands with a server and hangs up. Capability: `tls`.
    ///
    /// `asked` is a peer or `host:port`. `most` is the highest version that is offered.
    ///
    /// # Errors
    ///
    /// `Denied` where the grant does not cover it or the address is not allowed; `Unavailable` where no handshake came about,
    /// with the server's alert as the code where it sent one; `Invalid` where the peer has no TLS.
    pub async fn tls_handshake(&self, asked: &str, most: Option<TlsVersion>) -> Result<TlsFacts, EffectError> {
        let destination = self.tls_destination(asked).await?;
        let Destination { endpoint, addresses, trust, rule } = &destination;
        let addresses = match self.resolve(endpoint, addresses, LIMIT).await {
            Ok(addresses) => addresses,
            Err(Unresolved::Failed(error)) => return Err(error),
            Err(Unresolved::Refused(refused)) => {
                let denial = match &endpoint.peer {
                    Some(peer) => refused.at_peer(Word::Tls, peer, &destination.addresses),
                    None => self.grant.tls_address(rule, &refused),
                };
                return Err(self.refuse(denial).await);
            }
        };
        self.used(Word::Tls.as_str(), rule.target().to_string(), rule.to_string(), false).await?;
        if let (Some(client), Some(peer)) = (trust.client(), &endpoint.peer) {
            self.secret_used(&client.key, &format!("to {peer} (client_key)"), &rule.to_string()).await?;
        }
        let trusted = self.trusted(trust).await?;
        self.until_cancelled(async {
            let stream = egress::connect(endpoint, &addresses, LIMIT).await?;
            let watch = Arc::new(Watch::new(&trusted)?);
            let config = watch.config(most)?;
            let stream = handshake(config, endpoint, stream, LIMIT).await?;
            Ok(watch.facts(endpoint, stream.get_ref().1))
        })
        .await
    }

    async fn tls_destination(&self, asked: &str) -> Result<Destination<'_>, EffectError> {
        let target = match TlsTarget::parse(asked) {
            Ok(target) => target,
            Err(error) => return Err(self.refuse(Denial::new(Word::Tls, asked, error.message)).await),
        };
        let rule = match self.grant.tls(&target) {
            Ok(rule) => rule,
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let name = match target {
            TlsTarget::Peer(name) => name,
            TlsTarget::Host(host) => {
                let endpoint = Endpoint { peer: None, host: host.bare_host(), port: host.port };
                return Ok(Destination { endpoint, addresses: rule.addresses.clone(), trust: Trust::default(), rule });
            }
        };
        let unknown = || EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no peer `{name}`"));
        let peer = self.world.peers.get(&name).ok_or_else(unknown)?;
        if peer.url.scheme() != "https" {
            return Err(peer.wrong("is not `https`: there is no handshake to look at"));
        }
        Ok(Destination { endpoint: peer.endpoint(443)?, addresses: peer.addresses.clone(), trust: peer.trust(), rule })
    }
}

/// Watches a handshake: judges what the server shows as every other connection would, and lets it pass.
struct Watch {
    judge: Arc<WebPkiServerVerifier>,
    client: Option<Arc<CertifiedKey>>,
    problem: Mutex<Option<Error>>,
    asked_for_client: AtomicBool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    fn new(trusted: &Trusted) -> Result<Self, EffectError> {
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::clone(&trusted.roots), provider());
        let judge = judge.build().map_err(|error| set_up(&error))?;
        let (problem, asked_for_client) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { judge, client: trusted.client.clone(), problem, asked_for_client })
    }

    fn config(self: &Arc<Self>, most: Option<TlsVersion>) -> Result<Arc<ClientConfig>, EffectError> {
        let versions = match most {
            Some(TlsVersion::Tls12) => &[&TLS12][..],
            Some(TlsVersion::Tls13) | None => &[&TLS13, &TLS12],
        };
        let builder = builder(versions)?.dangerous().with_custom_certificate_verifier(Arc::clone(self) as _);
        let mut config = builder.with_client_cert_resolver(Arc::clone(self) as _);
        // Only a full handshake shows a certificate.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// Keeps the first problem.
    fn keep(&self, error: Error) {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn facts(&self, endpoint: &Endpoint, connection: &rustls::ClientConnection) -> TlsFacts {
        let certificates = connection.peer_certificates().unwrap_or_default();
        let told = certificates.iter().take(MOST_CERTIFICATES).filter_map(CertificateFacts::of);
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).take();
        TlsFacts {
            protocol_version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
                other => format!("{other:?}"),
            },
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown")
                .to_owned(),
            chain: told.collect(),
            verified: problem.map_or(Ok(()), |problem| Err(failure::distrust(endpoint, &problem))),
            asks_for_client_certificate: self.asked_for_client.load(Ordering::Relaxed),
        }
    }
}

impl ServerCertVerifier for Watch {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Err(error) = self.judge.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            self.keep(error);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Err(error) = self.judge.verify_tls12_signature(message, certificate, signed) {
            self.keep(signature_problem(error));
        }
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Err(error) = self.judge.verify_tls13_signature(message, certificate, signed) {
            self.keep(signature_problem(error));
        }
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// That the server does not have the certificate's key is another thing than a certificate with a bad signature.
fn signature_problem(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            Error::General("the server does not have the certificate's key".to_owned())
        }
        other => other,
    }
}

impl ResolvesClientCert for Watch {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked_for_client.store(true, Ordering::Relaxed);
        self.client.clone().filter(|client| client.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
