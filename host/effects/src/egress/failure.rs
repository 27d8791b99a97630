//! What went wrong on the way, in words for a tired operator: what, where, and what to look at.

use std::{io, net::SocketAddr, time::Duration};

use super::Endpoint;
use crate::error::{EffectError, ErrorKind};

fn unavailable(endpoint: &Endpoint, what: impl std::fmt::Display) -> EffectError {
    EffectError::new(ErrorKind::Unavailable, format!("{endpoint}: {what}"))
}

/// Where the address comes from: the peer's line, or the request itself.
fn origin(endpoint: &Endpoint) -> String {
    match &endpoint.peer {
        Some(peer) => format!("the `url` of the peer `{peer}`"),
        None => "the URL".to_owned(),
    }
}

/// The resolver said no.
pub(crate) fn not_found(endpoint: &Endpoint, error: &io::Error) -> EffectError {
    let host = &endpoint.host;
    let message = error.to_string();
    // getaddrinfo has no error kinds; it distinguishes in words.
    if message.contains("Temporary failure") || message.contains("try again") {
        return unavailable(endpoint, format_args!("the name server does not answer for `{host}`"))
            .with_hint("is the network up on this machine? see /etc/resolv.conf");
    }
    unavailable(endpoint, format_args!("the name `{host}` was not found"))
        .with_hint(format!("check {} and the name servers of this machine", origin(endpoint)))
}

/// The resolver said nothing.
pub(crate) fn lookup_timed_out(endpoint: &Endpoint, limit: Duration) -> EffectError {
    let (host, limit) = (&endpoint.host, shown(limit));
    unavailable(endpoint, format_args!("the name server gave no address of `{host}` within {limit}"))
        .with_hint("is the network up on this machine? see /etc/resolv.conf")
}

/// The name exists and has no address.
pub(crate) fn no_address(endpoint: &Endpoint) -> EffectError {
    unavailable(endpoint, format_args!("the name `{}` has no address", endpoint.host))
}

/// The connection was not made.
pub(crate) fn connect(endpoint: &Endpoint, address: SocketAddr, error: &io::Error) -> EffectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => unavailable(endpoint, format_args!("connection refused by {address}"))
            .with_hint(format!("does the server run, and does it listen on port {}?", endpoint.port)),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            unavailable(endpoint, format_args!("no route to {address}")).with_hint("is a VPN or a firewall in between?")
        }
        io::ErrorKind::TimedOut => unavailable(endpoint, format_args!("timed out while connecting to {address}")),
        _ => unavailable(endpoint, format_args!("cannot connect to {address}: {error}")),
    }
}

/// Nobody answered in time.
pub(crate) fn connect_timed_out(endpoint: &Endpoint, limit: Duration) -> EffectError {
    unavailable(endpoint, format_args!("timed out: no connection within {}", shown(limit)))
        .with_hint("a firewall that drops packets looks like this, and so does a host that is down")
}

/// `1.5s`, `300ms`
pub(crate) fn shown(limit: Duration) -> String {
    format!("{limit:?}")
}

/// The TLS handshake failed. `host` is the name that the certificate was checked against.
pub(crate) fn tls(endpoint: &Endpoint, error: &io::Error) -> EffectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(wrong)) => certificate(endpoint, wrong),
        Some(rustls::Error::AlertReceived(alert)) => alerted(endpoint, *alert),
        Some(rustls::Error::InvalidMessage(_)) => unavailable(endpoint, "what answers there does not speak TLS")
            .with_hint(format!("is the port right in {}, and is it not plain `http`?", origin(endpoint))),
        Some(other) => unavailable(endpoint, format_args!("the TLS handshake failed: {other}")),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            unavailable(endpoint, "the server closed the connection during the TLS handshake")
        }
        None => unavailable(endpoint, format_args!("the TLS handshake failed: {error}")),
    }
}

/// The server ended the handshake, or what came right after it.
pub(crate) fn alerted(endpoint: &Endpoint, alert: rustls::AlertDescription) -> EffectError {
    use rustls::AlertDescription as Alert;
    let about_the_client = matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    );
    let hint = match &endpoint.peer {
        Some(peer) if about_the_client => format!(
            "the server wants a client certificate that it trusts: give the peer `{peer}` `client_cert` and `client_key`"
        ),
        None if about_the_client => {
            "the server wants a client certificate: make it a peer with `client_cert` and `client_key`".to_owned()
        }
        _ => {
            "the server and `pipe` have no TLS version or cipher in common, the server knows no such name, or it wants a \
              client certificate"
            .to_owned()
        }
    };
    let mut error = unavailable(endpoint, format_args!("the server refused the TLS handshake ({alert:?})"));
    error.code = Some(alert_name(alert));
    error.with_hint(hint)
}

/// `protocol_version`, as in RFC 8446.
fn alert_name(alert: rustls::AlertDescription) -> String {
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && name.ends_with(|before: char| before.is_ascii_lowercase()) {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// Why what a server shows is not to be trusted, in words.
pub(crate) fn distrust(endpoint: &Endpoint, error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(wrong) => {
            let message = certificate(endpoint, wrong).message;
            message.strip_prefix(&format!("{endpoint}: ")).unwrap_or(&message).to_owned()
        }
        rustls::Error::General(what) => what.clone(),
        other => other.to_string(),
    }
}

/// Nobody finished the handshake in time.
pub(crate) fn tls_timed_out(endpoint: &Endpoint, limit: Duration) -> EffectError {
    unavailable(endpoint, format_args!("timed out: no TLS handshake within {}", shown(limit)))
        .with_hint("does the server speak TLS on this port?")
}

fn certificate(endpoint: &Endpoint, error: &rustls::CertificateError) -> EffectError {
    use rustls::CertificateError as Wrong;
    let host = &endpoint.host;
    match error {
        Wrong::ExpiredContext { not_after, .. } => {
            unavailable(endpoint, format_args!("the certificate expired on {}", date(not_after.as_secs())))
                .with_hint("renew the server's certificate")
        }
        Wrong::Expired => {
            unavailable(endpoint, "the certificate has expired").with_hint("renew the server's certificate")
        }
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
            unavailable(endpoint, "the certificate is not valid yet").with_hint("is the clock of this machine right?")
        }
        Wrong::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names =
                presented.iter().take(5).map(|name| format!("`{}`", plain(name))).collect::<Vec<_>>().join(", ");
            unavailable(endpoint, format_args!("the certificate is for {names}, not for `{host}`"))
                .with_hint(format!("use a name of the certificate in {}", origin(endpoint)))
        }
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            unavailable(endpoint, format_args!("the certificate is not for `{host}`"))
                .with_hint(format!("use a name of the certificate in {}", origin(endpoint)))
        }
        Wrong::UnknownIssuer => {
            unavailable(endpoint, "the certificate comes from an unknown authority").with_hint(match &endpoint.peer {
                Some(peer) => {
                    format!("give the peer `{peer}` the authority's certificate: `ca = \"certs/{peer}.pem\"`")
                }
                None => "make it a peer with `ca`, or add the authority to this machine's".to_owned(),
            })
        }
        Wrong::BadSignature => {
            let what = "the certificate comes from an unknown authority: a trusted one has its name, and another key";
            unavailable(endpoint, what).with_hint("has the authority a new certificate that `ca` does not hold yet?")
        }
        Wrong::Revoked => unavailable(endpoint, "the certificate has been revoked"),
        other => unavailable(endpoint, format_args!("the certificate is not accepted: {other}")),
    }
}

fn date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown day".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// A name of a certificate, which rustls shows as `DnsName("example.com")`. Plain text of bounded length.
fn plain(text: &str) -> String {
    let inner = text.split_once('(').map_or(text, |(_, inner)| inner.trim_end_matches(')')).trim_matches('"');
    inner.chars().filter(|c| !c.is_control()).take(100).collect()
}
