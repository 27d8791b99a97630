//! Everything knowable, checked before the first step: plugins, settings, grants, secrets, places.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ffi::OsString,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::grant::Grant;
use pipe_core::{
    diagnostic::{Diagnostic, Severity},
    digest::Digest,
    event::{Part, PlannedStep, PluginIdentity},
    id::{RunId, StepId},
    redact::Redactor,
};
use pipe_effects::{
    path::resolve,
    tls::check_identity,
    world::{ClientIdentity, Peer, Secrets, TlsMode, World},
};
use pipe_journal::Journal;
use pipe_pipeline::{
    PeerSpec, Pipeline, PluginFacts, Policy, RollbackEntry, RunFacts, Step, Tls, check_against_plugins, read_schema,
};
use pipe_sandbox::{Plugin, Sandbox};
use serde_json::Value;

use crate::{
    ceiling,
    course::{Bar, Course, Next, course_of},
    error::PrepareError,
    gate::{SignersFiles, read_signers},
    grants, kept,
    load::{self, PluginBytes, StandardPlugins},
    plan::Plan,
    secrets,
    state::RunState,
};

/// What a run needs to know that is not in the pipeline file.
pub struct Settings {
    /// Identity of the run.
    pub run: RunId,
    /// When it starts.
    pub started: jiff::Timestamp,
    /// Where journal and artifacts are. Exists.
    pub state: PathBuf,
    /// Where compiled plugins are kept, if they are.
    pub cache: Option<PathBuf>,
    /// The running `pipe`.
    pub executable: PathBuf,
    /// Variables of the operator.
    pub environment: BTreeMap<String, String>,
    /// Starts the supervisor.
    pub supervisor: Vec<OsString>,
    /// Who runs it.
    pub actor: String,
    /// Version of `pipe`.
    pub version: String,
    /// What the pipeline is held against.
    pub policies: Vec<Policy>,
    /// Who asks for the run, by every name that is known: none of them may approve it.
    pub requesters: Vec<String>,
    /// Of a run that was accepted before: the signers of its roles as they were then, by role. Else they are read.
    pub signers: Option<BTreeMap<String, String>>,
    /// Whether somebody is there to see it wait at a gate. Else it stops there, to be resumed.
    pub waits: bool,
    /// Inputs of the deployment before, as the pipeline was checked with them.
    pub previous: BTreeMap<String, String>,
    /// Of a run that was begun before: the manifest of its copies.
    pub copies: Option<Digest>,
}

/// A run that may start.
pub struct Prepared {
    /// The checked pipeline.
    pub pipeline: Pipeline,
    /// What it will do.
    pub plan: Plan,
    /// Identity of the run.
    pub run: RunId,
    /// When it was accepted.
    pub started: jiff::Timestamp,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) world: Arc<World>,
    plugins: BTreeMap<String, Plugin>,
    facts: BTreeMap<String, PluginFacts>,
    grants: BTreeMap<StepId, Arc<Grant>>,
    pub(crate) actor: String,
    pub(crate) version: String,
    pub(crate) previous: BTreeMap<String, String>,
    pub(crate) copies: Option<Digest>,
    not_copied: Vec<PathBuf>,
    pub(crate) policy_files: Vec<String>,
    pub(crate) encrypted_backup: bool,
    pub(crate) signers: SignersFiles,
    pub(crate) requesters: Vec<String>,
    pub(crate) waits: bool,
}

/// Loads the plugins that a pipeline names, and holds the pipeline against what they say of themselves. Nothing outside is
/// touched: this is all that `pipe check` does.
///
/// # Errors
///
/// Everything that is wrong, each at its line.
pub async fn describe_plugins(
    pipeline: &Pipeline,
    sandbox: &Sandbox,
    bytes: &PluginBytes,
) -> Result<(BTreeMap<String, Plugin>, BTreeMap<String, PluginFacts>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut plugins = BTreeMap::new();
    let mut facts = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, loaded) in load::plugins(pipeline, sandbox, bytes) {
        match loaded {
            Err(error) => problems.push(at_plugin(pipeline, name, "plugin-invalid", error.to_string(), error.hint())),
            Ok(plugin) => match accepted(&plugin) {
                Ok(known) => {
                    facts.insert(name.to_owned(), known);
                    plugins.insert(name.to_owned(), plugin);
                }
                Err(problem) => problems.push(at_plugin(pipeline, name, "plugin-refused", problem, None)),
            },
        }
    }
    // A step whose plugin could not be loaded would only repeat what was just said.
    let known = |problem: &Diagnostic| problem.code != "unknown-plugin";
    problems.extend(check_against_plugins(pipeline, &facts).into_iter().filter(known));
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(problems);
    }
    Ok((plugins, facts, problems))
}

/// Plans a checked pipeline without setting anything up.
///
/// # Errors
///
/// Everything that is wrong, each at its line.
pub async fn plan(
    pipeline: &Pipeline,
    sandbox: &Sandbox,
    standard: StandardPlugins,
    policies: &[Policy],
    run: &RunFacts,
) -> Result<Plan, Vec<Diagnostic>> {
    let (plugins, _, _) = describe_plugins(pipeline, sandbox, &PluginBytes::Fresh(standard)).await?;
    let above = ceiling::check_policies(policies, pipeline, &plugins);
    if !above.is_empty() {
        return Err(above);
    }
    let signers = read_signers(pipeline, &[])?;
    Ok(Plan::new(pipeline, policies, run, &signers, |step| planned(&plugins, step)))
}

/// Checks everything and sets up everything, up to but not including the first step. What is not a copy already is copied: the
/// pipeline file, the policies, the plugins.
///
/// # Errors
///
/// What is wrong with pipeline, plugins, grants or secrets, each at its line; or a directory or journal that cannot be used.
pub async fn prepare(
    pipeline: Pipeline,
    sandbox: Arc<Sandbox>,
    bytes: PluginBytes,
    journal: Arc<Journal>,
    redactor: Redactor,
    settings: Settings,
) -> Result<Prepared, PrepareError> {
    let (plugins, facts, _) = describe_plugins(&pipeline, &sandbox, &bytes).await.map_err(PrepareError::Invalid)?;
    // Before anything is set up: a directory that may not be written is not made either.
    let above = ceiling::check_policies(&settings.policies, &pipeline, &plugins);
    if !above.is_empty() {
        return Err(PrepareError::Invalid(above));
    }
    let signers = match settings.signers.clone() {
        Some(pinned) => pinned,
        None => read_signers(&pipeline, &settings.requesters).map_err(PrepareError::Invalid)?,
    };
    let secrets = secrets::resolve(&pipeline, &settings.environment, &redactor).map_err(PrepareError::Invalid)?;
    check_identities(&pipeline, &secrets).map_err(PrepareError::Invalid)?;
    let protected = grants::unwritable(&pipeline, &settings);
    let grants =
        grants::canonical(&pipeline, &protected, &grants::unreadable(&settings)).map_err(PrepareError::Invalid)?;
    // And once more as they were pinned: a link may have been changed in between.
    let pinned = |step: &Step| grants.get(&step.id).map_or_else(Cow::default, |grant| Cow::Borrowed(&**grant));
    let peers: BTreeMap<String, Peer> =
        pipeline.peers.iter().map(|(name, spec)| (name.clone(), peer(name, spec))).collect();
    let database = |name: &str, file: &Path| {
        peers.get(name).and_then(|peer| peer.pinned.clone()).unwrap_or_else(|| file.to_owned())
    };
    let above = ceiling::hold(&settings.policies, &pipeline, &plugins, database, pinned);
    if !above.is_empty() {
        return Err(PrepareError::Invalid(above));
    }
    let copies = kept::keep(&bytes, &pipeline, &plugins, &grants, &settings)?;
    let artifacts = settings.state.join("artifacts").join(settings.run.as_str());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&artifacts)
        .map_err(|source| PrepareError::Directory { path: artifacts.clone(), source })?;
    let encrypted_backup =
        settings.policies.iter().any(|policy| policy.ceiling.require.encrypted_backup_before_migrate);
    let policy_files = settings.policies.iter().map(|policy| absolute(&policy.file.path)).collect();
    let world = World {
        peers,
        secrets,
        redactor,
        proofs: Some(journal.proof_key()?),
        environment: settings.environment,
        base: pipeline.base.clone(),
        artifacts,
        supervisor: settings.supervisor,
        protected,
        unconfined: ceiling::unconfined(&settings.policies),
        copies: copies.manifest.places(&copies.folder),
    };
    let facts_of_run = RunFacts { id: settings.run.clone(), started: settings.started };
    let plan = Plan::new(&pipeline, &settings.policies, &facts_of_run, &signers, |step| planned(&plugins, step));
    Ok(Prepared {
        pipeline,
        plan,
        run: settings.run,
        started: settings.started,
        sandbox,
        journal,
        world: Arc::new(world),
        plugins,
        facts,
        grants,
        actor: settings.actor,
        version: settings.version,
        previous: settings.previous,
        copies: copies.digest,
        not_copied: copies.manifest.too_large().map(Path::to_owned).collect(),
        policy_files,
        encrypted_backup,
        signers,
        requesters: settings.requesters,
        waits: settings.waits,
    })
}

impl Prepared {
    /// What migrations and releases read and was too large to be copied when the run began: they read what is there now.
    #[must_use]
    pub fn not_copied(&self) -> &[PathBuf] {
        &self.not_copied
    }

    pub(crate) fn plugin(&self, step: &Step) -> Option<&Plugin> {
        self.plugins.get(&step.plugin)
    }

    pub(crate) fn schema(&self, step: &Step) -> Option<&Value> {
        self.facts.get(&step.plugin).map(|facts| &facts.schema)
    }

    pub(crate) fn grant(&self, step: &Step) -> Arc<Grant> {
        self.grants.get(&step.id).cloned().unwrap_or_default()
    }

    pub(crate) fn reversible(&self, step: &Step) -> bool {
        self.plugin(step).is_some_and(|plugin| plugin.contract.undo) && !step.irreversible
    }

    pub(crate) fn identity(&self, step: &Step) -> PluginIdentity {
        planned(&self.plugins, step).plugin
    }

    /// What of the pipeline decides the order.
    pub(crate) fn course(&self) -> Course {
        course_of(&self.pipeline, |step| self.reversible(step))
    }

    /// Why the run cannot begin at this time: it is too late for its first phase.
    #[must_use]
    pub fn barred(&self, now: jiff::Timestamp) -> Option<Bar> {
        match self.course().next(&RunState::default(), now) {
            Next::Barred(bar) if !bar.passes() => Some(bar),
            _ => None,
        }
    }
}

pub(crate) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// What is known of a plugin that is accepted, or why it is not.
fn accepted(plugin: &Plugin) -> Result<PluginFacts, String> {
    let schema = read_schema(&plugin.description.settings_schema).map_err(|error| error.to_string())?;
    Ok(PluginFacts { stage: plugin.contract.stage, schema, reversible: plugin.contract.undo })
}

/// Every client certificate, held against its key.
fn check_identities(pipeline: &Pipeline, secrets: &Secrets) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for (name, spec) in &pipeline.peers {
        let Some(identity) = peer(name, spec).client else { continue };
        if let Err(error) = check_identity(&identity, secrets) {
            let message = format!("the client certificate of the peer `{name}`: {error}");
            let mut problem =
                Diagnostic::error("client-certificate", message).at(&pipeline.file, spec.span.clone(), "");
            problem.hints.extend(error.hint);
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A peer of the file as the effects know it.
fn peer(name: &str, spec: &PeerSpec) -> Peer {
    Peer {
        name: name.to_owned(),
        url: spec.url.clone(),
        password: spec.password.clone(),
        bearer: spec.bearer.clone(),
        secret_path: spec.secret_path.clone(),
        tls: match spec.tls {
            Tls::VerifyFull => TlsMode::VerifyFull,
            Tls::Disable => TlsMode::Disable,
        },
        ca: spec.ca.clone(),
        client: spec
            .client
            .as_ref()
            .map(|client| ClientIdentity { certificate: client.certificate.clone(), key: client.key.clone() }),
        addresses: spec.addresses.clone(),
        pinned: spec.database.as_ref().map(|file| resolve(Path::new("/"), file)),
    }
}

fn planned(plugins: &BTreeMap<String, Plugin>, step: &Step) -> PlannedStep {
    let plugin = plugins.get(&step.plugin);
    PlannedStep {
        step: step.id.clone(),
        part: Part::default(),
        stage: step.stage,
        plugin: PluginIdentity {
            name: step.plugin.clone(),
            version: plugin.map(|plugin| plugin.description.version.clone()).unwrap_or_default(),
            digest: plugin.map_or_else(|| Digest::of(b""), |plugin| plugin.digest),
        },
        reversible: plugin.is_some_and(|plugin| plugin.contract.undo) && !step.irreversible,
        grant: step.grant.lines(),
        reveals: step.grant.reveal.iter().map(ToString::to_string).collect(),
    }
}

/// Every step of the pipeline, whatever it is for.
pub(crate) fn all_steps(pipeline: &Pipeline) -> impl Iterator<Item = &Step> {
    let of_rollback = pipeline.rollback.iter().flatten().filter_map(|entry| match entry {
        RollbackEntry::Run(step) => Some(step),
        RollbackEntry::Undo { .. } | RollbackEntry::Gate(_) => None,
    });
    let notifications = pipeline.notifications.iter().map(|notification| &notification.step);
    pipeline.steps.iter().chain(of_rollback).chain(notifications).chain(&pipeline.checks)
}

/// A problem with a plugin, at the first step that uses it.
fn at_plugin(pipeline: &Pipeline, name: &str, code: &'static str, message: String, hint: Option<String>) -> Diagnostic {
    let mut problem = Diagnostic::error(code, format!("plugin `{name}`: {message}"));
    if let Some(step) = all_steps(pipeline).find(|step| step.plugin == name) {
        problem = problem.at(&pipeline.file, step.plugin_span.clone(), "used here");
    }
    problem.hints.extend(hint);
    problem
}
