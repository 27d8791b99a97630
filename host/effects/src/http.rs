//! HTTP on behalf of a guest: one request, one connection, nothing followed.
//!
//! The guest names a peer or an origin. Where that lies, who it is there and how TLS is checked is the host's business:
//! **what the rule matched is what is sent, and a secret is filled in last and masked in what comes back.**

mod answer;
mod body;
mod failure;
mod masking;
mod outgoing;
mod secrets;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, combinators::UnsyncBoxBody};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pipe_capability::{
    http::{HttpRequest, HttpRule, Method},
    word::Word,
};
use pipe_core::event::Use;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

use self::{
    body::Limited,
    outgoing::{Destination, MOST_HEADER_BYTES, MOST_HEADERS},
};
use crate::{
    egress::{self, Unresolved},
    error::{EffectError, ErrorKind},
    session::Session,
    tls,
};

/// The most bytes that a request or a response may carry.
pub const MOST_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// The most requests of one session that may be going on at once.
pub const MOST_REQUESTS: usize = 64;

/// The longest that anything is waited for, whatever the guest asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a preview does not send: it asks, and tells nothing. No body goes with it, nor what would make another method of it.
const TELLING: [&str; 6] =
    ["content-length", "transfer-encoding", "expect", "x-http-method", "x-http-method-override", "x-method-override"];

/// A body in either direction. Ends with an [`EffectError`] where it is cut off.
pub type BoxBody = UnsyncBoxBody<Bytes, EffectError>;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From then until the head of the response.
    pub first_byte: Duration,
    /// Between two pieces of the response's body.
    pub between_bytes: Duration,
}

impl Session {
    /// Sends one request. The URI is absolute; a peer is addressed as the host `NAME.peer`.
    ///
    /// The response's body ends with an error where it exceeds [`MOST_BODY_BYTES`], stalls, or the session is cancelled.
    ///
    /// # Errors
    ///
    /// `Denied` where the grant does not cover it, where the address is not allowed, or where a secret would travel in the
    /// clear. `Unavailable` where no connection came about, `TimedOut` where no answer came in time: then nobody knows
    /// whether the request took effect. `Limit`, `Invalid` and `Failed` as they say.
    pub async fn http(
        self: &Arc<Self>,
        request: http::Request<BoxBody>,
        timeouts: HttpTimeouts,
    ) -> Result<http::Response<BoxBody>, EffectError> {
        let timeouts = timeouts.bounded();
        let (mut head, mut body) = request.into_parts();
        if self.grant.is_for_preview {
            body = Empty::new().map_err(|never| match never {}).boxed_unsync();
            TELLING.iter().for_each(|name| drop(head.headers.remove(*name)));
        }
        let asked = match HttpRequest::parse(head.method.as_str(), &head.uri.to_string()) {
            Ok(asked) => asked,
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let rule = match self.grant.http(&asked) {
            Ok(rule) => rule,
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let destination = Destination::of(&asked, rule, &self.world)?;
        let addresses = self.checked_addresses(&asked, rule, &destination, timeouts.connect).await?;
        let secrets = self.secrets_for(&destination, &addresses).await?;
        let outgoing = outgoing::request(&asked, &destination, head.headers, &secrets)?;

        // The path is what the rule is about. A query may hold anything.
        let query = if asked.query().is_some() { "?…" } else { "" };
        self.record(Use {
            word: Word::Http.as_str().to_owned(),
            subject: format!("{asked}{query}"),
            rule: rule.to_string(),
            effect: !matches!(asked.method(), Method::Get | Method::Head),
            proof: asked.query().and_then(|query| self.proof(Word::Http, query.as_bytes())),
            fence: None,
        })
        .await?;
        for used in secrets.uses(rule) {
            self.secret_used(used.secret, &used.for_what, &used.rule).await?;
        }

        let Ok(permit) = Arc::clone(&self.egress.requests).try_acquire_owned() else {
            let what = format!("more than {MOST_REQUESTS} requests are going on at once");
            return Err(
                EffectError::new(ErrorKind::Limit, what).with_hint("read the responses to their end, or drop them")
            );
        };
        let exchange = Exchange { session: self, destination: &destination, timeouts };
        let request = outgoing.map(|()| Limited::new(body, self.traffic.clone()).boxed_unsync());
        let response = self.until_cancelled(exchange.run(&addresses, request, permit)).await?;
        answer::masked(self, &destination.endpoint, timeouts.between_bytes, !secrets.is_empty(), response)
    }

    async fn checked_addresses(
        &self,
        asked: &HttpRequest,
        rule: &HttpRule,
        destination: &Destination<'_>,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, EffectError> {
        match self.resolve(&destination.endpoint, &destination.addresses, limit).await {
            Ok(addresses) => Ok(addresses),
            Err(Unresolved::Failed(error)) => Err(error),
            Err(Unresolved::Refused(refused)) => {
                let mut denial = self.grant.http_address(rule, asked, &refused);
                if let Some(peer) = destination.peer {
                    denial = denial.with_hint(refused.at_peer(Word::Http, &peer.name, &peer.addresses).hint);
                }
                Err(self.refuse(denial).await)
            }
        }
    }
}

impl HttpTimeouts {
    /// The same, within reason.
    fn bounded(self) -> Self {
        Self {
            connect: self.connect.min(LONGEST_WAIT),
            first_byte: self.first_byte.min(LONGEST_WAIT),
            between_bytes: self.between_bytes.min(LONGEST_WAIT),
        }
    }
}

/// One request on its way.
struct Exchange<'s> {
    session: &'s Session,
    destination: &'s Destination<'s>,
    timeouts: HttpTimeouts,
}

impl Exchange<'_> {
    async fn run(
        &self,
        addresses: &[SocketAddr],
        request: http::Request<BoxBody>,
        permit: OwnedSemaphorePermit,
    ) -> Result<http::Response<hyper::body::Incoming>, EffectError> {
        let (endpoint, limit) = (&self.destination.endpoint, self.timeouts.connect);
        let config = match self.destination.secure {
            true => Some(self.session.tls_config(&self.destination.trust).await?),
            false => None,
        };
        let connected = timeout(limit, async {
            let stream = egress::connect(endpoint, addresses, limit).await?;
            match config {
                Some(config) => self.start(tls::handshake(config, endpoint, stream, limit).await?, permit).await,
                None => self.start(stream, permit).await,
            }
        });
        let mut sender = connected.await.map_err(|_| egress::failure::connect_timed_out(endpoint, limit))??;
        match timeout(self.timeouts.first_byte, sender.send_request(request)).await {
            Ok(answered) => answered.map_err(|error| failure::hyper(endpoint, &error)),
            Err(_) => Err(failure::no_answer(endpoint, self.timeouts.first_byte)),
        }
    }

    /// Speaks HTTP on a stream. The connection lives in a task of the session and ends with it.
    async fn start<S>(
        &self,
        stream: S,
        permit: OwnedSemaphorePermit,
    ) -> Result<http1::SendRequest<BoxBody>, EffectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_header_size(MOST_HEADER_BYTES)
            .max_buf_size(4 * MOST_HEADER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failure::hyper(&self.destination.endpoint, &error))?;
        let cancelled = self.session.cancellation().clone().cancelled_owned();
        self.session.operations().spawn(async move {
            let _permit = permit;
            tokio::select! {
                biased;
                () = cancelled => {}
                // What goes wrong here is told to whoever waits for the response.
                _ = connection => {}
            }
        });
        Ok(sender)
    }
}
