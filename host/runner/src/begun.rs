//! A run that another process left: what it was begun with, and how far it has come, from its journal and its copies alone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_core::{
    diagnostic::{Diagnostic, SourceFile},
    digest::Digest,
    event::{EventKind, Outcome, PluginIdentity},
    id::RunId,
};
use pipe_journal::{Recorded, StoredEvent};
use pipe_pipeline::{Checked, NO_ENVIRONMENT, Policy, RunFacts, Selection};

use crate::{error::PrepareError, load::PluginBytes, pins::Pins, state::RunState};

/// What a run was begun with.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The run.
    pub run: RunId,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
    /// Path of the pipeline file.
    pub file: PathBuf,
    /// Hash of its plan.
    pub plan: Digest,
    /// Version of the `pipe` that began it.
    pub version: String,
    /// Who began it.
    pub actor: String,
    /// When it was accepted.
    pub started: jiff::Timestamp,
    /// Inputs of the deployment before, as they were then.
    pub previous: BTreeMap<String, String>,
    /// The signers of its roles, as they were then.
    pub signers: BTreeMap<String, String>,
    /// Manifest of the copies that were made of what its migrations and releases read.
    pub copies: Option<Digest>,
    /// How far it has come.
    pub state: RunState,
    inputs: BTreeMap<String, String>,
    text: Digest,
    policies: Vec<(Digest, PathBuf)>,
    plugins: BTreeMap<String, Digest>,
    /// What steps call by now instead, by their names.
    replaced: BTreeMap<String, PluginIdentity>,
}

impl Begun {
    /// From the events of the run, in order.
    ///
    /// # Errors
    ///
    /// They do not say how the run began, or hold one that this version does not know.
    pub fn of(run: &RunId, events: &[StoredEvent]) -> Result<Self, PrepareError> {
        let mut begun: Option<Self> = None;
        for stored in events {
            let Recorded::Known(event) = &stored.event else {
                let what = format!("a later version of pipe wrote entry {} of run {run}", stored.seq);
                return Err(PrepareError::NotResumable(what));
            };
            match &mut begun {
                None => begun = Self::began(run, stored.at, event),
                Some(begun) => begun.state.apply(event),
            }
            if let (Some(begun), EventKind::RolesPinned { signers, .. }) = (&mut begun, event) {
                begun.signers.clone_from(signers);
            }
            if let Some(begun) = &mut begun {
                begun.state.phases.seen(stored.at);
                begun.replace(event);
                let planned = event.planned_steps().iter();
                begun.plugins.extend(planned.map(|step| (step.plugin.name.clone(), step.plugin.digest)));
            }
        }
        begun.ok_or_else(|| PrepareError::NotResumable(format!("how run {run} began is not in its record")))
    }

    fn began(run: &RunId, at: jiff::Timestamp, event: &EventKind) -> Option<Self> {
        let EventKind::RunStarted {
            pipeline,
            environment,
            file: Some(file),
            pipeline_digest,
            plan_digest,
            pipe_version,
            actor,
            started,
            inputs,
            previous,
            policies,
            policy_files,
            copies,
            ..
        } = event
        else {
            return None;
        };
        let policies = policies.iter().copied().zip(policy_files.iter().map(PathBuf::from)).collect();
        Some(Self {
            run: run.clone(),
            pipeline: pipeline.clone(),
            environment: environment.clone(),
            file: PathBuf::from(file),
            plan: *plan_digest,
            version: pipe_version.clone(),
            actor: actor.clone(),
            started: started.unwrap_or(at),
            previous: previous.clone(),
            signers: BTreeMap::new(),
            copies: *copies,
            state: RunState::default(),
            inputs: inputs.clone(),
            text: *pipeline_digest,
            policies,
            plugins: BTreeMap::new(),
            replaced: BTreeMap::new(),
        })
    }

    /// Takes in that a step calls another plugin from here on.
    pub fn replace(&mut self, event: &EventKind) {
        if let EventKind::PluginReplaced { step, plugin, .. } = event {
            self.plugins.insert(plugin.name.clone(), plugin.digest);
            self.replaced.insert(step.clone(), plugin.clone());
        }
    }

    /// Whether a step calls another plugin by now than when the run began: its plan is then another as well.
    #[must_use]
    pub fn has_replaced(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// Whether somebody still has to do something about it: it has no end, or could not be undone.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state.outcome, None | Some(Outcome::RollbackFailed))
    }

    /// The pipeline as it was checked then, from its copy.
    ///
    /// # Errors
    ///
    /// The copy cannot be read, or this version finds something wrong with it.
    pub fn pipeline(&self, pins: &Pins) -> Result<Checked, PrepareError> {
        let file = source(pins, "the pipeline file", &self.text, &self.file)?;
        let document = pipe_pipeline::parse(&file).map_err(PrepareError::Invalid)?;
        let declared = self.environment != NO_ENVIRONMENT || document.environments().next().is_some();
        let selection = Selection {
            environment: declared.then(|| self.environment.clone()),
            inputs: self.inputs.clone(),
            previous: self.previous.clone(),
            run: RunFacts { id: self.run.clone(), started: self.started },
        };
        let mut checked = pipe_pipeline::check(&document, &selection).map_err(PrepareError::Invalid)?;
        for (step, plugin) in &self.replaced {
            checked.pipeline.replace_plugin(step, &plugin.name, plugin.digest);
        }
        Ok(checked)
    }

    /// The policies that it was held against, from their copies.
    ///
    /// # Errors
    ///
    /// As [`Self::pipeline`].
    pub fn policies(&self, pins: &Pins) -> Result<Vec<Policy>, PrepareError> {
        let read = |(digest, path): &(Digest, PathBuf)| {
            let file = source(pins, "a policy", digest, path)?;
            pipe_pipeline::policy_of(&file).map_err(PrepareError::Invalid)
        };
        self.policies.iter().map(read).collect()
    }

    /// Its plugins, from their copies.
    #[must_use]
    pub fn plugins(&self, pins: &Pins) -> PluginBytes {
        PluginBytes::Pinned(pins.clone(), self.plugins.clone())
    }
}

fn source(pins: &Pins, what: &str, digest: &Digest, path: &Path) -> Result<Arc<SourceFile>, PrepareError> {
    let text = String::from_utf8(pins.read(what, digest)?).map_err(|_| {
        PrepareError::Invalid(vec![Diagnostic::error("file-not-utf8", format!("the copy of {what} is not UTF-8"))])
    })?;
    Ok(Arc::new(SourceFile { path: path.to_owned(), text }))
}
