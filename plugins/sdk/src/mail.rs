//! Mail, through a peer of the pipeline file. Capability: `mail`.
//!
//! ```no_run
//! # fn main() -> Result<(), pipe_sdk::Error> {
//! use pipe_sdk::mail::{self, Message};
//!
//! let message = Message::new("deploy@hospital.example", ["ops@hospital.example"], "Deployed", "It is live.\n");
//! let posted = mail::send("smtp", &message)?;
//! # drop(posted);
//! # Ok(())
//! # }
//! ```

use crate::Error;
use crate::bindings::host::pipe::host::mail as host;

pub use host::{Message, Posted};

impl Message {
    /// A message in plain text, without copies. Addresses stand alone, without names; the subject is one line.
    pub fn new<A: Into<String>>(
        from: impl Into<String>,
        to: impl IntoIterator<Item = A>,
        subject: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            from: from.into(),
            to: to.into_iter().map(Into::into).collect(),
            cc: Vec::new(),
            subject: subject.into(),
            text: text.into(),
            html: None,
        }
    }
}

/// Sends a message to all of its recipients or to none. Returns once the server has taken it.
///
/// # Errors
///
/// The host refuses a sender or recipient that is not granted, and says what the server said where that refuses. An error
/// of kind `TimedOut` means that nobody knows whether the message was taken.
pub fn send(peer: &str, message: &Message) -> Result<Posted, Error> {
    Ok(host::send(peer, message)?)
}
