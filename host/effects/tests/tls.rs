//! Handshakes and client certificates, against servers of our own.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/server.rs"]
mod server;

use std::{sync::Arc, time::Duration};

use certificates::{Authority, Certificate};
use http_body_util::{BodyExt as _, Empty};
use outside::{Outside, Recorded, peer};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    http::HttpTimeouts,
    session::Session,
    tls::{TlsFacts, TlsVersion},
    world::Peer,
};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use server::{Server, acceptor, response};
use tempfile::TempDir;

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

struct Place {
    authority: Authority,
    directory: TempDir,
}

fn place() -> Place {
    Place { authority: Authority::new(), directory: tempfile::tempdir().unwrap() }
}

impl Place {
    async fn serve(
        &self,
        certificate: &Certificate,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
    ) -> Server {
        Server::start_with(Some(acceptor(certificate, versions, clients)), |_, _| response("", "welcome")).await
    }

    /// A server that is as it should be.
    async fn good(&self, versions: &[&'static SupportedProtocolVersion]) -> Server {
        self.serve(&self.authority.issue(&["localhost"], false), versions, None).await
    }

    /// The server as a peer whose authority is known.
    fn peer(&self, server: &Server) -> Peer {
        let ca = Some(self.authority.write(self.directory.path()));
        Peer { ca, ..peer("api", &format!("https://localhost:{}", server.port())) }
    }
}

async fn look(peer: Peer, most: Option<TlsVersion>) -> Result<TlsFacts, EffectError> {
    let (session, _) = Outside::default().peer(peer).tls("api", &[]).session();
    session.tls_handshake("api", most).await
}

async fn get(session: &Arc<Session>) -> Result<String, EffectError> {
    let wait = Duration::from_secs(5);
    let timeouts = HttpTimeouts { connect: wait, first_byte: wait, between_bytes: wait };
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let response = session.http(http::Request::get("https://api.peer/").body(body).unwrap(), timeouts).await?;
    Ok(String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned())
}

#[tokio::test]
async fn a_trusted_server_shows_what_it_has() {
    let place = place();
    let server = place.good(BOTH).await;
    let (session, ledger) = Outside::default().peer(place.peer(&server)).tls("api", &[]).session();
    let facts = session.tls_handshake("api", None).await.unwrap();
    assert_eq!((facts.protocol_version.as_str(), &facts.verified), ("TLSv1.3", &Ok(())));
    assert!(facts.cipher.starts_with("TLS13_"), "{}", facts.cipher);
    assert!(!facts.asks_for_client_certificate);
    assert_eq!(facts.chain.len(), 1);
    let own = &facts.chain[0];
    assert_eq!((own.names.as_slice(), own.key_type.as_str()), (&["localhost".to_owned()][..], "EC P-256"));
    assert_eq!(own.not_after_unix_ms, 3_786_912_000_000);
    assert_eq!(ledger.used(), ["tls api"]);
    assert!(server.heads.lock().unwrap().is_empty(), "something was sent");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_shows_the_same_and_why() {
    let (place, other) = (place(), place());
    let issue = |names: &[&str], expired| place.authority.issue(names, expired);
    for (certificate, trusted, why) in [
        (issue(&["localhost"], true), true, "the certificate expired on 2021-01-01 00:00 UTC"),
        (issue(&["elsewhere.example"], false), true, "the certificate is for `elsewhere.example`, not for `localhost`"),
        (other.authority.issue(&["localhost"], false), true, "the certificate comes from an unknown authority"),
        (issue(&["localhost"], false), false, "the certificate comes from an unknown authority"),
    ] {
        for versions in [&[&TLS12][..], &[&TLS13]] {
            let server = place.serve(&certificate, versions, None).await;
            let peer = place.peer(&server);
            let peer = if trusted { peer } else { Peer { ca: None, ..peer } };
            let facts = look(peer, None).await.unwrap();
            assert!(facts.verified.as_ref().is_err_and(|told| told.starts_with(why)), "{:?}", facts.verified);
            assert_eq!(facts.chain.len(), 1);
        }
    }
}

#[tokio::test]
async fn the_highest_version_can_be_asked_for() {
    let place = place();
    for (versions, most, agreed) in [
        (BOTH, None, Some("TLSv1.3")),
        (BOTH, Some(TlsVersion::Tls13), Some("TLSv1.3")),
        (BOTH, Some(TlsVersion::Tls12), Some("TLSv1.2")),
        (&[&TLS12][..], None, Some("TLSv1.2")),
        (&[&TLS13], None, Some("TLSv1.3")),
        (&[&TLS13], Some(TlsVersion::Tls12), None),
    ] {
        let server = place.good(versions).await;
        match (look(place.peer(&server), most).await, agreed) {
            (Ok(facts), Some(agreed)) => {
                assert_eq!((facts.protocol_version.as_str(), facts.verified), (agreed, Ok(())));
            }
            (Err(error), None) => {
                assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Unavailable, Some("protocol_version")));
            }
            (result, agreed) => panic!("{result:?}, expected {agreed:?}"),
        }
    }
}

#[tokio::test]
async fn a_host_needs_its_rule_and_its_addresses() {
    let place = place();
    let server = place.good(BOTH).await;
    let (name, number) = (format!("localhost:{}", server.port()), format!("127.0.0.1:{}", server.port()));
    let (session, _) = Outside::default().tls(&name, &["127.0.0.0/8"]).session();
    // The same host, however it is written.
    assert!(session.tls_handshake(&name.to_uppercase(), None).await.is_ok());
    for asked in [&number, "localhost:1", "api", "https://localhost/", "2130706433:443"] {
        let error = session.tls_handshake(asked, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{asked}: {error}");
    }
    let (session, ledger) = Outside::default().tls(&name, &[]).session();
    let error = session.tls_handshake(&name, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.hint.unwrap().starts_with(&format!("allow.tls = [{{ rule = \"{name}\", addresses = [")));
    assert!(ledger.used().is_empty());

    let nowhere = Peer { addresses: Vec::new(), ..place.peer(&server) };
    let error = look(nowhere, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.hint.unwrap().starts_with("addresses = ["));
}

#[tokio::test]
async fn what_speaks_no_tls_is_told() {
    let server = Server::start(None, |_, _| response("", "")).await;
    let api = peer("api", &format!("https://localhost:{}", server.port()));
    let error = look(api, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let plain = peer("api", &format!("http://localhost:{}", server.port()));
    let error = look(plain, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}

/// A session whose peer shows the certificate `client`, with this secret as its key.
fn known(place: &Place, server: &Server, client: &Certificate, key: &str) -> (Arc<Session>, Arc<Recorded>) {
    let identity = client.write(place.directory.path());
    let api = Peer { client: Some(identity), ..place.peer(server) };
    Outside::default().peer(api).secret("key", key).tls("api", &[]).http("GET api:/").session()
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (place, clients) = (place(), Authority::new());
    let certificate = place.authority.issue(&["localhost"], false);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let server = place.serve(&certificate, versions, Some(&clients)).await;
        let us = clients.issue_client("us");
        let (session, _) = known(&place, &server, &us, &us.key);
        let facts = session.tls_handshake("api", None).await.unwrap();
        assert_eq!((facts.asks_for_client_certificate, facts.verified), (true, Ok(())));
        assert_eq!(get(&session).await.unwrap(), "welcome");
    }
}

#[tokio::test]
async fn a_client_without_certificate_is_sent_away_and_told_why() {
    let (place, clients) = (place(), Authority::new());
    let certificate = place.authority.issue(&["localhost"], false);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let server = place.serve(&certificate, versions, Some(&clients)).await;
        let stranger = Authority::new().issue_client("us");
        let (unknown, _) = known(&place, &server, &stranger, &stranger.key);
        let (nobody, _) = Outside::default().peer(place.peer(&server)).http("GET api:/").session();
        for session in [unknown, nobody] {
            let error = get(&session).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            assert!(error.message.contains("the server refused the TLS handshake"), "{error}");
            assert!(error.hint.unwrap().contains("give the peer `api` `client_cert` and `client_key`"));
        }
        assert!(server.heads.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_key_that_belongs_to_another_certificate_connects_to_nobody() {
    let (place, clients) = (place(), Authority::new());
    let server = place.serve(&place.authority.issue(&["localhost"], false), BOTH, Some(&clients)).await;
    let (us, other) = (clients.issue_client("us"), clients.issue_client("other"));
    let (session, _) = known(&place, &server, &us, &other.key);
    let error = get(&session).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains("is not the key of the certificate in"), "{error}");
    assert!(session.tls_handshake("api", None).await.is_err());
}

#[tokio::test]
async fn a_cancelled_session_shakes_no_hands() {
    let place = place();
    let server = place.good(BOTH).await;
    let (session, _) = Outside::default().peer(place.peer(&server)).tls("api", &[]).session();
    session.close().await;
    assert_eq!(session.tls_handshake("api", None).await.unwrap_err(), EffectError::cancelled());
}
