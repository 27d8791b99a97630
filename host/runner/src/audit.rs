//! What every plugin of a pipeline may do, can do and did do. Touches nothing and runs no stage: plugins are described, the
//! file is read, and the record of earlier runs is looked through.

mod call;
mod narrower;
mod reach;
mod record;
mod report;
mod verdict;

use jiff::Timestamp;
use pipe_capability::word::Word;
use pipe_core::diagnostic::Diagnostic;
use pipe_pipeline::{Pipeline, Policy, RollbackEntry, Step};
use pipe_sandbox::Sandbox;

pub use self::{
    record::{RUNS_LOOKED_AT, RunsSeen, look_back},
    report::{
        AUDIT_SCHEMA, Asked, Audit, AuditedCall, AuditedGate, AuditedPeer, AuditedPlugin, AuditedPolicy, AuditedRule,
        AuditedSigner, CallUse, CheckText, Counts, Finding, Import, LastUse, Place, Reach, Reached, RunsLookedAt,
        audit_checks,
    },
};
use crate::{
    ceiling::Holding,
    gate::{Signer, Signers, SignersFiles, read_signers},
    load::{PluginBytes, StandardPlugins},
    plan::{PlannedGate, Role},
    prepare::describe_plugins,
};
pub use pipe_capability::audit::Severity;

/// What a pipeline is audited with, besides itself.
#[derive(Clone, Copy)]
pub struct AuditSources<'a> {
    /// The policies above it.
    pub policies: &'a [Policy],
    /// What its journal says, if there is one.
    pub seen: Option<&'a RunsSeen>,
    /// Why what its journal says is not known, where there is one: lower-case fragment and advice.
    pub untrusted: Option<(&'a str, Option<&'a str>)>,
    /// Now.
    pub made: Timestamp,
    /// Version of `pipe`.
    pub pipe_version: &'a str,
}

/// Audits a checked pipeline. One that is above a policy is audited all the same: that is what an audit is for.
///
/// # Errors
///
/// Everything that is wrong with the pipeline or its plugins, each at its line.
pub async fn audit(
    pipeline: &Pipeline,
    sandbox: &Sandbox,
    standard: StandardPlugins,
    sources: AuditSources<'_>,
) -> Result<Audit, Vec<Diagnostic>> {
    let (plugins, _, _) = describe_plugins(pipeline, sandbox, &PluginBytes::Fresh(standard)).await?;
    let mut findings = verdict::Findings::new(pipeline);
    if let Some((why, hint)) = sources.untrusted {
        findings.about_record(why, hint);
    }
    let mut calls = Vec::new();
    let auditor = call::Auditor {
        pipeline,
        plugins: &plugins,
        sources,
        holding: Holding::of_now(sources.policies, pipeline, &plugins),
    };
    for (row, (role, step)) in calls_of(pipeline).enumerate() {
        calls.extend(auditor.row(row, role, step, &mut findings));
    }
    let peers = call::peers(pipeline, &mut findings);
    let signers = read_signers(pipeline, &[])?;
    let mut audit = Audit {
        schema: AUDIT_SCHEMA,
        pipeline: pipeline.name.clone(),
        environment: pipeline.environment.clone(),
        file: pipeline.file.path.clone(),
        file_digest: pipe_core::digest::Digest::of(pipeline.file.text.as_bytes()),
        inputs: pipeline.inputs.clone(),
        made: sources.made,
        pipe_version: sources.pipe_version.to_owned(),
        counts: Counts::default(),
        reach: reach::of(pipeline),
        not_granted: not_granted(pipeline),
        calls,
        peers,
        gates: PlannedGate::all(pipeline, &signers).into_iter().map(|planned| gate(planned, &signers)).collect(),
        policies: sources.policies.iter().map(AuditedPolicy::of).collect(),
        record: sources.seen.map(RunsSeen::summary),
        record_problem: sources.untrusted.map(|(why, _)| why.to_owned()),
        findings: Vec::new(),
        checks: audit_checks(),
    };
    findings.place_in(&mut audit);
    Ok(audit)
}

/// Everything that calls a plugin, in the order of the file, with what it is for.
fn calls_of(pipeline: &Pipeline) -> impl Iterator<Item = (Role, &Step)> {
    let rollback = pipeline.rollback.iter().flatten().filter_map(|entry| match entry {
        RollbackEntry::Run(step) => Some((Role::Rollback, step)),
        RollbackEntry::Undo { .. } | RollbackEntry::Gate(_) => None,
    });
    let notifications = pipeline.notifications.iter().map(|notification| (Role::Notification, &notification.step));
    let checks = pipeline.checks.iter().map(|check| (Role::Check, check));
    pipeline.steps.iter().map(|step| (Role::Step, step)).chain(rollback).chain(notifications).chain(checks)
}

/// A gate with those who can decide there.
fn gate(planned: PlannedGate, signers: &SignersFiles) -> AuditedGate {
    let known = signers.get(&planned.role).and_then(|text| Signers::read(text).ok()).unwrap_or_default();
    let signer = |signer: &Signer| AuditedSigner {
        principal: signer.principal.clone(),
        key: signer.fingerprint(),
        valid_before: signer.valid_before,
    };
    AuditedGate { planned, signers: known.iter().map(signer).collect() }
}

/// The words that no call has a rule of.
fn not_granted(pipeline: &Pipeline) -> Vec<&'static str> {
    let granted = |word: &Word| pipeline.calls().any(|step| step.grant.count(*word) > 0);
    Word::ALL.into_iter().filter(|word| !granted(word)).map(Word::as_str).collect()
}
