//! Paths, as far as their text goes.

use std::path::{Component, Path, PathBuf};

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

#[cfg(test)]
mod tests {
    use super::*;

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
