//! The release stage: puts a new version in front of its users.

use super::{Adapter, settings};
use crate::bindings::release::exports::pipe::stage::release as guest;
use crate::{Context, Failure, Plugin};

pub use guest::{Report, Wave};

/// A plugin of the release stage.
pub trait Release: Plugin {
    /// Releases, or one wave of it. Saves a receipt with [`crate::checkpoint::save`] before each act.
    ///
    /// # Errors
    ///
    /// What kept the plugin from releasing.
    fn publish(context: &Context, settings: Self::Settings, wave: Option<Wave>) -> Result<Report, Failure>;
}

impl<T: Release> guest::Guest for Adapter<T> {
    fn publish(request: guest::Request) -> Result<Report, Failure> {
        T::publish(&request.context, settings::<T>(&request.context)?, request.wave)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Release>() {}
