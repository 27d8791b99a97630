//! Paths: as far as their text goes, and where they lead.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Directory of the pipeline file, absolute; canonical where it exists.
pub(crate) fn base(file: &Path) -> PathBuf {
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    parent.canonicalize().or_else(|_| std::path::absolute(parent)).unwrap_or_else(|_| parent.to_owned())
}

/// `text` from `base`, with `.` and `..` taken out of the text.
pub(crate) fn resolve(base: &Path, text: &str) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in base.join(text).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

/// Where a path leads on this machine; itself where nothing is there.
pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// As deep as another name of a file is looked for.
const DEEPEST: usize = 64;

/// Whether `holder` is, or holds, a hard link to `file`. Only a file of several names is looked for at all.
#[must_use]
pub fn holds_another_name(holder: &Path, file: &Path) -> bool {
    let Ok(file) = fs::metadata(file) else { return false };
    file.nlink() > 1 && holds(holder, &file, DEEPEST)
}

fn holds(path: &Path, file: &Metadata, depth: usize) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    if found.is_file() {
        return found.ino() == file.ino() && found.dev() == file.dev();
    }
    if !found.is_dir() || depth == 0 {
        return false;
    }
    fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(|entry| holds(&entry.path(), file, depth - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_of_a_file_is_found_wherever_it_lies() {
        let folder = std::env::temp_dir().join(format!("pipe-names-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        let (secret, other) = (folder.join("secret"), folder.join("other"));
        fs::write(&secret, "x").unwrap();
        fs::write(&other, "x").unwrap();
        assert!(!holds_another_name(&folder.join("a"), &secret));
        assert!(!holds_another_name(&secret, &secret), "one name is no other");
        fs::hard_link(&secret, folder.join("a/b/harmless")).unwrap();
        for holder in ["a", "a/b", "a/b/harmless", "."] {
            assert!(holds_another_name(&folder.join(holder), &secret), "{holder}");
        }
        assert!(!holds_another_name(&folder.join("a"), &other));
        assert!(!holds_another_name(&other, &secret));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn paths_begin_at_the_file_and_hold_no_dots() {
        let base = Path::new("/srv/hms");
        for (text, resolved) in
            [("a/b", "/srv/hms/a/b"), ("./a", "/srv/hms/a"), ("../x", "/srv/x"), ("/etc", "/etc"), ("../../../..", "/")]
        {
            assert_eq!(resolve(base, text), Path::new(resolved), "{text}");
        }
        assert!(base_is_absolute("pipeline.toml"));
        assert!(base_is_absolute("no/such/place/pipeline.toml"));
    }

    fn base_is_absolute(file: &str) -> bool {
        base(Path::new(file)).is_absolute()
    }
}
