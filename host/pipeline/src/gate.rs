//! Waiting for people: roles and gates of a checked pipeline.

use std::{fmt, ops::Range, path::PathBuf, time::Duration};

use pipe_core::{event::ChecklistItem, id::StepId};

use crate::pipeline::{Pipeline, RollbackEntry};

/// Who decides: a role and the file of those who have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSpec {
    /// A file of OpenSSH's `allowed_signers`. Absolute.
    pub signers: PathBuf,
    /// The role's name in the file.
    pub span: Range<usize>,
}

/// A wait for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Identity. Unique among steps, gates, rollback and notifications.
    pub id: StepId,
    /// Who decides: a key of [`Pipeline::roles`].
    pub role: String,
    /// How many different people must approve, at least 1.
    pub quorum: u32,
    /// How long it waits.
    pub expires: Duration,
    /// What happens after that.
    pub on_expiry: OnExpiry,
    /// Of a gate in the rollback: the step without whose start it does not stand.
    pub if_started: Option<String>,
    /// What is to be seen to.
    pub checklist: Vec<ChecklistItem>,
    /// Its name in the file.
    pub span: Range<usize>,
}

/// A gate among the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepGate {
    /// It stands before the step with this place in [`Pipeline::steps`]; behind the last one where it is their number.
    pub before: usize,
    /// The gate.
    pub gate: Gate,
}

/// What happens when nobody came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExpiry {
    /// What was started is undone. Of gates among the steps alone.
    Rollback,
    /// The run stops as it is; when it is resumed the gate opens anew.
    Stop,
    /// The rollback ends as one that failed. Of gates in the rollback alone.
    Fail,
}

impl OnExpiry {
    /// The word in pipeline files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Stop => "stop",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for OnExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Pipeline {
    /// The gates that stand before the step with this place, in order.
    pub fn gates_before(&self, place: usize) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(move |standing| standing.before == place).map(|standing| &standing.gate)
    }

    /// Every gate: those among the steps, then those of the rollback.
    pub fn all_gates(&self) -> impl Iterator<Item = &Gate> {
        let rollback = self.rollback.iter().flatten().filter_map(|entry| match entry {
            RollbackEntry::Gate(gate) => Some(gate),
            RollbackEntry::Undo { gate, .. } => gate.as_ref(),
            RollbackEntry::Run(_) => None,
        });
        self.gates.iter().map(|standing| &standing.gate).chain(rollback)
    }
}
