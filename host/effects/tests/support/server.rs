//! A server that answers with what a test wants, byte for byte.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Certificate};

pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// What the server saw and where it is.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Heads of the requests.
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    /// Bodies of the requests, as far as they were read.
    pub(crate) bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Connections that are open.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Server {
    /// Answers every request with what `answer` makes of its head and body, and closes.
    pub(crate) async fn start<F>(certificate: Option<&Certificate>, answer: F) -> Self
    where
        F: Fn(&str, &[u8]) -> Vec<Step> + Send + Sync + 'static,
    {
        Self::start_with(certificate.map(|certificate| acceptor(certificate, &[&TLS13, &TLS12], None)), answer).await
    }

    /// The same, with a TLS of its own.
    pub(crate) async fn start_with<F>(acceptor: Option<TlsAcceptor>, answer: F) -> Self
    where
        F: Fn(&str, &[u8]) -> Vec<Step> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
            bodies: Arc::default(),
            open: Arc::default(),
        };
        let (heads, bodies, open) = (Arc::clone(&server.heads), Arc::clone(&server.bodies), Arc::clone(&server.open));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (heads, bodies, open) = (Arc::clone(&heads), Arc::clone(&bodies), Arc::clone(&open));
                let (answer, acceptor) = (Arc::clone(&answer), acceptor.clone());
                tokio::spawn(async move {
                    open.fetch_add(1, Ordering::SeqCst);
                    let wire: Option<Box<dyn Wire>> = match acceptor {
                        Some(acceptor) => acceptor.accept(stream).await.ok().map(|tls| Box::new(tls) as Box<dyn Wire>),
                        None => Some(Box::new(stream)),
                    };
                    if let Some(mut wire) = wire
                        && let Some((head, body)) = read_request(&mut wire).await
                    {
                        heads.lock().unwrap().push(head.clone());
                        bodies.lock().unwrap().push(body.clone());
                        let steps = answer(&head, &body);
                        run(&mut wire, steps).await;
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn head(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// What the server does next.
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(std::time::Duration),
    /// Sends this again and again until the client goes away.
    Flood(Vec<u8>),
    /// Waits until the client goes away.
    Hang,
}

pub(crate) fn send(text: impl Into<Vec<u8>>) -> Step {
    Step::Send(text.into())
}

/// A whole response.
pub(crate) fn response(headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    text.extend_from_slice(body);
    vec![Step::Send(text)]
}

async fn run(wire: &mut Box<dyn Wire>, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if wire.write_all(&bytes).await.is_err() || wire.flush().await.is_err() {
                    return;
                }
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Flood(bytes) => while wire.write_all(&bytes).await.is_ok() {},
            Step::Hang => {
                let mut rest = [0; 1024];
                while matches!(wire.read(&mut rest).await, Ok(read) if read > 0) {}
            }
        }
    }
    let _ = wire.shutdown().await;
}

async fn read_request(wire: &mut Box<dyn Wire>) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut piece = [0; 4096];
        let read = wire.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok())
        })
        .unwrap_or(0);
    let mut body = bytes.split_off(end);
    while body.len() < length {
        let mut piece = vec![0; 64 * 1024];
        let read = wire.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        body.extend_from_slice(&piece[..read]);
    }
    Some((head, body))
}

/// Speaks these versions, and sends clients away that have no certificate of `clients`.
pub(crate) fn acceptor(
    certificate: &Certificate,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}
