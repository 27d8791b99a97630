//! One run at a time for a pipeline and environment on this machine, by a lock that the kernel frees with the process.

use std::{
    fs::{DirBuilder, File},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use crate::{exit::Exit, failure::Failure};

/// Takes the lock, before anything is set up. Held until the returned file is dropped.
///
/// # Errors
///
/// Another process holds it, or the lock file cannot be made.
pub(crate) fn take(state: &Path, pipeline: &str, environment: &str) -> Result<File, Failure> {
    let folder = state.join("locks");
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(state, &error)),
        _ => {}
    }
    let file = File::create(folder.join(format!("{pipeline}@{environment}")));
    let file = file.map_err(|error| unusable(state, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::Error(error)) => Err(unusable(state, &error)),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!("another run of {pipeline} in {environment} is going on");
            Err(Failure::new(Exit::Locked, message).hint(format!(
                "`pipe history --state {}` lists the runs; wait for the unfinished one",
                state.display()
            )))
        }
    }
}

/// Whether a process holds the lock.
pub(crate) fn is_held(state: &Path, pipeline: &str, environment: &str) -> bool {
    let file = File::open(state.join("locks").join(format!("{pipeline}@{environment}")));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

fn unusable(state: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Internal, format!("cannot write the state directory {}: {error}", state.display()))
        .hint("`--state DIR` names another one")
}
