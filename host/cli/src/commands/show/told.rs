//! What every format of the report says in the same words.

use jiff::Timestamp;
use pipe_core::{
    event::{LogLevel, Outcome, Part},
    report::{Finding, FindingStatus},
    units::ByteSize,
};
use pipe_runner::report::{
    ArtifactReport, AttemptEnd, Conclusion, GateReport, Process, Report, Signed, StepReport, StepStatus, Tick,
};

use super::waves;
use crate::{printer::count, reporter::took};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Careful,
    Bad,
    Quiet,
}

/// `2026-11-23 02:15:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The time of day, and the day too where it is not the run's first.
pub(super) fn clock(report: &Report, at: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let format = if day(at) == day(report.started) { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.strftime(format).to_string()
}

/// How the run stands, in a word or two, and how bad that is.
pub(super) fn verdict(report: &Report) -> (&'static str, Tone) {
    match report.conclusion {
        Conclusion::Ended(Outcome::Succeeded) => match &report.watch {
            Some(watch) if watch.waits.is_some() => ("succeeded, and somebody must look since", Tone::Careful),
            _ => ("succeeded", Tone::Good),
        },
        Conclusion::Ended(Outcome::Failed) => ("failed, nothing needed undoing", Tone::Bad),
        Conclusion::Ended(Outcome::RolledBack) => ("rolled back", Tone::Careful),
        Conclusion::Ended(Outcome::RollbackFailed) => ("rollback failed, somebody must look", Tone::Bad),
        Conclusion::Ended(Outcome::Interrupted) => ("interrupted, nothing needed undoing", Tone::Careful),
        Conclusion::Ended(Outcome::Abandoned) => ("abandoned, nothing was undone", Tone::Bad),
        Conclusion::Waiting => ("waiting", Tone::Careful),
        Conclusion::Running => ("running", Tone::Quiet),
        Conclusion::CutOff => ("cut off: nobody has gone on with it", Tone::Bad),
    }
}

/// What is known of a run at its head: name and value.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![("run", report.run.to_string()), ("started", moment(report.started))];
    facts.extend(report.ended.map(|ended| ("ended", moment(ended))));
    facts.extend(report.took_ms.map(|ms| ("took", took(ms))));
    facts.push(("by", report.actor.clone()));
    if !report.requesters.is_empty() {
        facts.push(("asked for by", report.requesters.join(", ")));
    }
    let pairs = |values: &std::collections::BTreeMap<String, String>| -> Option<String> {
        let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("  "))
    };
    facts.extend(pairs(&report.inputs).map(|inputs| ("inputs", inputs)));
    facts.extend(pairs(&report.previous).map(|inputs| ("inputs before", inputs)));
    facts.extend(report.file.clone().map(|file| ("pipeline file", file)));
    facts.push(("its sha256", report.pipeline_digest.to_string()));
    facts.push(("plan", report.plan_digest.to_string()));
    for policy in &report.policies {
        let file = policy.file.as_ref().map(|file| format!("{file} ")).unwrap_or_default();
        facts.push(("policy", format!("{file}{}", policy.digest)));
    }
    facts.push(("pipe", report.pipe_version.clone()));
    facts
}

/// The mark of a step, and its tone.
pub(super) const fn mark(status: StepStatus) -> (&'static str, Tone) {
    match status {
        StepStatus::Succeeded => ("✓", Tone::Good),
        StepStatus::Failed => ("✗", Tone::Bad),
        StepStatus::UndoFailed => ("✗", Tone::Bad),
        StepStatus::Undone => ("↩", Tone::Careful),
        StepStatus::CutOff => ("!", Tone::Bad),
        StepStatus::Running => ("…", Tone::Quiet),
        StepStatus::NotReached | StepStatus::NotNeeded => ("–", Tone::Quiet),
    }
}

/// The word for how a step stands.
pub(super) const fn status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::NotReached => "not reached",
        StepStatus::NotNeeded => "not needed",
        StepStatus::CutOff => "cut off",
        StepStatus::UndoFailed => "could not be undone",
        other => other.word(),
    }
}

/// The mark of an item of the checklist, and its tone.
pub(super) const fn tick(tick: Tick) -> (&'static str, Tone) {
    match tick {
        Tick::Done => ("✓", Tone::Good),
        Tick::Failed => ("✗", Tone::Bad),
        Tick::Undone => ("↩", Tone::Careful),
        Tick::Open => (" ", Tone::Quiet),
        Tick::Waived => ("~", Tone::Careful),
        Tick::NotNeeded => ("–", Tone::Quiet),
    }
}

/// The mark of a finding, and its tone.
pub(super) const fn found(status: FindingStatus) -> (&'static str, Tone) {
    match status {
        FindingStatus::Pass => ("✓", Tone::Good),
        FindingStatus::Warn => ("!", Tone::Careful),
        FindingStatus::Fail => ("✗", Tone::Bad),
        FindingStatus::Skip => ("-", Tone::Quiet),
    }
}

/// What a finding says, without its name.
pub(super) fn finding(finding: &Finding) -> String {
    let expected = match (&finding.expected, finding.status) {
        (Some(expected), FindingStatus::Warn | FindingStatus::Fail) if !finding.message.contains(expected) => {
            format!(", expected {expected}")
        }
        _ => String::new(),
    };
    let message = finding.message.strip_prefix(&format!("{}: ", finding.name)).unwrap_or(&finding.message);
    format!("{message}{expected}")
}

/// What is worth a line below a step, with how bad it is: attempts that failed, warnings, what was done, and why it ended so.
pub(super) fn notes(report: &Report, step: &StepReport) -> Vec<(Tone, String)> {
    let mut notes = waves::waves(report, step);
    let only = step.attempts.len() == 1;
    for attempt in &step.attempts {
        let (number, at) = (attempt.attempt, clock(report, attempt.started));
        let touched =
            if attempt.touched { "after it had begun to change something" } else { "before it changed anything" };
        match (attempt.end, &attempt.failure) {
            (AttemptEnd::CutOff, _) => {
                notes.push((Tone::Careful, format!("attempt {number} of {at} was cut off {touched}")));
            }
            (AttemptEnd::Failed, Some(failure)) if !only => {
                notes.push((Tone::Careful, format!("attempt {number} of {at}: {failure}")));
            }
            _ => {}
        }
    }
    for warning in &step.warnings {
        let tone = if warning.level == LogLevel::Error { Tone::Bad } else { Tone::Careful };
        notes.push((tone, format!("said: {}", warning.message)));
    }
    notes.extend(step.done.iter().map(|done| (Tone::Quiet, done.clone())));
    if let Some(after) = &step.after {
        notes.push((Tone::Quiet, format!("{} → {after}", step.before.as_deref().unwrap_or("nothing"))));
    }
    if !step.outputs.is_empty() {
        notes.push((Tone::Quiet, format!("outputs for later steps: {}", step.outputs.join(", "))));
    }
    if let Some(failure) = &step.failure {
        notes.push((Tone::Bad, format!("{}: {}", failure.kind.word(), failure.message)));
        notes.extend(failure.hint.iter().map(|hint| (Tone::Careful, format!("hint: {hint}"))));
    }
    notes.extend(step.resolved.iter().map(|said| (Tone::Careful, said.clone())));
    notes
}

/// How an entry of a rollback stands: what succeeded and is to be undone has not been yet.
pub(super) const fn undone(step: &StepReport) -> (&'static str, Tone, &'static str) {
    match (step.status, step.part) {
        (StepStatus::Succeeded | StepStatus::Failed, Part::Deployment) => ("!", Tone::Bad, "still stands"),
        (other, _) => {
            let (sign, tone) = mark(other);
            (sign, tone, status(other))
        }
    }
}

/// What is said of the undo of a step.
pub(super) fn undo_notes(step: &StepReport) -> Vec<(Tone, String)> {
    let Some(undo) = &step.undo else { return Vec::new() };
    let mut notes: Vec<(Tone, String)> = undo.done.iter().map(|done| (Tone::Quiet, done.clone())).collect();
    if undo.times > 1 {
        notes.push((Tone::Careful, format!("tried {} times", undo.times)));
    }
    notes.extend(undo.failure.iter().map(|failure| (Tone::Bad, failure.clone())));
    notes.extend(undo.by_hand.iter().map(|summary| (Tone::Careful, format!("by hand: {summary}"))));
    notes.extend(step.resolved.iter().map(|said| (Tone::Careful, said.clone())));
    notes
}

/// `precheck, std:precheck 0.1.0, 3 attempts`.
pub(super) fn about(step: &StepReport) -> String {
    let part = if step.part == Part::Rollback { ", of the rollback" } else { "" };
    let attempts = match step.attempts.len() {
        0 | 1 => String::new(),
        more => format!(", {}", count(more, "attempt")),
    };
    format!("{}, {} {}{part}{attempts}", step.stage, step.plugin.name, step.plugin.version)
}

/// `1 of 2 of clinical, opened 2026-11-23 02:15:00 UTC, passed 2026-11-23 02:20:00 UTC`.
pub(super) fn gate(gate: &GateReport) -> String {
    let ended = match gate.ended {
        None => match gate.withdrawn {
            Some(at) => format!("withdrawn {}", moment(at)),
            None => format!("open until {}", moment(gate.expires)),
        },
        Some((at, how)) => format!("{} {}", how.word(), moment(at)),
    };
    let quorum = if gate.quorum == 1 { "1 signature".to_owned() } else { format!("{} signatures", gate.quorum) };
    format!("{quorum} of {}, opened {}, {ended}", gate.role, moment(gate.opened))
}

/// `approved by dr.smith, SHA256:…`.
pub(super) fn vote(vote: &Signed) -> String {
    let did = if vote.approves { "approved" } else { "rejected" };
    format!("{} {did} by {}, key {}", moment(vote.at), vote.approval.principal, vote.approval.key)
}

/// `142 B, encrypted, verified by archive listing (4 entries)`.
pub(super) fn artifact(known: &ArtifactReport) -> String {
    let encrypted = if known.artifact.encrypted { "encrypted" } else { "not encrypted" };
    let verified = match &known.verification {
        None => "not verified".to_owned(),
        Some(seen) => {
            let entries = if seen.entries == 1 { "entry" } else { "entries" };
            format!("verified by {} ({} {entries})", seen.method, seen.entries)
        }
    };
    format!("{}, {encrypted}, {verified}", ByteSize(known.artifact.bytes))
}

/// `pruned on 2027-03-01 04:00:00 UTC by root@ops: older than 90d`.
pub(super) fn pruned(known: &ArtifactReport) -> Option<String> {
    let pruned = known.pruned.as_ref()?;
    let gone = if pruned.found { "" } else { "; its file was gone already" };
    Some(format!("pruned on {} by {}: {}{gone}", moment(pruned.at), pruned.actor, pruned.reason))
}

/// What a process found, and how it left the run.
pub(super) fn left(process: &Process) -> String {
    let found = match process.remains_ended {
        0 => String::new(),
        1 => "ended 1 program or session that was left, ".to_owned(),
        more => format!("ended {more} programs and sessions that were left, "),
    };
    let left = match process.left {
        Conclusion::CutOff => "was cut off",
        Conclusion::Waiting => "stopped, to be gone on with",
        Conclusion::Running => "is at it",
        Conclusion::Ended(outcome) => outcome.word(),
    };
    format!("{found}{left}")
}
