//! Paths as the kernel sees them: where a grant really points, and where a path that a guest names really leads.

mod problem;
mod programs;

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path, PathBuf},
};

use pipe_capability::{grant::Grant, path::PathRule, word::Word};

pub use self::problem::PathError;

/// How many symbolic links one path may go through. The kernel's own limit.
const MOST_LINKS: usize = 40;

/// File systems through which a guest could change the machine itself.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What belongs to pipe itself. All paths are canonical.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnPlaces<'p> {
    /// What no grant may write: state, cache, policy, pipeline file, plugins, `pipe`.
    pub unwritable: &'p [PathBuf],
    /// What no grant may read: the state with everybody's artifacts, the cache with the key of its MAC.
    pub unreadable: &'p [PathBuf],
}

/// Resolves the paths of a grant once, before the first step: symbolic links in them count now and never again.
///
/// A missing `write` directory is created, readable for the operator alone, when its parent exists.
///
/// # Errors
///
/// A directory that is missing, no directory, a kernel file system, or one of pipe's own.
pub fn canonical_grant(mut grant: Grant, base: &Path, own: OwnPlaces<'_>) -> Result<Grant, PathError> {
    for rule in &mut grant.read {
        rule.resolved = existing(Word::Read, rule, base)?;
        // A file of /proc tells the environment and the memory of pipe, and so every secret.
        refuse_system(Word::Read, rule, &["/proc"])?;
        refuse_own(Word::Read, rule, own.unreadable)?;
    }
    for rule in &mut grant.write {
        rule.resolved = resolve(base, &rule.resolved);
        refuse_system(Word::Write, rule, &SYSTEM)?;
        refuse_own(Word::Write, rule, own.unwritable)?;
        create_if_missing(rule)?;
        rule.resolved = existing(Word::Write, rule, base)?;
        // Once more: what was created or found is what counts.
        refuse_system(Word::Write, rule, &SYSTEM)?;
        refuse_own(Word::Write, rule, own.unwritable)?;
    }
    programs::canonical(&mut grant.exec, base, own)?;
    for rule in &mut grant.disk {
        let path = base.join(&rule.resolved);
        rule.resolved = fs::canonicalize(&path).map_err(|source| failed(Word::Disk, rule, path, source))?;
    }
    Ok(grant)
}

/// Where `path` leads: absolute, without `.`, `..` and symbolic links, whether or not it exists. Relative to `base`.
///
/// Links are followed even where they lead nowhere, so that a path is never taken for one inside a directory that the
/// kernel would leave. More than forty links are not followed: such a path cannot be opened either.
#[must_use]
pub fn resolve(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    let mut rest: VecDeque<OsString> = parts(&base.join(path));
    let mut resolved = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        resolved.push(&part);
        if links == MOST_LINKS {
            continue;
        }
        if let Ok(target) = fs::read_link(&resolved) {
            links += 1;
            resolved.pop();
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                rest.push_front(part);
            }
        }
    }
    resolved
}

/// The names and `..` in a path, in order.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

/// The canonical path of a rule, which must be a directory.
fn existing(word: Word, rule: &PathRule, base: &Path) -> Result<PathBuf, PathError> {
    let path = base.join(&rule.resolved);
    let canonical = fs::canonicalize(&path).map_err(|source| failed(word, rule, path, source))?;
    if canonical.is_dir() {
        Ok(canonical)
    } else {
        Err(PathError::NotADirectory { word, written: rule.written.clone() })
    }
}

fn create_if_missing(rule: &PathRule) -> Result<(), PathError> {
    match DirBuilder::new().mode(0o700).create(&rule.resolved) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(Word::Write, rule, rule.resolved.clone(), error)),
    }
}

fn failed(word: Word, rule: &PathRule, path: PathBuf, source: io::Error) -> PathError {
    let written = rule.written.clone();
    match source.kind() {
        io::ErrorKind::NotFound => PathError::Missing { word, written, path },
        io::ErrorKind::NotADirectory => PathError::NotADirectory { word, written },
        _ => PathError::Io { word, written, source },
    }
}

fn refuse_system(word: Word, rule: &PathRule, roots: &[&'static str]) -> Result<(), PathError> {
    match roots.iter().find(|root| overlap(&rule.resolved, Path::new(root))) {
        None => Ok(()),
        Some(system) => Err(PathError::System { word, written: rule.written.clone(), system }),
    }
}

fn refuse_own(word: Word, rule: &PathRule, protected: &[PathBuf]) -> Result<(), PathError> {
    match protected.iter().find(|protected| overlap(&rule.resolved, protected)) {
        None => Ok(()),
        Some(protected) => {
            Err(PathError::Protected { word, written: rule.written.clone(), protected: protected.clone() })
        }
    }
}

/// Whether one of two canonical paths lies in the other.
fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn rule(written: &str, base: &Path) -> PathRule {
        PathRule { written: written.to_owned(), resolved: base.join(written) }
    }

    fn write(written: &str, base: &Path) -> Grant {
        Grant { write: vec![rule(written, base)], ..Grant::default() }
    }

    fn read(written: &str, base: &Path) -> Grant {
        Grant { read: vec![rule(written, base)], ..Grant::default() }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        (directory, base)
    }

    #[test]
    fn a_missing_write_directory_is_created_for_the_operator_alone() {
        let (_keep, base) = place();
        let grant = canonical_grant(write("out", &base), &base, OwnPlaces::default()).unwrap();
        assert_eq!(grant.write[0].resolved, base.join("out"));
        assert_eq!(fs::metadata(base.join("out")).unwrap().permissions().mode() & 0o777, 0o700);
        let missing = canonical_grant(write("a/b", &base), &base, OwnPlaces::default()).unwrap_err();
        assert!(matches!(missing, PathError::Missing { .. }), "{missing}");
        assert!(missing.hint().unwrap().contains("create"), "{missing:?}");
    }

    #[test]
    fn a_missing_read_directory_and_a_single_file_are_refused() {
        let (_keep, base) = place();
        fs::create_dir(base.join("conf")).unwrap();
        fs::write(base.join("conf/a.toml"), "").unwrap();
        assert!(matches!(
            canonical_grant(read("gone", &base), &base, OwnPlaces::default()),
            Err(PathError::Missing { .. })
        ));
        let file = canonical_grant(read("conf/a.toml", &base), &base, OwnPlaces::default()).unwrap_err();
        assert_eq!(file.written(), "conf/a.toml");
        assert_eq!(file.hint().unwrap(), "grant the directory that holds it: `conf`");
        let file = canonical_grant(write("conf/a.toml", &base), &base, OwnPlaces::default()).unwrap_err();
        assert!(matches!(file, PathError::NotADirectory { word: Word::Write, .. }), "{file}");
    }

    #[test]
    fn nothing_of_pipe_and_nothing_of_the_kernel_may_be_written() {
        let (_keep, base) = place();
        fs::create_dir_all(base.join("state/runs")).unwrap();
        symlink("state/runs", base.join("innocent")).unwrap();
        let protected = [base.join("state")];
        for written in ["state", "state/runs", "state/new", ".", "innocent", "x/../state"] {
            let refused =
                canonical_grant(write(written, &base), &base, OwnPlaces { unwritable: &protected, unreadable: &[] })
                    .unwrap_err();
            assert!(matches!(refused, PathError::Protected { .. }), "{written}: {refused}");
        }
        assert!(!base.join("state/new").exists());
        for written in ["state", "state/runs", ".", "innocent"] {
            let own = OwnPlaces { unwritable: &[], unreadable: &protected };
            let refused = canonical_grant(read(written, &base), &base, own).unwrap_err();
            assert!(matches!(refused, PathError::Protected { word: Word::Read, .. }), "{written}: {refused}");
        }
        for written in ["/", "/proc", "/proc/self", "/sys/fs", "/dev", "/dev/shm"] {
            let refused = canonical_grant(write(written, &base), &base, OwnPlaces::default()).unwrap_err();
            assert!(matches!(refused, PathError::System { .. }), "{written}: {refused}");
        }
        for written in ["/", "/proc", "/proc/self"] {
            let refused = canonical_grant(read(written, &base), &base, OwnPlaces::default()).unwrap_err();
            assert!(matches!(refused, PathError::System { word: Word::Read, .. }), "{written}: {refused}");
        }
    }

    #[test]
    fn links_of_the_grant_are_resolved_once() {
        let (_keep, base) = place();
        fs::create_dir(base.join("v1")).unwrap();
        symlink("v1", base.join("current")).unwrap();
        let grant = canonical_grant(read("current", &base), &base, OwnPlaces::default()).unwrap();
        assert_eq!(grant.read[0].resolved, base.join("v1"));
        assert_eq!(grant.read[0].written, "current");
    }

    #[test]
    fn a_path_resolves_as_the_kernel_would() {
        let (_keep, base) = place();
        fs::create_dir_all(base.join("in/deep")).unwrap();
        symlink("/etc/newfile", base.join("in/dangling")).unwrap();
        symlink("in/deep", base.join("down")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        for (text, expected) in [
            ("in/./deep", base.join("in/deep")),
            ("in/missing/../deep", base.join("in/deep")),
            ("in/missing/../../other", base.join("other")),
            ("in/dangling", PathBuf::from("/etc/newfile")),
            ("down/..", base.join("in")),
            ("down/x/y", base.join("in/deep/x/y")),
            ("/../..", PathBuf::from("/")),
            ("loop", base.join("loop")),
        ] {
            assert_eq!(resolve(&base, text), expected, "{text}");
        }
    }
}
