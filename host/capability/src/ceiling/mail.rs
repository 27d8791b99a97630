//! The messages that a ceiling allows.

use super::{Place, PlacePattern};
use crate::mail::{MailRule, Recipient};

/// Messages that are allowed at most.
#[derive(Clone, Debug)]
pub struct MailCeiling {
    /// Through which server.
    pub place: PlacePattern,
    /// The ones who may write. Nothing: anybody.
    pub from: Option<Vec<Recipient>>,
    /// Those who may be written to. Nothing: anybody.
    pub to: Option<Vec<Recipient>>,
}

impl MailCeiling {
    /// What it does not allow of a rule that leads to `place`; nothing where it allows all.
    pub(super) fn forbids(&self, rule: &MailRule, place: &Place) -> Option<String> {
        let within = |list: &Option<Vec<Recipient>>, narrow: &Recipient| {
            list.as_ref().is_none_or(|list| list.iter().any(|wide| wide.includes(narrow)))
        };
        if !self.place.includes(place) {
            return Some("it does not allow these addresses".to_owned());
        }
        let from = Recipient::Address(rule.from.clone());
        if !within(&self.from, &from) {
            return Some(format!("it does not allow writing as {from}"));
        }
        let beyond = rule.to.iter().find(|recipient| !within(&self.to, recipient))?;
        Some(format!("it does not allow writing to {beyond}"))
    }
}
