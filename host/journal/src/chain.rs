//! The chain: what an entry's hash covers, and what must hold between an entry and the one before it. Pure.
//!
//! `hash = sha256(f(seq) f(run) f(at) f(boot_ms) f(body) f(prev))` where `f(x)` is the length of `x` as eight bytes, big end
//! first, and then `x`: numbers as eight bytes, big end first, texts as UTF-8, `prev` as its 32 bytes. `prev` is the hash of the
//! entry whose `seq` is one less, and [`GENESIS`] for the first entry, whose `seq` is 1.

use pipe_core::{digest::Digest, id::RunId};
use sha2::{Digest as _, Sha256};

/// What the first entry follows.
pub const GENESIS: Digest = Digest::from_bytes([0; 32]);

/// One entry, as the database and the export hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// Its place in the journal, from 1, without gaps.
    pub seq: u64,
    /// The run.
    pub run: &'e str,
    /// Wall clock, UTC, RFC 3339.
    pub at: &'e str,
    /// Milliseconds since the machine started.
    pub boot_ms: u64,
    /// The event: JSON, to the byte.
    pub body: &'e str,
    /// Hash of the entry before.
    pub prev: Digest,
    /// Hash of this entry.
    pub hash: Digest,
}

impl Entry<'_> {
    /// The hash that this entry must have.
    #[must_use]
    pub fn due_hash(&self) -> Digest {
        hash(self.seq, self.run, self.at, self.boot_ms, self.body, &self.prev)
    }
}

/// The hash of an entry.
#[must_use]
pub fn hash(seq: u64, run: &str, at: &str, boot_ms: u64, body: &str, prev: &Digest) -> Digest {
    let (seq, boot_ms) = (seq.to_be_bytes(), boot_ms.to_be_bytes());
    let mut hasher = Sha256::new();
    for field in [&seq, run.as_bytes(), at.as_bytes(), &boot_ms, body.as_bytes(), prev.as_bytes()] {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// What is wrong with an entry, or with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Not an entry at all.
    #[error("not an audit entry: {0}")]
    Malformed(String),
    /// An entry, but not byte for byte as it was exported.
    #[error("not written as it was exported")]
    Rewritten,
    /// Longer than a line can be.
    #[error("longer than {} bytes", crate::MAXIMUM_LINE)]
    TooLong,
    /// The source of the lines failed.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Something in the entry was changed.
    #[error("the content does not match its hash")]
    Changed,
    /// Entries are missing before this one.
    #[error("entry {0} is missing before it")]
    Missing(u64),
    /// This entry, or one after it, was here already.
    #[error("it stands behind entry {0}: repeated, or moved")]
    OutOfOrder(u64),
    /// The hash of the entry before is not the one that this entry names.
    #[error("it does not follow the entry before it")]
    Unlinked,
    /// An export of one run holds an entry of another.
    #[error("it belongs to another run than this export")]
    OtherRun,
    /// No entry has the hash that was given as head.
    #[error(
        "no entry has the hash {0}: the end was cut off, all of it was written anew, or the head is that of another journal"
    )]
    HeadMissing(Digest),
}

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {what}", entry_of(*.seq))]
pub struct ChainBroken {
    /// The line of the export, from 1; in the database the how-manieth entry.
    pub line: u64,
    /// The entry, where there is one that can be read.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: Breach,
}

fn entry_of(seq: Option<u64>) -> String {
    seq.map_or_else(String::new, |seq| format!(", entry {seq}"))
}

/// A chain without a breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries.
    pub entries: u64,
    /// Place of the first; 0 where there is none.
    pub first: u64,
    /// Place of the last; 0 where there is none.
    pub last: u64,
    /// Hash of the last; [`GENESIS`] where there is none.
    pub head: Digest,
    /// How many entries follow the one that the given head names; nothing where none was given.
    pub since_head: Option<u64>,
    /// The run, where only its entries were exported: each entry was checked, and the links between those that are adjacent,
    /// but nobody can tell whether entries between them are missing.
    pub subset: Option<RunId>,
}

/// Goes along a chain, entry by entry.
#[derive(Debug)]
pub struct Checker {
    anchor: Option<Digest>,
    seen: Verified,
}

impl Checker {
    /// For the whole chain from its first entry. With `anchor`, a hash that was noted elsewhere, an entry must have that hash.
    #[must_use]
    pub fn new(anchor: Option<Digest>) -> Self {
        let since_head = (anchor == Some(GENESIS)).then_some(0);
        Self { anchor, seen: Verified { entries: 0, first: 0, last: 0, head: GENESIS, since_head, subset: None } }
    }

    /// For the entries of one run.
    #[must_use]
    pub fn of_run(run: RunId, anchor: Option<Digest>) -> Self {
        let mut checker = Self::new(anchor);
        checker.seen.subset = Some(run);
        checker
    }

    /// Takes the next entry.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Breach> {
        if entry.due_hash() != entry.hash {
            return Err(Breach::Changed);
        }
        let seen = &mut self.seen;
        let next = seen.last + 1;
        if entry.seq < next {
            return Err(Breach::OutOfOrder(seen.last));
        }
        match &seen.subset {
            None if entry.seq > next => return Err(Breach::Missing(next)),
            Some(run) if run.as_str() != entry.run => return Err(Breach::OtherRun),
            _ => {}
        }
        if entry.seq == next && entry.prev != seen.head {
            return Err(Breach::Unlinked);
        }
        seen.entries += 1;
        seen.first = if seen.entries == 1 { entry.seq } else { seen.first };
        seen.last = entry.seq;
        seen.head = entry.hash;
        seen.since_head = if self.anchor == Some(entry.hash) { Some(0) } else { seen.since_head.map(|n| n + 1) };
        Ok(())
    }

    /// How many entries were taken.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.seen.entries
    }

    /// There are no more entries.
    ///
    /// # Errors
    ///
    /// The anchor was not among them.
    pub fn finish(self) -> Result<Verified, Breach> {
        match self.anchor {
            Some(anchor) if self.seen.since_head.is_none() => Err(Breach::HeadMissing(anchor)),
            _ => Ok(self.seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261123021500-9f3c1a";
    const AT: &str = "2026-11-23T02:15:00.000000Z";

    /// Computed by another program, from the first lines of this file.
    #[test]
    fn the_hash_never_changes() {
        let body = r#"{"event":"touched","step":{"name":"ä"},"attempt":1}"#;
        let expected = "fade883f194586169d36455b5a4d448332513809df31fb006876debdee7c28fe";
        assert_eq!(hash(1, RUN, AT, 42, body, &GENESIS).to_string(), expected);
    }

    #[test]
    fn every_field_counts_and_no_byte_can_move_between_fields() {
        let other = Digest::of(b"other");
        let hashes = [
            hash(1, RUN, AT, 42, "{}", &GENESIS),
            hash(2, RUN, AT, 42, "{}", &GENESIS),
            hash(1, "20261123021500-9f3c1b", AT, 42, "{}", &GENESIS),
            hash(1, RUN, "2026-11-23T02:15:00.000001Z", 42, "{}", &GENESIS),
            hash(1, RUN, AT, 43, "{}", &GENESIS),
            hash(1, RUN, AT, 42, "{ }", &GENESIS),
            hash(1, RUN, AT, 42, "{}", &other),
            hash(1, "ab", "c", 42, "{}", &GENESIS),
            hash(1, "a", "bc", 42, "{}", &GENESIS),
            hash(1, "abc", "", 42, "{}", &GENESIS),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }

    /// Entry `seq` behind an entry with the hash `prev`.
    fn entry(seq: u64, prev: Digest) -> Entry<'static> {
        Entry { seq, run: RUN, at: AT, boot_ms: 1, body: "{}", prev, hash: hash(seq, RUN, AT, 1, "{}", &prev) }
    }

    #[test]
    fn an_entry_is_judged_by_the_one_before() {
        let first = entry(1, GENESIS);
        let run: RunId = RUN.parse().expect("is a run");
        let other: RunId = "20261123021500-000000".parse().expect("is a run");
        let whole = || Checker::new(None);
        let subset = || Checker::of_run(run.clone(), None);
        let strayed = Digest::of(b"strayed");
        for (mut checker, entries, expected) in [
            (whole(), vec![first, entry(2, first.hash)], Ok(())),
            (whole(), vec![first, entry(2, strayed)], Err(Breach::Unlinked)),
            (whole(), vec![entry(1, strayed)], Err(Breach::Unlinked)),
            (whole(), vec![entry(0, GENESIS)], Err(Breach::OutOfOrder(0))),
            (whole(), vec![first, first], Err(Breach::OutOfOrder(1))),
            (whole(), vec![first, entry(3, strayed)], Err(Breach::Missing(2))),
            (whole(), vec![entry(2, strayed)], Err(Breach::Missing(1))),
            (whole(), vec![Entry { boot_ms: 2, ..first }], Err(Breach::Changed)),
            (subset(), vec![entry(7, strayed), entry(9, strayed)], Ok(())),
            (subset(), vec![entry(7, strayed), entry(8, strayed)], Err(Breach::Unlinked)),
            (subset(), vec![entry(1, strayed)], Err(Breach::Unlinked)),
            (subset(), vec![entry(7, strayed), entry(6, strayed)], Err(Breach::OutOfOrder(7))),
            (Checker::of_run(other, None), vec![first], Err(Breach::OtherRun)),
        ] {
            let judged = entries.iter().try_for_each(|entry| checker.entry(entry));
            assert_eq!(judged, expected, "{entries:?}");
        }
    }
}
