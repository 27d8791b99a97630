//! TLS for everything that leaves the host: rustls with ring, the system's authorities or the peer's own, names always checked.

mod certificate;
mod facts;
mod identity;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use self::{
    certificate::CertificateFacts,
    facts::{TlsFacts, TlsVersion},
    identity::check_identity,
};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion, WantsVerifier,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    egress::{Endpoint, failure},
    error::{EffectError, ErrorKind},
    session::Session,
    world::{ClientIdentity, Peer},
};

/// The largest file of certificates that is read, in bytes. All of Mozilla's authorities fit five times.
const LARGEST_PEM_FILE: u64 = 1024 * 1024;

/// Whom a connection trusts, and who it says it is. By name: the files are read once a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Trust {
    /// PEM file of the authorities, instead of the system's.
    ca: Option<PathBuf>,
    client: Option<ClientIdentity>,
}

/// What [`Trust`] names, read.
pub(crate) struct Trusted {
    roots: Arc<RootCertStore>,
    client: Option<Arc<CertifiedKey>>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Who a connection says it is.
    fn client(&self) -> Option<&ClientIdentity> {
        self.client.as_ref()
    }
}

impl Peer {
    /// Whom a connection to the peer trusts, and who it says it is.
    pub(crate) fn trust(&self) -> Trust {
        Trust { ca: self.ca.clone(), client: self.client.clone() }
    }
}

impl Session {
    /// The configuration of connections with this trust.
    pub(crate) async fn tls_config(&self, trust: &Trust) -> Result<Arc<ClientConfig>, EffectError> {
        self.trusted(trust).await.map(|trusted| Arc::clone(&trusted.config))
    }

    async fn trusted(&self, trust: &Trust) -> Result<Arc<Trusted>, EffectError> {
        let mut known = self.egress.trusted.lock().await;
        if let Some(trusted) = known.get(trust) {
            return Ok(Arc::clone(trusted));
        }
        let roots = match trust.ca.clone() {
            Some(file) => self.read(move || roots_from(&file).map(Arc::new)).await?,
            None => self.system_roots().await?,
        };
        let client = match trust.client.clone() {
            Some(identity) => {
                let key = identity::key(&identity, &self.world.secrets)?;
                Some(Arc::new(self.read(move || identity::certified(&identity, key)).await?))
            }
            None => None,
        };
        let config = builder(rustls::DEFAULT_VERSIONS)?.with_root_certificates(Arc::clone(&roots));
        let config = Arc::new(match &client {
            Some(client) => {
                let mut config = config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(client))));
                // A resumed session would keep whom it was opened as.
                config.resumption = Resumption::disabled();
                config
            }
            None => config.with_no_client_auth(),
        });
        let trusted = Arc::new(Trusted { roots, client, config });
        known.insert(trust.clone(), Arc::clone(&trusted));
        Ok(trusted)
    }

    async fn system_roots(&self) -> Result<Arc<RootCertStore>, EffectError> {
        static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        if let Some(roots) = SYSTEM.get() {
            return Ok(Arc::clone(roots));
        }
        let roots = Arc::new(self.read(system_roots).await?);
        Ok(Arc::clone(SYSTEM.get_or_init(|| roots)))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, EffectError> + Send + 'static,
    ) -> Result<T, EffectError> {
        self.blocking(|_| Ok(read())).await.map_err(|_| EffectError::cancelled())?
    }
}

/// Shakes hands on `stream` and checks the certificate for the endpoint's host.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    endpoint: &Endpoint,
    stream: S,
    limit: Duration,
) -> Result<TlsStream<S>, EffectError> {
    let shaken = timeout(limit, TlsConnector::from(config).connect(server_name(endpoint)?, stream)).await;
    shaken.map_err(|_| failure::tls_timed_out(endpoint, limit))?.map_err(|error| failure::tls(endpoint, &error))
}

/// The name that the certificate must be for.
pub(crate) fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, EffectError> {
    ServerName::try_from(endpoint.host.trim_end_matches('.').to_owned()).map_err(|_| {
        EffectError::new(ErrorKind::Invalid, format!("{endpoint}: no certificate can be for `{}`", endpoint.host))
    })
}

fn roots_from(file: &Path) -> Result<RootCertStore, EffectError> {
    let failed = |what: String| {
        let shown = file.display();
        EffectError::new(ErrorKind::Unavailable, format!("cannot read the certificate authorities in {shown}: {what}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(file).map_err(failed)? {
        roots.add(certificate).map_err(|error| failed(format!("a certificate in it is malformed ({error})")))?;
    }
    if roots.is_empty() {
        return Err(
            failed("it holds no certificate".to_owned()).with_hint("it must hold `-----BEGIN CERTIFICATE-----`")
        );
    }
    Ok(roots)
}

/// All certificates of a PEM file, or what is wrong with it.
fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut pem = Vec::new();
    let opened = std::fs::File::open(file).and_then(|open| {
        if !open.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        open.take(LARGEST_PEM_FILE + 1).read_to_end(&mut pem)
    });
    opened.map_err(|error| error.to_string())?;
    if pem.len() as u64 > LARGEST_PEM_FILE {
        return Err(format!("it is larger than {LARGEST_PEM_FILE} bytes"));
    }
    CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| format!("it is not PEM ({error})"))
}

fn system_roots() -> Result<RootCertStore, EffectError> {
    let mut roots = RootCertStore::empty();
    // Some of the system's certificates are always odd; the others count.
    let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(EffectError::new(ErrorKind::Unavailable, "this machine has no certificate authorities")
            .with_hint("install ca-certificates, or give the peer its own `ca`"));
    }
    Ok(roots)
}

/// Never the process-wide provider: whichever crate is linked, this one is used.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, EffectError> {
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).map_err(|error| set_up(&error))
}

fn set_up(error: &dyn std::fmt::Display) -> EffectError {
    EffectError::new(ErrorKind::Failed, format!("cannot set up TLS: {error}"))
}
