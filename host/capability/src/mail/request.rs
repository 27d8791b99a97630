//! A message that a guest wants to send, as far as its grant is concerned.

use std::fmt;

use super::{Address, MailRule, Recipient};
use crate::{denial::Denial, word::Word};

/// Who writes to whom, through which peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRequest {
    peer: String,
    from: Address,
    to: Vec<Address>,
}

impl MailRequest {
    /// Reads the addresses of a message. `to` are all who will get it, by whatever header. One that is named twice counts once.
    ///
    /// # Errors
    ///
    /// A denial that no line would lift: an address that is none, or nobody to write to.
    pub fn parse<'a>(peer: &str, from: &str, to: impl IntoIterator<Item = &'a str>) -> Result<Self, Denial> {
        let read = |text: &str| {
            Address::parse(text).map_err(|error| Denial::new(Word::Mail, &format!("{text} via {peer}"), error.message))
        };
        let from = read(from)?;
        let mut addresses = Vec::new();
        for text in to {
            let address = read(text)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(Denial::new(Word::Mail, &format!("{from} via {peer}"), "the message has no recipient"));
        }
        Ok(Self { peer: peer.to_owned(), from, to: addresses })
    }

    /// Name of the peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// The sender.
    #[must_use]
    pub fn from(&self) -> &Address {
        &self.from
    }

    /// Everybody who will get it, each once.
    #[must_use]
    pub fn to(&self) -> &[Address] {
        &self.to
    }

    /// The rule that covers this message and no other.
    pub(crate) fn narrowest(&self) -> Option<MailRule> {
        let to = self.to.iter().cloned().map(Recipient::Address).collect();
        MailRule::new(&self.peer, self.from.clone(), to).ok()
    }
}

impl fmt::Display for MailRequest {
    /// `deploy@hospital.example to ops@hospital.example, it@hospital.example via smtp`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to ", self.from)?;
        for (index, address) in self.to.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{address}")?;
        }
        write!(f, " via {}", self.peer)
    }
}
