//! The stream under a connection: counted, so that no answer fills the memory, and in TLS where the peer says so.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
    tls,
};

/// The most bytes that the server may send for one statement. The driver keeps whole rows in memory, however large: this is
/// what bounds them.
const MOST_ANSWER_BYTES: u64 = 32 * 1024 * 1024;

/// How much of an answer may still come.
#[derive(Clone)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(super) fn full() -> Self {
        Self(Arc::new(AtomicU64::new(MOST_ANSWER_BYTES)))
    }

    /// A new statement, a new measure. What was used up stays so: the connection is lost.
    pub(super) fn refill(&self) {
        if !self.is_empty() {
            self.0.store(MOST_ANSWER_BYTES, Ordering::Relaxed);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self, bytes: usize) {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(bytes as u64);
        self.0.store(left, Ordering::Relaxed);
    }
}

/// A TCP stream that ends with an error once its meter is empty.
pub(super) struct Metered {
    stream: TcpStream,
    meter: Meter,
}

impl Metered {
    pub(super) fn new(stream: TcpStream, meter: Meter) -> Self {
        Self { stream, meter }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.meter.is_empty() {
            return Poll::Ready(Err(io::Error::other("the answer is too large")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.meter.take(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Checks the server's certificate for the peer's host. Without a configuration no TLS is spoken, and this is never asked.
#[derive(Clone)]
pub(super) struct Checked {
    pub(super) config: Option<Arc<ClientConfig>>,
    pub(super) endpoint: Endpoint,
    pub(super) limit: Duration,
}

impl TlsConnect<Metered> for Checked {
    type Stream = TlsSocket;
    type Error = EffectError;
    type Future = Pin<Box<dyn Future<Output = Result<TlsSocket, EffectError>> + Send>>;

    fn connect(self, stream: Metered) -> Self::Future {
        Box::pin(async move {
            let none = || EffectError::new(ErrorKind::Failed, format!("{}: no TLS was wanted", self.endpoint));
            let config = self.config.ok_or_else(none)?;
            tls::handshake(config, &self.endpoint, stream, self.limit).await.map(TlsSocket)
        })
    }
}

/// A TLS stream as the driver wants it. Without channel binding: the certificate is checked in full.
pub(super) struct TlsSocket(tokio_rustls::client::TlsStream<Metered>);

impl TlsStream for TlsSocket {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
