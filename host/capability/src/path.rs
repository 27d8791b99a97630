//! `read`, `write`, `disk`: directories and single files.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use crate::{line, rule::InToml};

/// A directory or a single file, and everything in it: `"database/rollback"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathRule {
    /// As it stands in the pipeline file.
    pub written: String,
    /// Absolute. Lexical from the pipeline loader, canonical once the effects have resolved it.
    pub resolved: PathBuf,
}

impl PathRule {
    /// A rule as written and as resolved. What says nothing in `resolved` is left out: `.`, doubled and trailing slashes.
    #[must_use]
    pub fn new(written: impl Into<String>, resolved: impl AsRef<Path>) -> Self {
        Self { written: written.into(), resolved: resolved.as_ref().components().collect() }
    }

    /// Whether `path` is the rule's own or lies in it, component by component.
    ///
    /// Nothing is resolved here. A path that is not absolute or holds `..` is covered by no rule, and such a rule covers
    /// nothing: so that a mistake elsewhere refuses and never allows.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        // Most rules are not about this path. The bytes tell so at once, and the components have the last word.
        let rule = self.resolved.as_os_str().as_encoded_bytes();
        let rule = rule.strip_suffix(b"/").unwrap_or(rule);
        let rest = path.as_os_str().as_encoded_bytes().strip_prefix(rule);
        rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
            && is_resolved(&self.resolved)
            && is_resolved(path)
            && path.starts_with(&self.resolved)
    }

    /// Whether it covers all that `other` covers: the same path, or one within it.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.covers(&other.resolved) || self.resolved == other.resolved
    }
}

/// Absolute, and free of `..`.
pub(crate) fn is_resolved(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|component| component == Component::ParentDir)
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl InToml for PathRule {
    fn in_toml(&self) -> String {
        line::text(&self.written)
    }
}

/// A path that a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathRequest<'a> {
    /// As the guest named it, for people and the hint.
    pub shown: &'a str,
    /// Absolute and canonical, as far as it exists.
    pub resolved: &'a Path,
}

impl<'a> PathRequest<'a> {
    /// The path that the narrowest rule names: the file or the directory itself.
    ///
    /// As the guest wrote it where that leads to the same place; else absolute.
    pub(crate) fn narrowest(&self) -> Option<&'a str> {
        named(Path::new(self.shown.strip_prefix("./").unwrap_or(self.shown)), self.resolved)
    }

    /// The directory that holds the path. Nothing where that is the pipeline's own or the root, which no rule may name.
    pub(crate) fn holder(&self) -> Option<&'a str> {
        let directory = |path: &'a Path| path.parent().filter(|directory| directory.file_name().is_some());
        let shown = Path::new(self.shown.strip_prefix("./").unwrap_or(self.shown));
        named(directory(shown)?, directory(self.resolved)?)
    }
}

/// `shown`, where it is a plain way to `resolved`; else that.
fn named<'a>(shown: &'a Path, resolved: &'a Path) -> Option<&'a str> {
    let same = if shown.as_os_str().is_empty() {
        false
    } else if shown.is_absolute() {
        shown == resolved
    } else {
        shown.components().all(|part| matches!(part, Component::Normal(_))) && resolved.ends_with(shown)
    };
    let named = if same { shown } else { resolved };
    named.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_covers_what_lies_in_it() {
        for (rule, path, covered) in [
            ("/data/a", "/data/a", true),
            ("/data/a", "/data/a/", true),
            ("/data/a/", "/data/a", true),
            ("/data//./a", "/data/a/b", true),
            ("/data/a", "/data/a/b/c", true),
            ("/data/a", "/data/ab", false),
            ("/data/a", "/data", false),
            ("/data/a", "/data/A", false),
            ("/data/a", "/data/a/../b", false),
            ("/data/a", "/data/b/../a/x", false),
            ("/data/a", "data/a", false),
            ("/data/../data/a", "/data/a", false),
            ("/", "/anything", true),
            ("", "/anything", false),
            ("data", "data/a", false),
            (".", "./a", false),
        ] {
            assert_eq!(PathRule::new(rule, rule).covers(Path::new(path)), covered, "{rule} {path}");
        }
    }

    #[test]
    fn the_hint_names_the_path_itself_and_for_a_name_the_directory_that_holds_it() {
        for (shown, resolved, itself, holder) in [
            (
                "database/rollback/1.sql",
                "/srv/database/rollback/1.sql",
                "database/rollback/1.sql",
                Some("database/rollback"),
            ),
            ("./database/rollback", "/srv/database/rollback", "database/rollback", Some("database")),
            ("app.env", "/srv/app.env", "app.env", None),
            ("/etc/hosts", "/etc/hosts", "/etc/hosts", Some("/etc")),
            ("/hosts", "/hosts", "/hosts", None),
            ("link/1.sql", "/mnt/x/1.sql", "/mnt/x/1.sql", Some("/mnt/x")),
            ("a/../b/1.sql", "/srv/b/1.sql", "/srv/b/1.sql", Some("/srv/b")),
            ("../b/1.sql", "/b/1.sql", "/b/1.sql", Some("/b")),
            ("", "/srv/b", "/srv/b", None),
            ("x/y", "/y", "/y", None),
        ] {
            let request = PathRequest { shown, resolved: Path::new(resolved) };
            assert_eq!(request.narrowest(), Some(itself), "{shown}");
            assert_eq!(request.holder(), holder, "{shown}");
        }
    }
}
