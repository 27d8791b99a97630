//! Space that is set aside while there is some, and given back when the disk is full: a run that cannot record what it undoes
//! could not be undone.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    libc::O_NOFOLLOW,
    sys::statvfs::statvfs,
};

use crate::JournalError;

/// Name of the file in the state directory.
const FILE: &str = "reserve";

/// Bytes of a reserve, where the disk is large enough.
const MOST: u64 = 64 << 20;

/// Bytes of a reserve on a small disk.
const LEAST: u64 = 1 << 20;

/// Of a disk, at most one part in so many.
const SHARE: u64 = 16;

/// Bytes that are given back at once. Not all: whoever else fills the disk would take what is left over.
const SLICE: u64 = 512 << 10;

/// Bytes that must be free for what is no run.
const ROOM: u64 = 2 << 20;

/// Sets space aside in a state directory, which is there, unless that was done and not used up: 64 MiB, or a sixteenth of the file
/// system where that is less, but 1 MiB at least. Returns how much there is, in bytes.
///
/// # Errors
///
/// There is no room for it, or the directory cannot be written.
pub fn set_aside(state_dir: &Path) -> Result<u64, JournalError> {
    let path = path(state_dir);
    let failed = |error: io::Error, bytes| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            JournalError::NoReserve { path: path.clone(), bytes }
        }
        _ => JournalError::unusable(state_dir, error),
    };
    let space = statvfs(state_dir).map_err(|errno| failed(errno.into(), 0))?;
    // Their sizes differ from machine to machine.
    let total = (space.blocks() as u64).saturating_mul(space.fragment_size() as u64);
    let bytes = (total / SHARE).clamp(LEAST, MOST) & !4_095;
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(O_NOFOLLOW);
    let file = options.open(&path).map_err(|error| failed(error, bytes))?;
    let metadata = file.metadata().map_err(|error| failed(error, bytes))?;
    if metadata.len() >= bytes && metadata.blocks() * 512 >= bytes {
        return Ok(metadata.len());
    }
    fill(&file, bytes).map(|()| bytes).map_err(|error| {
        // A part of a reserve is of use to the next run, and in the way of everybody else now.
        let _ = file.set_len(0);
        failed(error, bytes)
    })
}

/// Whether there is room beside the reserve, for what is no run: that must not live from what was set aside for undoing one.
///
/// # Errors
///
/// The directory cannot be looked at.
pub fn has_room(state_dir: &Path) -> Result<bool, JournalError> {
    let space = statvfs(state_dir).map_err(|errno| JournalError::unusable(state_dir, errno.into()))?;
    Ok((space.blocks_available() as u64).saturating_mul(space.fragment_size() as u64) >= ROOM)
}

/// Has the file system promise the space. Where it knows no promises, the space is taken by writing.
fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
        done => return done.map_err(io::Error::from),
    }
    let zeros = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = zeros.get(..usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len())).unwrap_or_default();
        file.write_all(part)?;
        left -= part.len() as u64;
    }
    file.sync_all()
}

/// Gives a part of the reserve back. Whether there was any.
pub(crate) fn give_back(state_dir: &Path) -> bool {
    let give = || {
        let file = OpenOptions::new().write(true).custom_flags(O_NOFOLLOW).open(path(state_dir))?;
        let length = file.metadata()?.len();
        let slice = SLICE.max(length / 8);
        file.set_len(length.saturating_sub(slice)).map(|()| length > 0)
    };
    give().unwrap_or(false)
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(state: &Path) -> u64 {
        state.join(FILE).metadata().expect("a reserve").blocks() * 512
    }

    #[test]
    fn it_takes_its_space_and_gives_it_back_in_parts() {
        let directory = tempfile::tempdir().expect("temporary directory");
        assert!(!give_back(directory.path()), "nothing was set aside");
        let bytes = set_aside(directory.path()).expect("there is room");
        assert!((LEAST..=MOST).contains(&bytes), "{bytes}");
        assert!(taken(directory.path()) >= bytes, "not only promised");
        assert_eq!(set_aside(directory.path()).expect("is there"), bytes);
        let mut parts = 0;
        let mut before = taken(directory.path());
        while give_back(directory.path()) {
            let after = taken(directory.path());
            assert!(after < before, "{after} of {before}");
            (before, parts) = (after, parts + 1);
        }
        assert_eq!(before, 0);
        assert!(bytes < 2 * SLICE || parts > 1);
        assert_eq!(set_aside(directory.path()).expect("there is room again"), bytes);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let precious = directory.path().join("precious");
        std::fs::write(&precious, "content").expect("a file");
        std::os::unix::fs::symlink(&precious, directory.path().join(FILE)).expect("a link");
        assert!(set_aside(directory.path()).is_err() && !give_back(directory.path()));
        assert_eq!(std::fs::read_to_string(&precious).expect("is there"), "content");
    }
}
