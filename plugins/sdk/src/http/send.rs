//! One exchange over `wasi:http`, with one clock over all of it.

use std::time::{Duration, Instant};

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method as WasiMethod, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::StreamError;

use super::address::{Address, shown};
use super::{Method, Request, Response};
use crate::Failure;

pub(super) fn send(request: &Request) -> Result<Response, Failure> {
    let name = format!("{} {}", request.method.as_str(), shown(&request.url));
    let clock = Clock { started: Instant::now(), timeout: request.timeout };
    exchange(request, &name, &clock).map_err(|failure| failure.within(&name))
}

fn exchange(request: &Request, name: &str, clock: &Clock) -> Result<Response, Failure> {
    let future = begin(request, name)?;
    let response = answer(&future, name, clock)?;
    let status = response.status();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let headers =
        response.headers().entries().into_iter().map(|(key, value)| (key.to_lowercase(), text(value))).collect();
    let body = body(&response, request.limit, name, clock)?;
    Ok(Response { request: name.to_owned(), status, headers, body, elapsed: clock.started.elapsed() })
}

/// What is left for the exchange.
struct Clock {
    started: Instant,
    timeout: Duration,
}

impl Clock {
    /// Waits for something, at most until the time is up.
    fn wait(&self, event: &Pollable) -> Result<(), Failure> {
        let left = self.timeout.saturating_sub(self.started.elapsed());
        let timer = subscribe_duration(nanoseconds(left));
        if poll(&[event, &timer]).contains(&0) {
            return Ok(());
        }
        Err(Failure::timed_out(format!("no answer within {}", crate::units::Period(self.timeout))))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Hands the request to the host and writes its body.
fn begin(request: &Request, name: &str) -> Result<FutureIncomingResponse, Failure> {
    let address = Address::parse(&request.url)?;
    let outgoing = OutgoingRequest::new(headers(request)?);
    let scheme = if address.tls { Scheme::Https } else { Scheme::Http };
    let set = outgoing
        .set_method(&method(request.method))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(address.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(address.path_with_query)));
    set.map_err(|()| Failure::settings("not a URL that can be requested"))?;
    let options = RequestOptions::new();
    let timeout = Some(nanoseconds(request.timeout));
    // A host that knows none of them says so; the clock holds all the same.
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);
    let body = outgoing.body().map_err(|()| Failure::other("the host gave no body to write"))?;
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| failure(&code, name))?;
    write(body, &request.body);
    Ok(future)
}

fn headers(request: &Request) -> Result<Fields, Failure> {
    let mut list: Vec<(String, Vec<u8>)> =
        request.headers.iter().map(|(key, value)| (key.to_lowercase(), value.clone().into_bytes())).collect();
    let has_body = !request.body.is_empty() || matches!(request.method, Method::Post | Method::Put | Method::Patch);
    if has_body && !list.iter().any(|(key, _)| key == "content-length") {
        list.push(("content-length".to_owned(), request.body.len().to_string().into_bytes()));
    }
    Fields::from_list(&list).map_err(|_| Failure::settings("a header that cannot be sent"))
}

const fn method(method: Method) -> WasiMethod {
    match method {
        Method::Get => WasiMethod::Get,
        Method::Head => WasiMethod::Head,
        Method::Post => WasiMethod::Post,
        Method::Put => WasiMethod::Put,
        Method::Patch => WasiMethod::Patch,
        Method::Delete => WasiMethod::Delete,
    }
}

/// Writes the body. A server may answer before it has read all of it, so what goes wrong here is left to the answer.
fn write(body: OutgoingBody, bytes: &[u8]) {
    if let Ok(stream) = body.write() {
        for part in bytes.chunks(4096) {
            if stream.blocking_write_and_flush(part).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

fn answer(future: &FutureIncomingResponse, name: &str, clock: &Clock) -> Result<IncomingResponse, Failure> {
    let event = future.subscribe();
    loop {
        match future.get() {
            Some(Ok(Ok(response))) => return Ok(response),
            Some(Ok(Err(code))) => return Err(failure(&code, name)),
            Some(Err(())) => return Err(Failure::other("the host gave the answer twice")),
            None => clock.wait(&event)?,
        }
    }
}

/// Reads the body, to its end or to the limit.
fn body(response: &IncomingResponse, limit: u64, name: &str, clock: &Clock) -> Result<Vec<u8>, Failure> {
    let incoming: IncomingBody = response.consume().map_err(|()| Failure::other("the host gave no body to read"))?;
    let stream = incoming.stream().map_err(|()| Failure::other("the host gave no body to read"))?;
    let event = stream.subscribe();
    let mut bytes = Vec::new();
    loop {
        match stream.read(64 << 10) {
            Ok(part) if part.is_empty() => clock.wait(&event)?,
            Ok(part) => bytes.extend_from_slice(&part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                let unknown = || Failure::unavailable("the answer broke off");
                return Err(http_error_code(&error).map_or_else(unknown, |code| failure(&code, name)));
            }
        }
        if bytes.len() as u64 > limit {
            return Err(Failure::other(format!("the answer is larger than {}", crate::units::Bytes(limit))));
        }
    }
}

fn failure(code: &ErrorCode, name: &str) -> Failure {
    match code {
        ErrorCode::HttpRequestDenied => Failure::denied(format!(
            "refused by the host; a step that may do it has \"{name}\" in allow.http, and the log of the run says which line"
        )),
        ErrorCode::DestinationIpProhibited => Failure::denied(
            "refused by the host: a name never grants a private address; the peer or the rule needs `addresses`",
        ),
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Failure::timed_out(words(code)),
        ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTerminated
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::HttpResponseIncomplete => Failure::unavailable(words(code)),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            Failure::unavailable(words(code)).retryable(false)
        }
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid | ErrorCode::HttpRequestUriTooLong => {
            Failure::settings(words(code))
        }
        // The host's own words, about a server that is away, closed the connection or speaks something else.
        ErrorCode::InternalError(Some(message)) => Failure::unavailable(message.clone()),
        _ => Failure::other(words(code)),
    }
}

/// An error code in words: `ConnectionRefused` is `connection refused`.
fn words(code: &ErrorCode) -> String {
    let debug = format!("{code:?}");
    let name = debug.trim_start_matches("ErrorCode::");
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    let mut words = String::new();
    for c in name[..end].chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words.replace("dns", "DNS").replace("tls", "TLS").replace("http", "HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    #[test]
    fn what_the_host_refuses_is_denied() {
        let denied = failure(&ErrorCode::HttpRequestDenied, "GET k8s:/version");
        assert_eq!((denied.kind, denied.retryable), (FailureKind::Denied, false));
        assert!(denied.message.contains(r#""GET k8s:/version" in allow.http"#), "{denied}");
    }

    #[test]
    fn what_may_pass_may_be_tried_again() {
        let refused = failure(&ErrorCode::ConnectionRefused, "");
        assert_eq!((refused.message.as_str(), refused.retryable), ("connection refused", true));
        let slow = failure(&ErrorCode::HttpResponseTimeout, "");
        assert_eq!((slow.kind, slow.message.as_str()), (FailureKind::TimedOut, "HTTP response timeout"));
        assert!(!failure(&ErrorCode::TlsCertificateError, "").retryable);
        let told = failure(&ErrorCode::InternalError(Some("slack: connection refused".into())), "");
        assert_eq!((told.message.as_str(), told.retryable), ("slack: connection refused", true));
    }
}
