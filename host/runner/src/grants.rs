//! The grants of a run, with their paths resolved once and held against what belongs to pipe itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::{grant::Grant, path::PathRule};
use pipe_core::{diagnostic::Diagnostic, id::StepId};
use pipe_effects::path::{OwnPlaces, canonical_grant, resolve};
use pipe_pipeline::{Pipeline, PluginSource};

use crate::prepare::{Settings, all_steps};

/// Every step's grant, or everything that is wrong with one.
pub(crate) fn canonical(
    pipeline: &Pipeline,
    unwritable: &[PathBuf],
    unreadable: &[PathBuf],
) -> Result<BTreeMap<StepId, Arc<Grant>>, Vec<Diagnostic>> {
    let mut grants = BTreeMap::new();
    let mut problems = Vec::new();
    let mut written: Vec<PathBuf> = Vec::new();
    for step in all_steps(pipeline) {
        let mut grant = step.grant.clone();
        let to_come = to_come(&mut grant, &pipeline.base, &written);
        match canonical_grant(grant, &pipeline.base, OwnPlaces { unwritable, unreadable }) {
            Ok(mut grant) => {
                written.extend(grant.write.iter().map(|rule| rule.resolved.clone()));
                grant.read.extend(to_come);
                grants.insert(step.id.clone(), Arc::new(grant));
            }
            Err(error) => {
                let message = format!("step \"{}\": {error}", step.id);
                let mut problem = Diagnostic::error("grant-refused", message).at(&pipeline.file, step.span.clone(), "");
                problem.hints.extend(error.hint());
                problems.push(problem);
            }
        }
    }
    if problems.is_empty() { Ok(grants) } else { Err(problems) }
}

/// Takes out of a grant what it may read and what an earlier step is yet to make: nothing is there, and it lies in what that
/// step may write, which is nothing of pipe's own.
fn to_come(grant: &mut Grant, base: &Path, written: &[PathBuf]) -> Vec<PathRule> {
    let is_to_come = |rule: &mut PathRule| {
        let resolved = resolve(base, &rule.resolved);
        let found = !resolved.exists() && written.iter().any(|written| resolved.starts_with(written));
        if found {
            rule.resolved = resolved;
        }
        found
    };
    grant.read.extract_if(.., is_to_come).collect()
}

/// What no grant may write: what makes pipe what it is.
pub(crate) fn unwritable(pipeline: &Pipeline, settings: &Settings) -> Vec<PathBuf> {
    let plugins = pipeline.plugins.values().filter_map(|source| match source {
        PluginSource::File { path, .. } => Some(real(path)),
        PluginSource::Standard(_) => None,
    });
    let mut places = unreadable(settings);
    places.extend([real(&pipeline.file.path), real(&settings.executable)]);
    places.extend(plugins);
    places
}

/// What no grant may read either: the journal and everybody's artifacts, and the key that makes compiled code trusted.
pub(crate) fn unreadable(settings: &Settings) -> Vec<PathBuf> {
    settings.cache.iter().chain([&settings.state]).map(|path| real(path)).collect()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
