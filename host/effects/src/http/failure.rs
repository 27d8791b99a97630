//! What went wrong between the connection and the response, in words. Never holds a path, a header or a body.

use std::{error::Error as _, time::Duration};

use crate::{
    egress::{
        Endpoint,
        failure::{alerted, shown},
    },
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

/// The alert with which the server ended TLS. In TLS 1.3 a client certificate is refused only after the handshake.
fn alert(error: &hyper::Error) -> Option<rustls::AlertDescription> {
    let error = error.source()?.downcast_ref::<std::io::Error>()?;
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
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
    if let Some(alert) = alert(error) {
        return alerted(endpoint, alert);
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
