//! TLS handshakes: with whom, and what they tell.

use pipe_tests::tls::{Authority, TlsServer, Versions};

use crate::{Behaviour, Scene};

/// A server that has its certificate for `localhost` from an authority of its own.
struct Served {
    authority: Authority,
    server: TlsServer,
}

fn served(end: i32) -> Served {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue("localhost", end), Versions::Both, None);
    Served { authority, server }
}

impl Served {
    /// The peer `records`, whose authority is known.
    fn scene(&self) -> Scene {
        Scene::new(Behaviour::ShakeHands).with("name", "records").file("ca.pem", &self.authority.pem).head(&format!(
            "[peers.records]\nurl = \"https://localhost:{}\"\nca = \"ca.pem\"\naddresses = [\"127.0.0.0/8\"]",
            self.server.port
        ))
    }

    fn endpoint(&self, host: &str) -> String {
        format!("{host}:{}", self.server.port)
    }
}

#[test]
pub(crate) fn a_peer_shows_what_it_has_where_that_is_granted() {
    let served = served(2090);
    let both = served.scene().refused_until(r#"allow.tls = ["records"]"#);
    assert_eq!(both.granted.observed(), "TLSv1.3 CN=localhost verified");
    let used = both.granted.of("used").next().unwrap();
    assert_eq!((&used["use"]["word"], &used["use"]["subject"]), (&"tls".into(), &"records".into()));
    assert_eq!(both.refused.of("used").count(), 0);
    assert_eq!(served.server.handshakes(), 1, "the refused handshake was made");
}

#[test]
pub(crate) fn a_server_that_nobody_trusts_still_shows_what_it_has() {
    for (end, why) in [(2090, "the certificate comes from an unknown authority"), (2021, "the certificate expired on")]
    {
        let served = served(end);
        let line =
            format!("allow.tls = [{{ rule = \"{}\", addresses = [\"127.0.0.0/8\"] }}]", served.endpoint("localhost"));
        let asked = served.endpoint("LOCALHOST.");
        let scene = if end == 2021 {
            served.scene().allow(r#"allow.tls = ["records"]"#)
        } else {
            Scene::new(Behaviour::ShakeHands).with("name", &asked).allow(&line)
        };
        let seen = scene.run();
        assert!(seen.observed().starts_with(&format!("TLSv1.3 CN=localhost {why}")), "{}", seen.ended);
    }
}

#[test]
pub(crate) fn another_server_is_refused() {
    let (served, other) = (served(2090), served(2090));
    let scene = served.scene().with("text", "unused").allow(r#"allow.tls = ["records"]"#);
    assert_eq!(scene.run().ended.code, 0);
    for asked in [other.endpoint("localhost"), other.endpoint("127.0.0.1"), "reports".to_owned()] {
        let scene = Scene::new(Behaviour::ShakeHands).with("name", &asked).allow(r#"allow.tls = ["records"]"#);
        let seen = scene.file("ca.pem", &served.authority.pem).head(&format!(
            "[peers.records]\nurl = \"https://localhost:{}\"\naddresses = [\"127.0.0.0/8\"]",
            served.server.port
        ));
        seen.run().fails("denied", "no rule names");
    }
    assert_eq!(other.server.handshakes(), 0);
}

#[test]
pub(crate) fn an_odd_spelling_is_refused_for_ever() {
    for asked in
        ["2130706433:443", "127.1:443", "https://records/", "records.peer:443", "RECORDS", "[::ffff:127.0.0.1]:443"]
    {
        Scene::new(Behaviour::ShakeHands).with("name", asked).run().refused_for_ever();
    }
}

#[test]
pub(crate) fn requests_and_connections_are_no_handshakes() {
    let served = served(2090);
    let rules = format!("{{ rule = \"{}\", addresses = [\"127.0.0.0/8\"] }}", served.endpoint("localhost"));
    let scene = served.scene().allow(r#"allow.http = ["GET records:/**"]"#).allow(&format!("allow.tcp = [{rules}]"));
    scene.refused_until(r#"allow.tls = ["records"]"#);
    let scene = Scene::new(Behaviour::Request).with("peer", "records").with("method", "GET").with("path", "/");
    let scene = scene.file("ca.pem", &served.authority.pem).allow(r#"allow.tls = ["records"]"#).head(&format!(
        "[peers.records]\nurl = \"https://localhost:{}\"\nca = \"ca.pem\"\naddresses = [\"127.0.0.0/8\"]",
        served.server.port
    ));
    scene.refused_until(r#"allow.http = ["GET records:/"]"#);
}
