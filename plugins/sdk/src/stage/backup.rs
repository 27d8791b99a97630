//! The backup stage: saves what the deployment could destroy.

use super::{Adapter, settings};
use crate::bindings::backup::exports::pipe::stage::backup as guest;
use crate::{Context, Failure, Plugin};

pub use guest::Report;

/// A plugin of the backup stage.
pub trait Backup: Plugin {
    /// Takes the backup. Each attempt makes artifacts of its own; the report needs at least one.
    ///
    /// # Errors
    ///
    /// What kept the plugin from saving.
    fn take(context: &Context, settings: Self::Settings) -> Result<Report, Failure>;
}

impl<T: Backup> guest::Guest for Adapter<T> {
    fn take(request: guest::Request) -> Result<Report, Failure> {
        T::take(&request.context, settings::<T>(&request.context)?)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Backup>() {}
