//! The request, as it leaves: whose it is, where it goes, and what the guest may not say in it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{self, Entry},
    uri::PathAndQuery,
};
use ipnet::IpNet;
use pipe_capability::http::{HttpRequest, HttpRule, HttpTarget, Scheme};

use super::secrets::Filled;
use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
    tls::Trust,
    world::{Peer, World},
};

/// The most headers of a request or a response.
pub(super) const MOST_HEADERS: usize = 200;

/// The most bytes that the headers of a request or a response may have together.
pub(super) const MOST_HEADER_BYTES: usize = 64 * 1024;

/// What the host alone says. Whatever begins with `proxy-` too.
const HOSTS_OWN: [&str; 10] = [
    "accept-encoding",
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What some servers take for the method or the path.
const OVERRIDES: [&str; 8] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
];

/// Where a request goes, as the pipeline file says.
pub(super) struct Destination<'w> {
    /// Host and port.
    pub(super) endpoint: Endpoint,
    /// Whether TLS is spoken.
    pub(super) secure: bool,
    /// Whom it trusts, and who it says it is.
    pub(super) trust: Trust,
    /// Networks that the host may lie in although they are not public.
    pub(super) addresses: Vec<IpNet>,
    /// What the peer's URL puts before every path. Without a slash at its end.
    prefix: String,
    /// The peer, where it is one.
    pub(super) peer: Option<&'w Peer>,
}

impl<'w> Destination<'w> {
    pub(super) fn of(asked: &HttpRequest, rule: &HttpRule, world: &'w World) -> Result<Self, EffectError> {
        match asked.target() {
            HttpTarget::Origin { scheme, host, port } => Ok(Self {
                endpoint: Endpoint { peer: None, host: host.to_string().replace(['[', ']'], ""), port: *port },
                secure: *scheme == Scheme::Https,
                trust: Trust::default(),
                addresses: rule.addresses.clone(),
                prefix: String::new(),
                peer: None,
            }),
            HttpTarget::Peer(name) => {
                let unknown =
                    || EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no peer `{name}`"));
                let peer = world.peers.get(name).ok_or_else(unknown)?;
                let scheme = Scheme::named(peer.url.scheme()).ok_or_else(|| peer.wrong("is not `http` or `https`"))?;
                Ok(Self {
                    endpoint: peer.endpoint(scheme.default_port())?,
                    secure: scheme == Scheme::Https,
                    trust: peer.trust(),
                    addresses: peer.addresses.clone(),
                    prefix: peer.url.path().trim_end_matches('/').to_owned(),
                    peer: Some(peer),
                })
            }
        }
    }

    fn host_header(&self) -> String {
        let scheme = if self.secure { Scheme::Https } else { Scheme::Http };
        let place = self.endpoint.place();
        match place.strip_suffix(&format!(":{}", scheme.default_port())) {
            Some(host) => host.to_owned(),
            None => place,
        }
    }
}

/// The request as it leaves, but for its body. The secrets go in last.
pub(super) fn request(
    asked: &HttpRequest,
    destination: &Destination<'_>,
    headers: HeaderMap,
    secrets: &Filled<'_>,
) -> Result<Request<()>, EffectError> {
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_11;
    *request.method_mut() = asked.method().as_str().parse().map_err(|_| invalid("the method is none"))?;
    *request.uri_mut() = uri(asked, destination, secrets)?;
    let headers_out = request.headers_mut();
    *headers_out = allowed(headers)?;
    let host =
        HeaderValue::try_from(destination.host_header()).map_err(|_| invalid("the host cannot stand in a header"))?;
    headers_out.insert(header::HOST, host);
    headers_out.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers_out.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Entry::Vacant(vacant) = headers_out.entry(header::USER_AGENT) {
        vacant.insert(HeaderValue::from_static(concat!("pipe/", env!("CARGO_PKG_VERSION"))));
    }
    // Piece by piece, a secret that is echoed would not be recognised.
    if !secrets.is_empty() && [header::RANGE, header::IF_RANGE].iter().any(|name| headers_out.contains_key(name)) {
        let what = "a response to a request with a secret is not read in pieces (`range`)";
        return Err(EffectError::new(ErrorKind::Denied, what).with_hint("ask for all of it"));
    }
    for (name, value) in secrets.headers() {
        headers_out.insert(name, value.clone());
    }
    Ok(request)
}

fn uri(asked: &HttpRequest, destination: &Destination<'_>, secrets: &Filled<'_>) -> Result<Uri, EffectError> {
    let mut path = destination.prefix.clone();
    let rest = asked.path_and_query();
    match secrets.path() {
        // `/` means the secret path itself: it may name one resource and not a directory.
        Some(secret) => {
            path.push_str(secret);
            path.push_str(if asked.path() == "/" { rest.trim_start_matches('/') } else { &rest });
        }
        None => path.push_str(&rest),
    }
    // The path may be a secret: nothing of it goes into the error.
    PathAndQuery::try_from(path).map(Uri::from).map_err(|_| invalid("the path or the query cannot stand in a request"))
}

/// The guest's headers without the host's own.
fn allowed(mut headers: HeaderMap) -> Result<HeaderMap, EffectError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > MOST_HEADERS - 10 || bytes > MOST_HEADER_BYTES {
        let what = format!("a request has at most {} headers of {MOST_HEADER_BYTES} bytes", MOST_HEADERS - 10);
        return Err(EffectError::new(ErrorKind::Limit, what));
    }
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_hosts_own(name)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    // A server that honours one of these would do something else than the rule allowed and the record says.
    if let Some(name) = headers.keys().find(|name| OVERRIDES.contains(&name.as_str())) {
        let what = format!("the header `{name}` can change the method or the path that was granted");
        return Err(EffectError::new(ErrorKind::Denied, what).with_hint("send the request itself, and grant that"));
    }
    Ok(headers)
}

fn is_hosts_own(name: &HeaderName) -> bool {
    name.as_str().starts_with("proxy-") || HOSTS_OWN.contains(&name.as_str())
}

fn invalid(what: &str) -> EffectError {
    EffectError::new(ErrorKind::Invalid, what)
}
