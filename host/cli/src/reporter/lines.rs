//! The lines that an event is worth, for people.

use std::time::Duration;

use pipe_core::{
    event::{Breach, Checked, CheckedItem, EventKind, GateEnd, ItemState, LogLevel, Started, StepStatus},
    report::{Failure, Finding, FindingStatus, StageReport},
    units::ByteSize,
};

use crate::printer::{ADVICE, BAD, CAREFUL, GOOD, QUIET, STRONG, styled};

/// Nothing for what only programs care about, unless `verbose`.
pub(crate) fn of(kind: &EventKind, verbose: bool) -> Vec<String> {
    match kind {
        EventKind::RunStarted { pipeline, environment, steps, further, actor, .. } => {
            let calls = steps.len() as u64 + further;
            let planned = if calls == 1 { "1 call planned".to_owned() } else { format!("{calls} calls planned") };
            vec![format!("{} in {environment}, {planned}, by {actor}", styled(STRONG, pipeline))]
        }
        EventKind::StepStarted { step, stage, plugin, .. } => {
            vec![format!(
                "{} {} {}",
                styled(QUIET, "┌"),
                styled(STRONG, &step.to_string()),
                styled(QUIET, &format!("{stage}, {}", plugin.name))
            )]
        }
        EventKind::AttemptFailed { attempt, failure, retry_in_ms: Some(wait), .. } => {
            let wait = took(*wait);
            vec![bar(&format!("{} attempt {attempt}: {}; again in {wait}", styled(CAREFUL, "!"), failure.message))]
        }
        EventKind::Denied { refusal, .. } => {
            let mut lines = vec![bar(&format!(
                "{} refused {} {}: {}",
                styled(BAD, "✗"),
                refusal.word,
                refusal.subject,
                refusal.reason
            ))];
            lines.extend(
                refusal.hint.iter().map(|hint| bar(&format!("  {}: {hint}", styled(ADVICE, "would allow it")))),
            );
            lines
        }
        EventKind::Used { used, .. } if verbose => {
            let fence = used.fence.iter().map(|fence| format!(" ({fence})")).collect::<String>();
            vec![bar(&styled(QUIET, &format!("used {} {}{fence}", used.word, used.subject)))]
        }
        EventKind::Logged { level, message, fields, .. } => logged(*level, message, fields, verbose),
        EventKind::CheckpointSaved { summary, .. } => vec![bar(&styled(QUIET, &format!("to undo: {summary}")))],
        EventKind::ArtifactStored { artifact, .. } => {
            let kind = if artifact.encrypted { "encrypted" } else { "not encrypted" };
            vec![bar(&format!("stored {} ({}, {kind})", artifact.name, ByteSize(artifact.bytes)))]
        }
        EventKind::ArtifactVerified { verification, .. } => {
            let entries = if verification.entries == 1 { "entry" } else { "entries" };
            vec![bar(&format!("verified by {} ({} {entries})", verification.method, verification.entries))]
        }
        EventKind::StepFinished { step, status, report, failure, duration_ms } => {
            finished(&step.to_string(), *status, report.as_ref(), failure.as_ref(), *duration_ms)
        }
        EventKind::WaveStarted { wave, .. } => vec![bar(&styled(STRONG, &wave.to_string()).to_string())],
        EventKind::WaveReleased { report, .. } => {
            let mut lines: Vec<String> = report.findings.iter().map(|each| bar(&finding(each))).collect();
            lines.extend(report.after.iter().map(|after| bar(&format!("· {after}"))));
            lines
        }
        EventKind::WaveHolding { hold_ms: 0, .. } => Vec::new(),
        EventKind::WaveHolding { wave, hold_ms, .. } => {
            vec![bar(&styled(QUIET, &format!("holding {wave} for {}", took(*hold_ms))))]
        }
        EventKind::GuardChecked { checked, .. } | EventKind::WatchChecked { checked } => looked(checked, verbose),
        EventKind::GuardBreached { breach, failure, .. } => vec![bar(&breached(*breach, failure))],
        EventKind::WatchBreached { breach, failure } => vec![breached(*breach, failure)],
        EventKind::WatchOpened { until, .. } => {
            vec![format!("to be watched until {}", until.strftime("%Y-%m-%d %H:%M UTC"))]
        }
        EventKind::RollbackStarted { reason, entries } => {
            let mut lines = vec![String::new(), format!("{}: {reason}", styled(CAREFUL, "rolling back"))];
            let names: Vec<String> = entries.iter().map(ToString::to_string).collect();
            lines.push(styled(QUIET, &format!("in this order: {}", names.join(", "))));
            lines
        }
        EventKind::GateOpened { step, role, quorum, expires_at, checklist, .. } => {
            let people = if *quorum == 1 { "one person".to_owned() } else { format!("{quorum} people") };
            let until = expires_at.strftime("%Y-%m-%d %H:%M:%S UTC");
            let mut lines = vec![format!(
                "{} {} {}",
                styled(CAREFUL, "‖"),
                styled(STRONG, &step.to_string()),
                styled(QUIET, &format!("waits for {people} of {role} until {until}"))
            )];
            lines.extend(checklist.iter().map(|item| match &item.step {
                Some(step) => bar(&format!("{} {} (step \"{step}\")", styled(GOOD, "✓"), item.item)),
                None => bar(&format!("{} {}", styled(QUIET, "☐"), item.item)),
            }));
            lines
        }
        EventKind::Approved { approval, .. } => {
            vec![bar(&format!("{} approved by {} ({})", styled(GOOD, "✓"), approval.principal, approval.key))]
        }
        EventKind::Rejected { approval, .. } => {
            vec![bar(&format!("{} rejected by {} ({})", styled(BAD, "✗"), approval.principal, approval.key))]
        }
        EventKind::ApprovalRefused { step, reason, actor, .. } => vec![bar(&format!(
            "{} a decision on \"{step}\" that {actor} handed in does not hold: {reason}",
            styled(CAREFUL, "!")
        ))],
        EventKind::GateClosed { step, how, by, checklist, .. } => gate_closed(&step.to_string(), *how, by, checklist),
        EventKind::PhaseBegan { phase, .. } => vec![format!("phase {}", styled(STRONG, &phase.to_string()))],
        EventKind::LateAccepted { phase, actor, reason } => {
            vec![format!("{} phase {phase} begins late, as {actor} wants: {reason}", styled(CAREFUL, "!"))]
        }
        EventKind::UndoStarted { step } => {
            vec![format!("{} undo {}", styled(QUIET, "┌"), styled(STRONG, &step.to_string()))]
        }
        EventKind::UndoFinished { step, report, failure, summaries, duration_ms } => {
            undone(&step.to_string(), report.as_ref(), failure.as_ref(), summaries, *duration_ms)
        }
        EventKind::ArtifactPruned { name, actor, reason, found, .. } => {
            let gone = if *found { "" } else { ", whose file was gone already" };
            vec![styled(QUIET, &format!("pruned {name}{gone} ({reason}), by {actor}"))]
        }
        EventKind::CopiesPruned { actor, reason, .. } => {
            vec![styled(QUIET, &format!("pruned copies of what earlier runs were begun with ({reason}), by {actor}"))]
        }
        EventKind::Unlocked { actor, reason, epoch, holder, .. } => {
            let from = if holder.is_empty() { String::new() } else { format!("; until then {holder}") };
            vec![format!("{} unlocked by {actor}: {reason} (epoch {epoch}{from})", styled(CAREFUL, "!"))]
        }
        EventKind::Notified { step, about, failure: Some(failure), .. } => vec![format!(
            "{} notification \"{step}\" about {about} was not sent: {}",
            styled(CAREFUL, "!"),
            failure.message
        )],
        EventKind::Notified { step, about, delivered, .. } => {
            vec![styled(QUIET, &format!("notification \"{step}\" about {about}: {}", delivered.join(", ")))]
        }
        EventKind::RemainFound { step, started } => {
            let what = match started {
                Started::Program(program) => format!("{} (process {})", program.name, program.pid),
                Started::DatabaseSession(session) => format!("session {} at {}", session.backend, session.peer),
            };
            vec![format!("{} ending what {step} left behind: {what}", styled(CAREFUL, "!"))]
        }
        EventKind::SqlUnmarked { peer, statement, .. } if verbose => {
            vec![bar(&styled(QUIET, &format!("runs at {peer} without a marker: {statement}")))]
        }
        _ => of_people(kind),
    }
}

/// What people did with the run, and processes that went on with it.
fn of_people(kind: &EventKind) -> Vec<String> {
    match kind {
        EventKind::RunPaused { why } => vec![format!("{}: {why}", styled(CAREFUL, "paused"))],
        EventKind::RunResumed { actor, .. } => vec![format!("{} by {actor}", styled(STRONG, "resumed"))],
        EventKind::InFlightDecided { step, decision, actor } => {
            vec![format!("{actor} decided about step \"{step}\", which was cut off: {}", decision.word())]
        }
        EventKind::RollbackRequested { reason, .. } => vec![format!("rollback asked for: {reason}")],
        EventKind::Resolved { step, resolution, actor, reason } => {
            vec![format!("{actor} says that step \"{step}\" is {resolution}: {reason}")]
        }
        EventKind::PluginReplaced { step, plugin, role, reason, .. } => {
            let what = format!("step \"{step}\" calls {} ({}) from here on", plugin.name, plugin.digest.short());
            vec![format!("{} {what}, by {role}: {reason}", styled(CAREFUL, "!"))]
        }
        EventKind::Waived { rule, role, reason, .. } => {
            vec![bar(&format!("{} without {rule}, accepted by {role}: {reason}", styled(CAREFUL, "!")))]
        }
        EventKind::ChangedRecordAccepted { actor, found } => {
            vec![format!("{} {actor} goes on although {found}", styled(BAD, "!"))]
        }
        EventKind::Abandoned { actor, reason } => vec![format!("{} by {actor}: {reason}", styled(BAD, "abandoned"))],
        _ => Vec::new(),
    }
}

/// A line that belongs to the step above it.
pub(crate) fn bar(text: &str) -> String {
    format!("{} {text}", styled(QUIET, "│"))
}

/// `12ms`, `3.4s`, `2m05s`, `4h07m`, `3d02h`.
pub(crate) fn took(milliseconds: u64) -> String {
    let duration = Duration::from_millis(milliseconds);
    match duration.as_secs() {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        seconds @ 60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds @ 3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        seconds => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// What a check said: what is met is worth no line, unless `verbose`.
fn looked(checked: &Checked, verbose: bool) -> Vec<String> {
    let mark = match checked.status {
        FindingStatus::Pass | FindingStatus::Skip if !verbose => return Vec::new(),
        FindingStatus::Pass | FindingStatus::Skip => styled(GOOD, "✓"),
        FindingStatus::Warn => styled(CAREFUL, "!"),
        FindingStatus::Fail => styled(BAD, "✗"),
    };
    vec![bar(&format!("{mark} {}: {}", checked.check, checked.message))]
}

fn breached(breach: Breach, failure: &Failure) -> String {
    let then = match breach {
        Breach::Rollback => "undoing",
        Breach::Ask => "somebody must say whether it goes on",
        Breach::Warn => "going on",
    };
    format!("{} {}: {then}", styled(BAD, "✗"), failure.message)
}

/// A finding on one line.
pub(crate) fn finding(finding: &Finding) -> String {
    let mark = match finding.status {
        FindingStatus::Pass => styled(GOOD, "✓"),
        FindingStatus::Warn => styled(CAREFUL, "!"),
        FindingStatus::Fail => styled(BAD, "✗"),
        FindingStatus::Skip => styled(QUIET, "-"),
    };
    // What was wanted, where it was not met and the sentence does not say it already.
    let expected = match (&finding.expected, finding.status) {
        (Some(expected), FindingStatus::Warn | FindingStatus::Fail) if !finding.message.contains(expected) => {
            format!(", expected {expected}")
        }
        _ => String::new(),
    };
    // A message about the very thing that the finding is named after does not name it twice.
    let message = finding.message.strip_prefix(&format!("{}: ", finding.name)).unwrap_or(&finding.message);
    format!("{mark} {}: {message}{expected}", finding.name)
}

fn logged(
    level: LogLevel,
    message: &str,
    fields: &std::collections::BTreeMap<String, String>,
    verbose: bool,
) -> Vec<String> {
    let mark = match level {
        LogLevel::Debug if !verbose => return Vec::new(),
        LogLevel::Debug | LogLevel::Info => styled(QUIET, "·"),
        LogLevel::Warning => styled(CAREFUL, "!"),
        LogLevel::Error => styled(BAD, "✗"),
    };
    let fields: String = fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    vec![bar(&format!("{mark} {message}{}", styled(QUIET, &fields)))]
}

fn finished(
    step: &str,
    status: StepStatus,
    report: Option<&StageReport>,
    failure: Option<&Failure>,
    duration_ms: u64,
) -> Vec<String> {
    let findings = report.map(|report| &report.findings).or_else(|| failure.map(|failure| &failure.findings));
    let mut lines: Vec<String> = findings.into_iter().flatten().map(|each| bar(&finding(each))).collect();
    if let Some(report) = report {
        lines.extend(report.done.iter().map(|done| bar(&format!("· {done}"))));
        if let Some(after) = &report.after {
            let before = report.before.as_deref().unwrap_or("nothing");
            lines.push(bar(&format!("{before} → {}", styled(STRONG, after))));
        }
    }
    let took = styled(QUIET, &took(duration_ms));
    match (status, failure) {
        (StepStatus::Succeeded, _) | (StepStatus::Failed, None) => {
            lines.push(format!("{} {} {step} {took}", styled(QUIET, "└"), styled(GOOD, "✓")));
        }
        (StepStatus::Failed, Some(failure)) => {
            lines.push(format!(
                "{} {} {step} {took} {}: {}",
                styled(QUIET, "└"),
                styled(BAD, "✗"),
                failure.kind.word(),
                failure.message
            ));
        }
    }
    lines
}

fn gate_closed(step: &str, how: GateEnd, by: &[String], checklist: &[CheckedItem]) -> Vec<String> {
    let mut lines: Vec<String> = checklist
        .iter()
        .map(|item| match &item.state {
            ItemState::Open => format!("{} {}", styled(QUIET, "☐"), item.item),
            ItemState::Passed { step } => format!("{} {} (step \"{step}\")", styled(GOOD, "☑"), item.item),
            ItemState::Attested { by, evidence } => {
                format!("{} {}: {evidence} ({by})", styled(GOOD, "☑"), item.item)
            }
            ItemState::Waived { by, reason } => {
                format!("{} {} waived: {reason} ({by})", styled(CAREFUL, "☒"), item.item)
            }
        })
        .map(|line| bar(&line))
        .collect();
    let mark = if how == GateEnd::Passed { styled(GOOD, "✓") } else { styled(BAD, "✗") };
    let people = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
    lines.push(format!("{} {mark} {step} {how}{people}", styled(QUIET, "└")));
    lines
}

fn undone(
    step: &str,
    report: Option<&StageReport>,
    failure: Option<&Failure>,
    summaries: &[String],
    duration_ms: u64,
) -> Vec<String> {
    let took = styled(QUIET, &took(duration_ms));
    let mut lines: Vec<String> =
        report.into_iter().flat_map(|report| &report.done).map(|done| bar(&format!("· {done}"))).collect();
    match failure {
        None => lines.push(format!("{} {} {step} undone {took}", styled(QUIET, "└"), styled(GOOD, "✓"))),
        Some(failure) => {
            lines.extend(summaries.iter().map(|summary| bar(&format!("{} by hand: {summary}", styled(CAREFUL, "!")))));
            lines.push(format!(
                "{} {} {step} could not be undone {took}: {}",
                styled(QUIET, "└"),
                styled(BAD, "✗"),
                failure.message
            ));
        }
    }
    lines
}
