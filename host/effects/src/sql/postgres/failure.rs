//! What PostgreSQL and its driver say, as errors that the guest and the operator understand.

use std::error::Error as _;

use pipe_core::redact::Redactor;
use tokio_postgres::error::{DbError, Severity};

use super::super::{Access, work::Failure};
use crate::{
    egress::Endpoint,
    error::{EffectError, ErrorKind},
};

/// What a lost connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stake {
    /// Nothing: there was nothing to commit.
    Nothing,
    /// A transaction that the server rolls back.
    Transaction,
    /// A commit, of its own or of a statement outside of a transaction: it may have happened.
    Commit,
}

impl Stake {
    /// The connection is gone, and this is what is known.
    pub(super) fn lost(self, peer: &str) -> EffectError {
        match self {
            Self::Nothing => EffectError::new(ErrorKind::Unavailable, format!("{peer}: the connection was lost")),
            Self::Transaction => {
                let what = format!("{peer}: the connection was lost, and the transaction rolled back");
                EffectError::new(ErrorKind::Unavailable, what)
            }
            Self::Commit => {
                let what = format!("{peer}: the connection was lost, and nobody knows whether it was committed");
                EffectError::new(ErrorKind::TimedOut, what).with_hint("look at the database before you go on")
            }
        }
    }

    /// The session was cancelled, and this is what is known.
    pub(super) fn cancelled(self, peer: &str) -> EffectError {
        match self {
            Self::Nothing | Self::Transaction => EffectError::cancelled(),
            Self::Commit => {
                let what =
                    format!("{peer}: cancelled at the step's deadline, and nobody knows whether it was committed");
                EffectError::new(ErrorKind::TimedOut, what).with_hint("look at the database before you go on")
            }
        }
    }
}

/// An error of the driver, and whether the connection is gone.
pub(super) fn statement(
    peer: &str,
    access: Access,
    stake: Stake,
    redactor: &Redactor,
    error: &tokio_postgres::Error,
) -> (Failure, bool) {
    let Some(said) = error.as_db_error() else {
        // Everything that could be wrong with the request was looked at before: what is left is the connection.
        return (stake.lost(peer).into(), true);
    };
    if ends_connection(said) {
        let mut lost = stake.lost(peer);
        lost.message = format!("{}: {}", lost.message, text(redactor, said.message()));
        lost.code = Some(said.code().code().to_owned());
        return (lost.into(), true);
    }
    let code = Some(said.code().code().to_owned());
    let message = format!("{peer}: {}", text(redactor, said.message()));
    let failure = match said.code().code() {
        // Not in a transaction that only reads.
        "25006" if access == Access::Read => Failure::Refused { reason: text(redactor, said.message()), code },
        // Cancelled, by the statement's own time limit too.
        "57014" => EffectError { kind: ErrorKind::TimedOut, message, hint: hint(redactor, said), code }.into(),
        // The server itself does not know.
        "40003" => EffectError { code, ..Stake::Commit.lost(peer) }.into(),
        _ => EffectError { kind: ErrorKind::Failed, message, hint: hint(redactor, said), code }.into(),
    };
    (failure, false)
}

fn ends_connection(said: &DbError) -> bool {
    let code = said.code().code();
    matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || matches!(said.severity(), "FATAL" | "PANIC")
        || code.starts_with("08")
        || code.starts_with("57P")
}

fn hint(redactor: &Redactor, said: &DbError) -> Option<String> {
    said.hint().map(|hint| text(redactor, hint))
}

/// What a server says, of bounded length and without secrets.
fn text(redactor: &Redactor, said: &str) -> String {
    redactor.redact(said).chars().take(2_000).collect()
}

/// The login failed.
pub(super) fn login(
    endpoint: &Endpoint,
    secret: Option<&str>,
    redactor: &Redactor,
    error: &tokio_postgres::Error,
) -> EffectError {
    let failed = |kind, what: &str| EffectError::new(kind, format!("{endpoint}: {what}"));
    if let Some(own) = error.source().and_then(|source| source.downcast_ref::<EffectError>()) {
        return own.clone();
    }
    if let Some(said) = error.as_db_error() {
        let kind = match said.code().code() {
            "53300" | "57P01" | "57P02" | "57P03" => ErrorKind::Unavailable,
            _ => ErrorKind::Failed,
        };
        let mut refused = failed(kind, &text(redactor, said.message()));
        refused.code = Some(said.code().code().to_owned());
        refused.hint = match (said.code().code(), secret) {
            ("28P01", Some(secret)) => Some(format!("is the secret `{secret}` the password of this user?")),
            ("28P01" | "28000", None) => Some("the peer has no `password`".to_owned()),
            _ => hint(redactor, said),
        };
        return refused;
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    match cause.as_str() {
        "server does not support TLS" => failed(ErrorKind::Unavailable, "the server does not offer TLS")
            .with_hint("switch `ssl` on at the server; `tls = \"disable\"` is for databases on this machine"),
        "password missing" => failed(ErrorKind::Invalid, "the server asks for a password, and the peer has none")
            .with_hint("name its secret: `password = \"…\"`"),
        _ if error.is_closed() => failed(ErrorKind::Unavailable, "the server closed the connection during the login"),
        _ => failed(ErrorKind::Unavailable, &format!("the login failed: {error}: {}", text(redactor, &cause))),
    }
}

/// The first words after the login failed.
pub(super) fn set_up(endpoint: &Endpoint, error: &tokio_postgres::Error) -> EffectError {
    let cause = error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
    EffectError::new(ErrorKind::Unavailable, format!("{endpoint}: the session could not be set up: {cause}"))
}
