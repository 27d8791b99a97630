//! A request that a guest wants to send.

use std::fmt;

use super::{
    encoding,
    method::Method,
    target::{self, HttpTarget, Scheme},
};
use crate::{denial::Denial, rule::RuleError, word::Word};

/// The longest URL, in bytes.
const LONGEST_URL: usize = 32 * 1024;

/// A request in its one spelling. **What was matched is what must be sent**: the effects send [`Self::path`] and
/// [`Self::query`], and not the text that the guest handed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRequest {
    method: Method,
    target: HttpTarget,
    path: String,
    query: Option<String>,
}

impl HttpRequest {
    /// Reads the request that a guest wants to send. `url` is absolute; a peer is addressed as the host `NAME.peer`.
    ///
    /// # Errors
    ///
    /// What no rule can cover: a method other than [`Method::ALL`], a scheme other than http and https, a login, an address
    /// in an odd form, a fragment, dot segments, encoded `/`, `\` and `.` even where they are encoded twice, backslashes,
    /// empty segments, spaces and control characters, bytes that are not UTF-8.
    pub fn parse(method: &str, url: &str) -> Result<Self, Denial> {
        let refused = |reason: String| Denial::new(Word::Http, &format!("{method} {}", without_secrets(url)), reason);
        let Some(known) = Method::named(method) else { return Err(refused(Method::refusal(method))) };
        if url.len() > LONGEST_URL {
            return Err(refused(format!("the URL is longer than {LONGEST_URL} bytes")));
        }
        let (target, path, query) = parts(url).map_err(|error| refused(error.message))?;
        Ok(Self { method: known, target, path, query })
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Where it goes.
    #[must_use]
    pub const fn target(&self) -> &HttpTarget {
        &self.target
    }

    /// The path in its one spelling. Begins with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands behind `?`, with nothing in it that a request line could not hold.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query, as they stand in a request line.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Display for HttpRequest {
    /// Without the query, which may hold anything: `GET k8s:/version`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.target, self.path)
    }
}

fn parts(url: &str) -> Result<(HttpTarget, String, Option<String>), RuleError> {
    if url.contains(char::is_control) {
        return Err(RuleError::new("a control character in the URL"));
    }
    if url.contains(' ') {
        return Err(RuleError::new("a space in the URL"));
    }
    if url.contains('#') {
        return Err(RuleError::new("a fragment is never sent"));
    }
    let (place, query) = match url.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (url, None),
    };
    if place.contains('\\') {
        return Err(RuleError::new("a backslash in the URL"));
    }
    let Some((scheme, rest)) = place.split_once("://") else {
        return Err(RuleError::new("the URL is not absolute"));
    };
    let scheme = Scheme::named(scheme).ok_or_else(|| RuleError::new("the scheme is neither http nor https"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let target = target::target(scheme, authority)?;
    let query = query.map(|query| {
        let mut spelled = String::with_capacity(query.len());
        query.chars().for_each(|c| encoding::push_query(&mut spelled, c));
        spelled
    });
    Ok((target, one_spelling(path)?, query))
}

/// The one spelling of a path. The empty one is `/`.
fn one_spelling(path: &str) -> Result<String, RuleError> {
    let mut spelled = String::with_capacity(path.len().max(1));
    let mut segments = path.strip_prefix('/').unwrap_or_default().split('/').peekable();
    while let Some(segment) = segments.next() {
        spelled.push('/');
        let start = spelled.len();
        let mut at = 0;
        while let Some(c) = segment[at..].chars().next() {
            if c == '%' {
                encoding::push_decoded(&mut spelled, &segment[at..])?;
                at += 3;
            } else {
                encoding::push(&mut spelled, c);
                at += c.len_utf8();
            }
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err(RuleError::new("the path holds an empty segment"));
        }
        encoding::check_segment(&spelled[start..]).map_err(|what| RuleError::new(format!("the path holds {what}")))?;
    }
    Ok(spelled)
}

/// A URL to be shown: without its query and its login.
fn without_secrets(url: &str) -> String {
    let place = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = place.split_once("://").map_or(("", place), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let login = if host.len() < authority.len() { "…@" } else { "" };
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{login}{host}{path}")
}

#[cfg(test)]
mod tests;
