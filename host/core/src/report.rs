//! What a stage says after a call: findings, outputs, failures. The host's own types, apart from the WIT ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingStatus {
    /// Met.
    Pass,
    /// Not met, of little severity.
    Warn,
    /// Not met, or nothing could be observed.
    Fail,
    /// Did not apply.
    Skip,
}

/// One thing that a stage looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Short name.
    pub name: String,
    /// How it ended.
    pub status: FindingStatus,
    /// One sentence for people.
    pub message: String,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// What was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// What a stage reports on success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// What was looked at, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Values for later steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Of a report that was read back: names of outputs whose values lie sealed beside the record, each with the sha256 of what
    /// lies there. The values themselves are never in the record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sealed: BTreeMap<String, Digest>,
    /// Backup: digests of the artifacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Digest>,
    /// Migrate, release: version or revision before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Migrate, release: version or revision now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Migrate: what was applied. Undo: what was taken back. Notify: channels that accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

impl StageReport {
    /// Whether it says that all was as it should be already: the same version or revision before and after.
    #[must_use]
    pub fn says_unchanged(&self) -> bool {
        self.before.is_some() && self.before == self.after
    }
}

/// Why a step failed. Plugins report the first seven; the host finds the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Settings that make no sense.
    Settings,
    /// The host refused something.
    Denied,
    /// Not reachable or not ready.
    Unavailable,
    /// Something within the step took too long.
    TimedOut,
    /// The world is not as the stage needs it.
    Conflict,
    /// A check failed.
    Unmet,
    /// Anything else.
    Other,
    /// The step ran into its deadline and was ended by the host.
    Deadline,
    /// The guest trapped.
    Trap,
    /// The guest wanted more memory than the step may have.
    OutOfMemory,
    /// The report broke the contract: too large, a key twice, a digest that was never stored.
    MalformedReport,
    /// The run was interrupted while the step ran.
    Interrupted,
}

impl FailureKind {
    /// The word in journals and output: `timed-out`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed-out",
            Self::Conflict => "conflict",
            Self::Unmet => "unmet",
            Self::Other => "other",
            Self::Deadline => "deadline",
            Self::Trap => "trap",
            Self::OutOfMemory => "out-of-memory",
            Self::MalformedReport => "malformed-report",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// A lower-case fragment.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// What had been found until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Advice: for a denial, the line that would allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
