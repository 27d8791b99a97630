//! Whether a file is one of pipe's own under another name.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// How deep pipe's own directories are looked through: the state holds the journal, and a directory for each run's artifacts.
const DEEPEST: u32 = 3;

/// Whether `file` is a hard link to one of `protected`, or to a file in one of them. Only a file of several names is looked
/// for at all.
#[must_use]
pub fn is_one_of(file: &Metadata, protected: &[PathBuf]) -> bool {
    file.nlink() > 1 && protected.iter().any(|path| holds(path, file, DEEPEST))
}

fn holds(path: &Path, file: &Metadata, depth: u32) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    if found.is_file() {
        return found.ino() == file.ino() && found.dev() == file.dev();
    }
    if !found.is_dir() || depth == 0 {
        return false;
    }
    let Ok(entries) = fs::read_dir(path) else { return false };
    entries.flatten().any(|entry| holds(&entry.path(), file, depth - 1))
}
