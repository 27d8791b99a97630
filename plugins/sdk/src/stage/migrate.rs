//! The migrate stage: changes the shape of the data.

use super::{Adapter, settings};
use crate::bindings::migrate::exports::pipe::stage::migrate as guest;
use crate::{Context, Failure, Plugin};

pub use guest::{BackupArtifact, Report};

/// A plugin of the migrate stage.
pub trait Migrate: Plugin {
    /// Applies what is missing, with the backups that the run has taken so far. Must be safe to call again.
    ///
    /// # Errors
    ///
    /// What kept the plugin from changing the data.
    fn apply(context: &Context, settings: Self::Settings, backups: Vec<BackupArtifact>) -> Result<Report, Failure>;
}

impl<T: Migrate> guest::Guest for Adapter<T> {
    fn apply(request: guest::Request) -> Result<Report, Failure> {
        T::apply(&request.context, settings::<T>(&request.context)?, request.backups)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Migrate>() {}
