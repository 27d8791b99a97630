//! Peers: addresses, and how far they may be trusted with what they are sent.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    path::Path,
};

use ipnet::IpNet;
use pipe_capability::address::{self, AddressRefused};
use pipe_core::diagnostic::Diagnostic;
use url::{Host, Url};

use crate::{
    document::{PeerFields, shortened},
    pipeline::{ClientIdentity, PeerKind, PeerSpec, Tls},
    place,
    reference::Template,
    report::{Report, meant},
    reveal::Sources,
    scope::{Place, Scope},
};

const SCHEMES: [&str; 6] = ["https", "http", "postgres", "sqlite", "smtp", "smtps"];

/// Reads one peer.
pub(crate) fn peer(
    scope: &Scope<'_>,
    base: &Path,
    secrets: &Sources,
    name: &str,
    (name_span, fields): &(Range<usize>, PeerFields),
) -> Option<PeerSpec> {
    let report = scope.report;
    let written = scope.fixed(&fields.url, Place::Url);
    let secret = |template: &Option<Template>| -> Option<Option<String>> {
        let Some(template) = template else { return Some(None) };
        let secret = scope.fixed(template, Place::Plain)?;
        secrets.declared(report, &secret, &template.span)?;
        Some(Some(secret))
    };
    let (password, bearer, secret_path) =
        (secret(&fields.password), secret(&fields.bearer), secret(&fields.secret_path));
    let ca = match &fields.ca {
        Some(template) => Some(place::resolve(base, &scope.fixed(template, Place::Path)?)),
        None => None,
    };
    let client = client(scope, base, fields, secret(&fields.client_key)?);
    let addresses: Vec<Option<IpNet>> = fields.addresses.iter().map(|template| net(scope, template)).collect();
    let addresses: Vec<IpNet> = addresses.into_iter().collect::<Option<_>>()?;
    let tls = match &fields.tls {
        Some(template) => Some(tls_word(scope, template)?),
        None => None,
    };
    let (url, database) = read_url(report, base, &written?, &fields.url.span)?;
    let plain = if url.scheme() == "http" { Tls::Disable } else { Tls::default() };
    let peer = PeerSpec {
        url,
        database,
        password: password?,
        bearer: bearer?,
        secret_path: secret_path?,
        tls: tls.unwrap_or(plain),
        ca,
        client: client?,
        addresses,
        span: name_span.clone(),
    };
    fits(report, &peer, fields)?;
    safe(report, name, &peer, fields).then_some(peer)
}

/// What the peer is shown: both halves, or neither. `key` is the name of the secret.
#[expect(clippy::option_option, reason = "absent and refused are two things")]
fn client(scope: &Scope<'_>, base: &Path, fields: &PeerFields, key: Option<String>) -> Option<Option<ClientIdentity>> {
    match (&fields.client_cert, &fields.client_key, key) {
        (None, None, _) => Some(None),
        (Some(certificate), _, Some(key)) => {
            let certificate = place::resolve(base, &scope.fixed(certificate, Place::Path)?);
            Some(Some(ClientIdentity { certificate, key }))
        }
        (Some(certificate), ..) => {
            let hint = "`client_key = \"NAME\"`: a secret of `[secrets]` that is its private key, as PEM";
            let message = "`client_cert` needs `client_key`";
            scope.report.advise("missing-key", message, certificate.span.clone(), hint);
            None
        }
        (None, Some(key), _) => {
            let hint = "`client_cert = \"certs/….pem\"`: the certificate that the key belongs to";
            scope.report.advise("missing-key", "`client_key` needs `client_cert`", key.span.clone(), hint);
            None
        }
    }
}

/// A network: `10.0.0.0/8`.
pub(crate) fn net(scope: &Scope<'_>, template: &Template) -> Option<IpNet> {
    let text = scope.fixed(template, Place::Plain)?;
    let net = text.parse().ok();
    if net.is_none() {
        let hint = match text.parse::<IpAddr>() {
            Ok(address) => format!("a single address is `{}`", IpNet::from(address)),
            Err(_) => "an address and the length of its prefix, as in `10.0.0.0/8`".to_owned(),
        };
        scope.report.advise(
            "bad-value",
            format!("`{}` is not a network", shortened(&text)),
            template.span.clone(),
            hint,
        );
    }
    net
}

fn tls_word(scope: &Scope<'_>, template: &Template) -> Option<Tls> {
    let word = scope.fixed(template, Place::Plain)?;
    match word.as_str() {
        "verify-full" => Some(Tls::VerifyFull),
        "disable" => Some(Tls::Disable),
        _ => {
            let message = format!("`tls` cannot be `{}`", shortened(&word));
            scope.report.unknown("bad-value", message, &word, ["verify-full", "disable"], template.span.clone());
            None
        }
    }
}

fn read_url(
    report: &Report,
    base: &Path,
    text: &str,
    span: &Range<usize>,
) -> Option<(Url, Option<std::path::PathBuf>)> {
    let wrong = |message: String, hint: &str| {
        report.advise("bad-peer", message, span.clone(), hint);
        None
    };
    let Some((scheme, rest)) = text.split_once(':') else {
        return wrong("the URL has no scheme".to_owned(), "as in `https://kube.example:6443`");
    };
    if !SCHEMES.contains(&scheme) {
        let hint = if scheme == "postgresql" { Some("write `postgres`".to_owned()) } else { meant(scheme, &SCHEMES) };
        return wrong(format!("a peer cannot be `{}`", shortened(scheme)), &hint.unwrap_or_default());
    }
    if scheme == "sqlite" {
        return sqlite(report, base, rest, span);
    }
    let url = match Url::parse(text) {
        Ok(url) if rest.starts_with("//") && url.host().is_some_and(|host| host != Host::Domain("")) => url,
        Ok(_) => return wrong("the URL names no host".to_owned(), "as in `https://kube.example:6443`"),
        Err(error) => return wrong(format!("not a URL: {error}"), "as in `https://kube.example:6443`"),
    };
    if url.password().is_some() {
        let hint =
            "declare it in `[secrets]` and write `password = \"NAME\"` beside `url`; the one in the file is known now";
        report.advise("password-in-url", "a password in the URL", span.clone(), hint);
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("the URL of a peer has no query and no fragment".to_owned(), "TLS is the peer's `tls` and `ca`");
    }
    if scheme == "postgres" {
        let database = url.path().trim_start_matches('/');
        if database.is_empty() || database.contains('/') || url.username().is_empty() {
            return wrong(
                "the URL names no user and database".to_owned(),
                "as in `postgres://user@host:5432/database`",
            );
        }
        // Clients of PostgreSQL take such a name for a whole connection string, with another server in it.
        if database.contains(['=', '%', '&', '?']) {
            return wrong(
                "the name of the database holds what a connection string would".to_owned(),
                "letters, digits, `-` and `_`",
            );
        }
    } else if !matches!(url.path(), "" | "/") {
        let hint = if scheme.starts_with("smtp") {
            "as in `smtp://user@host:587`"
        } else {
            "the path stands in the rule: `GET peer:/path`"
        };
        return wrong("the URL of a peer has no path".to_owned(), hint);
    }
    Some((url, None))
}

/// `sqlite:file`, from the directory of the pipeline file, or `sqlite:/file`.
fn sqlite(report: &Report, base: &Path, rest: &str, span: &Range<usize>) -> Option<(Url, Option<std::path::PathBuf>)> {
    let file = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => "",
        None => rest,
    };
    if file.is_empty() || file.starts_with(':') || file.contains(['?', '\0']) || file.ends_with('/') {
        report.advise(
            "bad-peer",
            "the URL names no file",
            span.clone(),
            "as in `sqlite:data/app.db` or `sqlite:/srv/app.db`",
        );
        return None;
    }
    let path = place::resolve(base, file);
    let mut url = Url::parse("sqlite:/").ok()?;
    url.set_path(&path.to_str()?.replace('%', "%25"));
    Some((url, Some(path)))
}

/// Reports keys that say nothing for this kind of peer.
fn fits(report: &Report, peer: &PeerSpec, fields: &PeerFields) -> Option<()> {
    let scheme = peer.url.scheme();
    let mut sound = Some(());
    let mut refuse = |key: &str, template: &Option<Template>, why: &str| {
        if let Some(template) = template {
            report.error("conflict", format!("`{key}` says nothing here: {why}"), template.span.clone(), "");
            sound = None;
        }
    };
    let kind = match peer.kind() {
        PeerKind::Http => None,
        PeerKind::Sql => Some("a database"),
        PeerKind::Mail => Some("a mail server"),
    };
    if let Some(kind) = kind {
        refuse("bearer", &fields.bearer, &format!("{kind} has no headers"));
        refuse("secret_path", &fields.secret_path, &format!("{kind} has no paths"));
    }
    match peer.kind() {
        PeerKind::Http if peer.url.username().is_empty() => {
            refuse("password", &fields.password, "the URL names no user; `bearer` is for tokens");
        }
        PeerKind::Mail if peer.url.username().is_empty() => {
            refuse("password", &fields.password, "the URL names no user: `smtp://user@host`");
        }
        _ => {}
    }
    if scheme == "sqlite" {
        refuse("password", &fields.password, "a file has no login");
        refuse("tls", &fields.tls, "a file is not reached over a network");
        refuse("ca", &fields.ca, "a file is not reached over a network");
        refuse("client_cert", &fields.client_cert, "a file is not reached over a network");
    }
    if scheme == "http" && peer.tls == Tls::VerifyFull {
        refuse("tls", &fields.tls, "`http` has none, `https` has");
    }
    if scheme == "https" && peer.tls == Tls::Disable {
        refuse("tls", &fields.tls, "`https` without TLS is `http`");
    }
    if scheme == "smtps" && peer.tls == Tls::Disable {
        refuse("tls", &fields.tls, "`smtps` without TLS is `smtp`");
    }
    if peer.tls == Tls::Disable {
        refuse("ca", &fields.ca, "there is no TLS");
        refuse("client_cert", &fields.client_cert, "there is no TLS");
    }
    if peer.kind() == PeerKind::Mail && peer.password.is_none() && !peer.url.username().is_empty() {
        let hint = "name the secret: `password = \"…\"`; or leave the user out, where the server asks for no login";
        report.advise("missing-key", "the URL names a user, and there is no `password`", fields.url.span.clone(), hint);
        sound = None;
    }
    sound
}

/// Whether what the peer is sent may travel as it does.
fn safe(report: &Report, name: &str, peer: &PeerSpec, fields: &PeerFields) -> bool {
    if peer.database.is_some() {
        return true;
    }
    let span = fields.url.span.clone();
    let loopback = is_loopback(&peer.url);
    if !loopback && peer.tls == Tls::Disable {
        if peer.kind() != PeerKind::Http {
            let span = fields.tls.as_ref().map_or(span, |tls| tls.span.clone());
            let message = format!("the login and the data of `{name}` would travel in the clear");
            report.advise("plaintext", message, span, "`tls = \"disable\"` is for servers on this machine");
            return false;
        }
        if peer.addresses.is_empty() {
            let message = format!("whatever goes to `{name}` would travel in the clear");
            let hint = "use `https`; or, inside a network of your own, name it: `addresses = [\"10.0.0.0/8\"]`";
            report.advise("plaintext", message, span, hint);
            return false;
        }
        if peer.password.is_some() || peer.bearer.is_some() || peer.secret_path.is_some() {
            let message = format!("the login of `{name}` would travel in the clear");
            report.advise("plaintext", message, span, "a login needs `https`");
            return false;
        }
        let message = format!("whatever goes to `{name}` travels in the clear");
        report.push(Diagnostic::warning("plaintext", message).at(report.file(), span, "").hint("use `https`"));
        return true;
    }
    if let Err(refused) = reachable(peer.url.host_str().unwrap_or_default(), &peer.addresses) {
        let hint = format!("`addresses = [\"{}\"]` beside `url`", refused.network());
        report.advise("private-address", format!("{refused}, which a name alone never grants"), span, hint);
        return false;
    }
    true
}

/// Whether a host may be reached at all, as far as its name tells: addresses and `localhost`.
pub(crate) fn reachable(host: &str, allowed: &[IpNet]) -> Result<(), AddressRefused> {
    if host == "localhost" {
        let [v4, v6] = LOCALHOST.map(|address| address::check(address, allowed));
        return v4.or_else(|refused| v6.map_err(|_| refused));
    }
    literal(host).map_or(Ok(()), |address| address::check(address, allowed))
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || literal(host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// What `localhost` leads to.
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The address that a host is. The URL of a database is not taken apart that far by its parser.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
