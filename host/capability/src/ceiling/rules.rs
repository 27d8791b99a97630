//! What a ceiling says of the other words.
//!
//! In a table, a key that narrows (`argv`, `sha256`) limits nothing where it is left out; a key that gives (`env`, `peer`,
//! `read`) then gives nothing.

use std::path::{Path, PathBuf};

use pipe_core::digest::Digest;

use super::{Outside, Place, PlacePattern, SecretOrigin};
use crate::{
    env,
    exec::{ArgumentPattern, ExecRule, includes_arguments},
    path::PathRule,
    pattern::Glob,
    rule::{RuleError, check_text},
    sql::{Access, SqlRule},
};

/// Databases that may be used at most.
#[derive(Clone, Debug)]
pub struct SqlCeiling {
    /// How.
    pub access: Access,
    /// Where they are.
    pub place: PlacePattern,
}

impl SqlCeiling {
    pub(super) fn allows(&self, rule: &SqlRule, place: &Place) -> bool {
        self.access >= rule.access && self.place.includes(place)
    }
}

/// Directories and files, with everything in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathCeiling {
    /// By its canonical path.
    At(PathRule),
    /// From the directory of the pipeline file.
    Beside(PathBuf),
}

impl PathCeiling {
    /// Reads an absolute path, or `.` and `./path` for what lies in the directory of the pipeline file. Links in an absolute
    /// path are for the caller to resolve.
    ///
    /// # Errors
    ///
    /// Any other path; `..` and patterns.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        let whole = 0..text.len();
        if text.contains(['*', '\0']) || text.split('/').any(|part| part == "..") {
            return Err(RuleError::new("a path of a ceiling is a plain one")
                .at(whole)
                .with_hint("a directory stands for everything in it: `/srv/hms`"));
        }
        if text.starts_with('/') {
            return Ok(Self::At(PathRule::new(text, text)));
        }
        match text.strip_prefix("./").or_else(|| (text == ".").then_some("")) {
            Some(rest) => Ok(Self::Beside(Path::new(rest).components().collect())),
            None => Err(RuleError::new("this path begins nowhere")
                .at(whole)
                .with_hint("absolute, or from the directory of the pipeline file with `./`")),
        }
    }

    /// Whether it holds `path`, which is canonical.
    pub(super) fn holds(&self, path: &Path, outside: &Outside) -> bool {
        match self {
            Self::At(rule) => rule.covers(path),
            Self::Beside(rest) => PathRule::new("", outside.base().join(rest)).covers(path),
        }
    }
}

/// Names of variables: `HOME`, `HMS_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Glob);

impl NamePattern {
    /// Reads a name in which `*` stands for any characters.
    ///
    /// # Errors
    ///
    /// What no name of a variable matches.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        check_text(text)?;
        if !env::is_name(&text.replace('*', "_")) {
            return Err(RuleError::new(format!("`{text}` is not the name of a variable"))
                .at(0..text.len())
                .with_hint("letters, digits and `_`; `*` stands for any of them"));
        }
        let mut glob = Glob::default();
        for (index, piece) in text.split('*').enumerate() {
            if index > 0 {
                glob.star();
            }
            glob.tail().push_str(piece);
        }
        Ok(Self(glob))
    }

    /// Whether it speaks of a variable.
    #[must_use]
    pub fn includes(&self, name: &str) -> bool {
        self.0.matches(name, |_| true)
    }
}

/// A secret and where it may go at most.
#[derive(Clone, Debug)]
pub struct SecretCeiling {
    /// Where it comes from.
    pub source: SourcePattern,
    /// Where it may go.
    pub to: SecretDestination,
}

/// Where secrets come from.
#[derive(Clone, Debug)]
pub enum SourcePattern {
    /// Variables of the operator.
    Env(NamePattern),
    /// Files.
    File(PathCeiling),
}

impl SourcePattern {
    /// Whether it speaks of a source.
    pub(super) fn is(&self, origin: &SecretOrigin, outside: &Outside) -> bool {
        match (self, origin) {
            (Self::Env(names), SecretOrigin::Env(name)) => names.includes(name),
            (Self::File(paths), SecretOrigin::File(path)) => paths.holds(path, outside),
            _ => false,
        }
    }
}

/// Where a secret may go.
#[derive(Clone, Debug)]
pub enum SecretDestination {
    /// Anywhere.
    Any,
    /// Into the encryption of artifacts.
    Artifacts,
    /// Into the variables of a program.
    Programs,
    /// Into what is sent to a peer.
    Peer(PlacePattern),
}

/// Where a secret goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum SecretUse<'a> {
    Artifacts,
    Programs,
    Peer(&'a Place),
}

impl SecretCeiling {
    /// Whether it speaks of a source.
    pub(super) fn is_from(&self, origin: &SecretOrigin, outside: &Outside) -> bool {
        self.source.is(origin, outside)
    }

    pub(super) fn allows(&self, origin: &SecretOrigin, to: SecretUse<'_>, outside: &Outside) -> bool {
        self.is_from(origin, outside)
            && match (&self.to, to) {
                (SecretDestination::Any, _)
                | (SecretDestination::Artifacts, SecretUse::Artifacts)
                | (SecretDestination::Programs, SecretUse::Programs) => true,
                (SecretDestination::Peer(pattern), SecretUse::Peer(place)) => pattern.includes(place),
                _ => false,
            }
    }
}

/// A program that may be run at most.
#[derive(Clone, Debug, Default)]
pub struct ExecCeiling {
    /// Name or absolute path, compared as written; `*` for any.
    pub program: String,
    /// Arguments. Nothing: any.
    pub argv: Option<Vec<ArgumentPattern>>,
    /// Where it may be started, which it may then read. Nothing: in the directory of the pipeline, and wherever it may read.
    pub cwd: Option<PathCeiling>,
    /// Variables that it may be given, those that hold a secret or lead to one too.
    pub env: Vec<NamePattern>,
    /// What it may read.
    pub read: Vec<PathCeiling>,
    /// What it may write, and read.
    pub write: Vec<PathCeiling>,
    /// Ports that it may connect to.
    pub ports: Vec<u16>,
    /// UNIX sockets that it may connect to.
    pub sockets: Vec<PathCeiling>,
    /// The peer whose login it may be given.
    pub peer: Option<PlacePattern>,
    /// What the program's file must be. Nothing: anything.
    pub sha256: Option<Digest>,
}

impl ExecCeiling {
    /// Whether it speaks of a program.
    pub(super) fn names(&self, program: &str) -> bool {
        self.program == "*" || self.program == program
    }

    /// What it does not allow of a rule; nothing where it allows all. `place` is that of the rule's peer.
    pub(super) fn forbids(&self, rule: &ExecRule, place: Option<&Place>, outside: &Outside) -> Option<String> {
        let ExecRule {
            program,
            argv,
            cwd,
            env,
            peer,
            secret_env,
            secret_file,
            read,
            write,
            ports,
            sockets,
            limits: _,
            sha256,
        } = rule;
        let held = |list: &[PathCeiling], path: &Path| list.iter().any(|ceiling| ceiling.holds(path, outside));
        let reads = |path: &Path| held(&self.read, path) || held(&self.write, path);
        let outside_of = |rules: &[PathRule], holds: &dyn Fn(&Path) -> bool| {
            rules.iter().find(|rule| !holds(&rule.resolved)).map(|rule| rule.resolved.display().to_string())
        };
        let unnamed = |name: &&String| !self.env.iter().any(|pattern| pattern.includes(name));
        if !self.names(program) {
            return Some("it does not name the program".to_owned());
        }
        if self.argv.as_ref().is_some_and(|wide| !includes_arguments(wide, argv)) {
            return Some("it does not allow these arguments".to_owned());
        }
        let starts = |path: &Path| self.cwd.as_ref().is_some_and(|wide| wide.holds(path, outside));
        let may_start = match cwd {
            Some(cwd) => starts(Path::new(cwd)) || self.cwd.is_none() && reads(Path::new(cwd)),
            None => self.cwd.is_none() || starts(outside.base()),
        };
        if !may_start {
            return Some("it does not allow this `cwd`".to_owned());
        }
        if let Some(path) = outside_of(read, &reads) {
            return Some(format!("it does not allow reading {path}"));
        }
        if let Some(path) = outside_of(write, &|path| held(&self.write, path)) {
            return Some(format!("it does not allow writing {path}"));
        }
        if let Some(path) = outside_of(sockets, &|path| held(&self.sockets, path)) {
            return Some(format!("it does not allow the socket {path}"));
        }
        if let Some(port) = ports.iter().find(|port| !self.ports.contains(port)) {
            return Some(format!("it does not allow port {port}"));
        }
        if let Some(name) = env.keys().chain(secret_env.keys()).chain(secret_file.keys()).find(unnamed) {
            return Some(format!("it does not allow the variable `{name}`"));
        }
        if let Some(name) = peer
            && !place.zip(self.peer.as_ref()).is_some_and(|(place, pattern)| pattern.includes(place))
        {
            return Some(format!("it does not allow the peer `{name}`"));
        }
        if self.sha256.is_some() && self.sha256 != *sha256 {
            return Some("it pins the program by `sha256`".to_owned());
        }
        None
    }
}

/// What may be done with artifacts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactCeiling {
    /// Store new ones.
    Write,
    /// Read those of any step of the run.
    Read,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_root_or_at_the_pipeline() {
        let outside = Outside { base: "/srv/hms".into(), ..Outside::default() };
        for (ceiling, path, held) in [
            ("/srv", "/srv/hms/x", true),
            ("/srv/", "/srv", true),
            ("/srv", "/srvx", false),
            (".", "/srv/hms", true),
            (".", "/srv/hms/a/b", true),
            (".", "/srv", false),
            ("./a", "/srv/hms/a/b", true),
            ("./a", "/srv/hms/b", false),
            ("./a//b/", "/srv/hms/a/b", true),
            ("/", "/anything", true),
            ("/srv", "/srv/../etc", false),
        ] {
            assert_eq!(PathCeiling::parse(ceiling).unwrap().holds(Path::new(path), &outside), held, "{ceiling} {path}");
        }
        for text in ["", "srv", "../x", "/srv/**", "/srv/../etc", "./../x", "~/x", "/a\0"] {
            assert!(PathCeiling::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_patterns() {
        for (pattern, name, included) in [
            ("HOME", "HOME", true),
            ("HOME", "HOMER", false),
            ("HMS_*", "HMS_X", true),
            ("*", "A", true),
            ("*_TOKEN", "A", false),
        ] {
            assert_eq!(NamePattern::parse(pattern).unwrap().includes(name), included, "{pattern} {name}");
        }
        for text in ["", "A-B", "$A", "9A", "A=B"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
    }
}
