//! The grants of a run, with their paths resolved once and held against what belongs to pipe itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::grant::Grant;
use pipe_core::{diagnostic::Diagnostic, id::StepId};
use pipe_effects::path::{OwnPlaces, canonical_grant};
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
    for step in all_steps(pipeline) {
        match canonical_grant(step.grant.clone(), &pipeline.base, OwnPlaces { unwritable, unreadable }) {
            Ok(grant) => {
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

/// What no grant may write: what makes pipe what it is.
pub(crate) fn unwritable(pipeline: &Pipeline, settings: &Settings) -> Vec<PathBuf> {
    let plugins = pipeline.plugins.values().filter_map(|source| match source {
        PluginSource::File { path, .. } => Some(real(path)),
        PluginSource::Standard(_) => None,
    });
    let mut places = unreadable(settings);
    places.extend([real(&pipeline.file.path), real(&settings.executable)]);
    places.extend(plugins);
    for policy in &settings.policies {
        // Where it lies, and where a link of that name lies: replacing either would be another policy next time.
        places.extend([real(&policy.file.path), beside(&policy.file.path)]);
    }
    places
}

/// What no grant may read either: the journal and everybody's artifacts, and the key that makes compiled code trusted.
pub(crate) fn unreadable(settings: &Settings) -> Vec<PathBuf> {
    settings.cache.iter().chain([&settings.state]).map(|path| real(path)).collect()
}

/// The path with its directory resolved, but not its last part.
fn beside(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    path.file_name().map_or_else(|| real(path), |name| real(parent).join(name))
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
