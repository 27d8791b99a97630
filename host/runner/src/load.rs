//! Loads the plugins of a pipeline side by side: reading, checking and linking one takes milliseconds of a processor.

use std::{panic::resume_unwind, thread};

use pipe_pipeline::{Pipeline, PluginSource};
use pipe_sandbox::{LoadError, Plugin, Sandbox};
use tokio::runtime::Handle;

use crate::prepare::StandardPlugins;

/// Plugins that are loaded at once. Each may take the memory of its component and its code.
const AT_ONCE: usize = 4;

/// Every plugin of the pipeline with its name, in the order of the names. Must be called within a runtime.
pub(crate) fn plugins<'p>(
    pipeline: &'p Pipeline,
    sandbox: &Sandbox,
    standard: StandardPlugins,
) -> Vec<(&'p str, Result<Plugin, LoadError>)> {
    let runtime = &Handle::current();
    let load = |name: &str, source: &PluginSource| {
        runtime.block_on(async {
            match source {
                PluginSource::Standard(stage) => sandbox.load(name, standard(*stage)).await,
                PluginSource::File { path, sha256 } => sandbox.load_file(name, path, sha256.as_ref()).await,
            }
        })
    };
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
