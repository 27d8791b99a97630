//! Mail: other senders and recipients, headers that were not asked for, and servers that nobody named.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::{Behaviour, Scene};

const OPS: &str =
    r#"allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["ops@hospital.example"] }]"#;

/// A mail server that takes everything, and remembers every line of it.
struct Post {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Post {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away in the middle is its own business.
                let _ = take(stream, &lines);
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// A message to these, with this subject.
    fn scene(&self, from: &str, to: &[&str], subject: &str) -> Scene {
        self.scene_through("post", from, to, subject)
    }

    /// The same, where the guest names this peer.
    fn scene_through(&self, guest_peer: &str, from: &str, to: &[&str], subject: &str) -> Scene {
        let peer = format!(
            "[peers.post]\nurl = \"smtp://127.0.0.1:{}\"\ntls = \"disable\"\naddresses = [\"127.0.0.0/8\"]",
            self.port
        );
        Scene::new(Behaviour::SendMail)
            .head(&peer)
            .with("peer", guest_peer)
            .with("name", from)
            .with_all("argv", to)
            .with("text", subject)
    }
}

fn take(stream: TcpStream, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 post.example\r\n")?;
    let mut message = false;
    while let Some(line) = next(&mut stream)? {
        heard.lock().unwrap().push(line.clone());
        let reply = match line.split(' ').next() {
            _ if message && line != "." => continue,
            _ if message => "250 taken",
            Some("EHLO") => "250 post.example",
            Some("DATA") => "354 go on",
            Some("QUIT") => "221 bye",
            _ => "250 ok",
        };
        message = reply.starts_with("354");
        write!(stream.get_mut(), "{reply}\r\n")?;
    }
    Ok(())
}

/// The next line, without its end.
fn next(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

#[test]
pub(crate) fn a_message_is_not_sent_without_a_grant() {
    let post = Post::start();
    let both = post.scene("deploy@hospital.example", &["ops@hospital.example"], "Hello").refused_until(OPS);
    assert_eq!(both.granted.observed(), "250 taken");
    let heard = post.heard();
    assert_eq!(heard.iter().filter(|line| line.starts_with("RCPT TO")).count(), 1, "the refused message was sent");
    assert!(heard.contains(&"Subject: Hello".to_owned()), "{heard:?}");
    let used: Vec<_> = both.granted.of("used").map(|what| &what["use"]).collect();
    assert_eq!(used[0]["subject"], "deploy@hospital.example to ops@hospital.example via post");
    assert_eq!((&used[0]["word"], &used[0]["effect"]), (&"mail".into(), &true.into()));
    assert!(format!("allow.mail = [{}]", used[0]["rule"].as_str().unwrap()) == OPS, "{used:?}");
}

#[test]
pub(crate) fn another_sender_is_refused() {
    let post = Post::start();
    let scene = post.scene("director@hospital.example", &["ops@hospital.example"], "Hello").allow(OPS);
    let both = scene.refused_until(
        r#"allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["ops@hospital.example"] }, { peer = "post", from = "director@hospital.example", to = ["ops@hospital.example"] }]"#,
    );
    let refusal = both.refused.refusals().next().unwrap();
    assert_eq!(refusal["reason"], "no rule lets `director@hospital.example` write through `post`");
}

#[test]
pub(crate) fn another_recipient_is_refused() {
    let post = Post::start();
    let line = r#"allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["*@hospital.example"] }]"#;
    for (to, address) in [
        (&["ops@hospital.example", "leak@evil.example"][..], "leak@evil.example"),
        (&["ops@sub.hospital.example"], "ops@sub.hospital.example"),
        (&["ops@hospital.example.evil.example"], "ops@hospital.example.evil.example"),
    ] {
        let seen = post.scene("deploy@hospital.example", to, "Hello").allow(line).run();
        seen.fails("denied", &format!("no rule of this sender covers `{address}`"));
        assert!(seen.refusals().all(|refusal| refusal["hint"].as_str().unwrap().contains(address)), "{}", seen.ended);
    }
    assert_eq!(post.heard(), [""; 0]);
}

#[test]
pub(crate) fn recipients_of_two_rules_are_no_recipients_of_one() {
    let post = Post::start();
    let line = r#"allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["ops@hospital.example"] }, { peer = "post", from = "deploy@hospital.example", to = ["it@hospital.example"] }]"#;
    let scene = post.scene("deploy@hospital.example", &["ops@hospital.example", "it@hospital.example"], "Hello");
    scene.allow(line).run().fails("denied", "no single rule covers every recipient");
    assert_eq!(post.heard(), [""; 0]);
}

#[test]
pub(crate) fn a_subject_or_an_address_of_two_lines_is_refused_for_ever() {
    let post = Post::start();
    let line = r#"allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["*@hospital.example"] }]"#;
    for (from, to, subject) in [
        ("deploy@hospital.example", "ops@hospital.example", "Hello\r\nBcc: leak@evil.example"),
        ("deploy@hospital.example", "ops@hospital.example", "Hello\nBcc: leak@evil.example"),
        ("deploy@hospital.example", "ops@hospital.example", "Hello\r\n\r\nanother text"),
        ("deploy@hospital.example", "ops@hospital.example>\r\nRCPT TO:<leak@evil.example", "Hello"),
        ("deploy@hospital.example", "ops@hospital.example\n", "Hello"),
        ("deploy@hospital.example\r\nDATA", "ops@hospital.example", "Hello"),
        ("deploy@hospital.example", "leak%evil.example@hospital.example", "Hello"),
        ("deploy@hospital.example", "\"leak@evil.example \"@hospital.example", "Hello"),
        ("deploy@hospital.example", "Ops <leak@evil.example>, ops@hospital.example", "Hello"),
    ] {
        let seen = post.scene(from, &[to], subject).allow(line).run();
        seen.refused_for_ever();
        assert_eq!(seen.refusals().count(), 1);
    }
    assert_eq!(post.heard(), [""; 0]);
}

#[test]
pub(crate) fn a_hundred_and_one_recipients_are_too_many() {
    let post = Post::start();
    let line = r#"allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["*@hospital.example"] }]"#;
    let everybody: Vec<String> = (0..101).map(|number| format!("ward-{number}@hospital.example")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let scene = |to: &[&str]| post.scene("deploy@hospital.example", to, "Hello").allow(line);
    scene(&everybody).run().fails("other", "more than 100 recipients");
    assert_eq!(post.heard(), [""; 0]);
    assert_eq!(scene(&everybody[1..]).run().observed(), "250 taken");
}

#[test]
pub(crate) fn a_server_that_is_no_peer_is_not_written_to() {
    let post = Post::start();
    for peer in ["127.0.0.1", "other", "post.example:25", "", "POST"] {
        let scene = post.scene_through(peer, "deploy@hospital.example", &["ops@hospital.example"], "Hello");
        scene.allow(OPS).run().fails("denied", &format!("no rule names the peer `{peer}`"));
    }
    assert_eq!(post.heard(), [""; 0]);
}
