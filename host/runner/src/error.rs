//! Why a run does not start, and why it cannot go on.

use std::path::PathBuf;

use pipe_core::{diagnostic::Diagnostic, id::StepId};
use pipe_effects::remains::RemainsError;
use pipe_journal::JournalError;

use crate::{copies::CopyError, pins::PinError};

/// Why a run does not start. Nothing has been touched.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The pipeline file, a plugin or a grant is wrong. Each says where.
    #[error("the pipeline is not valid")]
    Invalid(Vec<Diagnostic>),
    /// A directory of ours cannot be made.
    #[error("cannot use {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A copy that the run needs cannot be kept or read.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A copy of what a step reads cannot be made or used.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The run cannot be gone on with.
    #[error("{0}")]
    NotResumable(String),
    /// What is left of the disk is kept for undoing.
    #[error("the disk of the state directory is full: no plugin is asked, and what is left is kept for undoing")]
    NoRoom,
}

/// Why a run cannot go on: what it cannot do without is its journal, and to be alone.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal cannot be written. What had been started is recorded up to then.
    #[error("cannot go on without the journal: {0}")]
    Journal(#[from] JournalError),
    /// The journal speaks of a step that the pipeline does not have.
    #[error("the journal of this run speaks of step \"{0}\", and its pipeline has none of that name")]
    Unknown(StepId),
    /// What a dead process of the run had started may still be there.
    #[error("what a process of this run left behind has not ended: {0}")]
    Remains(#[from] RemainsError),
}
