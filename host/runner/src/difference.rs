//! What one version of a pipeline or plugin may do and another may not.
//!
//! Rules are held against each other by inclusion: a narrower rule in the place of a wider one is a loss and no gain. Paths
//! count from each file's own directory, so that two checkouts of one file do not differ.

mod peers;
mod plugins;
mod schema;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pipe_capability::grant::Grant;
use pipe_core::{id::StepId, units::format_duration};
use pipe_pipeline::{Pipeline, Step};
use pipe_sandbox::Plugin;
use serde::Serialize;

pub use plugins::difference_of_plugins;

/// Which way a difference goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The new one may do it, and the old one may not.
    Gained,
    /// The old one may do it, and the new one may not.
    Lost,
    /// It differs, and neither may do more for it.
    Changed,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about: `step "backup"`, `peer main`. Empty: the whole.
    pub about: String,
    /// Which way it goes.
    pub side: Side,
    /// What. A line of the pipeline file where it is a rule.
    pub what: String,
}

impl Difference {
    fn new(about: &str, side: Side, what: impl Into<String>) -> Self {
        Self { about: about.to_owned(), side, what: what.into() }
    }
}

/// A pipeline in one environment, with its plugins loaded.
#[derive(Clone, Copy)]
pub struct Version<'v> {
    /// The pipeline.
    pub pipeline: &'v Pipeline,
    /// Its plugins by name, as [`describe_plugins`](crate::describe_plugins) loads them.
    pub plugins: &'v BTreeMap<String, Plugin>,
}

/// What two versions of a pipeline differ in, step by step, then peers, secrets and plugins. Nothing in the place of a version:
/// the environment is not there.
#[must_use]
pub fn difference_of_pipelines(old: Option<Version<'_>>, new: Option<Version<'_>>) -> Vec<Difference> {
    let mut found = steps(old, new);
    if let (Some(old), Some(new)) = (old, new) {
        found.extend(peers::peers(old.pipeline, new.pipeline));
        found.extend(peers::secrets(old.pipeline, new.pipeline));
        for (name, now) in new.plugins {
            match old.plugins.get(name) {
                Some(before) if before.digest == now.digest => {}
                Some(before) => found.extend(
                    difference_of_plugins(before, now)
                        .into_iter()
                        .map(|difference| Difference { about: format!("plugin `{name}`"), ..difference }),
                ),
                None => found.push(Difference::new(&format!("plugin `{name}`"), Side::Changed, "called now")),
            }
        }
    }
    found
}

fn steps(old: Option<Version<'_>>, new: Option<Version<'_>>) -> Vec<Difference> {
    let calls = |version: Option<Version<'_>>| -> Vec<Step> {
        version.into_iter().flat_map(|version| version.pipeline.calls().cloned().collect::<Vec<_>>()).collect()
    };
    let (before, after) = (calls(old), calls(new));
    let before: Vec<(Step, Grant)> = before.into_iter().map(|step| rebased(step, old, new)).collect();
    let known: BTreeMap<&StepId, &(Step, Grant)> = before.iter().map(|entry| (&entry.0.id, entry)).collect();
    let now: BTreeSet<&StepId> = after.iter().map(|step| &step.id).collect();
    let mut gone: Vec<&(Step, Grant)> = before.iter().filter(|(step, _)| !now.contains(&step.id)).collect();
    let mut found = Vec::new();
    for step in &after {
        let about = format!("step \"{}\"", step.id);
        let same = |entry: &&(Step, Grant)| {
            let (other, grant) = *entry;
            (other.stage, &other.plugin) == (step.stage, &step.plugin)
                && grant.includes(&step.grant)
                && step.grant.includes(grant)
        };
        let (other, grant) = match known.get(&step.id) {
            Some((other, grant)) => (other, grant),
            // Renamed, where one that is gone was the same but for its name.
            None => match gone.iter().position(same) {
                Some(at) => {
                    let (other, grant) = gone.remove(at);
                    found.push(Difference::new(&about, Side::Changed, format!("was called \"{}\"", other.id)));
                    (other, grant)
                }
                None => {
                    let what = format!("a new step: {}, {}", step.stage, step.plugin);
                    found.push(Difference::new(&about, Side::Changed, what));
                    let lines = step.grant.lines().into_iter();
                    found.extend(lines.map(|line| Difference::new(&about, Side::Gained, line)));
                    continue;
                }
            },
        };
        let rules = |side: Side, grant: &Grant, than: &Grant| {
            let line = |(word, rule)| Difference::new(&about, side, format!("allow.{word} = [{rule}]"));
            grant.beyond(than).into_iter().map(line).collect::<Vec<_>>()
        };
        found.extend(rules(Side::Gained, &step.grant, grant));
        found.extend(rules(Side::Lost, grant, &step.grant));
        for (limit, most) in step.limits.iter().filter(|(limit, most)| other.limits.get(*limit) != *most) {
            let side = if most > other.limits.get(limit) { Side::Gained } else { Side::Lost };
            let (before, now) = (limit.shown(other.limits.get(limit)), limit.shown(most));
            found.push(Difference::new(&about, side, format!("limits.{} {before} → {now}", limit.word())));
        }
        let reversible = |version: Option<Version<'_>>, step: &Step| {
            let plugin = version.and_then(|version| version.plugins.get(&step.plugin));
            plugin.is_some_and(|plugin| plugin.contract.undo) && !step.irreversible
        };
        let could = reversible(old, other);
        let changes = [
            (other.stage != step.stage).then(|| format!("stage {} → {}", other.stage, step.stage)),
            (other.plugin != step.plugin).then(|| format!("plugin {} → {}", other.plugin, step.plugin)),
            (could != reversible(new, step))
                .then(|| if could { "can no longer be undone" } else { "can be undone" }.to_owned()),
            (other.timeout != step.timeout)
                .then(|| format!("timeout {} → {}", format_duration(other.timeout), format_duration(step.timeout))),
            (other.retry.attempts != step.retry.attempts)
                .then(|| format!("attempts {} → {}", other.retry.attempts, step.retry.attempts)),
        ];
        found.extend(changes.into_iter().flatten().map(|what| Difference::new(&about, Side::Changed, what)));
    }
    for (step, grant) in gone {
        let about = format!("step \"{}\"", step.id);
        found.push(Difference::new(&about, Side::Changed, "is gone"));
        found.extend(grant.lines().into_iter().map(|line| Difference::new(&about, Side::Lost, line)));
    }
    found
}

/// A step of the old version, and its grant as it would be beside the new file.
fn rebased(step: Step, old: Option<Version<'_>>, new: Option<Version<'_>>) -> (Step, Grant) {
    let mut grant = step.grant.clone();
    if let (Some(old), Some(new)) = (old, new) {
        for rule in grant.paths_mut() {
            rule.resolved = moved(&rule.resolved, &old.pipeline.base, &new.pipeline.base);
        }
    }
    (step, grant)
}

/// A path from one directory, as it is from another.
fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    path.strip_prefix(from).map_or_else(|_| path.to_owned(), |below| to.join(below))
}
