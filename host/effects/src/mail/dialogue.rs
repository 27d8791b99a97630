//! What is said to a mail server, and what it answers (RFC 5321). Every answer is bounded in size and in time.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pipe_capability::mail::MailRequest;
use pipe_core::redact::Redactor;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    time::timeout,
};

use super::failure;
use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
};

/// For the greeting, and for the answer to a command.
const ANSWER: Duration = Duration::from_secs(30);

/// For the message to get there, and once more for its answer: servers look through it first.
const MESSAGE: Duration = Duration::from_secs(120);

/// For goodbye. Nothing depends on it.
const GOODBYE: Duration = Duration::from_secs(2);

/// The longest line of an answer, in bytes. RFC 5321 says 512.
const LONGEST_LINE: u64 = 2_000;

/// The most lines of one answer.
const MOST_LINES: usize = 100;

/// An answer: `250 2.1.0 Ok`.
pub(super) struct Reply {
    pub(super) code: u16,
    /// What stands behind the code, line by line. Whatever a server likes to say.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// Whether it is of this kind: 2 is done, 3 is go on.
    fn is(&self, hundreds: u16) -> bool {
        self.code / 100 == hundreds
    }
}

/// What a server says that it can do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    starttls: bool,
    plain: bool,
    login: bool,
}

impl Offered {
    /// Out of the answer to EHLO, of which the first line is the server's name.
    fn read(reply: &Reply) -> Self {
        let mut offered = Self::default();
        for line in reply.lines.iter().skip(1) {
            // Some write `AUTH=PLAIN`, as a draft once had it.
            let line = line.to_ascii_uppercase().replace('=', " ");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("STARTTLS") => offered.starttls = true,
                Some("AUTH") => {
                    for word in words {
                        offered.plain |= word == "PLAIN";
                        offered.login |= word == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        offered
    }
}

/// A connection to a mail server.
pub(super) struct Dialogue<'d, S> {
    stream: BufReader<S>,
    endpoint: &'d Endpoint,
    redactor: &'d Redactor,
}

impl<'d, S: AsyncRead + AsyncWrite + Unpin> Dialogue<'d, S> {
    pub(super) fn new(stream: S, endpoint: &'d Endpoint, redactor: &'d Redactor) -> Self {
        Self { stream: BufReader::new(stream), endpoint, redactor }
    }

    /// Waits for the server to say that it is there.
    pub(super) async fn greeting(&mut self) -> Result<(), EffectError> {
        let doing = "the greeting";
        let reply = self.reply(doing, ANSWER).await?;
        self.must_be(2, doing, reply).map(drop)
    }

    /// Says who we are, and hears what the server can do.
    pub(super) async fn hello(&mut self, name: &str) -> Result<Offered, EffectError> {
        let reply = self.command("EHLO", &format!("EHLO {name}"), 2).await?;
        Ok(Offered::read(&reply))
    }

    /// Asks for TLS, and gives up the connection for the handshake.
    pub(super) async fn starttls(mut self, name: &str) -> Result<S, EffectError> {
        if !self.hello(name).await?.starttls {
            self.quit().await;
            return Err(failure::no_starttls(self.endpoint));
        }
        self.command("STARTTLS", "STARTTLS", 2).await?;
        // Whatever stands here would be read as the server's word once TLS makes everything trustworthy.
        if self.stream.buffer().is_empty() { Ok(self.stream.into_inner()) } else { Err(failure::early(self.endpoint)) }
    }

    /// Logs in. `secret` is the name of the password's secret.
    pub(super) async fn log_in(
        &mut self,
        offered: &Offered,
        user: &str,
        secret: &str,
        password: &str,
    ) -> Result<(), EffectError> {
        if user.contains('\0') || password.contains('\0') {
            let what = format!("{}: a login cannot hold a zero byte", self.endpoint);
            return Err(EffectError::new(ErrorKind::Invalid, what));
        }
        let encoded = |text: &str| STANDARD.encode(text);
        let doing = "the login";
        let last = if offered.plain {
            format!("AUTH PLAIN {}", encoded(&format!("\0{user}\0{password}")))
        } else if offered.login {
            for line in ["AUTH LOGIN".to_owned(), encoded(user)] {
                self.say(line.as_bytes(), doing, ANSWER).await?;
                let reply = self.reply(doing, ANSWER).await?;
                if !reply.is(3) {
                    return Err(failure::login(self.endpoint, secret, &reply, self.redactor));
                }
            }
            encoded(password)
        } else {
            self.quit().await;
            return Err(failure::no_login(self.endpoint));
        };
        self.say(last.as_bytes(), doing, ANSWER).await?;
        let reply = self.reply(doing, ANSWER).await?;
        if reply.is(2) { Ok(()) } else { Err(failure::login(self.endpoint, secret, &reply, self.redactor)) }
    }

    /// Hands the message over, to all recipients or to none. What the server says to it, in one line.
    pub(super) async fn post(&mut self, asked: &MailRequest, message: &[u8]) -> Result<String, EffectError> {
        let from = asked.from();
        self.command(&format!("the sender `{from}`"), &format!("MAIL FROM:<{from}>"), 2).await?;
        for to in asked.to() {
            self.command(&format!("the recipient `{to}`"), &format!("RCPT TO:<{to}>"), 2).await?;
        }
        let doing = "the message";
        self.command(doing, "DATA", 3).await?;
        self.say(&on_the_wire(message), doing, MESSAGE).await?;
        match self.reply(doing, MESSAGE).await {
            Ok(reply) => self.must_be(2, doing, reply).map(|reply| failure::answer(&reply, self.redactor)),
            Err(_) => Err(failure::unknown(self.endpoint)),
        }
    }

    /// Says goodbye. Nothing is lost where nobody hears it.
    pub(super) async fn quit(&mut self) {
        let _ = timeout(GOODBYE, async {
            self.say(b"QUIT", "QUIT", GOODBYE).await?;
            self.reply("QUIT", GOODBYE).await
        })
        .await;
    }

    /// A command that holds no secret, and its answer, which must be of this kind.
    async fn command(&mut self, doing: &str, line: &str, hundreds: u16) -> Result<Reply, EffectError> {
        self.say(line.as_bytes(), doing, ANSWER).await?;
        let reply = self.reply(doing, ANSWER).await?;
        self.must_be(hundreds, doing, reply)
    }

    fn must_be(&self, hundreds: u16, doing: &str, reply: Reply) -> Result<Reply, EffectError> {
        if reply.is(hundreds) { Ok(reply) } else { Err(failure::refused(self.endpoint, doing, &reply, self.redactor)) }
    }

    /// Sends a line, or several.
    async fn say(&mut self, text: &[u8], doing: &str, limit: Duration) -> Result<(), EffectError> {
        let sent = timeout(limit, async {
            self.stream.write_all(text).await?;
            self.stream.write_all(b"\r\n").await?;
            self.stream.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(failure::closed(self.endpoint, doing)),
            Err(_) => Err(failure::no_answer(self.endpoint, doing, limit)),
        }
    }

    async fn reply(&mut self, doing: &str, limit: Duration) -> Result<Reply, EffectError> {
        timeout(limit, self.lines(doing)).await.map_err(|_| failure::no_answer(self.endpoint, doing, limit))?
    }

    async fn lines(&mut self, doing: &str) -> Result<Reply, EffectError> {
        let mut reply: Option<Reply> = None;
        for _ in 0..MOST_LINES {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
            if read.is_err() || line.is_empty() {
                return Err(failure::closed(self.endpoint, doing));
            }
            let (code, last, text) = line_of(&line).ok_or_else(|| failure::not_smtp(self.endpoint))?;
            let reply = reply.get_or_insert_with(|| Reply { code, lines: Vec::new() });
            if reply.code != code {
                return Err(failure::not_smtp(self.endpoint));
            }
            reply.lines.push(text);
            if last {
                return Ok(Reply { code, lines: std::mem::take(&mut reply.lines) });
            }
        }
        Err(failure::not_smtp(self.endpoint))
    }
}

/// `250-SIZE 1000\r\n`: the code, whether it is the last line, and the rest. Nothing where it is no line of an answer.
fn line_of(bytes: &[u8]) -> Option<(u16, bool, String)> {
    let line = bytes.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (code, rest) = line.split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    let (last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    (200..600).contains(&code).then(|| (code, last, String::from_utf8_lossy(text).into_owned()))
}

/// A message as it travels: `\r\n` and nothing else ends a line, a dot that begins one is doubled, and a dot alone ends it
/// all but for the last line end. Whatever stands in the message, no server can take a part of it for a command.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    let mut wire = Vec::with_capacity(message.len() + 1024);
    for line in message.split(|byte| *byte == b'\n') {
        let begins = wire.len();
        wire.extend(line.iter().filter(|byte| **byte != b'\r'));
        if wire.get(begins) == Some(&b'.') {
            wire.insert(begins, b'.');
        }
        wire.extend_from_slice(b"\r\n");
    }
    wire.push(b'.');
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_ends_before_its_end() {
        for (message, wire) in [
            ("a\r\nb\r\n", "a\r\nb\r\n."),
            ("a\r\nb", "a\r\nb\r\n."),
            ("", "\r\n."),
            (".", "..\r\n."),
            ("a\r\n.\r\nMAIL FROM:<x@y>\r\n", "a\r\n..\r\nMAIL FROM:<x@y>\r\n."),
            ("a\n.\nb\n", "a\r\n..\r\nb\r\n."),
            ("a\r.\rb", "a.b\r\n."),
            ("a\r\n\r.\r\r\nb", "a\r\n..\r\nb\r\n."),
            ("a\n.\r\nb", "a\r\n..\r\nb\r\n."),
            ("..\r\n", "...\r\n."),
        ] {
            assert_eq!(String::from_utf8(on_the_wire(message.as_bytes())).unwrap(), wire, "{message:?}");
        }
    }

    #[test]
    fn lines_of_answers() {
        for (line, read) in [
            ("250 ok\r\n", Some((250, true, "ok"))),
            ("250-SIZE 9\r\n", Some((250, false, "SIZE 9"))),
            ("354\r\n", Some((354, true, ""))),
            ("250 ok\n", Some((250, true, "ok"))),
            ("250 ok", None),
            ("25\r\n", None),
            ("2500\r\n", None),
            ("HTTP/1.1 200 OK\r\n", None),
            ("+50 ok\r\n", None),
            ("199 ok\r\n", None),
            ("600 ok\r\n", None),
            ("ä50 ok\r\n", None),
        ] {
            let read = read.map(|(code, last, text): (u16, bool, &str)| (code, last, text.to_owned()));
            assert_eq!(line_of(line.as_bytes()), read, "{line:?}");
        }
    }

    #[test]
    fn what_a_server_offers() {
        let offered = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            Offered::read(&Reply { code: 250, lines })
        };
        let all = offered(&["mail.example", "SIZE 1000", "  ", "", "starttls", "AUTH LOGIN PLAIN CRAM-MD5"]);
        assert_eq!(all, Offered { starttls: true, plain: true, login: true });
        assert_eq!(offered(&["mail.example", "AUTH=LOGIN"]), Offered { login: true, ..Offered::default() });
        assert_eq!(offered(&["STARTTLS AUTH PLAIN", "XSTARTTLS", "AUTHX PLAIN", "AUTH"]), Offered::default());
        assert_eq!(offered(&[]), Offered::default());
    }
}
