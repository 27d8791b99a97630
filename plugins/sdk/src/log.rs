//! Lines for the operator. The host redacts them, strips control characters and limits their rate. Never a secret.

use crate::bindings::host::pipe::host::log as host;

pub use host::Level;

/// For the plugin's author.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref(), &[]);
}

/// For the operator who looks closely.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref(), &[]);
}

/// For every operator.
pub fn warning(message: impl AsRef<str>) {
    write(Level::Warning, message.as_ref(), &[]);
}

/// For every operator, at once.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref(), &[]);
}

/// One line with named values beside the message. Does nothing in native tests.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    if cfg!(target_family = "wasm") {
        let field = |&(key, value): &(&str, &str)| host::Field { key: key.to_owned(), value: value.to_owned() };
        host::write(level, message, &fields.iter().map(field).collect::<Vec<_>>());
    }
}

/// How far a long task has come. `total` is nothing where it is not known. Does nothing in native tests.
pub fn progress(message: impl AsRef<str>, done: u64, total: Option<u64>) {
    if cfg!(target_family = "wasm") {
        host::progress(message.as_ref(), done, total);
    }
}
