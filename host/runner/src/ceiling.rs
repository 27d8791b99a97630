//! A pipeline held against the policies above it, with everything that its names stand for on this machine.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use pipe_capability::{
    ceiling::{Excess, Outside, Part, PeerSeen, Place, PluginSeen, SecretOrigin, StepSeen},
    grant::Grant,
    sql::SqlRule,
    word::Word,
};
use pipe_core::{diagnostic::Diagnostic, stage::Stage};
use pipe_effects::path::resolve;
use pipe_pipeline::{ABOVE_POLICY, PeerSpec, Pipeline, PluginSource, Policy, SecretSource, Step, check_against_policy};
use pipe_sandbox::Plugin;

use crate::{backups::Backups, prepare::all_steps};

/// Everything of a pipeline that one of the policies does not allow, each with both lines. Plugins count by the content that
/// was loaded, paths by where they lead now.
#[must_use]
pub fn check_policies(policies: &[Policy], pipeline: &Pipeline, plugins: &BTreeMap<String, Plugin>) -> Vec<Diagnostic> {
    let database = |_: &str, file: &Path| resolve(&pipeline.base, file);
    hold(policies, pipeline, plugins, database, |step| Cow::Owned(resolved(&step.grant, pipeline)))
}

/// The same where paths are resolved already, those of `database` by the names of peers: **what is held against the policies is
/// what will be used**.
pub(crate) fn hold<'g>(
    policies: &[Policy],
    pipeline: &Pipeline,
    plugins: &BTreeMap<String, Plugin>,
    database: impl Fn(&str, &Path) -> PathBuf,
    grant: impl Fn(&Step) -> Cow<'g, Grant>,
) -> Vec<Diagnostic> {
    if policies.is_empty() {
        return Vec::new();
    }
    let holding = Holding::new(policies, pipeline, plugins, outside(pipeline, database));
    let mut found = Vec::new();
    // One step at a time: a pipeline may have a hundred thousand, each with a grant of its own.
    for (place, step) in all_steps(pipeline).enumerate() {
        let grant = grant(step);
        let seen = holding.seen(place, step, &grant);
        for policy in policies {
            for problem in check_against_policy(policy, pipeline, [(step, seen)], &holding.outside) {
                // Every repetition of a step says the same.
                if found.len() < MOST_PROBLEMS && !found.contains(&problem) {
                    found.push(problem);
                }
            }
        }
    }
    found.extend(lock(policies, &holding));
    found
}

/// The database that says who drives is one that some stage may write: a login goes nowhere that a policy does not name.
fn lock(policies: &[Policy], holding: &Holding<'_>) -> Vec<Diagnostic> {
    let pipeline = holding.pipeline;
    let Some((name, spec)) = pipeline.lock.as_ref().and_then(|name| pipeline.peers.get_key_value(name)) else {
        return Vec::new();
    };
    let Ok(rule) = SqlRule::parse(&format!("write {name}")) else { return Vec::new() };
    let grant = Grant { sql: vec![rule], ..Grant::default() };
    let allowed = |policy: &&Policy| {
        Stage::ALL.into_iter().any(|stage| {
            let plugin = PluginSeen::Standard(stage);
            let seen = StepSeen { stage, plugin, grant: &grant, backups: &[], backup_age: None };
            let excesses = policy.ceiling.excesses(&seen, &holding.outside);
            !excesses.iter().any(|excess| matches!(excess.at, Part::Rule(Word::Sql, _)))
        })
    };
    let above = policies.iter().filter(|policy| !allowed(policy));
    let told = |policy: &Policy| {
        let message = format!("the lock is above the policy: no stage may write to `{name}`");
        Diagnostic::error(ABOVE_POLICY, message)
            .at(&pipeline.file, spec.span.clone(), "")
            .hint(format!("ask those who keep {} to allow `sql = [\"write …\"]` there", policy.file.path.display()))
    };
    above.map(told).collect()
}

/// What every step of a pipeline is held against a policy with.
pub(crate) struct Holding<'p> {
    pipeline: &'p Pipeline,
    plugins: &'p BTreeMap<String, Plugin>,
    outside: Outside,
    backups: Backups,
}

impl<'p> Holding<'p> {
    fn new(
        policies: &[Policy],
        pipeline: &'p Pipeline,
        plugins: &'p BTreeMap<String, Plugin>,
        outside: Outside,
    ) -> Self {
        let mut required = policies.iter().map(|policy| &policy.ceiling.require);
        let asked =
            required.any(|require| require.encrypted_backup_before_migrate || require.restored_backup_before_migrate);
        let backups = if asked { Backups::of(pipeline, plugins) } else { Backups::default() };
        Self { pipeline, plugins, outside, backups }
    }

    /// With everything where it leads now.
    pub(crate) fn of_now(policies: &[Policy], pipeline: &'p Pipeline, plugins: &'p BTreeMap<String, Plugin>) -> Self {
        let database = |_: &str, file: &Path| resolve(&pipeline.base, file);
        Self::new(policies, pipeline, plugins, outside(pipeline, database))
    }

    /// A step as a policy looks at it. `place` is its place among all that call a plugin.
    fn seen<'g>(&'g self, place: usize, step: &Step, grant: &'g Grant) -> StepSeen<'g> {
        StepSeen {
            stage: step.stage,
            plugin: plugin(self.pipeline, self.plugins, step),
            grant,
            backups: self.backups.before(place),
            backup_age: step.backup_max_age,
        }
    }

    /// What of a step a policy does not allow, and what of the policy speaks against it.
    pub(crate) fn excesses(&self, policy: &Policy, place: usize, step: &Step) -> Vec<Excess> {
        let grant = resolved(&step.grant, self.pipeline);
        policy.ceiling.excesses(&self.seen(place, step, &grant), &self.outside)
    }
}

/// Whether programs run where the kernel cannot confine them: only where a policy says so, and no other says otherwise.
pub(crate) fn unconfined(policies: &[Policy]) -> bool {
    !policies.is_empty() && policies.iter().all(|policy| policy.ceiling.require.unconfined_programs)
}

/// More than anybody reads at once.
const MOST_PROBLEMS: usize = 100;

/// The plugin that was loaded; a file that was not is no plugin that a policy could know.
fn plugin(pipeline: &Pipeline, plugins: &BTreeMap<String, Plugin>, step: &Step) -> PluginSeen {
    let digest = plugins.get(&step.plugin).map(|plugin| plugin.digest);
    match (pipeline.plugins.get(&step.plugin), digest) {
        (Some(PluginSource::Standard(stage)), _) => PluginSeen::Standard(*stage),
        (Some(PluginSource::File { sha256, .. }), Some(digest)) => {
            PluginSeen::File { digest, pinned: sha256.is_some() }
        }
        _ => PluginSeen::File { digest: pipe_core::digest::Digest::of(b""), pinned: false },
    }
}

fn outside(pipeline: &Pipeline, database: impl Fn(&str, &Path) -> PathBuf) -> Outside {
    let secret = |source: &SecretSource| match source {
        SecretSource::Env(name) => SecretOrigin::Env(name.clone()),
        SecretSource::File(path) => SecretOrigin::File(resolve(&pipeline.base, path)),
    };
    Outside {
        peers: pipeline.peers.iter().map(|(name, spec)| (name.clone(), peer(name, spec, &database))).collect(),
        secrets: pipeline.secrets.iter().map(|(name, source)| (name.clone(), secret(source))).collect(),
        base: pipeline.base.clone(),
        environment: pipeline.environment.clone(),
    }
}

fn peer(name: &str, spec: &PeerSpec, database: impl Fn(&str, &Path) -> PathBuf) -> PeerSeen {
    let place = match &spec.database {
        Some(file) => Place::File(database(name, file)),
        None => Place::of_url(&spec.url, &spec.addresses),
    };
    let client_key = spec.client.as_ref().map(|client| client.key.clone());
    let logins = spec.secrets().map(str::to_owned).collect();
    PeerSeen { place, logins, client_key, hides_path: spec.secret_path.is_some() }
}

/// A grant with its paths as they lead now, whether or not anything is there yet.
fn resolved(grant: &Grant, pipeline: &Pipeline) -> Grant {
    let mut grant = grant.clone();
    for rule in grant.paths_mut() {
        rule.resolved = resolve(&pipeline.base, &rule.resolved);
    }
    for cwd in grant.exec.iter_mut().filter_map(|rule| rule.cwd.as_mut()) {
        *cwd = resolve(&pipeline.base, &*cwd).to_string_lossy().into_owned();
    }
    grant
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies with these requirements.
    fn policies(requirements: &[&str]) -> Vec<Policy> {
        let folder = std::env::temp_dir().join(format!("pipe-policies-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let read = |(index, require): (usize, &&str)| {
            let path = folder.join(format!("{index}.toml"));
            std::fs::write(&path, format!("[[allow]]\nany = [\"*\"]\n[require]\n{require}\n")).unwrap();
            pipe_pipeline::policy(&path).unwrap()
        };
        let read = requirements.iter().enumerate().map(read).collect();
        std::fs::remove_dir_all(&folder).unwrap();
        read
    }

    #[test]
    fn programs_run_unconfined_where_every_policy_says_so_and_there_is_one() {
        let (report, refuse) = ("unconfined_programs = \"report\"", "unconfined_programs = \"refuse\"");
        for (requirements, run) in [
            (&[][..], false),
            (&[report], true),
            (&[refuse], false),
            (&[""], false),
            (&[report, report], true),
            (&[report, ""], false),
        ] {
            assert_eq!(unconfined(&policies(requirements)), run, "{requirements:?}");
        }
    }
}
