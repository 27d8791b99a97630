//! Requests: other hosts, methods and paths; secrets on the way; and no other way to where a request may go.

use crate::{Behaviour, Scene, servers::Server};

/// A request to a peer that is there.
fn request(server: &Server, method: &str, path: &str) -> Scene {
    Scene::new(Behaviour::Request)
        .head(&server.peer("records"))
        .with("peer", "records")
        .with("method", method)
        .with("path", path)
}

#[test]
pub(crate) fn a_host_that_is_not_granted_is_not_asked() {
    let server = Server::start();
    let both = request(&server, "GET", "/patients/7").refused_until(r#"allow.http = ["GET records:/patients/7"]"#);
    assert!(both.granted.observed().starts_with("200"));
    assert_eq!(server.heads().len(), 1, "the refused request was sent");
}

#[test]
pub(crate) fn another_host_is_not_asked() {
    let (server, other) = (Server::start(), Server::start());
    let scene = request(&server, "GET", "/").head(&other.peer("other")).allow(r#"allow.http = ["GET other:/**"]"#);
    scene.refused_until(r#"allow.http = ["GET other:/**", "GET records:/"]"#);
    assert!(other.heads().is_empty());
}

#[test]
pub(crate) fn another_method_is_refused() {
    let server = Server::start();
    let scene = request(&server, "DELETE", "/patients/7").allow(r#"allow.http = ["GET records:/**"]"#);
    scene.refused_until(r#"allow.http = ["GET records:/**", "DELETE records:/patients/7"]"#);
    assert!(server.heads()[0].starts_with("delete /patients/7 "));
    assert_eq!(server.heads().len(), 1);
}

#[test]
pub(crate) fn another_path_is_refused() {
    let server = Server::start();
    let scene = request(&server, "GET", "/admin").allow(r#"allow.http = ["GET records:/patients/*"]"#);
    scene.refused_until(r#"allow.http = ["GET records:/patients/*", "GET records:/admin"]"#);
}

#[test]
pub(crate) fn a_path_that_climbs_or_hides_is_refused_for_ever() {
    let server = Server::start();
    for path in ["/patients/../admin", "/patients/%2e%2e/admin", "/patients/..%2fadmin", "/patients%5c..%5cadmin"] {
        let scene = request(&server, "GET", path).allow(r#"allow.http = ["GET records:/patients/**"]"#);
        scene.run().refused_for_ever();
    }
    assert!(server.heads().is_empty(), "{:?}", server.heads());
}

#[test]
pub(crate) fn a_private_address_is_not_asked_by_its_number() {
    let server = Server::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let scene = Scene::new(Behaviour::Request).with("method", "GET").with("path", &url);
    scene.run().fails("denied", "");
    assert!(server.heads().is_empty());
}

#[test]
pub(crate) fn a_secret_goes_only_where_a_slot_says_and_never_to_the_guest() {
    let server = Server::start();
    let scene = request(&server, "GET", "/")
        .head("[secrets]\nlogin.env = \"LOGIN\"")
        .variable("LOGIN", "correct-horse-battery")
        .allow(r#"allow.http = ["GET records:/"]"#);
    let without = scene.run();
    assert_eq!(without.observed(), "200 login ", "{}", without.ended);
    let slot = r#"allow.secrets = [{ name = "login", to = "records", header = "X-Login" }]"#;
    let with = scene.allow(slot).run();
    assert_eq!(with.ended.code, 0, "{}", with.ended);
    let heads = server.heads();
    assert!(!heads[0].contains("x-login"));
    assert!(heads[1].contains("x-login: correct-horse-battery"), "{heads:?}");
    let journal: String = with.events.iter().map(ToString::to_string).collect();
    assert!(!with.observed().contains("horse"), "{}", with.observed());
    assert!(!journal.contains("correct-horse-battery") && !with.ended.stderr.contains("correct-horse-battery"));
}

#[test]
pub(crate) fn a_grant_for_requests_is_none_for_connections() {
    let server = Server::start();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let scene = Scene::new(Behaviour::Connect).with("name", &format!("{host}:{}", server.port));
        let seen = scene.head(&server.peer("records")).allow(r#"allow.http = ["* records:/**"]"#).run();
        seen.fails("denied", "not granted");
        assert_eq!(seen.refusals().next().unwrap()["reason"], "the step has no `allow.tcp`");
    }
    assert!(server.heads().is_empty());
}

#[test]
fn an_odd_spelling_of_an_address_is_not_asked() {
    let server = Server::start();
    let rule = |host: &str, network: &str| {
        format!("{{ rule = \"GET http://{host}:{}/\", addresses = [{network}] }}", server.port)
    };
    let (number, name) = ("\"127.0.0.0/8\"", "\"127.0.0.0/8\", \"::1/128\"");
    let granted = format!("allow.http = [{}, {}]", rule("127.0.0.1", number), rule("localhost", name));
    let ask = |host: &str| {
        let url = format!("http://{host}:{}/", server.port);
        Scene::new(Behaviour::Request).with("method", "GET").with("path", &url).allow(&granted).run()
    };
    for host in [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "user@localhost",
        "localhost%2e",
        "%6cocalhost",
    ] {
        let seen = ask(host);
        assert_ne!(seen.ended.code, 0, "{host}: {}", seen.ended);
        assert!(server.heads().is_empty(), "{host}: {:?}", server.heads());
    }
    assert_eq!(ask("127.0.0.1").ended.code, 0);
    assert_eq!(server.heads().len(), 1);
}

#[test]
fn a_granted_name_that_leads_to_a_private_address_needs_it_written() {
    let server = Server::start();
    let rule = format!("GET http://localhost:{}/", server.port);
    let url = format!("http://localhost:{}/", server.port);
    let scene = Scene::new(Behaviour::Request).with("method", "GET").with("path", &url);
    let ended = scene.allow(&format!("allow.http = [\"{rule}\"]")).refused_at_start();
    assert!(ended.stderr.contains("which a name alone never grants"), "{ended}");
    assert!(ended.stderr.contains("addresses = ["), "{ended}");
    assert!(server.heads().is_empty());
}

#[test]
fn a_slot_of_another_peer_fills_nothing() {
    let (server, other) = (Server::start(), Server::start());
    let seen = request(&server, "GET", "/")
        .head(&other.peer("other"))
        .head("[secrets]\nlogin.env = \"LOGIN\"")
        .variable("LOGIN", "correct-horse-battery")
        .allow(r#"allow.http = ["GET records:/"]"#)
        .allow(r#"allow.secrets = [{ name = "login", to = "other", header = "X-Login" }]"#)
        .run();
    assert_eq!(seen.observed(), "200 login ", "{}", seen.ended);
    assert!(!server.heads()[0].contains("x-login") && other.heads().is_empty());
}
