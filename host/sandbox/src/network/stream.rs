//! The two streams of a connection, with every byte counted.

use std::sync::Arc;

use bytes::Bytes;
use pipe_effects::{error::EffectError, session::Session};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// What is received.
pub(super) struct CountedInput {
    pub(super) session: Arc<Session>,
    pub(super) inner: DynInputStream,
}

/// What is sent.
pub(super) struct CountedOutput {
    pub(super) session: Arc<Session>,
    pub(super) inner: DynOutputStream,
}

/// The error of what was too much. The call is being ended.
fn too_much(error: EffectError) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::new(error))
}

#[async_trait::async_trait]
impl Pollable for CountedInput {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait::async_trait]
impl InputStream for CountedInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.inner.read(size)?;
        self.session.received(bytes.len() as u64).map_err(too_much)?;
        Ok(bytes)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait::async_trait]
impl Pollable for CountedOutput {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for CountedOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.session.sent(bytes.len() as u64).map_err(too_much)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
