//! Where things lie below the destination.
//!
//! ```text
//! current -> releases/1.4.2          what users see; switched by one rename
//! releases/1.4.2/.pipe-release.json  what the release is
//! releases/.pipe-staging-…           a release that is being copied
//! releases/.pipe-trash-…             a release that is being removed
//! .pipe-switch.json                  the last switch: by which run, from what
//! ```

use std::path::{Component, Path, PathBuf};

use pipe_sdk::Failure;

/// Where the releases lie.
const RELEASES: &str = "releases";
/// How the name of a release begins that is being removed.
const TRASH: &str = ".pipe-trash-";

/// The paths of one release by one run.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    version: String,
    run: String,
}

impl Layout {
    /// The paths below a destination.
    pub(crate) fn new(destination: &str, version: &str, run: &str) -> Result<Self, Failure> {
        if !is_version(version) {
            return Err(Failure::settings(format!(
                "version {version:?} must be letters, digits, `.`, `_` and `-`, at most 100, and begin with a letter or \
                 digit"
            )));
        }
        if run.is_empty() || !run.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Failure::other(format!("run id {run:?} cannot be part of a file name")));
        }
        Ok(Self { root: PathBuf::from(destination), version: version.to_owned(), run: run.to_owned() })
    }

    /// The destination.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The link that users see.
    pub(crate) fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// A name for the new link, until it is renamed.
    pub(crate) fn next(&self) -> PathBuf {
        self.root.join(format!(".pipe-current-{}", self.run))
    }

    /// The record of the last switch.
    pub(crate) fn switch(&self) -> PathBuf {
        self.root.join(".pipe-switch.json")
    }

    /// A name for that record, until it is renamed.
    pub(crate) fn next_switch(&self) -> PathBuf {
        self.root.join(format!(".pipe-switch-{}", self.run))
    }

    /// Where the releases lie.
    pub(crate) fn releases(&self) -> PathBuf {
        self.root.join(RELEASES)
    }

    /// The release.
    pub(crate) fn release(&self) -> PathBuf {
        self.releases().join(&self.version)
    }

    /// A name for the release, until it is whole.
    pub(crate) fn staging(&self) -> PathBuf {
        self.releases().join(format!(".pipe-staging-{}-{}", self.version, self.run))
    }

    /// A name for a release that is being removed: no longer a version, and recognised if the removal is cut short.
    pub(crate) fn trash(&self, version: &str) -> PathBuf {
        self.releases().join(format!("{TRASH}{version}-{}", self.run))
    }

    /// What the link must hold to show the release.
    pub(crate) fn target(&self) -> String {
        format!("{RELEASES}/{}", self.version)
    }
}

/// The version that a link shows: `1.4.2` of `releases/1.4.2`; else where it points.
pub(crate) fn shown(target: &str) -> &str {
    let target = target.strip_prefix("./").unwrap_or(target);
    target.strip_prefix("releases/").filter(|version| is_version(version)).unwrap_or(target)
}

/// Whether a name in `releases` is a rest of a removal.
pub(crate) fn is_trash(name: &str) -> bool {
    name.starts_with(TRASH)
}

/// Whether a text can be a version, and so the name of a directory.
pub(crate) fn is_version(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= 100 && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

/// Whether one of two paths lies in the other, as far as their text tells.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        let components = Path::new(path).components().filter(|component| *component != Component::CurDir);
        components.map(|component| component.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (one, other) = (parts(one), parts(other));
    one.starts_with(&other) || other.starts_with(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for version in ["1", "1.4.2", "v2.0.0-rc.1", "2026-11-23_ab12"] {
            assert!(is_version(version), "{version}");
        }
        let long = "1".repeat(101);
        for version in ["", ".", "..", ".1", "-1", "_1", "1/2", "a b", "1\n", "é", "1+b", long.as_str()] {
            assert!(!is_version(version), "{version}");
            assert!(Layout::new("/srv", version, "20261123000000-abcdef").is_err(), "{version}");
        }
    }

    #[test]
    fn the_version_that_a_link_shows() {
        assert_eq!(shown("releases/1.4.2"), "1.4.2");
        assert_eq!(shown("./releases/1.4.2"), "1.4.2");
        assert_eq!(shown("../old"), "../old");
        assert_eq!(shown("releases/a/b"), "releases/a/b");
    }

    #[test]
    fn overlapping_paths() {
        assert!(overlap("dist", "./dist"));
        assert!(overlap("dist/web", "dist"));
        assert!(overlap("/srv/app", "/srv/app/releases"));
        assert!(overlap(".", "dist"));
        assert!(!overlap("dist", "dist2"));
        assert!(!overlap("/srv/a", "/srv/b"));
    }
}
