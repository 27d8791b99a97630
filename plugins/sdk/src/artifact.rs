//! Backups and other files that the run keeps. Bulk bytes never pass through the guest. Capability: `artifacts`.

use crate::Error;
use crate::bindings::host::pipe::host::artifact as host;
use crate::process::Command;

pub use host::{Stored, Storing, Verification};

/// Stores a tar archive of a granted directory.
///
/// # Errors
///
/// A refusal, or what went wrong; then there is no artifact.
pub fn archive(directory: &str, storing: &Storing) -> Result<Stored, Error> {
    Ok(host::archive(directory, storing)?)
}

/// Stores what a program writes to its standard output.
///
/// # Errors
///
/// A refusal, or a program that does not exit with 0 (the last lines of its standard error are in the error); then
/// there is no artifact.
pub fn capture(producer: &Command, storing: &Storing) -> Result<Stored, Error> {
    Ok(host::capture(&producer.to_host(), storing)?)
}

/// Reads an archive back: hash, decrypt, decompress, and list to the end. The host then counts it as verified.
///
/// # Errors
///
/// A refusal, or an artifact that is not what it should be.
pub fn verify_archive(digest: &str) -> Result<Verification, Error> {
    Ok(host::verify_archive(digest)?)
}

/// Reads an artifact back and hands its content to a program on standard input, to the end.
///
/// # Errors
///
/// A refusal, or a program that did not take all of it or did not exit with 0.
pub fn verify_with(digest: &str, verifier: &Command) -> Result<Verification, Error> {
    Ok(host::verify_with(digest, &verifier.to_host())?)
}

/// Unpacks an archive into an empty granted directory.
///
/// # Errors
///
/// A refusal, or what went wrong.
pub fn extract(digest: &str, directory: &str) -> Result<Verification, Error> {
    Ok(host::extract(digest, directory)?)
}
