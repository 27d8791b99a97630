//! `pipe lock`, and what `--locked` asks of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::{diagnostic::Diagnostic, digest::Digest};
use pipe_pipeline::{
    Document, Drift, LOCK_FILE, Lock, LockedEnvironment, LockedFile, LockedPlugin, Pipeline, PluginSource,
};
use pipe_sandbox::{Plugin, Sandbox};
use serde_json::json;

use super::{loading, output_file};
use crate::{
    exit::Exit,
    failure::Failure,
    places,
    printer::{Printer, STRONG, styled},
    standard,
};

/// The running `pipe`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Accept a pipeline file as it is: write its plugins and a hash of every grant to `pipe.lock` beside it
///
/// `--locked` of `run`, `check` and `plan` then refuses whatever has changed since. What is hashed is what is written: the
/// values of inputs do not count, their patterns do. Commit the lock: its difference is what a reviewer accepts. Standard
/// plugins are locked as well, and change with every version of pipe.
#[derive(Debug, Args)]
pub(crate) struct LockArguments {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Lock this environment alone, and leave the others as they were [default: all]
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,
}

/// Whether a file must be as it was locked.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Locking {
    /// Refuse whatever has changed since `pipe lock`
    #[arg(long)]
    locked: bool,
}

/// Writes the lock.
pub(crate) async fn lock(arguments: &LockArguments, printer: Printer) -> Result<Exit, Failure> {
    let document = loading::document(&arguments.file)?;
    let path = beside(&arguments.file);
    let mut lock = if path.exists() { read(&path)? } else { Lock::default() };
    let mut environments = LockedEnvironment::of(&document);
    if let Some(only) = &arguments.env {
        let known = environments.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        environments.retain(|name, _| name == only);
        if environments.is_empty() {
            return Err(Failure::new(Exit::Usage, format!("there is no environment `{only}`"))
                .hint(format!("the file has {known}")));
        }
    }
    let sandbox = loading::sandbox(printer)?;
    let plugins = plugins(&document, &sandbox).await?;
    let locked = lock.files.entry(name(&arguments.file)).or_default();
    let drift = drift(locked, &environments, &digests(&plugins));
    match &arguments.env {
        Some(_) => locked.environments.extend(environments),
        None => locked.environments = environments,
    }
    locked.plugins = plugins;
    output_file::write(&path, &[&arguments.file], |file| Ok(write!(file, "{}", lock.write())?))?;
    if printer.json() {
        let accepted: Vec<_> = drift.iter().map(|drift| json!({ "what": drift.what, "how": drift.how })).collect();
        printer.value(&json!({ "schema": "pipe.lock/v1", "lock": path, "accepted": accepted }));
        return Ok(Exit::Succeeded);
    }
    for drift in &drift {
        printer.result(&format!("accepted  {}: {}", styled(STRONG, &drift.what), drift.how));
    }
    let told = if drift.is_empty() { "is up to date" } else { "is written: look at its difference and commit it" };
    printer.talk(&format!("{} {told}", path.display()));
    Ok(Exit::Succeeded)
}

/// Refuses a pipeline that is not as it was locked, and holds its plugins to what the lock says of them.
///
/// # Errors
///
/// There is no lock, it cannot be read, or something is not as it says.
pub(crate) fn hold(locking: Locking, document: &Document, pipeline: &mut Pipeline) -> Result<(), Failure> {
    if !locking.locked {
        return Ok(());
    }
    let file = &document.file().path;
    let path = beside(file);
    let locked = if path.exists() { read(&path)?.files.remove(&name(file)) } else { None };
    let Some(locked) = locked else {
        let message = match path.exists() {
            true => format!("{} does not hold {}", path.display(), file.display()),
            false => format!("there is no {}", path.display()),
        };
        return Err(Failure::new(Exit::Invalid, message)
            .hint(format!("`pipe lock {}` accepts the file as it is", places::in_shell(file))));
    };
    let mut now = BTreeMap::new();
    for (name, source) in document.plugins() {
        let digest = match source {
            PluginSource::Standard(stage) => Digest::of(standard::component(stage)),
            PluginSource::File { path, .. } => Sandbox::digest_of_file(&path)?,
        };
        now.insert(name, digest);
    }
    let environments = LockedEnvironment::of(document);
    let mut drift = locked.plugin_drift(&now, VERSION);
    if let Some(environment) = environments.get(&pipeline.environment) {
        drift.extend(locked.grant_drift(&pipeline.environment, environment));
    }
    if !drift.is_empty() {
        return Err(refused(document, &drift).into());
    }
    // Whatever lies at the path when the plugin is loaded.
    for (name, source) in &mut pipeline.plugins {
        if let PluginSource::File { sha256, .. } = source {
            *sha256 = locked.plugins.get(name).map(|plugin| plugin.sha256).or(*sha256);
        }
    }
    Ok(())
}

/// What has changed, and how it is accepted.
fn refused(document: &Document, drift: &[Drift]) -> Vec<Diagnostic> {
    let mut diagnostics: Vec<Diagnostic> = drift.iter().map(|drift| drift.diagnostic(document)).collect();
    let file = places::in_shell(&document.file().path);
    if let Some(last) = diagnostics.pop() {
        let last = last
            .hint(format!("`pipe diff OLD {file}` says what was gained since OLD, the file as it was locked"))
            .hint(format!("`pipe lock {file}` accepts it"));
        diagnostics.push(last);
    }
    diagnostics
}

/// What `lock` would change.
fn drift(
    locked: &LockedFile,
    environments: &BTreeMap<String, LockedEnvironment>,
    plugins: &BTreeMap<String, Digest>,
) -> Vec<Drift> {
    let grants = environments.iter().flat_map(|(name, environment)| locked.grant_drift(name, environment));
    locked.plugin_drift(plugins, VERSION).into_iter().chain(grants).collect()
}

/// The plugins that the file calls, as they are now.
async fn plugins(document: &Document, sandbox: &Sandbox) -> Result<BTreeMap<String, LockedPlugin>, Failure> {
    let mut locked = BTreeMap::new();
    for (name, source) in document.plugins() {
        let plugin = load(&name, &source, sandbox).await?;
        let source = match source {
            PluginSource::Standard(_) => format!("pipe {VERSION}"),
            PluginSource::File { .. } => document.plugin_path(&name).unwrap_or_default().to_owned(),
        };
        let (version, contract) = (plugin.description.version.clone(), plugin.contract.version.clone());
        locked.insert(name, LockedPlugin { source, version, contract, sha256: plugin.digest });
    }
    Ok(locked)
}

async fn load(name: &str, source: &PluginSource, sandbox: &Sandbox) -> Result<Plugin, Failure> {
    let loaded = match source {
        PluginSource::Standard(stage) => sandbox.load(name, standard::component(*stage)).await,
        PluginSource::File { path, sha256 } => sandbox.load_file(name, path, sha256.as_ref()).await,
    };
    loaded.map_err(|error| {
        let hint = error.hint();
        let failure = Failure::new(Exit::Invalid, format!("plugin `{name}`: {error}"));
        hint.into_iter().fold(failure, Failure::hint)
    })
}

fn digests(plugins: &BTreeMap<String, LockedPlugin>) -> BTreeMap<String, Digest> {
    plugins.iter().map(|(name, plugin)| (name.clone(), plugin.sha256)).collect()
}

/// The lock of a pipeline file.
fn beside(file: &Path) -> PathBuf {
    file.with_file_name(LOCK_FILE)
}

/// How a pipeline file is named in its lock.
fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Lock, Failure> {
    Ok(Lock::read(&pipe_pipeline::read(path)?)?)
}
