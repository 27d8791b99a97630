//! HTTP behind the fences, against servers of our own.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/server.rs"]
mod server;

use std::{
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use certificates::Authority;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use outside::{Outside, peer, proof};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    http::{BoxBody, HttpTimeouts, MOST_BODY_BYTES, MOST_REQUESTS},
    session::Session,
    world::Peer,
};
use server::{Server, Step, response, send};
use tempfile::TempDir;

const SECRET: &str = "p@ss/w0rd+hunter2";

const PATIENT: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(5),
    between_bytes: Duration::from_secs(5),
};

fn full(body: impl Into<Bytes>) -> BoxBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> BoxBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn get(url: &str) -> http::Request<BoxBody> {
    http::Request::get(url).body(empty()).unwrap()
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Result<Bytes, EffectError>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().unwrap()).into_owned()
    }

    fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }
}

async fn ask_with(
    session: &Arc<Session>,
    request: http::Request<BoxBody>,
    timeouts: HttpTimeouts,
) -> Result<Answer, EffectError> {
    let response = session.http(request, timeouts).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

async fn ask(session: &Arc<Session>, request: http::Request<BoxBody>) -> Result<Answer, EffectError> {
    ask_with(session, request, PATIENT).await
}

/// An authority on disk.
struct Trusted {
    authority: Authority,
    ca: PathBuf,
    _directory: TempDir,
}

fn trusted() -> Trusted {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    Trusted { ca: authority.write(directory.path()), authority, _directory: directory }
}

fn plain(server: &Server) -> Peer {
    peer("k8s", &format!("http://127.0.0.1:{}", server.port()))
}

async fn echo() -> Server {
    Server::start(None, |head, body| {
        let header = |name: &str| {
            head.lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .starts_with(&format!("{name}: "))
                        .then(|| line[name.len() + 2..].to_owned())
                })
                .unwrap_or_default()
        };
        let (login, token) = (header("authorization"), header("x-token"));
        let mut text = head.as_bytes().to_vec();
        text.extend_from_slice(body);
        response(&format!("x-login: {login}\r\nx-echo: {token}\r\n"), text)
    })
    .await
}

#[tokio::test]
async fn a_granted_request_goes_through() {
    let server = echo().await;
    let mut k8s = plain(&server);
    k8s.url.set_path("/prefix/");
    let (session, ledger) = Outside::default().peer(k8s).http("GET|POST k8s:/api/**").session();
    let request = http::Request::post("https://k8s.peer/api/v1?token=abc&b=c")
        .header("host", "evil.example")
        .header("connection", "upgrade, x-drop")
        .header("upgrade", "websocket")
        .header("te", "trailers")
        .header("expect", "100-continue")
        .header("transfer-encoding", "chunked")
        .header("keep-alive", "9")
        .header("proxy-authorization", "Basic x")
        .header("proxy-connection", "close")
        .header("accept-encoding", "gzip")
        .header("x-kept", "yes")
        .body(full("hello"))
        .unwrap();
    let answer = ask(&session, request).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("\r\n\r\nhello"));
    let head = server.head().to_ascii_lowercase();
    assert!(head.starts_with("post /prefix/api/v1?token=abc&b=c http/1.1\r\n"), "{head}");
    for line in [
        format!("host: 127.0.0.1:{}", server.port()),
        "accept-encoding: identity".to_owned(),
        format!("user-agent: pipe/{}", env!("CARGO_PKG_VERSION")),
        "connection: close".to_owned(),
        "x-kept: yes".to_owned(),
        "content-length: 5".to_owned(),
    ] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {head}");
    }
    for gone in ["upgrade", "te:", "expect", "transfer-encoding", "keep-alive", "proxy-", "gzip", "evil"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    assert_eq!(ledger.used(), ["http POST k8s:/api/v1?… !"]);
    assert_eq!(ledger.uses.lock().unwrap()[0].proof, proof("http", "token=abc&b=c"));
    ask(&session, get("http://k8s.peer/api/x")).await.unwrap();
    assert_eq!(ledger.used()[1], "http GET k8s:/api/x");
    assert_eq!(ledger.uses.lock().unwrap()[1].proof, None, "all of it is there to be read");
}

#[tokio::test]
async fn what_is_not_granted_is_not_sent() {
    let server = echo().await;
    let (session, ledger) = Outside::default().peer(plain(&server)).http("GET k8s:/version").session();
    for (method, url, hint) in [
        ("GET", "https://k8s.peer/secrets", Some(r#"allow.http = ["GET k8s:/version", "GET k8s:/secrets"]"#)),
        ("DELETE", "https://k8s.peer/version", Some(r#"allow.http = ["GET k8s:/version", "DELETE k8s:/version"]"#)),
        ("GET", "https://other.peer/version", Some(r#"allow.http = ["GET k8s:/version", "GET other:/version"]"#)),
        ("TRACE", "https://k8s.peer/version", None),
        ("CONNECT", "https://k8s.peer/version", None),
        ("GET", "https://k8s.peer/x/../version", None),
        ("GET", "https://k8s.peer/%2e%2e/version", None),
        ("GET", "https://user@k8s.peer/version", None),
        ("GET", "ftp://k8s.peer/version", None),
    ] {
        let request = http::Request::builder().method(method).uri(url).body(empty()).unwrap();
        let error = ask(&session, request).await.err().unwrap();
        assert_eq!((error.kind, error.hint.as_deref()), (ErrorKind::Denied, hint), "{method} {url}: {error}");
    }
    let origin = format!("http://127.0.0.1:{}/version", server.port());
    assert_eq!(ask(&session, get(&origin)).await.err().unwrap().kind, ErrorKind::Denied);
    assert_eq!(ledger.denied().len(), 10);
    assert!(ledger.used().is_empty() && server.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_never_grants_a_private_address() {
    let server = echo().await;
    let mut k8s = plain(&server);
    k8s.addresses = vec!["10.0.0.0/8".parse().unwrap()];
    let (session, ledger) = Outside::default()
        .peer(k8s)
        .http("GET k8s:/")
        .http(&format!("GET http://127.0.0.1:{}/", server.port()))
        .session();
    let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("127.0.0.1 is a loopback address"), "{error}");
    assert_eq!(error.hint.as_deref(), Some(r#"addresses = ["10.0.0.0/8", "127.0.0.1/32"]"#));
    let error = ask(&session, get(&format!("http://127.0.0.1:{}/", server.port()))).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.hint.as_deref().unwrap().contains(r#"addresses = ["127.0.0.1/32"]"#), "{error:?}");
    assert!(ledger.used().is_empty() && server.heads.lock().unwrap().is_empty());
    assert_eq!(ledger.denied().len(), 2);
}

#[tokio::test]
async fn an_origin_with_addresses_is_reached_without_any_secret() {
    let server = echo().await;
    let mut outside =
        Outside::default().secret("token", SECRET).peer(Peer { bearer: Some("token".to_owned()), ..plain(&server) });
    let rule = pipe_capability::http::HttpRule::parse(&format!("GET http://127.0.0.1:{}/", server.port())).unwrap();
    outside.grant.http.push(rule.with_addresses(vec!["127.0.0.0/8".parse().unwrap()]).unwrap());
    let (session, _) = outside.session();
    ask(&session, get(&format!("http://127.0.0.1:{}/", server.port()))).await.unwrap();
    assert!(!server.head().contains("authorization"), "{}", server.head());
}

#[tokio::test]
async fn slots_are_filled_and_masked_in_what_comes_back() {
    let trusted = trusted();
    let certificate = trusted.authority.issue(&["localhost"], false);
    let server = Server::start(Some(&certificate), |head, _| {
        let forms = [
            SECRET.to_owned(),
            base64::engine::general_purpose::STANDARD.encode(SECRET),
            base64::engine::general_purpose::STANDARD.encode(format!("x{SECRET}y")),
            hex::encode(SECRET),
            hex::encode_upper(SECRET),
            "p%40ss%2Fw0rd%2Bhunter2".to_owned(),
        ];
        let headers: String =
            forms.iter().enumerate().map(|(at, form)| format!("x-form-{at}: a {form} b\r\n")).collect();
        response(&headers, format!("{head}{}", forms.join("\n")))
    })
    .await;
    let k8s = Peer {
        bearer: Some("token".to_owned()),
        ca: Some(trusted.ca.clone()),
        ..peer("k8s", &format!("https://localhost:{}", server.port()))
    };
    let (session, ledger) = Outside::default()
        .peer(k8s)
        .secret("token", SECRET)
        .secret("other", "another-secret-value")
        .http("GET k8s:/**")
        .slot("other", "k8s", "X-Token", Some("Token {}"))
        .session();
    let request =
        http::Request::get("https://k8s.peer/x").header("authorization", "Bearer guess").header("x-token", "mine");
    let answer = ask(&session, request.body(empty()).unwrap()).await.unwrap();
    let head = server.head();
    assert!(head.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{head}");
    assert!(head.contains("x-token: Token another-secret-value\r\n"), "{head}");
    assert!(!head.contains("guess") && !head.contains("mine"), "{head}");

    assert_eq!(answer.header("x-form-0"), format!("a {} b", "*".repeat(SECRET.len())));
    for at in 0..6 {
        let value = answer.header(&format!("x-form-{at}"));
        assert!(value.starts_with("a ") && value.contains("********") && value.ends_with(" b"), "{value}");
    }
    let text = answer.text();
    assert_eq!(answer.header("content-length"), text.len().to_string());
    for leaked in [SECRET, "hunter2", "another-secret", &hex::encode("hunter2"), "aHVudGVy"] {
        assert!(!text.contains(leaked), "{leaked} in {text}");
    }
    assert_eq!(ledger.used(), ["http GET k8s:/x", "secrets token to k8s (bearer)", "secrets other to k8s"]);
    let rules: Vec<String> = ledger.uses.lock().unwrap().iter().map(|used| used.rule.clone()).collect();
    assert_eq!(rules[..2], ["GET k8s:/**", "GET k8s:/**"], "its own login is used since the peer is granted");
    assert!(rules[2].starts_with("{ name = \"other\""), "{rules:?}");
}

#[tokio::test]
async fn a_secret_in_pieces_is_masked() {
    let server = Server::start(None, |_, _| {
        let mut steps = vec![send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbefore ")];
        for byte in SECRET.bytes() {
            steps.push(send([byte]));
            steps.push(Step::Wait(Duration::from_millis(5)));
        }
        steps.push(send(" after"));
        steps
    })
    .await;
    let (session, _) = Outside::default().peer(plain(&server)).secret("token", SECRET).http("GET k8s:/").session();
    let answer = ask(&session, get("http://k8s.peer/")).await.unwrap();
    assert_eq!(answer.text(), format!("before {} after", "*".repeat(SECRET.len())));
}

#[tokio::test]
async fn passwords_and_secret_paths() {
    let server = echo().await;
    let mut basic = plain(&server);
    basic.password = Some("token".to_owned());
    basic.url.set_username("me").unwrap();
    let hook =
        Peer { secret_path: Some("path".to_owned()), ..peer("slack", &format!("http://127.0.0.1:{}", server.port())) };
    let (session, ledger) = Outside::default()
        .peer(basic)
        .peer(hook)
        .secret("token", SECRET)
        .secret("path", "services/T0123456/B0123456/secretpart")
        .http("GET k8s:/")
        .http("POST slack:/**")
        .session();
    let answer = ask(&session, get("http://k8s.peer/")).await.unwrap();
    let login = base64::engine::general_purpose::STANDARD.encode(format!("me:{SECRET}"));
    assert!(server.head().contains(&format!("authorization: Basic {login}\r\n")));
    assert!(!answer.header("x-login").contains(&login[8..20]), "{}", answer.header("x-login"));

    for (path, sent) in [
        ("/", "/services/T0123456/B0123456/secretpart"),
        ("/?a=b", "/services/T0123456/B0123456/secretpart?a=b"),
        ("/more", "/services/T0123456/B0123456/secretpart/more"),
    ] {
        let request = http::Request::post(format!("https://slack.peer{path}")).body(full("{}")).unwrap();
        let answer = ask(&session, request).await.unwrap();
        assert!(server.head().starts_with(&format!("POST {sent} HTTP/1.1\r\n")), "{}", server.head());
        assert!(!answer.text().contains("secretpart"), "{}", answer.text());
    }
    let used = ledger.used();
    assert_eq!(used[..2], ["http GET k8s:/", "secrets token to k8s (password)"]);
    assert_eq!(used[2..4], ["http POST slack:/ !", "secrets path to slack (secret_path)"]);
    assert!(!format!("{:?}", ledger.used()).contains("secretpart"));
}

#[tokio::test]
async fn no_secret_leaves_in_the_clear() {
    // No public host answers here: the refusal comes before any connection.
    let peer = Peer { bearer: Some("token".to_owned()), ..peer("k8s", "http://93.184.216.34") };
    let (session, ledger) = Outside::default().peer(peer).secret("token", SECRET).http("GET k8s:/").session();
    let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("in the clear"), "{error}");
    assert_eq!(ledger.denied()[0].subject, "token to k8s");
    assert!(ledger.used().is_empty());
}

#[tokio::test]
async fn secrets_that_do_not_fit_are_told_without_their_value() {
    let server = echo().await;
    for (value, hook) in [("line one\nline two", false), ("https://hooks.example/x y", true)] {
        let mut k8s = plain(&server);
        if hook {
            k8s.secret_path = Some("token".to_owned());
        } else {
            k8s.bearer = Some("token".to_owned());
        }
        let (session, _) = Outside::default().peer(k8s).secret("token", value).http("GET k8s:/").session();
        let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains("`token`") && !error.message.contains(&value[..8]), "{error}");
    }
    let unknown = Peer { bearer: Some("missing".to_owned()), ..plain(&server) };
    let (session, _) = Outside::default().peer(unknown).http("GET k8s:/").session();
    assert_eq!(ask(&session, get("http://k8s.peer/")).await.err().unwrap().kind, ErrorKind::Invalid);
    assert!(server.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_is_the_guests_to_follow() {
    let server = Server::start(None, |_, _| {
        vec![send(format!(
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/?{SECRET}\r\ncontent-length: 0\r\n\r\n"
        ))]
    })
    .await;
    let (session, _) = Outside::default().peer(plain(&server)).secret("token", SECRET).http("GET k8s:/").session();
    let answer = ask(&session, get("http://k8s.peer/")).await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), format!("http://169.254.169.254/?{}", "*".repeat(SECRET.len())));
    assert_eq!(server.heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_compressed_answer_to_a_secret_is_refused() {
    let server = Server::start(None, |_, _| response("content-encoding: gzip\r\n", "xxxx")).await;
    let with = Peer { bearer: Some("token".to_owned()), ..plain(&server) };
    let (session, _) = Outside::default().peer(with).secret("token", SECRET).http("GET k8s:/").session();
    assert_eq!(ask(&session, get("http://k8s.peer/")).await.err().unwrap().kind, ErrorKind::Failed);
    let (session, _) = Outside::default().peer(plain(&server)).http("GET k8s:/").session();
    assert_eq!(ask(&session, get("http://k8s.peer/")).await.unwrap().text(), "xxxx");
}

#[tokio::test]
async fn certificates_are_checked() {
    let (trusted, other) = (trusted(), trusted());
    for (names, expired, ca, message) in [
        (["localhost"], true, Some(&trusted.ca), "the certificate expired on 2021-01-01"),
        (
            ["elsewhere.example"],
            false,
            Some(&trusted.ca),
            "the certificate is for `elsewhere.example`, not for `localhost`",
        ),
        (["localhost"], false, Some(&other.ca), "the certificate comes from an unknown authority"),
        (["localhost"], false, None, "the certificate comes from an unknown authority"),
    ] {
        let certificate = trusted.authority.issue(&names, expired);
        let server = Server::start(Some(&certificate), |_, _| response("", "")).await;
        let k8s = Peer { ca: ca.cloned(), ..peer("k8s", &format!("https://localhost:{}", server.port())) };
        let (session, _) = Outside::default().peer(k8s).http("GET k8s:/").session();
        let error = ask(&session, get("https://k8s.peer/")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.starts_with(&format!("k8s (localhost:{}): {message}", server.port())), "{error}");
        assert!(error.hint.is_some());
        assert!(server.heads.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn files_of_authorities_are_bounded_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let (large, none) = (directory.path().join("large.pem"), directory.path().join("none.pem"));
    std::fs::write(&large, vec![b'x'; 2 << 20]).unwrap();
    std::fs::write(&none, "not a certificate").unwrap();
    for (file, what) in [
        (large, "larger than"),
        (none, "no certificate"),
        (directory.path().join("missing.pem"), "No such file"),
        (PathBuf::from("/dev/zero"), "not a file"),
    ] {
        let k8s = Peer { ca: Some(file), ..peer("k8s", "https://127.0.0.1:1") };
        let (session, _) = Outside::default().peer(k8s).http("GET k8s:/").session();
        let error = ask(&session, get("https://k8s.peer/")).await.err().unwrap();
        assert!(error.message.contains(what), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_or_http_is_told() {
    let server = Server::start(None, |_, _| vec![send("SSH-2.0-OpenSSH_9.2\r\n")]).await;
    let (session, _) = Outside::default().peer(plain(&server)).http("GET k8s:/").session();
    let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
    assert!(error.message.contains("does not speak HTTP/1.1"), "{error}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    let (session, _) =
        Outside::default().peer(peer("k8s", &format!("https://127.0.0.1:{port}"))).http("GET k8s:/").session();
    let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
    assert!(error.message.contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (session, _) =
        Outside::default().peer(peer("k8s", &format!("http://127.0.0.1:{port}"))).http("GET k8s:/").session();
    let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
    assert_eq!(error.message, format!("k8s (127.0.0.1:{port}): connection refused by 127.0.0.1:{port}"));
}

#[tokio::test]
async fn servers_that_are_silent_are_left() {
    let silent = Server::start(None, |_, _| vec![Step::Hang]).await;
    let stalling =
        Server::start(None, |_, _| vec![send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"), Step::Hang]).await;
    let short = Duration::from_millis(200);
    let (session, _) = Outside::default().peer(plain(&silent)).http("GET k8s:/").session();
    let timeouts = HttpTimeouts { first_byte: short, ..PATIENT };
    let error = ask_with(&session, get("http://k8s.peer/"), timeouts).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("no answer within 200ms"), "{error}");

    let (session, _) = Outside::default().peer(plain(&stalling)).http("GET k8s:/").session();
    let timeouts = HttpTimeouts { between_bytes: short, ..PATIENT };
    let error = ask_with(&session, get("http://k8s.peer/"), timeouts).await.unwrap().body.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("stalled for 200ms"), "{error}");

    // A listener that accepts and never shakes hands.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (session, _) = Outside::default().peer(peer("k8s", &url)).http("GET k8s:/").session();
    let timeouts = HttpTimeouts { connect: short, ..PATIENT };
    let error = ask_with(&session, get("http://k8s.peer/"), timeouts).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("timed out"), "{error}");
}

#[tokio::test]
async fn a_guest_may_take_its_time() {
    let server = Server::start(None, |_, _| {
        let rest = [Step::Wait(Duration::from_millis(500)), send("half")];
        [send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")].into_iter().chain(rest).collect()
    })
    .await;
    let (session, _) = Outside::default().peer(plain(&server)).http("GET k8s:/").session();
    let timeouts = HttpTimeouts { between_bytes: Duration::from_millis(300), ..PATIENT };
    let response = session.http(get("http://k8s.peer/"), timeouts).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "halfhalf");
}

#[tokio::test]
async fn everything_is_bounded() {
    let flood = Server::start(None, |_, _| {
        vec![send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"), Step::Flood(vec![b'x'; 1 << 20])]
    })
    .await;
    let (session, _) = Outside::default().peer(plain(&flood)).http("GET|POST k8s:/").session();
    let error = ask(&session, get("http://k8s.peer/")).await.unwrap().body.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");

    for head in [format!("x-long: {}\r\n", "x".repeat(100 << 10)), "x: y\r\n".repeat(300)] {
        let server = Server::start(None, move |_, _| response(&head, "")).await;
        let (session, _) = Outside::default().peer(plain(&server)).http("GET k8s:/").session();
        let error = ask(&session, get("http://k8s.peer/")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Limit, "{error}");
    }

    let server = Server::start(None, |_, _| vec![Step::Hang]).await;
    let (session, _) = Outside::default().peer(plain(&server)).http("POST k8s:/").session();
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let pieces = (0..=MOST_BODY_BYTES >> 20).map(move |_| Ok::<_, EffectError>(http_body::Frame::data(piece.clone())));
    let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
    let error = ask(&session, http::Request::post("http://k8s.peer/").body(body).unwrap()).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");

    let mut held = Vec::new();
    let stream =
        Server::start(None, |_, _| vec![send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), Step::Hang]).await;
    let (many, _) = Outside::default().peer(plain(&stream)).http("GET k8s:/").session();
    for _ in 0..MOST_REQUESTS {
        held.push(many.http(get("http://k8s.peer/"), PATIENT).await.unwrap());
    }
    assert_eq!(many.http(get("http://k8s.peer/"), PATIENT).await.unwrap_err().kind, ErrorKind::Limit);

    let mut request = http::Request::post("http://k8s.peer/");
    for at in 0..250 {
        request = request.header(format!("x-{at}"), "y");
    }
    let error = ask(&session, request.body(empty()).unwrap()).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");
}

#[tokio::test]
async fn an_error_in_the_guests_body_comes_back_as_it_was() {
    let server = Server::start(None, |_, _| vec![Step::Hang]).await;
    let (session, _) = Outside::default().peer(plain(&server)).http("POST k8s:/").session();
    let own = EffectError::new(ErrorKind::Invalid, "the guest gave up");
    let body = StreamBody::new(futures_util::stream::iter([Err(own.clone())])).boxed_unsync();
    let error = ask(&session, http::Request::post("http://k8s.peer/").body(body).unwrap()).await.err().unwrap();
    assert_eq!(error, own);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_session_ends_its_connections() {
    let silent = Server::start(None, |_, _| vec![Step::Hang]).await;
    let streaming =
        Server::start(None, |_, _| vec![send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfirst"), Step::Hang]).await;
    let second = Peer { name: "stream".to_owned(), ..plain(&streaming) };
    let (session, _) =
        Outside::default().peer(plain(&silent)).peer(second).http("GET k8s:/").http("GET stream:/").session();
    let waiting = {
        let session = Arc::clone(&session);
        tokio::spawn(async move { ask(&session, get("http://k8s.peer/")).await.map(|_| ()) })
    };
    let mut response = session.http(get("http://stream.peer/"), PATIENT).await.unwrap();
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    while silent.heads.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The response is still held: the connection ends all the same.
    tokio::time::timeout(Duration::from_secs(2), session.close()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err(), EffectError::cancelled());
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap_err(), EffectError::cancelled());
    for server in [&silent, &streaming] {
        let closed = async {
            while server.open.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(2), closed).await.unwrap();
    }
    assert_eq!(ask(&session, get("http://k8s.peer/")).await.err().unwrap(), EffectError::cancelled());
}

#[tokio::test]
async fn nothing_is_sent_that_cannot_be_written_down() {
    let server = echo().await;
    let (session, ledger) = Outside::default().peer(plain(&server)).http("POST k8s:/").session();
    *ledger.broken.lock().unwrap() = true;
    let error = ask(&session, http::Request::post("http://k8s.peer/").body(empty()).unwrap()).await.err().unwrap();
    assert!(error.message.contains("the disk is full"), "{error}");
    assert!(server.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_peer_that_is_no_http_server_is_told() {
    let (session, _) = Outside::default()
        .peer(peer("main", "postgres://u@127.0.0.1/d"))
        .http("GET main:/")
        .http("GET gone:/")
        .session();
    for (url, what) in [("http://main.peer/", "not `http` or `https`"), ("http://gone.peer/", "has no peer `gone`")] {
        let error = ask(&session, get(url)).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(what), "{error}");
    }
}

#[tokio::test]
async fn variables_are_granted_by_name() {
    let mut outside = Outside::default().secret("token", SECRET);
    outside.world.environment.insert("REGION".to_owned(), "eu".to_owned());
    outside.world.environment.insert("TOKEN".to_owned(), SECRET.to_owned());
    for name in ["REGION", "TOKEN", "UNSET"] {
        outside.grant.env.push(pipe_capability::env::EnvRule::parse(name).unwrap());
    }
    let (session, ledger) = outside.session();
    assert_eq!(session.variable("REGION").await.unwrap().as_deref(), Some("eu"));
    assert_eq!(session.variable("UNSET").await.unwrap(), None);
    assert_eq!(session.variable("TOKEN").await.unwrap().as_deref(), Some("[secret]"));
    let error = session.variable("HOME").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(error.hint.as_deref(), Some(r#"allow.env = ["REGION", "TOKEN", "UNSET", "HOME"]"#));
    assert_eq!(ledger.used(), ["env REGION", "env UNSET", "env TOKEN"]);
}
