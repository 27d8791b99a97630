//! Identities of runs and steps.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Identity of a run: `20261123021500-9f3c1a`, the UTC second it started and six hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// A new identity for a run that starts at `now`. Two of the same second differ by 24 random bits.
    #[must_use]
    pub fn new(now: jiff::Timestamp) -> Self {
        let random = uuid::Uuid::now_v7();
        let tail = hex::encode(&random.as_bytes()[13..16]);
        Self(format!("{}-{tail}", now.strftime("%Y%m%d%H%M%S")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is not the identity of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run: fourteen digits, `-`, and six hexadecimal digits")]
pub struct NotARunId(pub String);

impl FromStr for RunId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.split_once('-').is_some_and(|(second, tail)| {
            second.len() == 14
                && second.bytes().all(|b| b.is_ascii_digit())
                && tail.len() == 6
                && tail.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        });
        if well_formed { Ok(Self(text.to_owned())) } else { Err(NotARunId(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = NotARunId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// A step, or one instance of a step that is repeated over a set. Written `deploy` or `deploy[api-gateway]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepId {
    /// `name` in the pipeline file.
    pub name: String,
    /// Key of the set entry, where the step has `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl StepId {
    /// A step that is not repeated.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), instance: None }
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            None => f.write_str(&self.name),
            Some(key) => write!(f, "{}[{key}]", self.name),
        }
    }
}
