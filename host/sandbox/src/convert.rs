//! Between the types of the contract and the host's own: what goes in, and what comes out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::{
    event::Wave,
    report::{Failure, StageReport},
};
use wasmtime::Store;

use crate::{
    bindings::{
        backup::BackupPluginPre, backup::exports::pipe::stage::backup as wit_backup, migrate::MigratePluginPre,
        migrate::exports::pipe::stage::migrate as wit_migrate, notify::NotifyPluginPre,
        notify::exports::pipe::stage::notify as wit_notify, precheck::PrecheckPluginPre,
        precheck::exports::pipe::stage::precheck as wit_precheck, previewable::PreviewablePre,
        release::ReleasePluginPre, release::exports::pipe::stage::release as wit_release, types, undoable::UndoablePre,
        undoable::exports::pipe::stage::undo as wit_undo, verify::VerifyPluginPre,
        verify::exports::pipe::stage::verify as wit_verify,
    },
    call::{BackupArtifact, CallContext, Receipt, StepSummary},
    plugin::{CapabilityRequest, Description, StagePre},
    report::{digests, failure, findings, outputs, wit_finding},
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
    wave: Option<Wave>,
) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let wave =
        wave.map(|Wave { index, count, weight }| wit_release::Wave { index, count, weight_basis_points: weight });
    let request = wit_release::Request { context, wave };
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

/// Lines of a preview that are kept: people read them.
const MOST_PREVIEW_LINES: usize = 200;

pub(crate) async fn preview(store: &mut Store<State>, pre: &PreviewablePre<State>, context: types::Context) -> Called {
    let plugin = pre.instantiate_async(&mut *store).await?;
    Ok(match plugin.pipe_stage_preview().call_preview(&mut *store, &context).await? {
        Ok(mut lines) => {
            let beyond = lines.len().saturating_sub(MOST_PREVIEW_LINES);
            if beyond > 0 {
                lines.truncate(MOST_PREVIEW_LINES);
                lines.push(format!("… and {beyond} lines more, which are not shown"));
            }
            Ok(StageReport { done: lines, ..StageReport::default() })
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
            // The text of a vendor, shown on terminals. The schema is parsed, and never shown as it is.
            let line = |text: String| store.data().lines.clean(&text);
            Description {
                name: line(description.name),
                version: line(description.version),
                summary: line(description.summary),
                settings_schema: description.settings_schema,
                capabilities: description
                    .capabilities
                    .into_iter()
                    .map(|request| CapabilityRequest {
                        word: line(request.word),
                        subject: line(request.subject),
                        reason: line(request.reason),
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
