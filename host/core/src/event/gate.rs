//! What people do in a run: gates that open, approvals that are recorded, and how a gate ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::StepId;

/// A moment by two clocks: the wall, which somebody may set, and the machine's own, which nobody moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Wall clock, UTC.
    pub at: jiff::Timestamp,
    /// Identity of the machine's start. Within one, `boot_ms` of two moments can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Milliseconds since that start, sleep included.
    #[serde(default)]
    pub boot_ms: u64,
}

/// One line of a gate's checklist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChecklistItem {
    /// What is to be seen to.
    pub item: String,
    /// The step that has seen to it by succeeding; nothing where people must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
}

/// What is known of one line of a checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ItemState {
    /// Nobody has said anything yet.
    Open,
    /// A step has seen to it.
    Passed {
        /// Which.
        step: StepId,
    },
    /// Somebody has seen to it.
    Attested {
        /// Who: a principal of the role.
        by: String,
        /// What was seen.
        evidence: String,
    },
    /// Somebody of the role decided that it need not be seen to.
    Waived {
        /// Who: a principal of the role.
        by: String,
        /// Why.
        reason: String,
    },
}

impl ItemState {
    /// Whether nothing more is needed.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// A line of a checklist with what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedItem {
    /// What is to be seen to.
    pub item: String,
    /// What became of it.
    #[serde(flatten)]
    pub state: ItemState,
}

/// A decision with its proof. `ssh-keygen -Y verify -n pipe-approval@v1` checks the signature over the text, offline, against
/// the signers of `gate-opened`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedApproval {
    /// What was signed, byte for byte.
    pub text: String,
    /// The signature, as `ssh-keygen -Y sign` writes it.
    pub signature: String,
    /// Who the key belongs to, as the signers file says.
    pub principal: String,
    /// The key: `SHA256:…`, as `ssh-keygen -l` prints it.
    pub key: String,
}

/// How a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateEnd {
    /// Enough people approved, and every line of the checklist is settled.
    Passed,
    /// Somebody of the role rejected it.
    Rejected,
    /// Its time ran out.
    Expired,
}

impl GateEnd {
    /// The word in output: `passed`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for GateEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
