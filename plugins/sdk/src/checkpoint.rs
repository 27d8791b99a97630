//! Receipts: what `undo` will need. No capability.

use crate::bindings::host::pipe::host::checkpoint as host;
use crate::{Error, Failure, Receipt};

/// Saves a receipt, durable when this returns. Call it before the act that it describes; the same key replaces.
/// `summary` is one line for the person who must go on by hand when `undo` fails.
///
/// # Errors
///
/// A receipt over 1 MiB, more than 1,000 of them, or a journal that cannot be written.
pub fn save(key: &str, data: &[u8], summary: &str) -> Result<(), Error> {
    Ok(host::save(key, data, summary)?)
}

/// [`save`] of a value as JSON. [`Receipt::json`] reads it back.
///
/// # Errors
///
/// As [`save`], and a value that is not JSON.
pub fn save_json<T: serde::Serialize>(key: &str, value: &T, summary: &str) -> Result<(), Failure> {
    let data = serde_json::to_vec(value).map_err(|error| Failure::other(format!("receipt {key}: {error}")))?;
    Ok(save(key, &data, summary)?)
}

impl Receipt {
    /// The value that [`save_json`] saved.
    ///
    /// # Errors
    ///
    /// A receipt that holds something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.data).map_err(|error| Failure::conflict(format!("receipt {}: {error}", self.key)))
    }
}
