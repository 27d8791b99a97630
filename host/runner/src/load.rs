//! Loads the plugins of a pipeline side by side: reading, checking and linking one takes milliseconds of a processor.

use std::{collections::BTreeMap, panic::resume_unwind, thread};

use pipe_core::{digest::Digest, stage::Stage};
use pipe_pipeline::{Pipeline, PluginSource};
use pipe_sandbox::{LoadError, Plugin, Sandbox};
use tokio::runtime::Handle;

use crate::pins::{PinError, Pins};

/// The plugins inside the binary: their bytes, by stage.
pub type StandardPlugins = fn(Stage) -> &'static [u8];

/// Where the bytes of plugins come from.
#[derive(Clone, Debug)]
pub enum PluginBytes {
    /// From this binary, and from files as the pipeline names them.
    Fresh(StandardPlugins),
    /// From the copies of a run that was begun before: what each name stood for then.
    Pinned(Pins, BTreeMap<String, Digest>),
}

/// Why a plugin is not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unloaded {
    #[error(transparent)]
    Refused(#[from] LoadError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("the run was begun without it")]
    NotPinned,
}

impl Unloaded {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(error) => error.hint(),
            Self::Pin(_) | Self::NotPinned => None,
        }
    }
}

impl PluginBytes {
    async fn load(&self, name: &str, source: &PluginSource, sandbox: &Sandbox) -> Result<Plugin, Unloaded> {
        Ok(match (self, source) {
            (Self::Fresh(standard), PluginSource::Standard(stage)) => sandbox.load(name, standard(*stage)).await?,
            (Self::Fresh(_), PluginSource::File { path, sha256 }) => {
                sandbox.load_file(name, path, sha256.as_ref()).await?
            }
            (Self::Pinned(pins, digests), _) => {
                let digest = digests.get(name).ok_or(Unloaded::NotPinned)?;
                sandbox.load(name, &pins.read(&format!("plugin `{name}`"), digest)?).await?
            }
        })
    }
}

/// Keeps a copy of every plugin.
///
/// # Errors
///
/// It cannot be kept, or a file is no longer what was loaded from it.
pub(crate) fn keep(
    pins: &Pins,
    standard: StandardPlugins,
    pipeline: &Pipeline,
    plugins: &BTreeMap<String, Plugin>,
) -> Result<(), PinError> {
    for (name, plugin) in plugins {
        let what = format!("plugin `{name}`");
        let kept = match pipeline.plugins.get(name) {
            Some(PluginSource::Standard(stage)) => pins.keep(&what, standard(*stage))?,
            Some(PluginSource::File { path, .. }) => {
                let bytes = std::fs::read(path).map_err(|source| PinError::Unwritable {
                    what: what.clone(),
                    path: path.clone(),
                    source,
                })?;
                pins.keep(&what, &bytes)?
            }
            None => continue,
        };
        if kept != plugin.digest {
            let path = std::path::PathBuf::from(name);
            return Err(PinError::Changed { what, path });
        }
    }
    Ok(())
}

/// Plugins that are loaded at once. Each may take the memory of its component and its code.
const AT_ONCE: usize = 4;

/// Every plugin of the pipeline with its name, in the order of the names. Must be called within a runtime.
pub(crate) fn plugins<'p>(
    pipeline: &'p Pipeline,
    sandbox: &Sandbox,
    bytes: &PluginBytes,
) -> Vec<(&'p str, Result<Plugin, Unloaded>)> {
    let runtime = &Handle::current();
    let load = |name: &str, source: &PluginSource| runtime.block_on(bytes.load(name, source, sandbox));
    let sources: Vec<_> = pipeline.plugins.iter().collect();
    let some = |sources: &[(&'p String, &PluginSource)]| {
        thread::scope(|scope| {
            let threads: Vec<_> = sources
                .iter()
                .map(|&(name, source)| (name.as_str(), scope.spawn(move || load(name, source))))
                .collect();
            let ended = threads
                .into_iter()
                .map(|(name, thread)| (name, thread.join().unwrap_or_else(|panic| resume_unwind(panic))));
            ended.collect::<Vec<_>>()
        })
    };
    sources.chunks(AT_ONCE).flat_map(some).collect()
}
