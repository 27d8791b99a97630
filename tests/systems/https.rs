//! An HTTPS server on a free port of this machine. Every request goes to one function.

use std::{
    convert::Infallible,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;

/// A request, whole.
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

pub(crate) type Response = hyper::Response<Full<Bytes>>;

/// Listens until it is dropped.
pub(crate) struct Https {
    pub(crate) port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Https {
    pub(crate) fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let (acceptor, answer) = (acceptor(), Arc::new(answer));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = serve(&listener, &acceptor, answer) => {}
                }
            });
        });
        Self { port, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn acceptor() -> TlsAcceptor {
    let identity = Authority::shared().localhost();
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    listener: &tokio::net::TcpListener,
    acceptor: &TlsAcceptor,
    answer: Arc<impl Fn(&Request) -> Response + Send + Sync + 'static>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        tokio::spawn(async move {
            // Somebody who does not trust us goes away here.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| respond(request, Arc::clone(&answer)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    answer: Arc<impl Fn(&Request) -> Response + Send + Sync + 'static>,
) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let content_type = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        content_type: content_type.to_owned(),
        body: body.collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
    };
    // It may ask a database.
    Ok(tokio::task::spawn_blocking(move || answer(&request)).await.unwrap())
}
