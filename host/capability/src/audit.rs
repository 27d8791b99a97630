//! What a security team should look at in a grant: facts about one call in, verdicts out.
//!
//! A verdict never changes what is allowed. It says that a grant is wider than its reason, that a plugin and its vendor's word
//! differ, or that something stands outside of what the sandbox holds. [`Check`] lists the questions that are asked.

mod check;
mod imports;
mod record;
mod rules;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use pipe_core::{digest::Digest, event::Refusal, stage::Stage};

pub use self::{check::Check, imports::word_of_import};
use crate::{address, ceiling::Part, grant::Grant, line, word::Word};

/// How much a verdict matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Wants a look, and an answer.
    Warning,
    /// Should not be deployed as it is.
    Error,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    /// The word in reports: `warning`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// One step less, but never nothing.
    const fn lowered(self) -> Self {
        match self {
            Self::Error => Self::Warning,
            Self::Warning | Self::Note => Self::Note,
        }
    }
}

/// A rule of a grant: its word, and its place among the rules of that word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleKey {
    /// The word.
    pub word: Word,
    /// From 0, as in the grant.
    pub index: usize,
}

/// What a verdict is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The call as a whole.
    Call,
    /// Its plugin.
    Plugin,
    /// One rule of its grant.
    Rule(RuleKey),
    /// A peer, whichever call uses it.
    Peer(String),
}

/// One answer that is worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The question.
    pub check: Check,
    /// How much it matters here.
    pub severity: Severity,
    /// Where.
    pub about: About,
    /// Lower-case fragment: what was found.
    pub message: String,
    /// What would help. Never part of the message.
    pub hint: Option<String>,
}

impl Verdict {
    fn new(check: Check, about: About, message: impl Into<String>) -> Self {
        Self { check, severity: check.severity(), about, message: message.into(), hint: None }
    }

    fn at(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Something that a policy does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Above {
    /// What of the call.
    pub at: Part,
    /// Lower-case fragment: what speaks against it, and where that stands.
    pub why: String,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// Its URL, without a password.
    pub url: String,
    /// Whether what it is sent could be read on the way.
    pub in_the_clear: bool,
    /// Networks whose private or special addresses it may have.
    pub addresses: Vec<IpNet>,
}

/// What earlier runs say of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRecord {
    /// Finished runs in which it did what it was asked to.
    pub succeeded: usize,
    /// Whether it was undone in one of them.
    pub undone: bool,
    /// Rules that allowed something.
    pub used: BTreeSet<RuleKey>,
    /// Rules that it had already when it succeeded.
    pub had: BTreeSet<RuleKey>,
    /// What was refused, and how often.
    pub refused: Vec<(Refusal, usize)>,
    /// Whether the last of them had a plugin of other content.
    pub other_plugin: bool,
}

/// What is known of a call. Nothing of it was tried: the plugin was described, the file read, the record looked through.
#[derive(Clone, Debug)]
pub struct CallFacts<'a> {
    /// The contract that it uses.
    pub stage: Stage,
    /// What it may touch.
    pub grant: &'a Grant,
    /// The plugin as the pipeline file names it.
    pub plugin: &'a str,
    /// Its content.
    pub sha256: Digest,
    /// Whether the plugin is inside `pipe`.
    pub standard: bool,
    /// Whether the pipeline file says what the plugin's content must be.
    pub pinned: bool,
    /// What the component imports: `pipe:host/sql@0.1.0`.
    pub imports: &'a [String],
    /// The words that the plugin says it will ask for, as it wrote them.
    pub requests: BTreeSet<&'a str>,
    /// Whether the file says that it is not undone.
    pub irreversible: bool,
    /// Whether the plugin can undo at all.
    pub undo: bool,
    /// The directory of the pipeline file.
    pub base: &'a std::path::Path,
    /// Names of the backups that its settings store in the clear.
    pub plain_backups: &'a [String],
    /// Whether a backup step stands before it.
    pub after_backup: bool,
    /// What of it the policies do not allow; nothing where there is no policy.
    pub above: Option<&'a [Above]>,
    /// Lines that would have been enough, for rules that are wider than all that was recorded.
    pub narrower: &'a BTreeMap<RuleKey, Vec<String>>,
    /// What finished runs say; nothing where there is none.
    pub record: Option<&'a CallRecord>,
}

impl CallFacts<'_> {
    /// Whether a policy covers a rule: then somebody has decided that it is fine.
    #[must_use]
    pub fn within_policy(&self, rule: RuleKey) -> bool {
        let at = Part::Rule(rule.word, rule.index);
        self.above.is_some_and(|above| above.iter().all(|above| above.at != at))
    }

    /// The words of the grant.
    fn granted(&self) -> impl Iterator<Item = Word> {
        Word::ALL.into_iter().filter(|word| self.grant.count(*word) > 0)
    }
}

/// Everything about one call that is worth a look, the worst first.
#[must_use]
pub fn judge(facts: &CallFacts<'_>) -> Vec<Verdict> {
    let mut verdicts = rules::verdicts(facts);
    verdicts.extend(words::verdicts(facts));
    verdicts.extend(record::verdicts(facts));
    for verdict in &mut verdicts {
        // What only wants a decision has had one where a policy covers it.
        let About::Rule(rule) = verdict.about else { continue };
        if verdict.check.is_a_decision() && facts.within_policy(rule) {
            verdict.severity = verdict.severity.lowered();
        }
    }
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.severity));
    verdicts
}

/// Everything about a peer that is worth a look.
#[must_use]
pub fn judge_peer(name: &str, facts: &PeerFacts) -> Vec<Verdict> {
    let about = || About::Peer(name.to_owned());
    let mut verdicts = Vec::new();
    if facts.in_the_clear {
        let message = format!("whatever goes to the peer `{name}` ({}) travels in the clear", facts.url);
        verdicts.push(Verdict::new(Check::InTheClear, about(), message).hint("use `https`"));
    }
    verdicts.extend(private_addresses(&facts.addresses, &format!("the peer `{name}`"), about()));
    verdicts
}

/// The private addresses that a written network lets a name have.
fn private_addresses(networks: &[IpNet], who: &str, about: About) -> Option<Verdict> {
    if networks.is_empty() {
        return None;
    }
    let listed = networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let verdict =
        Verdict::new(Check::PrivateAddress, about, format!("{who} may have private or special addresses: {listed}"));
    let metadata = address::METADATA.into_iter().find(|address| networks.iter().any(|net| net.contains(address)));
    Some(match metadata {
        Some(address) => verdict
            .at(Severity::Warning)
            .hint(format!("these hold {address}, where clouds hand out credentials: name smaller networks")),
        None => verdict,
    })
}

/// The rules of a grant: key, and value as it stands in the pipeline file.
pub fn rules(grant: &Grant) -> impl Iterator<Item = (RuleKey, String)> {
    Word::ALL.into_iter().flat_map(move |word| {
        let rules = grant.rules(word).into_iter().enumerate();
        rules.map(move |(index, toml)| (RuleKey { word, index }, toml))
    })
}

/// The rule that the record of a use names. `recorded` is the rule as the effects write it down: its own text, or the value
/// that stands in the file.
#[must_use]
pub fn rule_of_use(grant: &Grant, word: &str, recorded: &str) -> Option<RuleKey> {
    let word: Word = word.parse().ok()?;
    let of = |word: Word| {
        let quoted = line::text(recorded);
        let index = grant.rules(word).iter().position(|toml| *toml == quoted || *toml == recorded)?;
        Some(RuleKey { word, index })
    };
    // A rule for writing covers reading, and is named by it.
    of(word).or_else(|| if word == Word::Read { of(Word::Write) } else { None })
}

#[cfg(test)]
mod tests;
