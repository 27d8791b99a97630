//! Whose a pipeline and environment are, and why they are not this process's.

use crate::error::EffectError;

/// What is owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
}

/// Who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedClaim {
    /// The run that will be started or continued.
    pub run: String,
    /// Identity of the state directory on its host: within it a kernel lock says that no other process drives.
    pub place: String,
    /// User and host.
    pub owner: String,
    /// Path of the state directory.
    pub state: String,
    /// Of a run that goes on: the epoch that was its own. Another one means that somebody has had it since.
    pub held: Option<u64>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedOwner {
    /// How often it was taken or freed until then.
    pub epoch: u64,
    /// The run that has it. Nothing where none does.
    pub run: Option<String>,
    /// Where its record is; where nobody has it, the state directory that had it last, or freed it.
    pub place: Option<String>,
    /// User and host who took it, or freed it.
    pub owner: String,
    /// The state directory there.
    pub state: String,
    /// Why it was freed, where somebody unlocked it.
    pub note: Option<String>,
    /// Since when, by the clock of the database.
    pub since: String,
}

impl SharedOwner {
    /// As people say it: `run 20261123021500-9f3c1a of root@host (state in /var/lib/pipe), since 2026-11-23 02:15:00Z`.
    #[must_use]
    pub fn tell(&self) -> String {
        let since = &self.since;
        match (&self.run, &self.note) {
            (Some(run), _) => format!("run {run} of {} (state in {}), since {since}", self.owner, self.state),
            (None, Some(note)) => format!("unlocked by {}, since {since}: {note}", self.owner),
            (None, None) => format!("no run, the last was of {}, until {since}", self.owner),
        }
    }
}

/// Why a pipeline and environment are not this process's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SharedError {
    /// Another run has it.
    #[error("another run is going on, or has not ended: {}", .0.tell())]
    Owned(Box<SharedOwner>),
    /// This run had it, and does not any more: somebody took or freed it.
    #[error("epoch {held} is over, and {} began: {}", .now.epoch, .now.tell())]
    Over {
        /// What was this run's.
        held: u64,
        /// What is there now.
        now: Box<SharedOwner>,
    },
    /// Its row is not there.
    #[error("there is no row for it in public.pipe_ownership")]
    Missing,
    /// The database cannot be asked, or does not let itself be written. Nobody knows who has it.
    #[error("nobody can say who drives it: {0}")]
    Unproven(#[source] EffectError),
}

impl SharedError {
    /// Whether another one has it, for certain.
    #[must_use]
    pub const fn is_others(&self) -> bool {
        matches!(self, Self::Owned(_) | Self::Over { .. } | Self::Missing)
    }
}
