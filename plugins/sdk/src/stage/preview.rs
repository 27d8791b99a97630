//! Saying what a stage would do.

use super::{Adapter, settings};
use crate::bindings::preview::exports::pipe::stage::preview as guest;
use crate::{Context, Failure, Plugin};

/// A plugin that can say what it would do. Exported by naming it behind the type: `export_migrate!(Type, undo, preview)`.
///
/// For `pipe plan --preview` the host calls it with the grant of the step cut down to reading: requests with GET and HEAD, databases and files
/// for reading, free space, handshakes and variables. Whatever else the step is granted is refused: to write, to run a program, to connect,
/// to send a message, to store an artifact, to save a receipt, to be told a secret.
pub trait Preview: Plugin {
    /// Says, one line each and for people, what the stage would do now: each line goes on after "it would". Share the code that decides
    /// with the stage itself, so that what is said is what will be done.
    ///
    /// # Errors
    ///
    /// What kept the plugin from looking, or what would be in the way of the stage.
    fn preview(context: &Context, settings: Self::Settings) -> Result<Vec<String>, Failure>;
}

impl<T: Preview> guest::Guest for Adapter<T> {
    fn preview(context: Context) -> Result<Vec<String>, Failure> {
        T::preview(&context, settings::<T>(&context)?)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Preview>() {}
