//! HTTP requests, one at a time. Capability: `http`.
//!
//! A peer of the pipeline file is addressed as `https://NAME.peer/path`; [`peer`] writes that. The host follows no
//! redirect for the guest, adds the peer's login, and speaks TLS.

mod address;
mod send;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

pub use address::{peer, target};

/// Largest response body that is read unless [`Request::limit`] says otherwise: 8 MiB.
pub const BODY_LIMIT: u64 = 8 << 20;

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the head only.
    Head,
    /// Sends.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A request in the making.
#[derive(Clone, Debug)]
#[must_use = "a request is sent by `send`"]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Duration,
    limit: u64,
}

impl Request {
    /// A request without headers and body, with 30 seconds for all of it.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { method, url: url.into(), headers, body, timeout: Duration::from_secs(30), limit: BODY_LIMIT }
    }

    /// `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    /// `HEAD`.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new(Method::Head, url)
    }

    /// `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::Post, url)
    }

    /// `PUT`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new(Method::Put, url)
    }

    /// `PATCH`.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new(Method::Patch, url)
    }

    /// `DELETE`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new(Method::Delete, url)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a value as JSON, and `content-type` unless it is set.
    ///
    /// # Errors
    ///
    /// A value that is not JSON.
    pub fn json<T: Serialize>(mut self, value: &T) -> Result<Self, Failure> {
        self.body =
            serde_json::to_vec(value).map_err(|error| Failure::other(format!("body of the request: {error}")))?;
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            self = self.header("content-type", "application/json");
        }
        Ok(self)
    }

    /// What the whole exchange may take, from connecting to the last byte of the body.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Largest response body, in bytes.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Sends it and reads the whole response. Any status is a response.
    ///
    /// # Errors
    ///
    /// Kind `denied` where the host refuses the request, `unavailable` or `timed-out` where nobody answers,
    /// `settings` for a URL or header that is none, `other` for the rest.
    pub fn send(self) -> Result<Response, Failure> {
        send::send(&self)
    }
}

/// A response, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `GET k8s:/version`, for messages.
    pub request: String,
    /// Status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// From the first attempt to connect to the last byte of the body.
    pub elapsed: Duration,
}

impl Response {
    /// Whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The response if its status is 200 to 299.
    ///
    /// # Errors
    ///
    /// Any other status, with the beginning of the body. Retryable for 408, 429 and 5xx.
    pub fn success(self) -> Result<Self, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let retryable = matches!(self.status, 408 | 429 | 500..=599);
        let failure = if retryable { Failure::unavailable } else { Failure::other };
        let excerpt = self.excerpt(200);
        let colon = if excerpt.is_empty() { "" } else { ": " };
        Err(failure(format!("{} answered {}{colon}{excerpt}", self.request, self.status)))
    }

    /// The first value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a value.
    ///
    /// # Errors
    ///
    /// A body that is not that JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::unmet(format!("{} answered no JSON of the expected form: {error}", self.request)))
    }

    /// The beginning of the body on one line, for messages.
    #[must_use]
    pub fn excerpt(&self, characters: usize) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(characters) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        let request = "GET k8s:/version".to_owned();
        Response { request, status, headers, body: body.into(), elapsed: Duration::ZERO }
    }

    #[test]
    fn a_status_decides_whether_it_may_be_tried_again() {
        assert!(response(204, "").success().is_ok());
        assert!(response(503, "").success().is_err_and(|failure| failure.retryable));
        let failure = response(404, "no\n such   page").success().expect_err("404");
        assert_eq!(
            (failure.message.as_str(), failure.retryable),
            ("GET k8s:/version answered 404: no such page", false)
        );
    }

    #[test]
    fn headers_have_no_case_and_excerpts_an_end() {
        assert_eq!(response(200, "").header("Content-Type"), Some("text/plain"));
        assert_eq!(response(200, "äöüäöü").excerpt(3), "äöü…");
    }
}
