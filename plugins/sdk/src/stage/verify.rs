//! The verify stage: looks at what was released, as its users would.

use super::{Adapter, settings};
use crate::bindings::verify::exports::pipe::stage::verify as guest;
use crate::{Context, Failure, Plugin};

pub use guest::Report;

/// A plugin of the verify stage.
pub trait Verify: Plugin {
    /// Makes the checks, and removes again whatever it writes in order to look. A report needs at least one finding.
    ///
    /// # Errors
    ///
    /// What kept the plugin from looking. An expectation that is not met is a finding, not an error.
    fn probe(context: &Context, settings: Self::Settings) -> Result<Report, Failure>;
}

impl<T: Verify> guest::Guest for Adapter<T> {
    fn probe(request: guest::Request) -> Result<Report, Failure> {
        T::probe(&request.context, settings::<T>(&request.context)?)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Verify>() {}
