//! Bodies that end where they must.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{BoxBody, MOST_BODY_BYTES, answer, failure, masking::Masker};
use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
    traffic::Traffic,
};

/// The body of a request, with an end.
pub(super) struct Limited {
    inner: BoxBody,
    left: u64,
    traffic: Traffic,
}

impl Limited {
    pub(super) fn new(inner: BoxBody, traffic: Traffic) -> Self {
        Self { inner, left: MOST_BODY_BYTES, traffic }
    }
}

impl Body for Limited {
    type Data = Bytes;
    type Error = EffectError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EffectError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            if !take(&mut self.left, frame) {
                return Poll::Ready(Some(Err(too_large("request"))));
            }
            if let Err(error) = self.traffic.sent(size(frame)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Takes the frame's bytes off what is left, and says whether there were enough.
fn take(left: &mut u64, frame: &Frame<Bytes>) -> bool {
    match left.checked_sub(size(frame)) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

fn size(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

pub(super) fn too_large(what: &str) -> EffectError {
    let most = MOST_BODY_BYTES >> 20;
    EffectError::new(ErrorKind::Limit, format!("the {what} holds more than {most} MiB"))
}

/// The body of a response: masked, with an end, and never silent for too long.
pub(super) struct Answer {
    inner: Incoming,
    endpoint: Endpoint,
    masker: Masker,
    left: u64,
    between: Duration,
    /// Runs while the server is waited for, and not while the guest takes its time.
    stalls: Pin<Box<Sleep>>,
    waiting: bool,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    trailers: Option<http::HeaderMap>,
    ended: bool,
    traffic: Traffic,
}

impl Answer {
    pub(super) fn new(
        inner: Incoming,
        endpoint: Endpoint,
        masker: Masker,
        between: Duration,
        cancellation: &CancellationToken,
        traffic: Traffic,
    ) -> Self {
        let stalls = Box::pin(tokio::time::sleep(between));
        let cancelled = Box::pin(cancellation.clone().cancelled_owned());
        Self {
            inner,
            endpoint,
            masker,
            left: MOST_BODY_BYTES,
            between,
            stalls,
            waiting: false,
            cancelled,
            trailers: None,
            ended: false,
            traffic,
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EffectError>>> {
        if self.cancelled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(EffectError::cancelled())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            if !std::mem::replace(&mut self.waiting, true) {
                self.stalls.as_mut().reset(Instant::now() + self.between);
            }
            ready!(self.stalls.as_mut().poll(cx));
            return Poll::Ready(Some(Err(failure::stalled(&self.endpoint, self.between))));
        };
        self.waiting = false;
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) if !take(&mut self.left, &frame) => Err(too_large("response")),
            Ok(frame) => self.traffic.received(size(&frame)).map(|()| frame),
            Err(error) => Err(failure::hyper(&self.endpoint, &error)),
        }))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = EffectError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EffectError>>> {
        let this = &mut *self;
        while !this.ended {
            let out = match ready!(this.poll_inner(cx)) {
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.masker.push(&data),
                    Err(other) => {
                        if let Ok(mut trailers) = other.into_trailers() {
                            answer::mask_headers(&mut trailers, this.masker.redactor());
                            this.trailers = Some(trailers);
                        }
                        continue;
                    }
                },
                None => {
                    this.ended = true;
                    this.masker.finish()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none() && (self.ended || (self.inner.is_end_stream() && self.masker.is_empty()))
    }
}
