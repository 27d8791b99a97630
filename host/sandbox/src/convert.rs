//! Between the types of the contract and the host's own: what goes in, what comes out, and what a report may not be.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pipe_core::{
    digest::Digest,
    redact::Redactor,
    report::{Failure, FailureKind, Finding, FindingStatus, StageReport},
    stage::Stage,
};
use wasmtime::Store;

use crate::{
    bindings::{
        backup::BackupPluginPre, backup::exports::pipe::stage::backup as wit_backup, migrate::MigratePluginPre,
        migrate::exports::pipe::stage::migrate as wit_migrate, notify::NotifyPluginPre,
        notify::exports::pipe::stage::notify as wit_notify, precheck::PrecheckPluginPre,
        precheck::exports::pipe::stage::precheck as wit_precheck, release::ReleasePluginPre,
        release::exports::pipe::stage::release as wit_release, types, undoable::UndoablePre,
        undoable::exports::pipe::stage::undo as wit_undo, verify::VerifyPluginPre,
        verify::exports::pipe::stage::verify as wit_verify,
    },
    call::{BackupArtifact, CallContext, Receipt, StepSummary},
    limits::Limits,
    lines::clean,
    plugin::{CapabilityRequest, Description, StagePre},
    state::State,
};

/// The outer error is the guest's end, the inner one what the stage itself reports.
type Called = wasmtime::Result<Result<StageReport, Failure>>;

pub(crate) fn context(context: CallContext, deadline: Duration) -> types::Context {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    types::Context {
        run_id: context.run,
        pipeline: context.pipeline,
        environment: context.environment,
        step: context.step,
        instance: context.instance,
        attempt: context.attempt,
        idempotency_key: context.idempotency_key,
        deadline_unix_ms: u64::try_from((now + deadline).as_millis()).unwrap_or(u64::MAX),
        started_unix_ms: context.started_unix_ms,
        settings: context.settings,
    }
}

pub(crate) async fn precheck(
    store: &mut Store<State>,
    pre: &PrecheckPluginPre<State>,
    context: types::Context,
) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let request = wit_precheck::Request { context };
    Ok(match plugin.pipe_stage_precheck().call_check(&mut *store, &request).await? {
        Ok(report) => outputs(report.outputs).map(|outputs| StageReport {
            findings: findings(report.findings),
            outputs,
            ..StageReport::default()
        }),
        Err(error) => Err(failure(error)),
    })
}

pub(crate) async fn verify(store: &mut Store<State>, pre: &VerifyPluginPre<State>, context: types::Context) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let request = wit_verify::Request { context };
    Ok(match plugin.pipe_stage_verify().call_probe(&mut *store, &request).await? {
        Ok(report) => outputs(report.outputs).map(|outputs| StageReport {
            findings: findings(report.findings),
            outputs,
            ..StageReport::default()
        }),
        Err(error) => Err(failure(error)),
    })
}

pub(crate) async fn backup(store: &mut Store<State>, pre: &BackupPluginPre<State>, context: types::Context) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let request = wit_backup::Request { context };
    Ok(match plugin.pipe_stage_backup().call_take(&mut *store, &request).await? {
        Ok(report) => digests(&report.artifacts).and_then(|artifacts| {
            Ok(StageReport {
                findings: findings(report.findings),
                outputs: outputs(report.outputs)?,
                artifacts,
                ..StageReport::default()
            })
        }),
        Err(error) => Err(failure(error)),
    })
}

pub(crate) async fn migrate(
    store: &mut Store<State>,
    pre: &MigratePluginPre<State>,
    context: types::Context,
    backups: Vec<BackupArtifact>,
) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let backups = backups
        .into_iter()
        .map(|backup| wit_migrate::BackupArtifact {
            step: backup.step,
            digest: backup.digest.to_string(),
            name: backup.name,
            verified: backup.verified,
        })
        .collect();
    let request = wit_migrate::Request { context, backups };
    Ok(match plugin.pipe_stage_migrate().call_apply(&mut *store, &request).await? {
        Ok(report) => outputs(report.outputs).map(|outputs| StageReport {
            findings: findings(report.findings),
            outputs,
            before: report.before,
            after: report.after,
            done: report.applied,
            ..StageReport::default()
        }),
        Err(error) => Err(failure(error)),
    })
}

pub(crate) async fn release(
    store: &mut Store<State>,
    pre: &ReleasePluginPre<State>,
    context: types::Context,
) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let request = wit_release::Request { context, wave: None };
    Ok(match plugin.pipe_stage_release().call_publish(&mut *store, &request).await? {
        Ok(report) => outputs(report.outputs).map(|outputs| StageReport {
            findings: findings(report.findings),
            outputs,
            before: report.previous,
            after: Some(report.current),
            ..StageReport::default()
        }),
        Err(error) => Err(failure(error)),
    })
}

pub(crate) async fn notify(
    store: &mut Store<State>,
    pre: &NotifyPluginPre<State>,
    context: types::Context,
    event: String,
    headline: String,
    steps: Vec<StepSummary>,
) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let steps = steps
        .into_iter()
        .map(|step| wit_notify::StepSummary {
            step: step.step,
            stage: step.stage,
            status: step.status,
            message: step.message,
            duration_ms: step.duration_ms,
            findings: step.findings.into_iter().map(wit_finding).collect(),
        })
        .collect();
    let request = wit_notify::Request { context, event, headline, steps };
    Ok(match plugin.pipe_stage_notify().call_send(&mut *store, &request).await? {
        Ok(report) => {
            Ok(StageReport { findings: findings(report.findings), done: report.delivered, ..StageReport::default() })
        }
        Err(error) => Err(failure(error)),
    })
}

pub(crate) async fn undo(
    store: &mut Store<State>,
    pre: &UndoablePre<State>,
    context: types::Context,
    receipts: Vec<Receipt>,
) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let receipts =
        receipts.into_iter().map(|receipt| types::Receipt { key: receipt.key, data: receipt.data }).collect();
    let request = wit_undo::Request { context, receipts };
    Ok(match plugin.pipe_stage_undo().call_undo(&mut *store, &request).await? {
        Ok(report) => {
            Ok(StageReport { findings: findings(report.findings), done: report.undone, ..StageReport::default() })
        }
        Err(error) => Err(failure(error)),
    })
}

/// Instantiates a stage's world, which compares its types with the contract, and calls `describe`.
pub(crate) async fn describe(store: &mut Store<State>, stage: &StagePre) -> wasmtime::Result<Description> {
    macro_rules! described {
        ($pre:ident) => {{
            let plugin = $pre.instantiate_async(&mut *store).await?;
            let description = plugin.pipe_stage_describe().call_describe(&mut *store).await?;
            Description {
                name: description.name,
                version: description.version,
                summary: description.summary,
                settings_schema: description.settings_schema,
                capabilities: description
                    .capabilities
                    .into_iter()
                    .map(|request| CapabilityRequest {
                        word: request.word,
                        subject: request.subject,
                        reason: request.reason,
                    })
                    .collect(),
            }
        }};
    }
    Ok(match stage {
        StagePre::Precheck(pre) => described!(pre),
        StagePre::Backup(pre) => described!(pre),
        StagePre::Migrate(pre) => described!(pre),
        StagePre::Release(pre) => described!(pre),
        StagePre::Verify(pre) => described!(pre),
        StagePre::Notify(pre) => described!(pre),
    })
}

/// Holds a report against what a report may be.
pub(crate) fn checked(
    report: StageReport,
    stage: Stage,
    limits: &Limits,
    stored: &HashSet<Digest>,
    redactor: &Redactor,
) -> Result<StageReport, Failure> {
    let size = report_bytes(&report);
    if size > limits.report_bytes {
        return Err(malformed(format!(
            "the report has {size} bytes of text; at most {} are kept",
            limits.report_bytes
        )));
    }
    if matches!(stage, Stage::Precheck | Stage::Verify) && report.findings.is_empty() {
        return Err(malformed("the report holds no finding: nothing was checked".to_owned()));
    }
    if let Some(unknown) = report.artifacts.iter().find(|digest| !stored.contains(digest)) {
        return Err(malformed(format!("the report names the artifact {unknown}, which this call did not store")));
    }
    let report = redacted(report, redactor);
    let failed: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.status == FindingStatus::Fail)
        .map(|finding| finding.name.as_str())
        .collect();
    if failed.is_empty() {
        return Ok(report);
    }
    let message = format!("{} of {} checks failed: {}", failed.len(), report.findings.len(), failed.join(", "));
    Err(Failure { kind: FailureKind::Unmet, message, retryable: true, findings: report.findings, hint: None })
}

/// A stage's own failure, as clean as its report would be.
pub(crate) fn checked_failure(failure: Failure, redactor: &Redactor) -> Failure {
    const MOST_FINDINGS: usize = 1_000;
    let findings = failure.findings.into_iter().take(MOST_FINDINGS).map(|finding| cleaned(finding, redactor)).collect();
    Failure { message: clean(redactor, &failure.message), findings, ..failure }
}

fn redacted(report: StageReport, redactor: &Redactor) -> StageReport {
    let line = |text: String| clean(redactor, &text);
    StageReport {
        findings: report.findings.into_iter().map(|finding| cleaned(finding, redactor)).collect(),
        // An output may have several lines: it is never printed as it is.
        outputs: report.outputs.into_iter().map(|(key, value)| (key, redactor.redact(&value).into_owned())).collect(),
        artifacts: report.artifacts,
        before: report.before.map(line),
        after: report.after.map(line),
        done: report.done.into_iter().map(line).collect(),
    }
}

fn cleaned(finding: Finding, redactor: &Redactor) -> Finding {
    let line = |text: String| clean(redactor, &text);
    Finding {
        name: line(finding.name),
        message: line(finding.message),
        observed: finding.observed.map(line),
        expected: finding.expected.map(line),
        ..finding
    }
}

fn report_bytes(report: &StageReport) -> usize {
    let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let findings: usize = report
        .findings
        .iter()
        .map(|finding| finding.name.len() + finding.message.len() + of(&finding.observed) + of(&finding.expected) + 16)
        .sum();
    let outputs: usize = report.outputs.iter().map(|(key, value)| key.len() + value.len()).sum();
    let done: usize = report.done.iter().map(String::len).sum();
    findings + outputs + done + of(&report.before) + of(&report.after) + 64 * report.artifacts.len()
}

fn findings(findings: Vec<types::Finding>) -> Vec<Finding> {
    findings.into_iter().map(finding).collect()
}

fn finding(finding: types::Finding) -> Finding {
    let status = match finding.status {
        types::Status::Pass => FindingStatus::Pass,
        types::Status::Warn => FindingStatus::Warn,
        types::Status::Fail => FindingStatus::Fail,
        types::Status::Skip => FindingStatus::Skip,
    };
    Finding {
        name: finding.name,
        status,
        message: finding.message,
        observed: finding.observed,
        expected: finding.expected,
        duration_ms: finding.duration_ms,
    }
}

fn wit_finding(finding: Finding) -> types::Finding {
    let status = match finding.status {
        FindingStatus::Pass => types::Status::Pass,
        FindingStatus::Warn => types::Status::Warn,
        FindingStatus::Fail => types::Status::Fail,
        FindingStatus::Skip => types::Status::Skip,
    };
    types::Finding {
        name: finding.name,
        status,
        message: finding.message,
        observed: finding.observed,
        expected: finding.expected,
        duration_ms: finding.duration_ms,
    }
}

fn failure(failure: types::Failure) -> Failure {
    let kind = match failure.kind {
        types::FailureKind::Settings => FailureKind::Settings,
        types::FailureKind::Denied => FailureKind::Denied,
        types::FailureKind::Unavailable => FailureKind::Unavailable,
        types::FailureKind::TimedOut => FailureKind::TimedOut,
        types::FailureKind::Conflict => FailureKind::Conflict,
        types::FailureKind::Unmet => FailureKind::Unmet,
        types::FailureKind::Other => FailureKind::Other,
    };
    Failure {
        kind,
        message: failure.message,
        retryable: failure.retryable,
        findings: findings(failure.findings),
        hint: None,
    }
}

fn outputs(outputs: Vec<types::Output>) -> Result<BTreeMap<String, String>, Failure> {
    const LARGEST: usize = 64 << 10;
    let mut map = BTreeMap::new();
    for output in outputs {
        let well_formed = !output.key.is_empty()
            && output.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !well_formed {
            return Err(malformed(format!("output key {:?}: lower case, digits and `-` only", output.key)));
        }
        if output.value.len() > LARGEST {
            return Err(malformed(format!(
                "output `{}` has {} bytes: at most {LARGEST}",
                output.key,
                output.value.len()
            )));
        }
        if let Some(_earlier) = map.insert(output.key.clone(), output.value) {
            return Err(malformed(format!("output `{}` is reported twice", output.key)));
        }
    }
    Ok(map)
}

fn digests(texts: &[String]) -> Result<Vec<Digest>, Failure> {
    if texts.is_empty() {
        return Err(malformed("the report names no artifact: nothing was saved".to_owned()));
    }
    texts
        .iter()
        .map(|text| text.parse().map_err(|error: pipe_core::digest::NotADigest| malformed(error.to_string())))
        .collect()
}

fn malformed(message: String) -> Failure {
    Failure { kind: FailureKind::MalformedReport, message, retryable: false, findings: Vec::new(), hint: None }
}
