//! What a rule could name so that a path that is missing can be reached: what is granted has to be there when the run begins.

use std::path::Path;

/// What a rule for reading has to name for `path`: the path itself where something lies there, else the nearest directory
/// above it that does.
#[must_use]
pub fn for_reading(path: &Path) -> &Path {
    path.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(path)
}

/// What a rule for writing has to name for `path`. It may be missing itself, in a directory that is there: of a path with
/// several missing parts the first.
#[must_use]
pub fn for_writing(path: &Path) -> &Path {
    let with_parent = |path: &&Path| path.parent().is_some_and(Path::is_dir);
    path.ancestors().find(with_parent).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_missing_is_reached_from_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir(base.join("live")).unwrap();
        fs::write(base.join("live/file"), "").unwrap();
        for (path, read, write) in [
            ("live", "live", "live"),
            ("live/file", "live/file", "live/file"),
            ("live/new", "live", "live/new"),
            ("live/www/releases/1", "live", "live/www"),
            ("other/www", "", "other"),
        ] {
            let path = base.join(path);
            assert_eq!(for_reading(&path), base.join(read).components().as_path(), "{}", path.display());
            assert_eq!(for_writing(&path), base.join(write), "{}", path.display());
        }
    }
}
