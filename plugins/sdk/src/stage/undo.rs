//! Taking back what a stage did. A plugin that exports it is reversible.

use super::{Adapter, settings};
use crate::bindings::undo::exports::pipe::stage::undo as guest;
use crate::{Context, Failure, Plugin, Receipt};

pub use guest::Report;

/// A plugin that can take back what it did.
pub trait Undo: Plugin {
    /// Takes back, given everything the step has saved, oldest first. Idempotent; accepts a receipt whose act never
    /// happened.
    ///
    /// # Errors
    ///
    /// What kept the plugin from taking back.
    fn undo(context: &Context, settings: Self::Settings, receipts: Vec<Receipt>) -> Result<Report, Failure>;
}

impl<T: Undo> guest::Guest for Adapter<T> {
    fn undo(request: guest::Request) -> Result<Report, Failure> {
        T::undo(&request.context, settings::<T>(&request.context)?, request.receipts)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Undo>() {}
