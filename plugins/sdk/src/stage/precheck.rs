//! The precheck stage: looks before anything is touched.

use super::{Adapter, settings};
use crate::bindings::precheck::exports::pipe::stage::precheck as guest;
use crate::{Context, Failure, Plugin};

pub use guest::Report;

/// A plugin of the precheck stage.
pub trait Precheck: Plugin {
    /// Makes the checks. Must not change anything. A report needs at least one finding.
    ///
    /// # Errors
    ///
    /// What kept the plugin from looking. An expectation that is not met is a finding, not an error.
    fn check(context: &Context, settings: Self::Settings) -> Result<Report, Failure>;
}

impl<T: Precheck> guest::Guest for Adapter<T> {
    fn check(request: guest::Request) -> Result<Report, Failure> {
        T::check(&request.context, settings::<T>(&request.context)?)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Precheck>() {}
