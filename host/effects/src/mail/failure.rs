//! What went wrong with a mail server, in words for a tired operator.

use std::time::Duration;

use pipe_core::{redact::Redactor, text::is_unprintable};

use super::dialogue::Reply;
use crate::{
    egress::{Endpoint, failure::shown},
    error::{EffectError, ErrorKind},
};

/// The longest part of an answer that is repeated, in characters.
const LONGEST_ANSWER: usize = 200;

/// What a server said: one line without secrets, of bounded length.
pub(super) fn answer(reply: &Reply, redactor: &Redactor) -> String {
    let text = format!("{} {}", reply.code, reply.lines.join(" "));
    let redacted = redactor.redact(&text);
    let mut line: String =
        redacted.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).take(LONGEST_ANSWER).collect();
    line.truncate(line.trim_end().len());
    line
}

/// The server said no. Codes below 500 mean: not now.
pub(super) fn refused(endpoint: &Endpoint, doing: &str, reply: &Reply, redactor: &Redactor) -> EffectError {
    let kind = if reply.code < 500 { ErrorKind::Unavailable } else { ErrorKind::Failed };
    let what = format!("{endpoint}: the server refused {doing}: {}", answer(reply, redactor));
    EffectError { code: Some(reply.code.to_string()), ..EffectError::new(kind, what) }
}

/// The server does not take the password.
pub(super) fn login(endpoint: &Endpoint, secret: &str, reply: &Reply, redactor: &Redactor) -> EffectError {
    refused(endpoint, "the login", reply, redactor)
        .with_hint(format!("is the secret `{secret}` the password of the user in {}?", url(endpoint)))
}

/// The server knows none of our ways to log in.
pub(super) fn no_login(endpoint: &Endpoint) -> EffectError {
    EffectError::new(
        ErrorKind::Failed,
        format!("{endpoint}: the server offers no login with a password (PLAIN, LOGIN)"),
    )
    .with_hint(format!("is the port in {} the one for submission: 587 or 465?", url(endpoint)))
}

/// Nothing is said in the clear.
pub(super) fn no_starttls(endpoint: &Endpoint) -> EffectError {
    let what = format!("{endpoint}: the server offers no STARTTLS, and nothing is sent in the clear");
    EffectError::new(ErrorKind::Failed, what).with_hint(
        "`smtps://` for a port with TLS from the start (465); else somebody in between may have taken it out",
    )
}

/// Somebody put words into the server's mouth before there was TLS.
pub(super) fn early(endpoint: &Endpoint) -> EffectError {
    let what = format!("{endpoint}: something was said between STARTTLS and TLS, and nobody knows by whom");
    EffectError::new(ErrorKind::Failed, what)
}

/// What answers is no mail server.
pub(super) fn not_smtp(endpoint: &Endpoint) -> EffectError {
    EffectError::new(ErrorKind::Unavailable, format!("{endpoint}: what answers there does not speak SMTP")).with_hint(
        format!("is the port right in {}? `smtps://` has TLS from the start, `smtp://` has STARTTLS", url(endpoint)),
    )
}

/// The connection ended.
pub(super) fn closed(endpoint: &Endpoint, doing: &str) -> EffectError {
    EffectError::new(ErrorKind::Unavailable, format!("{endpoint}: the server closed the connection during {doing}"))
}

/// Nobody answered in time.
pub(super) fn no_answer(endpoint: &Endpoint, doing: &str, limit: Duration) -> EffectError {
    let what = format!("{endpoint}: timed out: no answer within {} during {doing}", shown(limit));
    EffectError::new(ErrorKind::Unavailable, what)
}

/// The message is at the server, and its answer is not here.
pub(super) fn unknown(endpoint: &Endpoint) -> EffectError {
    let what = format!("{endpoint}: the server has the message and did not say what it did with it");
    EffectError::new(ErrorKind::TimedOut, what).with_hint("look for it in the server's log before it is sent again")
}

/// Where the address comes from.
fn url(endpoint: &Endpoint) -> String {
    format!("the `url` of the peer `{}`", endpoint.peer.as_deref().unwrap_or_default())
}
