//! Saying what a stage would do.

use super::{Adapter, settings};
use crate::bindings::preview::exports::pipe::stage::preview as guest;
use crate::{Context, Failure, Plugin};

/// A plugin that can say what it would do.
pub trait Preview: Plugin {
    /// Says, one line each and for people, what the stage would do now. The grant is cut down to reading.
    ///
    /// # Errors
    ///
    /// What kept the plugin from looking.
    fn preview(context: &Context, settings: Self::Settings) -> Result<Vec<String>, Failure>;
}

impl<T: Preview> guest::Guest for Adapter<T> {
    fn preview(context: Context) -> Result<Vec<String>, Failure> {
        T::preview(&context, settings::<T>(&context)?)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Preview>() {}
