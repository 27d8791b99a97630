//! Paths as the kernel sees them: where a grant really points, and where a path that a guest names really leads.

pub mod grantable;
mod own;
mod pinned;
mod problem;
mod programs;

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Component, Path, PathBuf},
};

use pipe_capability::{grant::Grant, path::PathRule, word::Word};

pub use self::{own::is_one_of, pinned::Pinned, problem::PathError};

/// How many symbolic links one path may go through. The kernel's own limit.
const MOST_LINKS: usize = 40;

/// File systems through which a guest could change the machine itself.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What belongs to pipe itself. All paths are canonical.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnPlaces<'p> {
    /// What no grant may write: state, cache, policy, pipeline file, lock, plugins, `pipe`.
    pub unwritable: &'p [PathBuf],
    /// What no grant may read: the state with everybody's artifacts, the cache with the key of its MAC.
    pub unreadable: &'p [PathBuf],
}

/// Resolves the paths of a grant once, before the first step: symbolic links in them count now and never again. See
/// [`Pinned`].
///
/// What a rule names may be a directory or a single file. What a `write` rule names may be missing, in a directory that is
/// there: the step makes it, as a file or as a directory. What a program's rule names must be there, but for sockets.
///
/// # Errors
///
/// Something that is missing, or neither file nor directory; a kernel file system, or something of pipe's own.
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
        rule.resolved = existing_or_new(rule, base)?;
        // Once more: what was found is what counts.
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

/// Where `path` leads, like [`resolve`], but a link at the very end stays: for what is done to the name.
#[must_use]
pub fn resolve_to_name(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    let text = path.as_os_str().as_encoded_bytes();
    let whole = base.join(path);
    // `file_name` is nothing for a path that ends in `..`; a trailing `/` or `/.` means the directory behind a link.
    match (whole.file_name(), whole.parent()) {
        (Some(name), Some(parent)) if !text.ends_with(b"/") && !text.ends_with(b"/.") => {
            resolve(base, parent).join(name)
        }
        _ => resolve(base, path),
    }
}

/// The canonical path of a rule, which must lead to a directory or a file.
fn existing(word: Word, rule: &PathRule, base: &Path) -> Result<PathBuf, PathError> {
    let path = base.join(&rule.resolved);
    let failed = |source| failed(word, rule, path.clone(), source);
    let canonical = fs::canonicalize(&path).map_err(failed)?;
    let found: Metadata = fs::symlink_metadata(&canonical).map_err(failed)?;
    if found.is_dir() || found.is_file() {
        Ok(canonical)
    } else {
        Err(PathError::Special { word, written: rule.written.clone() })
    }
}

/// The same, or the canonical path of what is not there yet, in a directory that is.
fn existing_or_new(rule: &PathRule, base: &Path) -> Result<PathBuf, PathError> {
    match (existing(Word::Write, rule, base), rule.resolved.parent(), rule.resolved.file_name()) {
        (Err(missing @ PathError::Missing { .. }), Some(parent), Some(name)) => match fs::canonicalize(parent) {
            Ok(parent) if parent.is_dir() => Ok(parent.join(name)),
            _ => Err(missing),
        },
        (found, _, _) => found,
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
    let same_file = || {
        let found = fs::symlink_metadata(&rule.resolved).ok().filter(Metadata::is_file)?;
        protected.iter().find(|protected| is_one_of(&found, std::slice::from_ref(protected)))
    };
    match protected.iter().find(|protected| overlap(&rule.resolved, protected)).or_else(same_file) {
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
    use std::os::unix::fs::symlink;

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
    fn what_may_be_written_need_not_be_there_and_is_not_made_yet() {
        let (_keep, base) = place();
        let grant = canonical_grant(write("out", &base), &base, OwnPlaces::default()).unwrap();
        assert_eq!(grant.write[0].resolved, base.join("out"));
        assert!(!base.join("out").exists());
        let missing = canonical_grant(write("a/b", &base), &base, OwnPlaces::default()).unwrap_err();
        assert!(matches!(missing, PathError::Missing { .. }), "{missing}");
        let hint = missing.hint().unwrap();
        assert!(hint.starts_with(&format!("create {} first", base.join("a").display())), "{hint}");
    }

    #[test]
    fn single_files_are_granted_and_what_is_neither_is_not() {
        let (_keep, base) = place();
        fs::create_dir(base.join("conf")).unwrap();
        fs::write(base.join("conf/a.toml"), "").unwrap();
        symlink("a.toml", base.join("conf/current")).unwrap();
        nix::unistd::mkfifo(&base.join("conf/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for written in ["conf/a.toml", "conf/current"] {
            for grant in [read(written, &base), write(written, &base)] {
                let grant = canonical_grant(grant, &base, OwnPlaces::default()).unwrap();
                let rule = grant.read.iter().chain(&grant.write).next().unwrap();
                assert_eq!((&*rule.written, &rule.resolved), (written, &base.join("conf/a.toml")));
            }
        }
        assert!(matches!(
            canonical_grant(read("gone", &base), &base, OwnPlaces::default()),
            Err(PathError::Missing { .. })
        ));
        for grant in [read("conf/fifo", &base), write("conf/fifo", &base)] {
            let special = canonical_grant(grant, &base, OwnPlaces::default()).unwrap_err();
            assert_eq!(special.to_string(), "`conf/fifo` is neither a file nor a directory");
        }
        let below = canonical_grant(write("conf/a.toml/x", &base), &base, OwnPlaces::default()).unwrap_err();
        assert!(matches!(below, PathError::NotADirectory { .. }), "{below}");
    }

    #[test]
    fn another_name_of_what_is_pipes_own_may_not_be_written_either() {
        let (_keep, base) = place();
        fs::create_dir(base.join("state")).unwrap();
        for (own, name) in [("pipeline.toml", "innocent.txt"), ("state/journal.db", "notes.txt")] {
            fs::write(base.join(own), "").unwrap();
            fs::hard_link(base.join(own), base.join(name)).unwrap();
            let protected = [base.join("state"), base.join("pipeline.toml")];
            let own = OwnPlaces { unwritable: &protected, unreadable: &[] };
            let refused = canonical_grant(write(name, &base), &base, own).unwrap_err();
            assert!(matches!(refused, PathError::Protected { .. }), "{refused}");
        }
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
        for (text, expected) in [
            ("in/dangling", base.join("in/dangling")),
            ("down", base.join("down")),
            ("down/", base.join("in/deep")),
            ("down/.", base.join("in/deep")),
            ("down/..", base.join("in")),
            ("down/x", base.join("in/deep/x")),
        ] {
            assert_eq!(resolve_to_name(&base, text), expected, "{text}");
        }
    }
}
