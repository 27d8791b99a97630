//! Mail on behalf of a guest: one message, one connection, one login.
//!
//! The guest names a peer and says what to write to whom. Where the server lies, how TLS is checked and who logs in is the
//! host's business: **nothing is said to a server that has not shown its certificate, but to one on this machine.**
//!
//! `lettre` writes the message. The dialogue with the server is our own, on a connection of `crate::egress`: it is short,
//! every answer in it is bounded, and what was said before TLS counts for nothing behind it.

mod dialogue;
mod failure;
mod letter;

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use pipe_capability::{denial::Denial, mail::MailRequest, word::Word};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use self::{dialogue::Dialogue, letter::Letter};
use crate::{
    egress::{self, Endpoint, Unresolved},
    error::{EffectError, ErrorKind},
    session::Session,
    tls,
    world::{Peer, TlsMode},
};

/// The most recipients of a message.
pub const MOST_RECIPIENTS: usize = 100;

/// The longest subject, in bytes.
pub const LONGEST_SUBJECT: usize = 998;

/// The most bytes that text and HTML of a message may have together.
pub const MOST_TEXT_BYTES: usize = 1024 * 1024;

/// The most messages of one session.
pub const MOST_MESSAGES: u32 = 100;

/// Until the connection stands; and once more for TLS.
const CONNECT: Duration = Duration::from_secs(10);

/// A message. Addresses stand alone, without names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The one who writes.
    pub from: String,
    /// Those who are written to.
    pub to: Vec<String>,
    /// Those who get a copy.
    pub cc: Vec<String>,
    /// One line.
    pub subject: String,
    /// What it says, as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its `Message-ID`, with its brackets.
    pub message_id: String,
    /// What the server said when it took it: one line.
    pub answer: String,
}

/// How the way to the server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte.
    Implicit,
    /// TLS before anything of worth is said.
    Starttls,
    /// None.
    Disabled,
}

/// The login of a peer.
struct Login {
    user: String,
    /// Name of the secret.
    secret: String,
}

impl Session {
    /// Sends one message. Secrets in subject and text are masked: they have no business in a mailbox.
    ///
    /// # Errors
    ///
    /// `Denied` where the grant does not cover sender or a recipient, where an address or the subject could be taken for
    /// more than it is, where the server's address is not allowed, and where the password would travel in the clear.
    /// `Unavailable` where the server was not reached or asks to try later, `Failed` where it refused, `TimedOut` where
    /// nobody knows whether it took the message. `Limit` and `Invalid` as they say.
    pub async fn send_mail(&self, peer: &str, message: Message) -> Result<Posted, EffectError> {
        within_limits(&message)?;
        let asked = MailRequest::parse(peer, &message.from, message.to.iter().chain(&message.cc).map(String::as_str));
        let asked = match asked.and_then(|asked| one_line(&message.subject, &asked).map(|()| asked)) {
            Ok(asked) => asked,
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let rule = match self.grant.mail(&asked) {
            Ok(rule) => rule.to_string(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let peer = self.world.peers.get(peer).ok_or_else(|| {
            EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no peer `{}`", asked.peer()))
        })?;
        let (security, port) = match (peer.url.scheme(), peer.tls) {
            ("smtps", _) => (Security::Implicit, 465),
            ("smtp", TlsMode::VerifyFull) => (Security::Starttls, 587),
            ("smtp", TlsMode::Disable) => (Security::Disabled, 587),
            _ => return Err(peer.wrong("is not of a mail server: `smtp://…` or `smtps://…`")),
        };
        let endpoint = peer.endpoint(port)?;
        let addresses = self.mail_addresses(peer, &endpoint).await?;
        let login = self.mail_login(peer, security, &addresses).await?;
        let letter = Letter::write(&message, &asked, &self.world.redactor)?;

        self.sent(letter.bytes.len() as u64)?;
        self.used("mail", asked.to_string(), rule.clone(), true).await?;
        if let Some(login) = &login {
            self.secret_used(&login.secret, &format!("to {}", peer.name), &rule).await?;
        }
        if let Some(client) = &peer.client {
            self.secret_used(&client.key, &format!("to {} (client_key)", peer.name), &rule).await?;
        }
        if self.egress.messages.fetch_add(1, Ordering::Relaxed) >= MOST_MESSAGES {
            return Err(EffectError::new(ErrorKind::Limit, format!("more than {MOST_MESSAGES} messages in one call")));
        }
        let delivery = Delivery { session: self, peer, endpoint, security, login, asked, letter };
        self.until_cancelled(delivery.run(&addresses)).await
    }

    async fn mail_addresses(&self, peer: &Peer, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, EffectError> {
        match self.resolve(endpoint, &peer.addresses, CONNECT).await {
            Ok(addresses) => Ok(addresses),
            Err(Unresolved::Failed(error)) => Err(error),
            Err(Unresolved::Refused(refused)) => {
                Err(self.refuse(refused.at_peer(Word::Mail, &peer.name, &peer.addresses)).await)
            }
        }
    }

    async fn mail_login(
        &self,
        peer: &Peer,
        security: Security,
        addresses: &[SocketAddr],
    ) -> Result<Option<Login>, EffectError> {
        let Some(secret) = &peer.password else { return Ok(None) };
        if security == Security::Disabled && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
        {
            let reason = "the peer says `tls = \"disable\"`, and the password would travel in the clear";
            let subject = format!("{secret} to {}", peer.name);
            return Err(self.refuse(Denial::new(Word::Secrets, &subject, reason)).await);
        }
        let user = peer.user()?.ok_or_else(|| peer.wrong("names no user for the password"))?;
        Ok(Some(Login { user, secret: secret.clone() }))
    }
}

/// Before anything is looked at: what is looked at takes time.
fn within_limits(message: &Message) -> Result<(), EffectError> {
    let text = message.text.len() + message.html.as_deref().unwrap_or_default().len();
    let what = if message.to.len() + message.cc.len() > MOST_RECIPIENTS {
        format!("the message has more than {MOST_RECIPIENTS} recipients")
    } else if message.subject.len() > LONGEST_SUBJECT {
        format!("the subject has more than {LONGEST_SUBJECT} bytes")
    } else if text > MOST_TEXT_BYTES {
        format!("the text has more than {} KiB", MOST_TEXT_BYTES >> 10)
    } else {
        return Ok(());
    };
    Err(EffectError::new(ErrorKind::Limit, what))
}

/// A subject that ends its line would be a header more.
fn one_line(subject: &str, asked: &MailRequest) -> Result<(), Denial> {
    if subject.contains(char::is_control) {
        return Err(Denial::new(Word::Mail, &asked.to_string(), "the subject holds control characters"));
    }
    Ok(())
}

/// One message on its way.
struct Delivery<'s> {
    session: &'s Session,
    peer: &'s Peer,
    endpoint: Endpoint,
    security: Security,
    login: Option<Login>,
    asked: MailRequest,
    letter: Letter,
}

impl Delivery<'_> {
    async fn run(&self, addresses: &[SocketAddr]) -> Result<Posted, EffectError> {
        let config = match self.security {
            Security::Disabled => None,
            Security::Implicit | Security::Starttls => Some(self.session.tls_config(&self.peer.trust()).await?),
        };
        let stream = egress::connect(&self.endpoint, addresses, CONNECT).await?;
        let name = own_name(&stream);
        match (self.security, config) {
            (Security::Starttls, Some(config)) => {
                let mut dialogue = self.dialogue(stream);
                dialogue.greeting().await?;
                let stream = dialogue.starttls(&name).await?;
                let stream = tls::handshake(config, &self.endpoint, stream, CONNECT).await?;
                self.post(self.dialogue(stream), &name).await
            }
            (_, Some(config)) => {
                let stream = tls::handshake(config, &self.endpoint, stream, CONNECT).await?;
                let mut dialogue = self.dialogue(stream);
                dialogue.greeting().await?;
                self.post(dialogue, &name).await
            }
            (_, None) => {
                let mut dialogue = self.dialogue(stream);
                dialogue.greeting().await?;
                self.post(dialogue, &name).await
            }
        }
    }

    fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Dialogue<'_, S> {
        Dialogue::new(stream, &self.endpoint, &self.session.world.redactor)
    }

    /// What is said once the way is as safe as it will be.
    async fn post<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut dialogue: Dialogue<'_, S>,
        name: &str,
    ) -> Result<Posted, EffectError> {
        let offered = dialogue.hello(name).await?;
        if let Some(login) = &self.login {
            dialogue.log_in(&offered, &login.user, &login.secret, self.session.secret_value(&login.secret)?).await?;
        }
        let answer = dialogue.post(&self.asked, &self.letter.bytes).await?;
        dialogue.quit().await;
        Ok(Posted { message_id: self.letter.id.clone(), answer })
    }
}

/// What this machine calls itself: its address on this connection, which says nothing that the server does not see.
fn own_name(stream: &TcpStream) -> String {
    match stream.local_addr().map(|address| address.ip().to_canonical()) {
        Ok(std::net::IpAddr::V4(address)) => format!("[{address}]"),
        Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => "[127.0.0.1]".to_owned(),
    }
}
