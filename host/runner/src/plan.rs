//! What would happen, as data, and its hash: pipeline, inputs, plugins, grants and settings.

use std::{collections::BTreeMap, time::Duration};

use pipe_capability::exec::Bound;
use pipe_core::{
    digest::Digest,
    event::{Breach, ChecklistItem, Part, PlannedStep},
    id::StepId,
    limits::Limits,
    phase::Phase,
};
use pipe_pipeline::{Gate, Guard, Pipeline, Policy, RollbackEntry, RunFacts, Step, Wave};
use serde::Serialize;

use crate::gate::SignersFiles;

/// What a planned call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A step of the deployment.
    Step,
    /// A step of the rollback.
    Rollback,
    /// A notification.
    Notification,
    /// A check that guards and the watch make.
    Check,
}

impl Role {
    /// The same in the record of a run.
    pub(crate) const fn part(self) -> Part {
        match self {
            Self::Step => Part::Deployment,
            Self::Rollback => Part::Rollback,
            Self::Notification => Part::Notification,
            Self::Check => Part::Check,
        }
    }
}

/// One planned call.
#[derive(Clone, Debug, Serialize)]
pub struct PlanEntry {
    /// What it is for.
    pub role: Role,
    /// Step, stage, plugin and grant.
    #[serde(flatten)]
    pub planned: PlannedStep,
    /// Wall time of one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// Attempts.
    pub attempts: u32,
    /// What one attempt may take beside its time: bytes and numbers.
    pub limits: Limits,
    /// sha256 of the settings as far as they are known before the run.
    pub settings_digest: Digest,
    /// Its parts, where it releases gradually.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<PlannedWave>,
    /// What is looked at while one of them holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<PlannedGuard>,
}

/// One part of a gradual release.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedWave {
    /// Share of the traffic after it, in hundredths of a per cent.
    pub weight: u32,
    /// How long it holds, in milliseconds.
    pub hold_ms: u64,
}

/// Checks that are made again and again.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedGuard {
    /// How often, in milliseconds.
    pub every_ms: u64,
    /// Which, and what follows when one is not met.
    pub checks: Vec<PlannedCheck>,
}

/// A check of a guard.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedCheck {
    /// An entry with the role `check`.
    pub check: StepId,
    /// What follows when it is not met.
    pub breach: Breach,
}

/// How the deployment is watched after the last step.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedWatch {
    /// How long, in milliseconds.
    pub for_ms: u64,
    /// What is looked at.
    #[serde(flatten)]
    pub guard: PlannedGuard,
}

/// A planned wait for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedGate {
    /// The gate.
    pub gate: StepId,
    /// Whether it stands among the steps or in the rollback.
    pub of: Role,
    /// The step that it stands before; nothing where it stands behind all, or alone in the rollback.
    pub before: Option<StepId>,
    /// Who decides.
    pub role: String,
    /// Content of the role's signers file.
    pub signers: Digest,
    /// How many different people must approve.
    pub quorum: u32,
    /// How long it waits, in milliseconds.
    pub expires_ms: u64,
    /// What happens then: `rollback`, `stop`, `fail`.
    pub on_expiry: &'static str,
    /// The step without whose start it does not stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_started: Option<String>,
    /// What is to be seen to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<ChecklistItem>,
}

impl PlannedGate {
    fn of(gate: &Gate, of: Role, before: Option<StepId>, signers: &SignersFiles) -> Self {
        Self {
            gate: gate.id.clone(),
            of,
            before,
            role: gate.role.clone(),
            signers: Digest::of(signers.get(&gate.role).map(String::as_bytes).unwrap_or_default()),
            quorum: gate.quorum,
            expires_ms: u64::try_from(gate.expires.as_millis()).unwrap_or(u64::MAX),
            on_expiry: gate.on_expiry.word(),
            if_started: gate.if_started.clone(),
            checklist: gate.checklist.clone(),
        }
    }

    /// All of a pipeline: those among the steps, then those of the rollback.
    pub(crate) fn all(pipeline: &Pipeline, signers: &SignersFiles) -> Vec<Self> {
        let of_steps = pipeline.gates.iter().map(|standing| {
            let before = pipeline.steps.get(standing.before).map(|step| step.id.clone());
            Self::of(&standing.gate, Role::Step, before, signers)
        });
        let of_rollback = pipeline.rollback.iter().flatten().filter_map(|entry| match entry {
            RollbackEntry::Gate(gate) => Some(Self::of(gate, Role::Rollback, None, signers)),
            RollbackEntry::Undo { gate: Some(gate), step, .. } => {
                Some(Self::of(gate, Role::Rollback, Some(StepId::new(step.clone())), signers))
            }
            RollbackEntry::Undo { gate: None, .. } | RollbackEntry::Run(_) => None,
        });
        of_steps.chain(of_rollback).collect()
    }
}

/// A planned phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedPhase {
    /// Which: `t-24h`.
    pub phase: Phase,
    /// When it is due.
    pub due: jiff::Timestamp,
    /// Until when it may begin; nothing where that does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<jiff::Timestamp>,
    /// How old the results of the phases before it may be then, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// Names of its steps and gates that are not of `t` by default, in order of their names; of `t` none.
    pub steps: Vec<String>,
}

impl PlannedPhase {
    /// All of a pipeline, in order of time.
    fn all(pipeline: &Pipeline) -> Vec<Self> {
        let Some(window) = &pipeline.window else { return Vec::new() };
        let one = |phase: Phase| Self {
            phase,
            due: window.due(phase),
            until: window.until(phase),
            max_age_ms: window
                .max_age
                .filter(|_| phase == Phase::T)
                .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            steps: window
                .phases
                .iter()
                .filter(|(_, of)| **of == phase && phase != Phase::T)
                .map(|(name, _)| name.clone())
                .collect(),
        };
        window.all().into_iter().map(one).collect()
    }
}

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Format: `pipe.plan/v1`.
    pub schema: &'static str,
    /// Pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
    /// Content of the pipeline file.
    pub pipeline_digest: Digest,
    /// Inputs.
    pub inputs: BTreeMap<String, String>,
    /// Peers: name and address.
    pub peers: BTreeMap<String, String>,
    /// Names of the secrets that are needed.
    pub secrets: Vec<String>,
    /// Contents of the policies that it was held against.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Digest>,
    /// In order.
    pub entries: Vec<PlanEntry>,
    /// Where it waits for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<PlannedGate>,
    /// When its phases are due; nothing where it has no window.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PlannedPhase>,
    /// What is undone on failure, in order.
    pub undo: Vec<String>,
    /// How the deployment is watched after the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<PlannedWatch>,
}

impl Plan {
    /// Plans a checked pipeline with the signers of its roles. `planned` says which plugin serves a step. What is different in every run, its name and the time
    /// at which it is asked for, stands in the plan as the reference to it: so that a plan holds for a run that is yet to come.
    pub(crate) fn new(
        pipeline: &Pipeline,
        policies: &[Policy],
        run: &RunFacts,
        signers: &SignersFiles,
        planned: impl Fn(&Step) -> PlannedStep,
    ) -> Self {
        let started = run.started_text();
        let any_run = |text: &str| text.replace(run.id.as_str(), "${run.id}").replace(&started, "${run.started}");
        let planned = |step: &Step| {
            let planned = planned(step);
            PlannedStep { grant: planned.grant.iter().map(|line| any_run(line)).collect(), ..planned }
        };
        let entry = |role: Role, step: &Step| PlanEntry {
            role,
            planned: planned(step),
            timeout_ms: milliseconds(step.timeout),
            attempts: step.retry.attempts,
            limits: step.limits,
            settings_digest: settings_digest(step, any_run),
            waves: step.waves.iter().map(wave).collect(),
            guard: step.guard.as_ref().map(guard),
        };
        let rollback_steps = pipeline.rollback.iter().flatten().filter_map(|item| match item {
            RollbackEntry::Run(step) => Some(step),
            RollbackEntry::Undo { .. } | RollbackEntry::Gate(_) => None,
        });
        let entries: Vec<PlanEntry> = pipeline
            .steps
            .iter()
            .map(|step| entry(Role::Step, step))
            .chain(rollback_steps.map(|step| entry(Role::Rollback, step)))
            .chain(pipeline.notifications.iter().map(|notification| entry(Role::Notification, &notification.step)))
            .chain(pipeline.checks.iter().map(|check| entry(Role::Check, check)))
            .collect();
        let undo = match &pipeline.rollback {
            Some(list) => list
                .iter()
                .map(|item| match item {
                    RollbackEntry::Undo { step, gate: None, .. } => format!("undo {step}"),
                    RollbackEntry::Undo { step, gate: Some(gate), .. } => {
                        format!("undo {step} once {} agrees", gate.role)
                    }
                    RollbackEntry::Run(step) => format!("run {}", step.id),
                    RollbackEntry::Gate(gate) => format!("wait for {}", gate.role),
                })
                .collect(),
            None => entries
                .iter()
                .rev()
                .filter(|entry| entry.role == Role::Step && entry.planned.reversible)
                .map(|entry| format!("undo {}", entry.planned.step))
                .collect(),
        };
        Self {
            schema: "pipe.plan/v1",
            pipeline: pipeline.name.clone(),
            environment: pipeline.environment.clone(),
            pipeline_digest: Digest::of(pipeline.file.text.as_bytes()),
            inputs: pipeline.inputs.clone(),
            peers: pipeline.peers.iter().map(|(name, peer)| (name.clone(), any_run(peer.url.as_str()))).collect(),
            policies: policies.iter().map(|policy| policy.digest).collect(),
            secrets: pipeline.secrets.keys().cloned().collect(),
            entries,
            gates: PlannedGate::all(pipeline, signers),
            phases: PlannedPhase::all(pipeline),
            undo,
            watch: pipeline
                .watch
                .as_ref()
                .map(|watch| PlannedWatch { for_ms: milliseconds(watch.lasts), guard: guard(&watch.guard) }),
        }
    }

    /// Identity of the plan. Two plans with the same digest do the same, as far as it can be known before.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

fn wave(wave: &Wave) -> PlannedWave {
    PlannedWave { weight: wave.weight, hold_ms: milliseconds(wave.hold) }
}

fn guard(guard: &Guard) -> PlannedGuard {
    let checks = guard.checks.iter();
    PlannedGuard {
        every_ms: milliseconds(guard.every),
        checks: checks.map(|check| PlannedCheck { check: check.check.clone(), breach: check.breach }).collect(),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a program may use up whose rule does not say, in words: `memory 4.0 GiB`.
#[must_use]
pub fn usual_bounds() -> Vec<String> {
    let usual = Bound::ALL.into_iter().filter_map(|bound| Some((bound, bound.usual()?)));
    usual.map(|(bound, most)| format!("{} {}", bound.key(), bound.shown(most))).collect()
}

/// sha256 of a step's settings, with what is only known later standing under its name.
fn settings_digest(step: &Step, any_run: impl Fn(&str) -> String) -> Digest {
    let late = BTreeMap::from(["run.outcome", "run.reason"].map(|name| (name.to_owned(), format!("${{{name}}}"))));
    let named = |step: &str, key: &str| Some(format!("${{steps.{step}.outputs.{key}}}"));
    let settings = step.settings.resolve(&named, &late).unwrap_or_default();
    Digest::of(any_run(&settings.to_string()).as_bytes())
}
