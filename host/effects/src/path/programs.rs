//! What programs may touch, resolved once and held against what belongs to pipe itself, like the paths of guests.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pipe_capability::{exec::ExecRule, path::PathRule, word::Word};

use super::{OwnPlaces, PathError, SYSTEM, failed, overlap, refuse_own, refuse_system, resolve};
use crate::confine::files::readable_by_all;

/// Resolves the paths of `rules`. What a guest may write could else become a link to somewhere else before a program starts.
///
/// A program may read the directory that its rule starts it in, and what every program may read.
pub(super) fn canonical(rules: &mut [ExecRule], base: &Path, own: OwnPlaces<'_>) -> Result<(), PathError> {
    if !rules.is_empty() {
        apart_from_system(own.unreadable)?;
    }
    for rule in rules {
        if let Some(cwd) = &rule.cwd {
            let start = PathRule::new(cwd.as_str(), resolve(base, cwd));
            refuse_system(Word::Read, &start, &["/proc"])?;
            refuse_own(Word::Read, &start, own.unreadable)?;
            rule.cwd = Some(start.resolved.to_string_lossy().into_owned());
        }
        for path in &mut rule.read {
            path.resolved = existing(Word::Read, path, base)?;
            refuse_system(Word::Read, path, &["/proc"])?;
            refuse_own(Word::Read, path, own.unreadable)?;
        }
        for path in &mut rule.write {
            path.resolved = existing(Word::Write, path, base)?;
            refuse_system(Word::Write, path, &SYSTEM)?;
            refuse_own(Word::Write, path, own.unwritable)?;
        }
        for path in &mut rule.sockets {
            // It may come into being later. A directory would show every socket in it.
            path.resolved = resolve(base, &path.resolved);
            if path.resolved.is_dir() {
                let source = io::Error::new(io::ErrorKind::IsADirectory, "it is a directory, and no socket");
                return Err(failed(Word::Exec, path, path.resolved.clone(), source));
            }
            refuse_own(Word::Exec, path, own.unwritable)?;
        }
    }
    Ok(())
}

/// The canonical path of a rule, whatever is there.
fn existing(word: Word, rule: &PathRule, base: &Path) -> Result<PathBuf, PathError> {
    let path = base.join(&rule.resolved);
    fs::canonicalize(&path).map_err(|source| failed(word, rule, path, source))
}

/// Refuses a state or cache that lies where every program may read.
fn apart_from_system(unreadable: &[PathBuf]) -> Result<(), PathError> {
    for system in readable_by_all() {
        let real = fs::canonicalize(system).unwrap_or_else(|_| system.to_owned());
        if let Some(protected) = unreadable.iter().find(|protected| overlap(&real, protected)) {
            let written = system.display().to_string();
            return Err(PathError::Protected { word: Word::Exec, written, protected: protected.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn rule(change: impl FnOnce(&mut ExecRule)) -> ExecRule {
        let mut rule = ExecRule { program: "true".to_owned(), ..ExecRule::default() };
        change(&mut rule);
        rule
    }

    #[test]
    fn nothing_of_pipe_is_within_reach_of_a_program() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("state/artifacts")).unwrap();
        fs::write(base.join("pipeline.toml"), "").unwrap();
        symlink("state", base.join("innocent")).unwrap();
        let (unwritable, unreadable) = ([base.join("state"), base.join("pipeline.toml")], [base.join("state")]);
        let own = OwnPlaces { unwritable: &unwritable, unreadable: &unreadable };
        let path = |written: &str| vec![PathRule::new(written, base.join(written))];
        let mut refused = Vec::new();
        for written in ["state", "state/artifacts", ".", "innocent"] {
            refused.push(rule(|rule| rule.read = path(written)));
            refused.push(rule(|rule| rule.write = path(written)));
            refused.push(rule(|rule| rule.cwd = Some(written.to_owned())));
        }
        refused.push(rule(|rule| rule.write = path("pipeline.toml")));
        refused.push(rule(|rule| rule.sockets = path("state/socket")));
        for rule in refused {
            let error = canonical(&mut [rule.clone()], &base, own).unwrap_err();
            assert!(matches!(error, PathError::Protected { .. }), "{rule}: {error}");
        }
        for (written, write) in [("/", true), ("/proc/self", false), ("/proc", true), ("/dev", true), ("/sys", true)] {
            let paths = vec![PathRule::new(written, written)];
            let rule = rule(|rule| *if write { &mut rule.write } else { &mut rule.read } = paths);
            let error = canonical(&mut [rule.clone()], &base, own).unwrap_err();
            assert!(matches!(error, PathError::System { .. }), "{rule}: {error}");
        }
        let fine = rule(|rule| rule.read = path("pipeline.toml"));
        canonical(&mut [fine], &base, own).unwrap();
    }

    #[test]
    fn paths_are_resolved_once() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        fs::create_dir(base.join("v1")).unwrap();
        symlink("v1", base.join("current")).unwrap();
        let mut rules = [rule(|rule| {
            rule.cwd = Some("current".to_owned());
            rule.read = vec![PathRule::new("current", base.join("current"))];
            rule.write = rule.read.clone();
            rule.sockets = vec![PathRule::new("current/later.sock", base.join("current/later.sock"))];
        })];
        canonical(&mut rules, &base, OwnPlaces::default()).unwrap();
        let [rule] = rules;
        assert_eq!(rule.cwd.as_deref(), base.join("v1").to_str());
        assert_eq!((&rule.read[0].resolved, &rule.write[0].resolved), (&base.join("v1"), &base.join("v1")));
        assert_eq!(rule.sockets[0].resolved, base.join("v1/later.sock"));
        let missing =
            |paths: Vec<PathRule>| canonical(&mut [self::rule(|rule| rule.read = paths)], &base, OwnPlaces::default());
        assert!(matches!(missing(vec![PathRule::new("gone", base.join("gone"))]), Err(PathError::Missing { .. })));
        let directory = self::rule(|rule| rule.sockets = vec![PathRule::new("v1", base.join("v1"))]);
        assert!(canonical(&mut [directory], &base, OwnPlaces::default()).is_err());
    }

    #[test]
    fn a_state_where_every_program_reads_is_refused() {
        let state = [PathBuf::from("/usr/local/pipe/state")];
        let own = OwnPlaces { unwritable: &[], unreadable: &state };
        let error = canonical(&mut [rule(|_| {})], Path::new("/srv"), own).unwrap_err();
        assert_eq!(error.to_string(), "`/usr` reaches /usr/local/pipe/state, which belongs to pipe itself");
        canonical(&mut [], Path::new("/srv"), own).unwrap();
    }
}
