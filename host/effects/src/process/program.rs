//! Which file a granted program is.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    libc,
    sys::memfd::{MFdFlags, memfd_create},
    unistd::{AccessFlags, eaccess},
};
use pipe_core::digest::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::{EffectError, ErrorKind};

/// Where programs are looked up. Never what the operator's shell happens to say.
pub(super) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A `PATH` without what is not absolute: an empty or relative entry would mean the working directory.
pub(super) fn absolute_entries(path: &str) -> String {
    let entries: Vec<&str> = path.split(':').filter(|entry| entry.starts_with('/')).collect();
    if entries.is_empty() { SEARCH_PATH.to_owned() } else { entries.join(":") }
}

/// The file that `program` names: an absolute path, or a name looked up in `search`.
pub(super) fn find(program: &str, search: &str) -> Result<PathBuf, EffectError> {
    if program.starts_with('/') {
        let path = PathBuf::from(program);
        return if is_program(&path) {
            Ok(path)
        } else {
            Err(EffectError::new(ErrorKind::Unavailable, format!("{program} is not an executable file")))
        };
    }
    if program.is_empty() || program.contains('/') {
        return Err(EffectError::new(
            ErrorKind::Invalid,
            format!("`{program}` is neither a name nor an absolute path"),
        ));
    }
    search.split(':').map(|directory| Path::new(directory).join(program)).find(|path| is_program(path)).ok_or_else(
        || {
            EffectError::new(ErrorKind::Unavailable, format!("the program {program} is not installed"))
                .with_hint(format!("looked for in {search}"))
        },
    )
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        && eaccess(path, AccessFlags::X_OK).is_ok()
}

/// A program whose content was read. What is run is this very content, whatever becomes of the file.
pub(super) struct Pinned {
    /// A copy that lies nowhere, and that nobody can change any more.
    pub(super) file: File,
    /// Its content.
    pub(super) digest: Digest,
    /// Whether it only names an interpreter, which has content of its own.
    pub(super) script: bool,
}

/// The largest program whose content is read, in bytes.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// Copies the content of the program at `path`, unless it is `stopped` before its end.
pub(super) fn pin(path: &Path, stopped: impl Fn() -> bool) -> io::Result<Pinned> {
    let too_large = || io::Error::other(format!("{} is larger than any program", path.display()));
    let mut file = File::open(path)?;
    if file.metadata()?.len() > LARGEST_PROGRAM {
        return Err(too_large());
    }
    let mut copy = File::from(nowhere()?);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut start = Vec::new();
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if stopped() {
            return Err(io::Error::other(EffectError::cancelled()));
        }
        // It may grow while it is read.
        length += read as u64;
        if length > LARGEST_PROGRAM {
            return Err(too_large());
        }
        if start.len() < 2 {
            start.extend_from_slice(&buffer[..read.min(2)]);
        }
        hash.update(&buffer[..read]);
        copy.write_all(&buffer[..read])?;
    }
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(Pinned { file: copy, digest: Digest::from_bytes(hash.finalize().into()), script: start.starts_with(b"#!") })
}

/// A file in memory that can be sealed and run.
fn nowhere() -> nix::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Said since Linux 6.3, and understood before without a word.
    match memfd_create(c"program", flags | MFdFlags::from_bits_retain(libc::MFD_EXEC)) {
        Err(Errno::EINVAL) => memfd_create(c"program", flags),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_up_in_absolute_places_only() {
        assert_eq!(absolute_entries(".:/opt/bin::bin:/usr/bin:"), "/opt/bin:/usr/bin");
        assert_eq!(absolute_entries("bin:."), SEARCH_PATH);
        assert!(find("sh", SEARCH_PATH).unwrap().is_absolute());
        assert_eq!(find("no-such-program", SEARCH_PATH).unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(find("./sh", SEARCH_PATH).unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(find("/etc/passwd", SEARCH_PATH).unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(find("/etc", SEARCH_PATH).unwrap_err().kind, ErrorKind::Unavailable);
    }

    #[test]
    fn a_script_is_told_from_a_program() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let pinned = pin(&script, || false).unwrap();
        assert!(pinned.script);
        assert_eq!(pinned.digest, Digest::of(b"#!/bin/sh\n"));
        assert!(!pin(&find("env", SEARCH_PATH).unwrap(), || false).unwrap().script);
    }

    #[test]
    fn what_was_read_cannot_be_changed() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::copy("/usr/bin/true", &program).unwrap();
        let mut pinned = pin(&program, || false).unwrap();
        fs::write(&program, "something else").unwrap();
        assert_eq!(pinned.file.write_all(b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(pinned.file.set_len(0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let held = fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pinned.file))).unwrap();
        assert_eq!((Digest::of(&held), held), (pinned.digest, fs::read("/usr/bin/true").unwrap()));
    }
}
