//! The end of an artifact's file: by what the record says of it, and never because it lies in a directory.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    path::Path,
};

use cap_std::{ambient_authority, fs::Dir};
use pipe_core::event::Artifact;

/// The name of its file in the directory of its run: the record holds the whole path, and the state directory may have moved.
fn file_name(artifact: &Artifact) -> Option<&OsStr> {
    Path::new(&artifact.location).file_name()
}

/// Whether the directory holds the artifact's file, as large as it was stored. Its content is not read.
#[must_use]
pub fn is_there(directory: &Path, artifact: &Artifact) -> bool {
    let looked = Dir::open_ambient_dir(directory, ambient_authority())
        .and_then(|directory| directory.symlink_metadata(file_name(artifact).unwrap_or_default()));
    looked.is_ok_and(|file| file.is_file() && file.len() == artifact.bytes)
}

/// Removes the artifact's file, for good when it returns. Says whether there was one.
///
/// # Errors
///
/// There is something else of that name, or it cannot be removed.
pub fn remove(directory: &Path, artifact: &Artifact) -> io::Result<bool> {
    let name = file_name(artifact).ok_or_else(|| io::Error::other("the record names no file"))?;
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let folder = match Dir::open_ambient_dir(directory, ambient_authority()) {
        Err(error) if gone(&error) => return Ok(false),
        folder => folder?,
    };
    match folder.symlink_metadata(name) {
        Err(error) if gone(&error) => return Ok(false),
        found => {
            let found = found?;
            if !found.is_file() || found.len() != artifact.bytes {
                return Err(io::Error::other("it is not the file that was stored"));
            }
        }
    }
    folder.remove_file(name)?;
    File::open(directory)?.sync_all()?;
    Ok(true)
}

/// What lies in the directory and is no file of these artifacts. None where there is no directory.
///
/// # Errors
///
/// The directory cannot be read.
pub fn strangers<'a>(
    directory: &Path,
    artifacts: impl IntoIterator<Item = &'a Artifact>,
) -> io::Result<BTreeSet<OsString>> {
    let known: BTreeSet<&OsStr> = artifacts.into_iter().filter_map(file_name).collect();
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| !known.contains(name.as_os_str())).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use pipe_core::digest::Digest;

    use super::*;

    fn artifact(location: &Path, bytes: u64) -> Artifact {
        let digest = Digest::of(b"content");
        Artifact {
            digest,
            name: "data".into(),
            location: location.display().to_string(),
            bytes,
            content_bytes: bytes,
            encrypted: false,
            content_digest: digest,
        }
    }

    #[test]
    fn what_was_stored_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("stored"), "content").unwrap();
        fs::write(at("stranger"), "content").unwrap();
        let stored = artifact(Path::new("/moved/since/then/stored"), 7);
        assert!(is_there(folder.path(), &stored));
        assert_eq!(strangers(folder.path(), [&stored]).unwrap(), BTreeSet::from(["stranger".into()]));
        assert!(remove(folder.path(), &stored).unwrap());
        assert!(!remove(folder.path(), &stored).unwrap(), "gone is no error");
        assert!(!is_there(folder.path(), &stored) && at("stranger").exists());
        assert!(!remove(&at("nowhere"), &stored).unwrap());
        assert!(strangers(&at("nowhere"), [&stored]).unwrap().is_empty());
    }

    #[test]
    fn what_took_its_place_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "content").unwrap();
        fs::write(at("larger"), "more content").unwrap();
        fs::create_dir(at("directory")).unwrap();
        symlink(at("target"), at("link")).unwrap();
        for name in ["larger", "directory", "link", ".."] {
            let stored = artifact(&at(name), 7);
            assert!(!is_there(folder.path(), &stored), "{name}");
            assert!(remove(folder.path(), &stored).is_err(), "{name}");
        }
        assert!(at("target").exists() && at("larger").exists() && at("directory").exists());
        assert!(remove(folder.path(), &artifact(Path::new(".."), 7)).is_err());
    }
}
