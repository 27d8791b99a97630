//! The lock as a file: sorted, so that a change of one thing is a change of one line.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use pipe_capability::suggest::quoted;
use pipe_core::{
    diagnostic::{Diagnostic, SourceFile},
    digest::Digest,
};

use super::{Kind, Lock, LockedEnvironment, LockedFile, LockedPlugin};
use crate::{
    document::digest,
    fields::{Fields, table},
    node::{self, Node, Table, Value},
    report::Report,
};

const FILE: &[&str] = &["version", "files"];
const OF_FILE: &[&str] = &["plugins", "environments"];
const PLUGIN: &[&str] = &["source", "version", "contract", "sha256"];
const ENVIRONMENT: &[&str] = &["steps", "peers", "secrets", "sets", "inputs", "roles"];

/// The format.
const VERSION: i64 = 1;

impl Lock {
    /// Reads the text of a lock.
    ///
    /// # Errors
    ///
    /// It is not TOML, another version of `pipe` wrote it, or somebody changed it by hand into something else.
    pub fn read(file: &Arc<SourceFile>) -> Result<Self, Vec<Diagnostic>> {
        let report = Report::new(file);
        let lock = node::tree(&report).and_then(|root| read(&report, &root));
        match lock {
            Some(lock) if !report.has_errors() => Ok(lock),
            _ => Err(report.into_diagnostics()),
        }
    }

    /// The text of the lock.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = "# What was accepted of the pipeline files beside this one. `pipe lock FILE` writes it, `--locked` holds a run\n\
                        # against it. Commit it, and change it by `pipe lock` alone.\n"
            .to_owned();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "version = {VERSION}");
        for (name, file) in &self.files {
            let file_table = format!("files.{}", quoted(name));
            for (name, plugin) in &file.plugins {
                let _ = writeln!(text, "\n[{file_table}.plugins.{}]", quoted(name));
                for (key, value) in [
                    ("source", plugin.source.as_str()),
                    ("version", &plugin.version),
                    ("contract", &plugin.contract),
                    ("sha256", &plugin.sha256.to_string()),
                ] {
                    let _ = writeln!(text, "{key} = {}", quoted(value));
                }
            }
            for (name, environment) in &file.environments {
                for (kind, entries) in environment.0.iter().filter(|(_, entries)| !entries.is_empty()) {
                    let _ = writeln!(text, "\n[{file_table}.environments.{}.{}]", quoted(name), kind.table());
                    for (name, digest) in entries {
                        let _ = writeln!(text, "{} = \"{digest}\"", quoted(name));
                    }
                }
            }
        }
        text
    }
}

fn read(report: &Report, root: &Table) -> Option<Lock> {
    if let Some(entry) = root.get("version")
        && !matches!(entry.node.value, Value::Integer(VERSION))
    {
        let message = format!("this pipe knows locks of version {VERSION} alone");
        report.advise("lock-version", message, entry.node.span.clone(), "`pipe lock FILE` of the same pipe writes one");
        return None;
    }
    let fields = Fields::of_table(report, root, 0..0, FILE);
    fields.needs("version", "`pipe lock FILE` writes the file anew")?;
    let mut lock = Lock::default();
    for (name, node) in entries(report, &fields, "files") {
        let Some(fields) = Fields::of(report, node, OF_FILE) else { continue };
        let plugins = entries(report, &fields, "plugins");
        let environments = entries(report, &fields, "environments");
        let file = LockedFile {
            plugins: plugins.filter_map(|(name, node)| Some((name, plugin(report, node)?))).collect(),
            environments: environments.filter_map(|(name, node)| Some((name, environment(report, node)?))).collect(),
        };
        lock.files.insert(name, file);
    }
    Some(lock)
}

fn plugin(report: &Report, node: &Node) -> Option<LockedPlugin> {
    let fields = Fields::of(report, node, PLUGIN)?;
    let text = |key| fields.required(key, "`pipe lock FILE` writes the file anew");
    let sha256 = digest(report, &text("sha256")?)?;
    let value = |key| text(key).map(|text| text.value);
    Some(LockedPlugin { source: value("source")?, version: value("version")?, contract: value("contract")?, sha256 })
}

fn environment(report: &Report, node: &Node) -> Option<LockedEnvironment> {
    let fields = Fields::of(report, node, ENVIRONMENT)?;
    let mut environment = BTreeMap::new();
    for kind in Kind::ALL {
        let hash = |(name, node): (String, &Node)| -> Option<(String, Digest)> {
            let text = crate::fields::string(report, node)?;
            Some((name, digest(report, &text)?))
        };
        environment.insert(kind, entries(report, &fields, kind.table()).filter_map(hash).collect());
    }
    Some(LockedEnvironment(environment))
}

/// The entries of a table that need not be there.
fn entries<'n>(report: &Report, fields: &Fields<'n>, key: &str) -> impl Iterator<Item = (String, &'n Node)> {
    let found = fields.get(key).and_then(|entry| table(report, &entry.node));
    let found = found.map_or(&[][..], |table| &table.entries);
    found.iter().map(|entry| (entry.key.clone(), &entry.node))
}
