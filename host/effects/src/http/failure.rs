//! What went wrong between the connection and the response, in words. Never holds a path, a header or a body.

use std::{error::Error as _, time::Duration};

use crate::{
    egress::{Endpoint, failure::shown},
    error::{EffectError, ErrorKind},
};

/// The head of the response did not come in time.
pub(super) fn no_answer(endpoint: &Endpoint, limit: Duration) -> EffectError {
    let limit = shown(limit);
    EffectError::new(
        ErrorKind::TimedOut,
        format!("{endpoint}: no answer within {limit}, the request may have taken effect"),
    )
}

/// The body of the response stalled.
pub(super) fn stalled(endpoint: &Endpoint, limit: Duration) -> EffectError {
    EffectError::new(ErrorKind::TimedOut, format!("{endpoint}: the response stalled for {}", shown(limit)))
}

/// What hyper says. An error of our own that passed through it comes out as it was.
pub(super) fn hyper(endpoint: &Endpoint, error: &hyper::Error) -> EffectError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(own) = inner.downcast_ref::<EffectError>() {
            return own.clone();
        }
        source = inner.source();
    }
    let failed = |kind, what: &str| EffectError::new(kind, format!("{endpoint}: {what}"));
    // hyper tells this apart in words only.
    if error.is_parse() && error.to_string().contains("too large") {
        return failed(ErrorKind::Limit, "the head of the response is too large");
    }
    if error.is_parse() {
        return failed(ErrorKind::Failed, "what answers there does not speak HTTP/1.1")
            .with_hint("is the port right, and is it not `https`?");
    }
    if error.is_incomplete_message() {
        return failed(ErrorKind::Unavailable, "the server closed the connection before the response was complete");
    }
    if error.is_body_write_aborted() || error.is_user() {
        return failed(ErrorKind::Invalid, "the request's body does not fit its headers");
    }
    failed(ErrorKind::Unavailable, &format!("the connection was lost ({error})"))
}
