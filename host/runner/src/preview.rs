//! What each step would do, by the word of its own plugin: asked before any run, with the step's grant cut down to reading.
//!
//! It runs vendor code that reaches outside. So what holds for a step holds here: policies, paths that are pinned, limits, a
//! deadline, a record of every use and refusal. What is said is no part of the plan: it may be something else a minute later.

mod ledger;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pipe_capability::{grant::Grant, http::HttpTarget, tls::TlsTarget};
use pipe_core::{
    diagnostic::Diagnostic,
    digest::Digest,
    event::{EventKind, Refusal},
    id::{RunId, StepId},
    redact::Redactor,
    report::{Failure, FailureKind},
};
use pipe_effects::{session::Session, world::World};
use pipe_journal::{Durability, Journal};
use pipe_pipeline::{PeerSpec, Pipeline, SecretSource, Step, holds_another_name};
use pipe_sandbox::{Call, CallContext, Plugin, Sandbox};
use serde::Serialize;

use self::ledger::{PreviewLedger, Refused};
use crate::{
    ceiling,
    error::PrepareError,
    grants,
    peers::{database, peers},
    prepare::{Planned, Settings, absolute, planned},
    secrets,
    step::{idempotency_key, milliseconds, refused},
};

/// The longest that a plugin may take to say what its step would do; a step whose own time is shorter has that.
const LONGEST: Duration = Duration::from_secs(10);
/// Plugins that are asked at the same time.
const AT_ONCE: usize = 4;

/// What the steps of a plan would do, as their plugins say.
#[derive(Clone, Debug, Serialize)]
pub struct Previews {
    /// Format: `pipe.preview/v1`.
    pub schema: &'static str,
    /// Its identity in the record: that of no run.
    pub preview: RunId,
    /// Pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
    /// Hash of the plan that was asked about. It does not cover what was said.
    pub plan: Digest,
    /// The steps of the deployment, in order.
    pub steps: Vec<Preview>,
}

/// What the plugin of a step says.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The step.
    pub step: StepId,
    /// What it would do.
    #[serde(flatten)]
    pub said: Said,
    /// What the plugin was refused meanwhile, the first of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// How many refusals there were beside those.
    #[serde(skip_serializing_if = "is_zero")]
    pub further_refusals: u64,
}

/// What is known of what a step would do.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Said {
    /// What it would do.
    Would {
        /// A line each, for people. The plugin's own words.
        lines: Vec<String>,
    },
    /// Nothing: its plugin exports no `preview`.
    Nothing,
    /// It takes what earlier steps put out, and is known only once they have run.
    Later {
        /// Those steps.
        after: Vec<String>,
    },
    /// It could not be said.
    Unknown {
        /// Why.
        failure: Failure,
    },
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Asks the plugin of every step of the deployment what it would do.
///
/// # Errors
///
/// A grant reaches beyond a policy, now that it is known what its names stand for; or the journal cannot be written: then nothing
/// more is asked. What goes wrong with a single step is said at that step.
pub async fn preview(
    pipeline: &Pipeline,
    sandbox: &Sandbox,
    plan: &Planned,
    journal: &Arc<Journal>,
    redactor: Redactor,
    settings: Settings,
) -> Result<Previews, PrepareError> {
    // All of them, whatever is needed: what the redactor does not know, it does not mask.
    let (secrets, missing) = secrets::found(pipeline, &settings.environment, &redactor);
    let protected = grants::unwritable(pipeline, &settings);
    let whole: BTreeMap<StepId, Result<Arc<Grant>, Diagnostic>> =
        grants::each(pipeline, &protected, &grants::unreadable(&settings)).into_iter().collect();
    let peers = peers(pipeline);
    let pinned = |step: &Step| match whole.get(&step.id) {
        Some(Ok(grant)) => Cow::Borrowed(&**grant),
        _ => Cow::default(),
    };
    let file = |name: &str, file: &Path| database(&peers, name, file);
    let above = ceiling::hold(&settings.policies, pipeline, &plan.plugins, file, pinned);
    if !above.is_empty() {
        return Err(PrepareError::Invalid(above));
    }
    let world = World {
        peers,
        secrets,
        redactor,
        proofs: Some(journal.proof_key()?),
        environment: settings.environment,
        base: pipeline.base.clone(),
        protected,
        ..World::empty()
    };
    let digest = plan.plan.digest();
    let started = EventKind::PreviewStarted {
        pipeline: pipeline.name.clone(),
        environment: pipeline.environment.clone(),
        file: absolute(&pipeline.file.path),
        pipeline_digest: plan.plan.pipeline_digest,
        plan_digest: digest,
        policies: plan.plan.policies.clone(),
        pipe_version: settings.version,
        actor: settings.actor,
    };
    journal.append(&settings.run, vec![started], Durability::Durable).await?;
    let asker = Asker {
        pipeline,
        sandbox,
        plugins: &plan.plugins,
        journal,
        preview: &settings.run,
        started: settings.started,
        world: Arc::new(world),
        missing,
        sources: Sources::of(pipeline),
    };
    let asked = pipeline.steps.iter().map(|step| asker.ask(step, whole.get(&step.id)));
    let steps = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(Previews {
        schema: "pipe.preview/v1",
        preview: settings.run.clone(),
        pipeline: pipeline.name.clone(),
        environment: pipeline.environment.clone(),
        plan: digest,
        steps,
    })
}

/// Where secrets come from: a preview sees none of it, whatever its step is told.
struct Sources<'p> {
    variables: Vec<&'p str>,
    files: Vec<PathBuf>,
}

impl<'p> Sources<'p> {
    fn of(pipeline: &'p Pipeline) -> Self {
        let (mut variables, mut files) = (Vec::new(), Vec::new());
        for source in pipeline.secrets.values() {
            match source {
                SecretSource::Env(name) => variables.push(name.as_str()),
                SecretSource::File(path) => {
                    files.extend(path.canonicalize());
                    files.push(path.clone());
                }
            }
        }
        Self { variables, files }
    }
}

/// Asks one step after the other, or several at a time.
struct Asker<'a> {
    pipeline: &'a Pipeline,
    sandbox: &'a Sandbox,
    plugins: &'a BTreeMap<String, Plugin>,
    journal: &'a Arc<Journal>,
    preview: &'a RunId,
    started: jiff::Timestamp,
    world: Arc<World>,
    /// Secrets that are not there, by name.
    missing: BTreeMap<String, Diagnostic>,
    sources: Sources<'a>,
}

impl Asker<'_> {
    async fn ask(&self, step: &Step, whole: Option<&Result<Arc<Grant>, Diagnostic>>) -> Result<Preview, PrepareError> {
        let without_asking =
            |said| Ok(Preview { step: step.id.clone(), said, refused: Vec::new(), further_refusals: 0 });
        let Some(plugin) = self.plugins.get(&step.plugin).filter(|plugin| plugin.contract.preview) else {
            return without_asking(Said::Nothing);
        };
        let after = step.settings.needs_outputs_of();
        if !after.is_empty() {
            return without_asking(Said::Later { after: after.into_iter().map(str::to_owned).collect() });
        }
        let settings = match step.settings.resolve(&|_, _| None, &BTreeMap::new()) {
            Ok(settings) => settings.to_string(),
            Err(error) => return without_asking(Said::Unknown { failure: refused(error.to_string()) }),
        };
        let grant = match whole {
            Some(Ok(grant)) => grant.reading(),
            Some(Err(problem)) => return without_asking(unknown(FailureKind::Denied, problem)),
            None => Grant::default().reading(),
        };
        let files: Vec<&Path> = self.sources.files.iter().map(PathBuf::as_path).collect();
        let mut grant = grant.hiding(&self.sources.variables, &files);
        // A hard link is another name of the same file. Where nothing is revealed, the check of the pipeline has looked for it.
        if !step.grant.reveal.is_empty() {
            grant.read.retain(|rule| !files.iter().any(|file| holds_another_name(&rule.resolved, file)));
        }
        if let Some(problem) = self.needs(&grant).into_iter().find_map(|name| self.missing.get(name)) {
            return without_asking(unknown(FailureKind::Unavailable, problem));
        }
        self.call(step, plugin, grant, settings).await
    }

    /// Makes the call, and writes down that it is made and what came of it.
    async fn call(
        &self,
        step: &Step,
        plugin: &Plugin,
        grant: Grant,
        settings: String,
    ) -> Result<Preview, PrepareError> {
        let asked = EventKind::PreviewAsked {
            step: step.id.clone(),
            plugin: planned(self.plugins, step).plugin,
            grant: grant.lines(),
        };
        self.journal.append(self.preview, vec![asked], Durability::Durable).await?;
        if self.journal.is_short_of_room() {
            return Err(PrepareError::NoRoom);
        }
        let ledger = Arc::new(PreviewLedger::new(Arc::clone(self.journal), self.preview.clone(), step.id.clone()));
        let session = Session::new(
            step.id.clone(),
            Arc::new(grant),
            Arc::clone(&self.world),
            Arc::<PreviewLedger>::clone(&ledger),
        );
        let context = self.context(step, settings);
        let began = Instant::now();
        let session = Arc::new(session.limited(step.limits));
        let made = self.sandbox.call(plugin, Call::Preview, context, session, LONGEST.min(step.timeout)).await;
        let Refused { shown, further } = ledger.refused();
        let (lines, failure) = match made {
            Ok(report) => (report.done, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let told = EventKind::PreviewTold {
            step: step.id.clone(),
            lines: lines.clone(),
            failure: failure.clone(),
            duration_ms: milliseconds(began),
        };
        self.journal.append(self.preview, vec![told], Durability::Soon).await?;
        let said = match failure {
            None => Said::Would { lines },
            Some(failure) => Said::Unknown { failure },
        };
        Ok(Preview { step: step.id.clone(), said, refused: shown, further_refusals: further })
    }

    fn context(&self, step: &Step, settings: String) -> CallContext {
        CallContext {
            run: self.preview.to_string(),
            pipeline: self.pipeline.name.clone(),
            environment: self.pipeline.environment.clone(),
            step: step.id.name.clone(),
            instance: step.id.instance.clone(),
            attempt: 1,
            idempotency_key: idempotency_key(None, self.preview.as_str(), &step.id.to_string()),
            started_unix_ms: u64::try_from(self.started.as_millisecond()).unwrap_or_default(),
            settings,
        }
    }

    /// The secrets that the host would use for what the grant allows: logins of its peers, and what it puts into requests.
    fn needs<'g>(&'g self, grant: &'g Grant) -> BTreeSet<&'g str> {
        let http = grant.http.iter().filter_map(|rule| match rule.target() {
            HttpTarget::Peer(name) => Some(name.as_str()),
            HttpTarget::Origin { .. } => None,
        });
        let tls = grant.tls.iter().filter_map(|rule| match rule.target() {
            TlsTarget::Peer(name) => Some(name.as_str()),
            TlsTarget::Host(_) => None,
        });
        let peers = http.chain(tls).chain(grant.sql.iter().map(|rule| rule.peer.as_str()));
        let of_peers = peers.filter_map(|name| self.pipeline.peers.get(name)).flat_map(PeerSpec::secrets);
        of_peers.chain(grant.secrets.iter().map(|slot| slot.name.as_str())).collect()
    }
}

/// Why a plugin was not even asked.
fn unknown(kind: FailureKind, problem: &Diagnostic) -> Said {
    let hint = problem.hints.first().cloned();
    Said::Unknown { failure: Failure { kind, hint, ..refused(problem.message.clone()) } }
}
