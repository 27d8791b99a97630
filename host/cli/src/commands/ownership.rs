//! One run at a time for a pipeline and environment.

use std::{path::Path, sync::Arc};

use pipe_core::id::RunId;
use pipe_journal::{Claim, Ownership};

use super::loading;
use crate::failure::Failure;

/// Takes it for a run, before anything is set up. Held until the last handle is dropped.
///
/// # Errors
///
/// Another process has it, or the journal cannot be used.
pub(crate) fn take(
    state: &Path,
    pipeline: &str,
    environment: &str,
    run: Option<&RunId>,
) -> Result<Arc<Ownership>, Failure> {
    let actor = loading::actor();
    Ok(Arc::new(Ownership::take(state, Claim { pipeline, environment, run, actor: &actor })?))
}

/// Whether a process has it.
pub(crate) fn is_held(state: &Path, pipeline: &str, environment: &str) -> bool {
    Ownership::look(state, pipeline, environment).is_ok_and(|(_, held)| held)
}
