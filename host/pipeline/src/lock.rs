//! `pipe.lock`: what was accepted of a pipeline file, so that a change has to be accepted as well.
//!
//! It holds the sha256 of each plugin, and for each environment a hash of what every step may touch and of whatever its rules
//! refer to: peers, secrets' sources, sets, roles' signers files, and the patterns of inputs. **Hashed is what is written, with references
//! unresolved**: the values of inputs never count, and who may choose them is bound by their patterns alone.
//! Settings (`with`), retries and time-outs are not locked: they change what a step does, not what it may touch.

mod file;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::{diagnostic::Diagnostic, digest::Digest};

use crate::document::Document;

/// The name of the file, beside the pipeline files that it is about.
pub const LOCK_FILE: &str = "pipe.lock";

/// Everything that is locked of the pipeline files of one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// By the name of the pipeline file, without its directory.
    pub files: BTreeMap<String, LockedFile>,
}

/// What is locked of one pipeline file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedFile {
    /// The plugins that its steps call, by name.
    pub plugins: BTreeMap<String, LockedPlugin>,
    /// By name; [`NO_ENVIRONMENT`](crate::NO_ENVIRONMENT) where the file declares none.
    pub environments: BTreeMap<String, LockedEnvironment>,
}

/// A plugin as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedPlugin {
    /// Where it comes from: a path as the pipeline file has it, or `pipe 0.1.0` for a standard plugin.
    pub source: String,
    /// What it says of itself.
    pub version: String,
    /// Version of `pipe:stage` that it was built for.
    pub contract: String,
    /// Its content.
    pub sha256: Digest,
}

/// Hashes of what is written, by kind of thing and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedEnvironment(pub(crate) BTreeMap<Kind, BTreeMap<String, Digest>>);

/// A kind of thing that is locked by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Steps, rollback entries and notifications: stage, plugin, `allow`, limits, gates.
    Steps,
    Peers,
    Secrets,
    Sets,
    Inputs,
    Roles,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [Self::Steps, Self::Peers, Self::Secrets, Self::Sets, Self::Inputs, Self::Roles];

    /// The table in the lock.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Peers => "peers",
            Self::Secrets => "secrets",
            Self::Sets => "sets",
            Self::Inputs => "inputs",
            Self::Roles => "roles",
        }
    }

    /// For messages.
    const fn one(self) -> &'static str {
        match self {
            Self::Steps => "step",
            Self::Peers => "peer",
            Self::Secrets => "secret",
            Self::Sets => "set",
            Self::Inputs => "input",
            Self::Roles => "role",
        }
    }

    /// What has changed of one.
    const fn change(self) -> &'static str {
        match self {
            Self::Steps => "what it may touch is not what was locked",
            Self::Peers => "its address or login is not what was locked",
            Self::Secrets => "it comes from another place than was locked",
            Self::Sets => "its entries are not those that were locked",
            Self::Inputs => "its pattern is not the one that was locked",
            Self::Roles => "its signers are in another file than was locked",
        }
    }
}

impl LockedEnvironment {
    /// What stands in a pipeline file, by environment.
    #[must_use]
    pub fn of(document: &Document) -> BTreeMap<String, Self> {
        written::environments(document)
    }
}

/// One thing that is not as it was locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What: `step "verify" in staging`.
    pub what: String,
    /// How. Lower-case fragment.
    pub how: String,
    /// The name of the step, where it is one.
    step: Option<String>,
}

impl Drift {
    /// The drift as an error, at the place in the pipeline file where there is one.
    #[must_use]
    pub fn diagnostic(&self, document: &Document) -> Diagnostic {
        let diagnostic = Diagnostic::error("lock-drift", format!("{}: {}", self.what, self.how));
        let span = self.step.as_deref().and_then(|step| written::span(document, step));
        match span {
            Some(span) => diagnostic.at(document.file(), span, ""),
            None => diagnostic,
        }
    }
}

impl LockedFile {
    /// The plugins that are not those of the lock, or not in it: `now` is the digest of each plugin that is called, by name,
    /// and `pipe` the running version.
    #[must_use]
    pub fn plugin_drift(&self, now: &BTreeMap<String, Digest>, pipe: &str) -> Vec<Drift> {
        let names: BTreeSet<&String> = self.plugins.keys().chain(now.keys()).collect();
        let drift = |name: &String| {
            let how = match (self.plugins.get(name), now.get(name)) {
                (Some(locked), Some(now)) if locked.sha256 == *now => return None,
                (Some(locked), Some(_)) if name.starts_with("std:") => {
                    format!("locked with {}, and this is pipe {pipe}, which brings another one", locked.source)
                }
                (Some(locked), Some(now)) => {
                    format!("its sha256 is {}, locked is {}", now.short(), locked.sha256.short())
                }
                (Some(_), None) => "locked, and no longer called".to_owned(),
                (None, _) => "called, and not locked".to_owned(),
            };
            Some(Drift { what: format!("plugin `{name}`"), how, step: None })
        };
        names.into_iter().filter_map(drift).collect()
    }

    /// What is written otherwise than it was locked, in one environment.
    #[must_use]
    pub fn grant_drift(&self, environment: &str, now: &LockedEnvironment) -> Vec<Drift> {
        let Some(locked) = self.environments.get(environment) else {
            let (what, how) = (format!("environment {environment}"), "it is not locked".to_owned());
            return vec![Drift { what, how, step: None }];
        };
        let nothing = BTreeMap::new();
        let mut drift = Vec::new();
        for kind in Kind::ALL {
            let locked = locked.0.get(&kind).unwrap_or(&nothing);
            let now = now.0.get(&kind).unwrap_or(&nothing);
            for name in locked.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
                let how = match (locked.get(name), now.get(name)) {
                    (Some(locked), Some(now)) if locked == now => continue,
                    (Some(_), Some(_)) => kind.change(),
                    (Some(_), None) => "locked, and no longer there",
                    (None, _) => "new since the lock",
                };
                let named = if kind == Kind::Steps { format!("\"{name}\"") } else { format!("`{name}`") };
                drift.push(Drift {
                    what: format!("{} {named} in {environment}", kind.one()),
                    how: how.to_owned(),
                    step: (kind == Kind::Steps).then(|| name.clone()),
                });
            }
        }
        drift
    }
}

#[cfg(test)]
mod tests;
