//! `wasi:http/outgoing-handler`: every request goes through the session, never through wasmtime's own sender.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use pipe_effects::{
    error::{EffectError, ErrorKind},
    http::HttpTimeouts,
    session::Session,
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// What a phase of a request may take where the guest sets no time.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends a guest's requests.
pub(crate) struct Sender {
    pub(crate) session: Arc<Session>,
}

/// A response, and what remains to be done for it: nothing, since the session drives the connection.
type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Sender {
    fn set_host_header(&mut self) -> bool {
        // The session sets it: only it knows the address behind a peer.
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let session = Arc::clone(&self.session);
        let timeouts = HttpTimeouts {
            connect: options.and_then(|o| o.connect_timeout).unwrap_or(DEFAULT_TIMEOUT),
            first_byte: options.and_then(|o| o.first_byte_timeout).unwrap_or(DEFAULT_TIMEOUT),
            between_bytes: options.and_then(|o| o.between_bytes_timeout).unwrap_or(DEFAULT_TIMEOUT),
        };
        Box::new(async move {
            let request = request.map(|body| {
                body.map_err(|error| EffectError::new(ErrorKind::Failed, format!("request body: {error}")))
                    .boxed_unsync()
            });
            let response = session.http(request, timeouts).await.map_err(told)?;
            let finished: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((response.map(|body| body.map_err(told).boxed_unsync()), finished))
        })
    }
}

/// The error code that a guest sees. The message travels in the one code that carries text.
fn told(error: EffectError) -> Error {
    match error.kind {
        ErrorKind::Denied => Error::HttpRequestDenied,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        ErrorKind::Limit => Error::HttpResponseBodySize(None),
        ErrorKind::Invalid | ErrorKind::Unavailable | ErrorKind::Failed => Error::InternalError(Some(error.message)),
    }
}
