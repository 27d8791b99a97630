//! Where a request goes. The host judges it; here it is only taken apart, and written for people.

use crate::Failure;

/// The URL of a path at a peer of the pipeline file.
#[must_use]
pub fn peer(name: &str, path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("https://{name}.peer{slash}{path}")
}

/// The URL that settings name: a `path` at a `peer`, or a whole `url`.
///
/// # Errors
///
/// Neither or both, a `path` beside a `url`, or a peer that is no name.
pub fn target(peer: Option<&str>, url: Option<&str>, path: Option<&str>) -> Result<String, Failure> {
    match (peer, url, path) {
        (Some(name), None, path) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.is_empty() || !name.chars().all(plain) {
                return Err(Failure::settings(format!("`{name}` is not the name of a peer")));
            }
            Ok(self::peer(name, path.unwrap_or("/")))
        }
        (None, Some(url), None) => Address::parse(url).map(|_| url.to_owned()),
        (None, Some(_), Some(_)) => Err(Failure::settings("`path` goes with `peer`; a `url` holds its own")),
        _ => Err(Failure::settings("needs either `peer` or `url`")),
    }
}

/// A URL in the parts that WASI wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address<'u> {
    pub(super) tls: bool,
    pub(super) authority: &'u str,
    pub(super) path_with_query: &'u str,
}

impl<'u> Address<'u> {
    pub(super) fn parse(url: &'u str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::settings(format!("{why}: {}", without_query(url)));
        let (tls, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(wrong("a URL begins with https:// or http://"));
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_with_query) = rest.split_at(end);
        if authority.is_empty() {
            return Err(wrong("a URL needs a host"));
        }
        if authority.contains('@') {
            return Err(Failure::settings("a URL must not hold a login; a peer of the pipeline file can"));
        }
        let path_with_query = if path_with_query.is_empty() { "/" } else { path_with_query };
        Ok(Self { tls, authority, path_with_query })
    }
}

/// A URL as the pipeline file's rules would name it, without the query: `k8s:/version`, `https://example.org/a`.
pub(super) fn shown(url: &str) -> String {
    let url = without_query(url);
    match url.split_once("://") {
        Some((_, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
            match authority.strip_suffix(".peer") {
                Some(name) => format!("{name}:{path}"),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let address = |tls, authority, path_with_query| Address { tls, authority, path_with_query };
        for (url, parts) in [
            ("https://k8s.peer/version", address(true, "k8s.peer", "/version")),
            ("http://localhost:8080", address(false, "localhost:8080", "/")),
            ("https://a/b?c=d#e", address(true, "a", "/b?c=d")),
            ("https://a", address(true, "a", "/")),
        ] {
            assert_eq!(Address::parse(url).expect(url), parts);
        }
        for wrong in ["ftp://a/", "k8s:/version", "https:///path", "https://user:word@host/"] {
            let failure = Address::parse(wrong).expect_err(wrong);
            assert!(!failure.message.contains("word"), "{failure}");
        }
    }

    #[test]
    fn settings_name_a_peer_or_a_url() {
        assert_eq!(target(Some("k8s"), None, Some("/version")).ok().as_deref(), Some("https://k8s.peer/version"));
        assert_eq!(target(None, Some("https://a/b"), None).ok().as_deref(), Some("https://a/b"));
        for (peer, url, path) in [
            (None, None, None),
            (Some("a"), Some("https://b"), None),
            (None, Some("https://b"), Some("/")),
            (Some("a/b"), None, None),
        ] {
            assert!(target(peer, url, path).is_err(), "{peer:?} {url:?} {path:?}");
        }
    }

    #[test]
    fn a_peer_is_shown_as_in_the_rules() {
        assert_eq!(peer("k8s", "version"), "https://k8s.peer/version");
        assert_eq!(shown(&peer("k8s", "/version?token=x")), "k8s:/version");
        assert_eq!(shown("https://example.org/a?b"), "https://example.org/a");
    }
}
