//! From a path on the command line to a checked pipeline, a sandbox and a journal.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_core::{diagnostic::Diagnostic, digest::Digest, id::RunId, redact::Redactor};
use pipe_journal::{Journal, Ownership, Reader};
use pipe_pipeline::{Checked, Document, Policy, RunFacts};
use pipe_runner::{PluginBytes, Prepared, Settings};
use pipe_sandbox::Sandbox;

use super::lock::{self, Locking};
use crate::{
    arguments::Selection,
    exit::Exit,
    failure::Failure,
    places,
    printer::{self, Printer},
    standard,
};

/// A pipeline file that was read, and the run it is read for.
pub(crate) struct Loaded {
    pub(crate) checked: Checked,
    pub(crate) run: RunId,
    pub(crate) started: jiff::Timestamp,
    pub(crate) state: PathBuf,
    /// Inputs of the deployment before.
    pub(crate) previous: BTreeMap<String, String>,
    /// Of a run that was begun before: the manifest of its copies.
    pub(crate) copies: Option<Digest>,
    /// Where its plugins come from.
    pub(crate) bytes: PluginBytes,
    /// Who asks for it beside the user who runs it, as the operator says.
    pub(crate) asked_by: Vec<String>,
    /// Of a run that was begun before: the signers of its roles, as they were then.
    pub(crate) signers: Option<BTreeMap<String, String>>,
}

/// Reads a pipeline file.
pub(crate) fn document(path: &Path) -> Result<Document, Failure> {
    let file = pipe_pipeline::read(path)?;
    Ok(pipe_pipeline::parse(&file)?)
}

/// Reads a pipeline file and resolves it for one environment and one run.
pub(crate) fn load(
    selection: &Selection,
    locking: Locking,
    state: Option<&Path>,
    printer: Printer,
) -> Result<Loaded, Failure> {
    let document = document(&selection.file)?;
    let started = jiff::Timestamp::now();
    let run = RunId::new(started);
    let state = places::state(state, document.state().as_deref())?;
    let inputs: BTreeMap<String, String> = selection.set.iter().cloned().collect();
    let previous = previous(selection, &document, &state);
    let request = pipe_pipeline::Selection {
        environment: selection.env.clone(),
        inputs,
        previous: previous.clone(),
        run: RunFacts { id: run.clone(), started },
    };
    let mut checked = pipe_pipeline::check(&document, &request)?;
    printer.diagnostics(&checked.warnings);
    lock::hold(locking, &document, &mut checked.pipeline)?;
    let bytes = PluginBytes::Fresh(standard::component);
    Ok(Loaded { checked, run, started, state, previous, copies: None, bytes, asked_by: Vec::new(), signers: None })
}

/// Inputs of the last run that succeeded here, else what the operator says they were.
fn previous(selection: &Selection, document: &Document, state: &Path) -> BTreeMap<String, String> {
    // Opening the journal takes a millisecond, and most files have no use for it.
    if !document.file().text.contains("previous") {
        return BTreeMap::new();
    }
    let none = (document.environments().next().is_none()).then_some(pipe_pipeline::NO_ENVIRONMENT);
    let known = (selection.env.as_deref().or(none))
        .and_then(|environment| Reader::open(state).ok()?.last_succeeded(document.name(), environment).ok().flatten())
        .map(|run| run.inputs)
        .unwrap_or_default();
    selection.previous.iter().cloned().chain(known).collect()
}

/// The policies above every pipeline: the system's own where there is one, and the one that the operator names. Both apply:
/// what the operator says can only take away.
pub(crate) fn policies(selection: &Selection) -> Result<Vec<Policy>, Failure> {
    let mut policies = Vec::new();
    // One that cannot be read is not one that is not there.
    if let Err(error) = std::fs::symlink_metadata(places::SYSTEM_POLICY) {
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            return Err(Failure::new(Exit::Internal, format!("cannot read {}: {error}", places::SYSTEM_POLICY)));
        }
    } else {
        policies.push(pipe_pipeline::policy(Path::new(places::SYSTEM_POLICY))?);
    }
    if let Some(path) = &selection.policy {
        policies.push(pipe_pipeline::policy(path)?);
    }
    Ok(policies)
}

/// The sandbox, with the user's cache of compiled plugins.
pub(crate) fn sandbox(printer: Printer) -> Result<Arc<Sandbox>, Failure> {
    let (sandbox, no_cache) = Sandbox::new(places::cache().as_deref())?;
    if let Some(error) = no_cache {
        printer.warning(&format!("plugins are compiled anew for every run: {error}"));
    }
    Ok(Arc::new(sandbox))
}

/// Checks everything, and sets everything up to run. The state directory is there.
pub(crate) async fn prepare(
    loaded: Loaded,
    ownership: Arc<Ownership>,
    policies: Vec<Policy>,
    printer: Printer,
    redactor: Redactor,
) -> Result<(Prepared, Arc<Journal>), Failure> {
    let journal = Arc::new(Journal::open_owned(ownership, redactor.clone())?);
    journal.ready_to_seal()?;
    let executable = std::env::current_exe()?;
    let settings = Settings {
        run: loaded.run,
        started: loaded.started,
        state: loaded.state,
        cache: places::cache(),
        executable: executable.clone(),
        environment: std::env::vars_os().filter_map(text_variable).collect(),
        supervisor: vec![executable.into(), crate::SUPERVISOR.into()],
        actor: actor(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policies,
        requesters: requesters(&loaded.asked_by),
        signers: loaded.signers,
        waits: printer::somebody_is_there(),
        previous: loaded.previous,
        copies: loaded.copies,
    };
    let sandbox = sandbox(printer)?;
    let prepared =
        pipe_runner::prepare(loaded.checked.pipeline, sandbox, loaded.bytes, Arc::clone(&journal), redactor, settings)
            .await?;
    Ok((prepared, journal))
}

/// Makes the state directory and what leads to it, for this user alone.
pub(crate) fn make_state(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::new(Exit::Internal, format!("cannot make the state directory {}: {error}", path.display()))
            .hint("`--state DIR` names another one")
    })
}

/// Variables that are text. Others cannot be granted, since a guest could not read them.
fn text_variable((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// Who runs this, for the record: `root@host`. What the system says, not what the environment says.
pub(crate) fn actor() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| format!("uid {}", nix::unistd::getuid()), |user| user.name);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}

/// Everybody who may have asked for this run: whoever runs it, whoever logged in before becoming that user, and those whom the
/// operator names. More names only take approvals away.
fn requesters(named: &[String]) -> Vec<String> {
    let mut requesters = vec![actor()];
    // The kernel keeps it through `su` and `sudo`. Nothing where nobody logged in.
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    let login = login.filter(|id| *id != u32::MAX).map(nix::unistd::Uid::from_raw);
    let login = login.and_then(|id| nix::unistd::User::from_uid(id).ok().flatten()).map(|user| user.name);
    requesters.extend(login.filter(|name| !requesters[0].starts_with(&format!("{name}@"))));
    requesters.extend(named.iter().cloned());
    requesters
}

/// The state directory of a command that reads: as the operator says, else as a pipeline file says, else the user's own.
pub(crate) fn reading_state(state: Option<&Path>, file: Option<&Path>) -> Result<PathBuf, Failure> {
    let of_file = match file {
        Some(path) if state.is_none() => document(path)?.state(),
        _ => None,
    };
    places::state(state, of_file.as_deref())
}

/// A run named on the command line: whole, `last`, or as many leading digits as name one run.
pub(crate) fn find_run(reader: &Reader, text: &str) -> Result<pipe_journal::RunSummary, Failure> {
    if text.is_empty() {
        return Err(Failure::new(Exit::Usage, "no run is named").hint("its name, the beginning of it, or `last`"));
    }
    let mut matching = reader.runs_named((text != "last").then_some(text))?;
    match matching.len() {
        0 => Err(Failure::new(Exit::Usage, format!("no run `{text}`")).hint("`pipe history` lists the runs")),
        1 => Ok(matching.remove(0)),
        several => {
            Err(Failure::new(Exit::Usage, format!("`{text}` begins the names of {several} runs"))
                .hint("name more of it"))
        }
    }
}

/// Whether diagnostics hold an error.
pub(crate) fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == pipe_core::diagnostic::Severity::Error)
}
