//! Where a run is written, so that it is found again.

use pipe_core::digest::Digest;
use serde::Serialize;

/// Where a run is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// First entry.
    pub first: u64,
    /// Last entry.
    pub last: u64,
    /// How many entries are the run's.
    pub entries: u64,
    /// Hash of the last entry, which holds that of every entry before it. It is found again in any later export.
    pub head: Digest,
    /// How many of them a later version of pipe wrote, so that this report leaves them out.
    pub unknown: u64,
    /// Where the journal was not as it was written when this was made: what was found, and whatever else stands here is then not to
    /// be trusted. Only who has the journal can tell.
    pub broken: Option<String>,
}
