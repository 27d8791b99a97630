//! Checks of kind `tls` and `tcp`, and client certificates, against real servers, as the standard plugins make them.

use std::net::TcpListener;

use pipe_tests::{
    Deployment, Ended,
    tls::{Authority, Identity, TlsServer, Versions},
};

const LOOPBACK: &str = "addresses = [\"127.0.0.0/8\"]";

/// A server with its certificate from an authority that the peer `api` trusts.
struct Scene {
    authority: Authority,
    server: TlsServer,
    peer: String,
    step: String,
    variables: Vec<(&'static str, String)>,
    files: Vec<(&'static str, String)>,
}

fn scene(end: i32, versions: Versions, clients: Option<&Authority>) -> Scene {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue("localhost", end), versions, clients);
    let (peer, step) = (String::new(), String::new());
    Scene { authority, server, peer, step, variables: Vec::new(), files: Vec::new() }
}

impl Scene {
    fn with(mut self, step: &str) -> Self {
        self.step = format!("{step}\n");
        self
    }

    /// The peer shows this certificate, with this key.
    fn known_as(mut self, identity: &Identity, key: &str) -> Self {
        self.peer = "client_cert = \"us.pem\"\nclient_key = \"us\"\n[secrets]\nus.env = \"US_KEY\"\n".to_owned();
        self.files.push(("us.pem", identity.certificate.clone()));
        self.variables.push(("US_KEY", key.to_owned()));
        self
    }

    fn run(&self, stage: &str) -> Ended {
        let toml = format!(
            "name = \"checks\"\nenvironments = [\"test\"]\n\n[peers.api]\nurl = \"https://localhost:{}\"\n\
             ca = \"ca.pem\"\n{LOOPBACK}\n{}\n[[step]]\nname = \"look\"\nstage = \"{stage}\"\n{}",
            self.server.port, self.peer, self.step
        );
        let mut deployment = Deployment::new().file("pipeline.toml", &toml).file("ca.pem", &self.authority.pem);
        for (name, content) in &self.files {
            deployment = deployment.file(name, content);
        }
        for (name, value) in &self.variables {
            deployment = deployment.variable(name, value);
        }
        deployment.run(&["run", "pipeline.toml", "--env", "test"])
    }
}

#[track_caller]
fn assert_ends(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{ended}");
    assert!(ended.stderr.contains(words), "{ended}");
}

#[test]
fn a_certificate_is_looked_at_in_both_stages() {
    for stage in ["precheck", "verify"] {
        let good = scene(2090, Versions::Both, None).with(
            "allow.tls = [\"api\"]\nwith.check = [\n  { kind = \"tls\", peer = \"api\", names = [\"localhost\"] },\n  \
             { kind = \"tls\", peer = \"api\", min_version = \"1.2\", min_days = 365, name = \"a year\" },\n]",
        );
        assert_ends(&good.run(stage), 0, "TLSv1.3, valid until 2090-01-01T00:00:00Z");
        assert_eq!(good.server.handshakes(), 2);
    }
}

#[test]
fn a_certificate_that_is_not_as_expected_fails_the_step() {
    for (end, settings, code, words) in [
        (2021, "peer = \"api\"", 1, "the certificate expired on 2021-01-01 00:00 UTC; CN=localhost ends 2021-01-01"),
        (2021, "peer = \"api\", severity = \"warning\"", 0, "the certificate expired on 2021-01-01"),
        (2090, "peer = \"api\", names = [\"api.example\"]", 1, "does not cover api.example"),
        (2090, "peer = \"api\", min_days = 99999", 1, "CN=localhost ends 2090-01-01T00:00:00Z"),
        (2090, "peer = \"api\", min_version = \"1.3\"", 1, "still takes TLSv1.2"),
        (2090, "endpoint = \"localhost:PORT\"", 1, "the certificate comes from an unknown authority"),
        (2090, "endpoint = \"localhost:PORT\", trusted = false", 0, "valid until 2090"),
    ] {
        let scene = scene(end, Versions::Both, None);
        let port = scene.server.port.to_string();
        let step = format!(
            "allow.tls = [\"api\", {{ rule = \"localhost:PORT\", {LOOPBACK} }}]\n\
             with.check = [{{ kind = \"tls\", {settings} }}]"
        );
        assert_ends(&scene.with(&step.replace("PORT", &port)).run("verify"), code, words);
    }
}

#[test]
fn the_least_version_is_one_that_the_server_insists_on() {
    let step = "allow.tls = [\"api\"]\nwith.check = [{ kind = \"tls\", peer = \"api\", min_version = \"1.3\" }]";
    let new = scene(2090, Versions::New, None).with(step).run("verify");
    assert_ends(&new, 0, "TLSv1.3, valid until");
    let old = scene(2090, Versions::Old, None).with(step).run("verify");
    assert_ends(&old, 1, "speaks TLSv1.2, not TLSv1.3");
}

#[test]
fn a_server_that_is_not_granted_is_named_in_the_line_that_would_grant_it() {
    let scene = scene(2090, Versions::Both, None).with("with.check = [{ kind = \"tls\", peer = \"api\" }]");
    assert_ends(&scene.run("verify"), 4, "would allow it: allow.tls = [\"api\"]");
    assert_eq!(scene.server.handshakes(), 0);
}

#[test]
fn a_client_certificate_opens_the_door() {
    let clients = Authority::new();
    let us = clients.issue("us", 2090);
    let step = "allow.http = [\"GET api:/\"]\nallow.tls = [\"api\"]\nwith.check = [\n  \
                { kind = \"http\", peer = \"api\", body_contains = \"known\" },\n  { kind = \"tls\", peer = \"api\" },\n]";
    let scene = || scene(2090, Versions::Both, Some(&clients)).with(step);
    let ended = scene().known_as(&us, &us.key).run("verify");
    assert_ends(&ended, 0, "valid until");
    assert!(!ended.stderr.contains("PRIVATE KEY"), "{ended}");

    assert_ends(&scene().run("verify"), 1, "the server refused the TLS handshake (CertificateRequired)");
    let stranger = Authority::new().issue("us", 2090);
    assert_ends(&scene().known_as(&stranger, &stranger.key).run("verify"), 1, "the server refused the TLS handshake");
}

#[test]
fn a_client_certificate_is_held_against_its_key_before_the_first_step() {
    let clients = Authority::new();
    let (us, other) = (clients.issue("us", 2090), clients.issue("other", 2090));
    let step = "allow.tls = [\"api\"]\nwith.check = [{ kind = \"tls\", peer = \"api\" }]";
    for (key, words) in [
        (other.key.as_str(), "the secret `us` is not the key of the certificate in"),
        ("no key at all", "the secret `us` is not a private key in PEM"),
    ] {
        let scene = scene(2090, Versions::Both, Some(&clients)).with(step).known_as(&us, key);
        let ended = scene.run("verify");
        assert_ends(&ended, 3, words);
        assert!(ended.stderr.contains("the client certificate of the peer `api`"), "{ended}");
        assert_eq!(scene.server.handshakes(), 0);
    }
}

#[test]
fn a_port_takes_connections_or_the_check_says_why_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let check = |host: &str, port: u16, allow: &str| {
        let step =
            format!("{allow}\nwith.check = [{{ kind = \"tcp\", host = \"{host}\", port = {port}, timeout = \"3s\" }}]");
        scene(2090, Versions::Both, None).with(&step).run("precheck")
    };
    let rule = |host: &str, port: u16| format!("{{ rule = \"{host}:{port}\", {LOOPBACK} }}");
    let allow = |host: &str, port: u16| format!("allow.tcp = [{}]", rule(host, port));
    assert_ends(
        &check("localhost", open, &allow("localhost", open)),
        0,
        &format!("127.0.0.1:{open} takes connections"),
    );
    assert_ends(&check("127.0.0.1", open, &allow("127.0.0.1", open)), 0, "takes connections");
    let words = format!("localhost:{closed}: connection refused by 127.0.0.1:{closed}");
    assert_ends(&check("localhost", closed, &allow("localhost", closed)), 1, &words);
    assert_ends(&check("localhost", open, ""), 4, "would allow it: allow.tcp = [\"localhost:PORT\"]");
    let line = format!(
        "would allow it: allow.tcp = [{}, {{ rule = \"localhost:{open}\", addresses = [\"127.0.0.1/32\"] }}]",
        rule("localhost", closed)
    );
    assert_ends(&check("localhost", open, &allow("localhost", closed)), 4, &line);
    let none = check("no-such-host.invalid", 1, "allow.tcp = [\"no-such-host.invalid:1\"]");
    assert_ends(&none, 1, "the name no-such-host.invalid was not found");
}
