//! What one call of a step may take, beside its time. The pipeline file sets it, the plan shows it, the host enforces it.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::units::ByteSize;

/// One thing that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Linear memory of all instances of the component together.
    Memory,
    /// Elements of all its tables together.
    Tables,
    /// Its core instances.
    Instances,
    /// Open handles: files, streams, sockets, connections, programs.
    Handles,
    /// Lines of log, standard output and standard error together.
    LogLines,
    /// Bytes of all these lines.
    LogBytes,
    /// Bytes that come in: files read, responses, rows, sockets, what programs write to the guest.
    BytesIn,
    /// Bytes that go out: files written, requests, messages, sockets, statements with their parameters.
    BytesOut,
    /// Bytes of one artifact: of its content, and so of what is stored.
    Artifact,
}

impl Limit {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Memory,
        Self::Tables,
        Self::Instances,
        Self::Handles,
        Self::LogLines,
        Self::LogBytes,
        Self::BytesIn,
        Self::BytesOut,
        Self::Artifact,
    ];

    /// The words of [`Self::ALL`] in the same order, as the pipeline file has them.
    pub const WORDS: [&str; 9] =
        ["memory", "tables", "instances", "handles", "log_lines", "log_bytes", "bytes_in", "bytes_out", "artifact"];

    /// The word in pipeline files: `log_lines`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Whether it is counted in bytes, and so written with a unit.
    #[must_use]
    pub const fn is_bytes(self) -> bool {
        matches!(self, Self::Memory | Self::LogBytes | Self::BytesIn | Self::BytesOut | Self::Artifact)
    }

    /// What a step gets that does not say: enough for a stage that talks and compares.
    #[must_use]
    pub const fn usual(self) -> u64 {
        match self {
            Self::Memory => 256 << 20,
            Self::Tables => 100_000,
            Self::Instances => 50,
            Self::Handles => 4_096,
            Self::LogLines => 10_000,
            Self::LogBytes => 2 << 20,
            Self::BytesIn | Self::BytesOut => 1 << 30,
            Self::Artifact => 1 << 40,
        }
    }

    /// The most that a pipeline file may give. Log lines stay below what the journal lets wait, so that none is lost unsaid.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Memory => 4 << 30,
            Self::Tables => 10_000_000,
            Self::Instances => 1_000,
            Self::Handles => 4_096,
            Self::LogLines => 10_000,
            Self::LogBytes => 2 << 20,
            Self::BytesIn | Self::BytesOut => 1 << 40,
            Self::Artifact => 64 << 40,
        }
    }

    /// An amount of it, for people: `256.0 MiB`, `4096`.
    #[must_use]
    pub fn shown(self, amount: u64) -> String {
        if self.is_bytes() { ByteSize(amount).to_string() } else { amount.to_string() }
    }
}

/// What one call may take of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(Limit::ALL.map(Limit::usual))
    }
}

impl Limits {
    /// What it may take of one thing: bytes, or a number.
    #[must_use]
    pub const fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// The same with another amount of one thing, at least 1 and at most [`Limit::most`].
    #[must_use]
    pub fn with(mut self, limit: Limit, amount: u64) -> Self {
        self.0[limit as usize] = amount.clamp(1, limit.most());
        self
    }

    /// What was wanted more of, for people: ``more than 256.0 MiB of memory (`limits.memory`)``.
    #[must_use]
    pub fn exceeded(&self, limit: Limit, of: &str) -> String {
        format!("more than {} {of} (`limits.{}`)", limit.shown(self.get(limit)), limit.word())
    }

    /// Everything with its amount.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL.into_iter().zip(self.0)
    }
}

impl Serialize for Limits {
    /// A map from words to bytes and numbers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Limit::ALL.len()))?;
        for (limit, amount) in self.iter() {
            map.serialize_entry(limit.word(), &amount)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_word_and_a_sound_amount() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
            assert_eq!(limit.word(), Limit::WORDS[index]);
            assert!((1..=limit.most()).contains(&limit.usual()), "{limit:?}");
            assert_eq!(Limits::default().get(limit), limit.usual());
        }
    }

    #[test]
    fn no_amount_is_more_than_the_host_gives() {
        let limits = Limits::default().with(Limit::Handles, u64::MAX).with(Limit::LogLines, 0);
        assert_eq!((limits.get(Limit::Handles), limits.get(Limit::LogLines)), (4_096, 1));
        assert_eq!(Limit::BytesIn.shown(64 << 20), "64.0 MiB");
        assert_eq!(Limit::Tables.shown(64), "64");
        assert_eq!(serde_json::to_value(limits).unwrap()["bytes_in"], 1 << 30);
    }
}
