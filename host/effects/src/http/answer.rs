//! The response, as the guest may see it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pipe_core::redact::Redactor;

use super::{BoxBody, body::Answer, masking::Masker};
use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
    session::Session,
};

/// The response with every secret masked, in headers, body and trailers. Lengths stay what they are.
pub(super) fn masked(
    session: &Session,
    endpoint: &Endpoint,
    between: Duration,
    secret: bool,
    response: http::Response<Incoming>,
) -> Result<http::Response<BoxBody>, EffectError> {
    let (mut head, incoming) = response.into_parts();
    if secret && is_encoded(&head.headers) {
        let what = format!(
            "{endpoint}: the response is compressed although that was refused, so no secret can be masked in it"
        );
        return Err(EffectError::new(ErrorKind::Failed, what));
    }
    if secret && (head.status == http::StatusCode::PARTIAL_CONTENT || head.headers.contains_key(header::CONTENT_RANGE))
    {
        let what = format!("{endpoint}: the response is a piece of one, so no secret can be masked in it");
        return Err(EffectError::new(ErrorKind::Failed, what));
    }
    // The reason phrase, which a server may fill with anything.
    head.extensions.clear();
    mask_headers(&mut head.headers, &session.world.redactor);
    let masker = Masker::new(session.world.redactor.clone());
    let body =
        Answer::new(incoming, endpoint.clone(), masker, between, session.cancellation(), session.traffic.clone());
    Ok(http::Response::from_parts(head, body.boxed_unsync()))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Masks the values of headers. A header whose name holds a secret is dropped.
pub(super) fn mask_headers(headers: &mut HeaderMap, redactor: &Redactor) {
    let named: Vec<_> =
        headers.keys().filter(|name| !redactor.find(name.as_str().as_bytes()).is_empty()).cloned().collect();
    for name in named {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        if !redactor.find(value.as_bytes()).is_empty() {
            let mut bytes = value.as_bytes().to_vec();
            redactor.mask(&mut bytes);
            *value = HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| HeaderValue::from_static("*"));
        }
    }
}
