//! Mail, with servers that do what they like.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/mail_server.rs"]
mod mail_server;
#[path = "support/outside.rs"]
mod outside;

use std::{sync::Arc, time::Duration};

use certificates::Authority;
use mail_server::{ACCEPTING, Script};
use outside::{Outside, Recorded, peer};
use pipe_capability::mail::{Address, MailRule, Recipient};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    mail::{LONGEST_SUBJECT, MOST_MESSAGES, MOST_RECIPIENTS, MOST_TEXT_BYTES, Message, Posted},
    session::Session,
    world::{Peer, TlsMode},
};

const PASSWORD: &str = "correct-horse-battery";

/// Base64 of `\0deploy\0correct-horse-battery`.
const LOGIN: &str = "AGRlcGxveQBjb3JyZWN0LWhvcnNlLWJhdHRlcnk=";

/// A server on this machine without TLS and login.
fn plain(port: u16) -> Peer {
    Peer { tls: TlsMode::Disable, ..peer("smtp", &format!("smtp://127.0.0.1:{port}")) }
}

/// The same with a login.
fn with_login(port: u16) -> Peer {
    let url = format!("smtp://deploy@127.0.0.1:{port}").parse().unwrap();
    Peer { url, password: Some("mailbox".to_owned()), ..plain(port) }
}

fn session(peer: Peer) -> (Arc<Session>, Arc<Recorded>) {
    let to = ["ops@hospital.example", "*@ward.example"].map(|text| Recipient::parse(text).unwrap());
    let from = Address::parse("deploy@hospital.example").unwrap();
    let mut outside = Outside::default().peer(peer).secret("mailbox", PASSWORD);
    outside.grant.mail.push(MailRule::new("smtp", from, to.to_vec()).unwrap());
    outside.session()
}

fn message() -> Message {
    Message {
        from: "deploy@hospital.example".to_owned(),
        to: vec!["ops@hospital.example".to_owned()],
        cc: vec!["night@ward.example".to_owned()],
        subject: "Deployed".to_owned(),
        text: "It is live.\n.\nBye".to_owned(),
        html: None,
    }
}

async fn sent(peer: Peer) -> Result<Posted, EffectError> {
    session(peer).0.send_mail("smtp", message()).await
}

#[tokio::test]
async fn a_message_gets_there_after_it_was_written_down() {
    let server = Script::start(ACCEPTING);
    let (session, ledger) = session(with_login(server.port));
    let posted = session.send_mail("smtp", message()).await.unwrap();
    assert_eq!(posted.answer, "250 2.0.0 Ok: queued as 12345");
    let heard = server.heard();
    assert_eq!(
        heard[..5],
        [
            "EHLO [127.0.0.1]",
            &format!("AUTH PLAIN {LOGIN}"),
            "MAIL FROM:<deploy@hospital.example>",
            "RCPT TO:<ops@hospital.example>",
            "RCPT TO:<night@ward.example>",
        ]
    );
    let letter = &heard[6];
    assert!(letter.contains(&format!("Message-ID: {}\r\n", posted.message_id)), "{letter}");
    assert!(letter.ends_with("\r\n\r\nIt is live.\r\n..\r\nBye\r\n.\r\n"), "{letter:?}");
    assert_eq!((heard[7].as_str(), heard.len()), ("QUIT", 8));
    assert_eq!(
        ledger.used(),
        [
            "mail deploy@hospital.example to ops@hospital.example, night@ward.example via smtp !",
            "secrets mailbox to smtp"
        ]
    );
}

#[tokio::test]
async fn nothing_is_sent_that_cannot_be_written_down() {
    let server = Script::start(ACCEPTING);
    let (session, ledger) = session(plain(server.port));
    *ledger.broken.lock().unwrap() = true;
    assert_eq!(session.send_mail("smtp", message()).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(server.heard(), [""; 0]);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_before_anybody_is_asked() {
    let server = Script::start(ACCEPTING);
    let (session, ledger) = session(plain(server.port));
    for (wrong, reason) in [
        (Message { from: "ceo@hospital.example".to_owned(), ..message() }, "no rule lets `ceo@hospital.example` write"),
        (Message { to: vec!["all@hospital.example".to_owned()], ..message() }, "covers `all@hospital.example`"),
        (Message { cc: vec!["x@elsewhere.example".to_owned()], ..message() }, "covers `x@elsewhere.example`"),
        (Message { cc: vec!["a@ward.example, b@evil.example".to_owned()], ..message() }, "is not the domain"),
        (Message { to: vec!["ops@hospital.example\r\nRCPT TO:<x@y>".to_owned()], ..message() }, "control characters"),
        (Message { from: "deploy@hospital.example>\r\nDATA".to_owned(), ..message() }, "control characters"),
        (Message { subject: "Hi\r\nBcc: all@hospital.example".to_owned(), ..message() }, "control characters"),
        (Message { subject: "Hi\u{85}Bcc: all@hospital.example".to_owned(), ..message() }, "control characters"),
        (Message { to: vec![], cc: vec![], ..message() }, "no recipient"),
    ] {
        let error = session.send_mail("smtp", wrong).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.message.contains(reason), "{error}");
    }
    assert_eq!((ledger.denied().len(), ledger.used().len(), server.heard().len()), (9, 0, 0));
    assert_eq!(ledger.denied().iter().filter(|refusal| refusal.hint.is_some()).count(), 3);
}

#[tokio::test]
async fn a_message_has_limits() {
    let (session, _) = session(plain(9));
    let large = || "x".repeat(MOST_TEXT_BYTES);
    for wrong in [
        Message { to: vec!["ops@hospital.example".to_owned(); MOST_RECIPIENTS], ..message() },
        Message { to: vec!["no address at all".to_owned(); 1_000_000], ..message() },
        Message { subject: "x".repeat(LONGEST_SUBJECT + 1), ..message() },
        Message { text: large() + "x", ..message() },
        Message { text: large(), html: Some("<".to_owned()), ..message() },
    ] {
        assert_eq!(session.send_mail("smtp", wrong).await.unwrap_err().kind, ErrorKind::Limit);
    }
}

#[tokio::test]
async fn a_call_sends_so_many_and_no_more() {
    let (session, _) = session(plain(closed_port()));
    for _ in 0..MOST_MESSAGES {
        assert_eq!(session.send_mail("smtp", message()).await.unwrap_err().kind, ErrorKind::Unavailable);
    }
    assert_eq!(session.send_mail("smtp", message()).await.unwrap_err().kind, ErrorKind::Limit);
}

fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn the_address_of_the_server_is_checked() {
    let private = Peer { addresses: vec![], ..plain(25) };
    let error = sent(private).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(error.hint.as_deref(), Some(r#"addresses = ["127.0.0.1/32"]"#));
}

#[tokio::test]
async fn a_password_never_travels_in_the_clear() {
    let url = "smtp://deploy@192.0.2.1:587".parse().unwrap();
    let elsewhere = Peer { url, addresses: vec!["192.0.2.0/24".parse().unwrap()], ..with_login(25) };
    let (session, ledger) = session(elsewhere);
    let error = session.send_mail("smtp", message()).await.unwrap_err();
    assert!(error.kind == ErrorKind::Denied && error.message.contains("in the clear"), "{error}");
    assert_eq!(ledger.used(), [""; 0]);
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing() {
    let server = Script::start(ACCEPTING);
    let secured = Peer { tls: TlsMode::VerifyFull, ..with_login(server.port) };
    let error = sent(secured).await.unwrap_err();
    assert!(error.kind == ErrorKind::Failed && error.message.contains("no STARTTLS"), "{error}");
    assert_eq!(server.heard(), ["EHLO [127.0.0.1]", "QUIT"]);
}

#[tokio::test]
async fn what_is_said_between_starttls_and_tls_counts_for_nothing() {
    let server = Script::start(&[
        ("", "220 mail.example\r\n"),
        ("EHLO", "250-mail.example\r\n250 STARTTLS\r\n"),
        ("STARTTLS", "220 go on\r\n250-mail.example\r\n250 AUTH PLAIN\r\n"),
    ]);
    let error = sent(Peer { tls: TlsMode::VerifyFull, ..with_login(server.port) }).await.unwrap_err();
    assert!(error.kind == ErrorKind::Failed && error.message.contains("between STARTTLS and TLS"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_the_one_gets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (Authority::new(), Authority::new());
    let ca = right.write(directory.path());
    for (certificate, what) in [
        (wrong.issue(&["localhost"], false), "unknown authority"),
        (right.issue(&["mail.example"], false), "the certificate is for `mail.example`"),
        (right.issue(&["localhost"], true), "expired"),
    ] {
        for scheme in ["smtp", "smtps"] {
            let server = Script::secured(&certificate, scheme == "smtp", ACCEPTING);
            let url = format!("{scheme}://deploy@localhost:{}", server.port).parse().unwrap();
            let secured = Peer { url, tls: TlsMode::VerifyFull, ca: Some(ca.clone()), ..with_login(server.port) };
            let error = sent(secured).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            assert!(error.message.contains(what), "{error}");
            assert!(server.heard().iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"));
        }
    }
    for scheme in ["smtp", "smtps"] {
        let server = Script::secured(&right.issue(&["localhost"], false), scheme == "smtp", ACCEPTING);
        let url = format!("{scheme}://deploy@localhost:{}", server.port).parse().unwrap();
        let secured = Peer { url, tls: TlsMode::VerifyFull, ca: Some(ca.clone()), ..with_login(server.port) };
        sent(secured).await.unwrap();
        assert!(server.heard().contains(&format!("AUTH PLAIN {LOGIN}")), "{scheme}");
    }
}

#[tokio::test]
async fn another_way_to_log_in_is_taken_where_it_is_the_only_one() {
    let server = Script::start(&[
        ("", "220 mail.example\r\n"),
        ("EHLO", "250-mail.example\r\n250 AUTH LOGIN\r\n"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
        ("ZGVwbG95", "334 UGFzc3dvcmQ6\r\n"),
        ("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "535 no\r\n"),
    ]);
    let error = sent(with_login(server.port)).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Failed, Some("535")));
    let server = Script::start(&[("", "220 mail.example\r\n"), ("EHLO", "250-mail.example\r\n250 AUTH CRAM-MD5\r\n")]);
    let error = sent(with_login(server.port)).await.unwrap_err();
    assert!(error.kind == ErrorKind::Failed && error.message.contains("no login with a password"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_without_the_password_that_is_in_it() {
    let echo = format!("535 5.7.8 {LOGIN} is {PASSWORD}\u{1b}[2J\r\n");
    let server = Script::start(&[
        ("", "220 mail.example\r\n"),
        ("EHLO", "250-mail.example\r\n250 AUTH PLAIN\r\n"),
        ("AUTH PLAIN", echo.leak()),
    ]);
    let error = sent(with_login(server.port)).await.unwrap_err();
    assert!(error.message.contains("refused the login: 535 5.7.8 "), "{error}");
    assert!(!error.message.contains(PASSWORD) && !error.message.contains(&LOGIN[12..36]), "{error}");
    assert!(!error.message.contains(char::is_control) && error.hint.unwrap().contains("`mailbox`"));
}

#[tokio::test]
async fn one_refused_recipient_is_named_and_nobody_gets_the_message() {
    for (reply, kind) in [("550 5.1.1 no such user\r\n", ErrorKind::Failed), ("450 later\r\n", ErrorKind::Unavailable)]
    {
        let mut script = ACCEPTING.to_vec();
        script[5].1 = reply;
        let server = Script::start(&script);
        let error = sent(with_login(server.port)).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (kind, reply.get(..3)));
        assert!(error.message.contains("refused the recipient `night@ward.example`"), "{error}");
        assert!(!server.heard().iter().any(|line| line == "DATA"));
    }
}

#[tokio::test]
async fn nobody_knows_where_the_answer_to_the_message_is_missing() {
    for reply in ["", "250", "2"] {
        let mut script = ACCEPTING.to_vec();
        script[7].1 = reply;
        script.truncate(8);
        let server = Script::start(&script);
        let error = sent(with_login(server.port)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TimedOut, "{error}");
    }
}

#[tokio::test]
async fn what_does_not_speak_smtp_is_told_and_does_no_harm() {
    let endless = "220-".to_owned() + &"x".repeat(1 << 20);
    let lines = "220-x\r\n".repeat(10_000);
    let blank = "250-mail.example\r\n250-   \r\n250-\r\n250\r\n";
    for (greeting, hello, kind) in [
        ("SSH-2.0-OpenSSH\r\n", "", ErrorKind::Unavailable),
        ("\r\n", "", ErrorKind::Unavailable),
        ("", "", ErrorKind::Unavailable),
        ("554 go away\r\n", "", ErrorKind::Failed),
        ("421 too busy\r\n", "", ErrorKind::Unavailable),
        (&*endless, "", ErrorKind::Unavailable),
        (&*lines, "", ErrorKind::Unavailable),
        ("220 x\r\n", "250-x\r\n550 y\r\n", ErrorKind::Unavailable),
        ("220 x\r\n", "502 only HELO\r\n", ErrorKind::Failed),
        ("220 x\r\n", blank, ErrorKind::Failed),
        ("220 \u{fffd}\r\n", "\u{fffd}\u{fffd}\r\n", ErrorKind::Unavailable),
    ] {
        let script: &[(&str, &str)] = &[("", greeting), ("EHLO", hello)];
        let script: Vec<(&str, &str)> = script[..if hello.is_empty() { 1 } else { 2 }].to_vec();
        let server = Script::start(&script);
        let error = sent(with_login(server.port)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{:?}: {error}", &greeting[..greeting.len().min(40)]);
        assert!(error.message.len() < 1_000);
    }
}

#[tokio::test]
async fn a_silent_server_is_left_at_the_deadline() {
    let server = Script::silent();
    let (session, _) = session(plain(server.port));
    let waiting = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.send_mail("smtp", message()).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::timeout(Duration::from_secs(5), session.close()).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, EffectError::cancelled());
}

#[tokio::test]
async fn a_peer_that_is_no_mail_server_is_none() {
    for url in ["https://127.0.0.1:1", "postgres://u@127.0.0.1/d", "sqlite:/x"] {
        assert_eq!(sent(peer("smtp", url)).await.unwrap_err().kind, ErrorKind::Invalid, "{url}");
    }
    let mut outside = Outside::default();
    let to = vec![Recipient::parse("*@x").unwrap()];
    outside.grant.mail.push(MailRule::new("smtp", Address::parse("a@x").unwrap(), to).unwrap());
    let missing = Message { from: "a@x".to_owned(), to: vec!["b@x".to_owned()], ..Message::default() };
    assert_eq!(outside.session().0.send_mail("smtp", missing).await.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_secret_is_told_where_the_grant_names_it() {
    let mut outside = Outside::default().secret("token", PASSWORD).secret("other", "another-secret-value");
    outside.grant.reveal =
        ["token", "undeclared"].map(|n| pipe_capability::reveal::RevealRule::parse(n).unwrap()).into();
    outside.grant.env = ["TOKEN", "OTHER"].map(|name| pipe_capability::env::EnvRule::parse(name).unwrap()).into();
    for (name, value) in [("TOKEN", PASSWORD), ("OTHER", "another-secret-value")] {
        outside.world.environment.insert(name.to_owned(), value.to_owned());
    }
    let (session, ledger) = outside.session();
    assert_eq!(session.reveal("token").await.unwrap(), PASSWORD);
    let other = session.reveal("other").await.unwrap_err();
    assert_eq!(other.hint.as_deref(), Some(r#"allow.reveal = ["token", "undeclared", "other"]"#));
    let nope = session.reveal("nope").await.unwrap_err();
    assert_eq!((nope.kind, nope.hint), (ErrorKind::Denied, None));
    assert_eq!(session.reveal("undeclared").await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(session.reveal("TOKEN").await.unwrap_err().kind, ErrorKind::Denied);
    // What may be told is not masked on its way to the guest; everything else is.
    assert_eq!(session.variable("TOKEN").await.unwrap().as_deref(), Some(PASSWORD));
    assert_eq!(session.variable("OTHER").await.unwrap().as_deref(), Some("[secret]"));
    assert_eq!(ledger.used(), ["reveal token", "env TOKEN", "env OTHER"]);
    assert_eq!(ledger.denied().len(), 3);
}
