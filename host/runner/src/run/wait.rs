//! What a run waits for, and for whom.

use std::fmt;

use pipe_core::id::StepId;

use crate::course::Bar;

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Somebody who says what becomes of a step that was cut off in the middle.
    Decision(StepId),
    /// People who decide at a gate.
    Gate {
        /// The gate.
        gate: StepId,
        /// Their role.
        role: String,
    },
    /// Somebody who resumes the run: nobody came to this gate in time.
    Expired(StepId),
    /// Somebody who has the backup taken again that a migration leans on: it has become too old.
    Backup {
        /// The backup.
        backup: StepId,
        /// Which migration, and how old.
        why: String,
    },
    /// The time of a phase, or somebody who lets it begin although it is too late.
    Phase(Bar),
    /// Somebody who says what becomes of a step or gate of a later phase that failed.
    Halted {
        /// Which.
        step: StepId,
        /// Why it failed.
        why: String,
    },
    /// Somebody who says whether it goes on past a check that was not met.
    Breach {
        /// The step whose guard it is; nothing for the watch.
        step: Option<StepId>,
        /// The check, and what it saw.
        why: String,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision(step) => {
                write!(f, "step \"{step}\" was cut off after it had begun to change something: retry it, or undo?")
            }
            Self::Gate { gate, role } => write!(f, "{role} decides at the gate \"{gate}\""),
            Self::Backup { backup, why } => write!(f, "{why}: have \"{backup}\" taken again, or undo?"),
            Self::Phase(bar) => write!(f, "{bar}"),
            Self::Halted { step, why } => write!(f, "\"{step}\" of a later phase failed ({why}): try again, or undo?"),
            Self::Expired(gate) => write!(f, "nobody decided at the gate \"{gate}\" in time: resume, to ask again"),
            Self::Breach { step: Some(step), why } => {
                write!(f, "the guard of step \"{step}\" was not met ({why}): look again and go on, or undo?")
            }
            Self::Breach { step: None, why } => {
                write!(f, "the watch was not met ({why}): watch on, or undo?")
            }
        }
    }
}
