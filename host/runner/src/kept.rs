//! Everything that a run keeps a copy of when it begins, and finds again when it goes on.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use pipe_capability::grant::Grant;
use pipe_core::{digest::Digest, id::StepId};
use pipe_pipeline::Pipeline;
use pipe_sandbox::Plugin;

use crate::{
    copies::{self, Manifest},
    error::PrepareError,
    load::{self, PluginBytes},
    pins::Pins,
    prepare::Settings,
};

/// The copies that a run uses.
pub(crate) struct Kept {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) digest: Option<Digest>,
}

/// Makes every copy that a new run needs, or finds those of one that was begun before.
pub(crate) fn keep(
    bytes: &PluginBytes,
    pipeline: &Pipeline,
    plugins: &BTreeMap<String, Plugin>,
    grants: &BTreeMap<StepId, Arc<Grant>>,
    settings: &Settings,
) -> Result<Kept, PrepareError> {
    let pins = Pins::of(&settings.state);
    let state = settings.state.canonicalize().unwrap_or_else(|_| settings.state.clone());
    let folder = state.join("copies").join(settings.run.as_str());
    let what = "the manifest of the copies";
    match bytes {
        PluginBytes::Fresh(standard) => {
            pins.keep("the pipeline file", pipeline.file.text.as_bytes())?;
            for policy in &settings.policies {
                pins.keep("a policy", policy.file.text.as_bytes())?;
            }
            load::keep(&pins, *standard, pipeline, plugins)?;
            let manifest = copies::make(&folder, pipeline, grants)?;
            let text = serde_json::to_vec(&manifest).unwrap_or_default();
            let digest = (!manifest.trees.is_empty()).then(|| pins.keep(what, &text)).transpose()?;
            Ok(Kept { folder, manifest, digest })
        }
        PluginBytes::Pinned(..) => {
            let Some(digest) = settings.copies else {
                return Ok(Kept { folder, manifest: Manifest::default(), digest: None });
            };
            let manifest: Manifest = serde_json::from_slice(&pins.read(what, &digest)?)
                .map_err(|error| PrepareError::NotResumable(format!("{what} cannot be read: {error}")))?;
            manifest.check(&folder)?;
            Ok(Kept { folder, manifest, digest: Some(digest) })
        }
    }
}
