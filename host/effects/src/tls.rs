//! TLS for everything that leaves the host: rustls with ring, the system's authorities or the peer's own, names always checked.

use std::{
    io::{self, Read as _},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
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
};

/// The largest file of certificate authorities that is read, in bytes. All of Mozilla's fit five times.
const LARGEST_CA_FILE: u64 = 1024 * 1024;

impl Session {
    /// The configuration that trusts the authorities in `ca`, or the system's. A file is read once a session.
    pub(crate) async fn tls_config(&self, ca: Option<&Path>) -> Result<Arc<ClientConfig>, EffectError> {
        let Some(file) = ca else { return self.system_config().await };
        let mut roots = self.egress.roots.lock().await;
        if let Some(config) = roots.get(file) {
            return Ok(Arc::clone(config));
        }
        let path = file.to_owned();
        let read = self.blocking(move |_| Ok(config_from(&path))).await;
        let config = Arc::new(read.map_err(|_| EffectError::cancelled())??);
        roots.insert(file.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    async fn system_config(&self) -> Result<Arc<ClientConfig>, EffectError> {
        static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = SYSTEM.get() {
            return Ok(Arc::clone(config));
        }
        let read = self.blocking(|_| Ok(system_config())).await;
        let config = Arc::new(read.map_err(|_| EffectError::cancelled())??);
        Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
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

fn config_from(file: &Path) -> Result<ClientConfig, EffectError> {
    let shown = file.display();
    let failed = |what: String| {
        EffectError::new(ErrorKind::Unavailable, format!("cannot read the certificate authorities in {shown}: {what}"))
    };
    let mut pem = Vec::new();
    let opened = std::fs::File::open(file).and_then(|open| {
        if !open.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        open.take(LARGEST_CA_FILE + 1).read_to_end(&mut pem)
    });
    opened.map_err(|error| failed(error.to_string()))?;
    if pem.len() as u64 > LARGEST_CA_FILE {
        return Err(failed(format!("it is larger than {LARGEST_CA_FILE} bytes")));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| failed(format!("it is not PEM ({error})")))?;
        roots.add(certificate).map_err(|error| failed(format!("a certificate in it is malformed ({error})")))?;
    }
    if roots.is_empty() {
        return Err(
            failed("it holds no certificate".to_owned()).with_hint("it must hold `-----BEGIN CERTIFICATE-----`")
        );
    }
    config(roots)
}

fn system_config() -> Result<ClientConfig, EffectError> {
    let mut roots = RootCertStore::empty();
    // Some of the system's certificates are always odd; the others count.
    let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(EffectError::new(ErrorKind::Unavailable, "this machine has no certificate authorities")
            .with_hint("install ca-certificates, or give the peer its own `ca`"));
    }
    config(roots)
}

fn config(roots: RootCertStore) -> Result<ClientConfig, EffectError> {
    // Never the process-wide provider: whichever crate is linked, this one is used.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EffectError::new(ErrorKind::Failed, format!("cannot set up TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
