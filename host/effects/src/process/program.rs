//! Which file a granted program is.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, eaccess};
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

/// A program whose content was read: what is run is this very file, whatever the path leads to later.
pub(super) struct Pinned {
    /// The open file.
    pub(super) file: File,
    /// Its content.
    pub(super) digest: Digest,
    /// Whether it only names an interpreter, which has content of its own.
    pub(super) script: bool,
}

/// The largest program whose content is read, in bytes.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// Reads the content of the program at `path`, unless it is `stopped` before its end.
pub(super) fn pin(path: &Path, stopped: impl Fn() -> bool) -> io::Result<Pinned> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > LARGEST_PROGRAM {
        return Err(io::Error::other(format!("{} is larger than any program", path.display())));
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut start = Vec::new();
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if stopped() {
            return Err(io::Error::other(EffectError::cancelled()));
        }
        if start.len() < 2 {
            start.extend_from_slice(&buffer[..read.min(2)]);
        }
        hash.update(&buffer[..read]);
    }
    Ok(Pinned { file, digest: Digest::from_bytes(hash.finalize().into()), script: start.starts_with(b"#!") })
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
}
