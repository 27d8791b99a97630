//! A TLS server of a test, with an authority of its own, on a free port of this machine.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

/// Issues certificates.
pub struct Authority {
    /// Its own certificate, for those who trust it. PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and the key to it. PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody trusts yet.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "pipe tests");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server or client by this name, from 2020 to the first day of `end`.
    #[must_use]
    pub fn issue(&self, name: &str, end: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(end, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// What a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 alone.
    Old,
    /// TLS 1.3 alone.
    New,
    /// Both.
    Both,
}

/// A server that answers every request with its client's name, where it asks for one.
pub struct TlsServer {
    /// On 127.0.0.1.
    pub port: u16,
    shaken: Arc<AtomicUsize>,
}

impl TlsServer {
    /// Listens. With `clients`, whoever has no certificate of that authority is sent away.
    #[must_use]
    pub fn start(identity: &Identity, versions: Versions, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = match versions {
            Versions::Old => &[&TLS12][..],
            Versions::New => &[&TLS13],
            Versions::Both => &[&TLS13, &TLS12],
        };
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shaken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&shaken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, count) = (Arc::clone(&config), Arc::clone(&count));
                // A client that goes away in the middle is its own business.
                thread::spawn(move || answer(stream, config, &count));
            }
        });
        Self { port, shaken }
    }

    /// Handshakes that came to their end.
    #[must_use]
    pub fn handshakes(&self) -> usize {
        self.shaken.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, config: Arc<ServerConfig>, shaken: &AtomicUsize) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    connection.complete_io(&mut stream)?;
    shaken.fetch_add(1, Ordering::SeqCst);
    let known = if connection.peer_certificates().is_some() { "known" } else { "unknown" };
    let mut stream = StreamOwned::new(connection, stream);
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&piece[..read]),
        }
    }
    let length = known.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{known}")?;
    stream.conn.send_close_notify();
    stream.flush()
}
