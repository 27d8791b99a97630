//! The end of a run, for somebody who is tired: how it ended, what was undone, where things are, what to do next.

use std::path::Path;

use pipe_core::{event::Outcome, report::FindingStatus, stage::Stage, units::ByteSize};
use pipe_runner::{Ending, RunResult, StepStanding, Wait};

use crate::{
    places::in_shell,
    printer::{ADVICE, BAD, CAREFUL, GOOD, STRONG, count, styled},
    reporter::lines::finding,
};

/// Where a run's record is.
pub(crate) struct Place<'p> {
    /// The run.
    pub(crate) run: &'p str,
    /// The state directory.
    pub(crate) state: &'p Path,
    /// Whether commands need `--state` to find it.
    pub(crate) state_is_default: bool,
    /// Head of the audit chain.
    pub(crate) head: String,
    /// Who was told, over all notifications.
    pub(crate) delivered: Vec<String>,
    /// How long it took.
    pub(crate) took: String,
}

/// The lines of the summary.
pub(crate) fn summary(result: &RunResult, place: &Place<'_>) -> Vec<String> {
    let mut lines = vec![String::new(), headline(result, &place.took)];
    if let Some(failed) = result.state.steps.iter().find(|step| step.failure.is_some())
        && let Some(failure) = &failed.failure
    {
        lines.extend(
            failure
                .findings
                .iter()
                .filter(|each| each.status != FindingStatus::Pass)
                .map(|each| format!("  {}", finding(each))),
        );
        if let Some(hint) = &failure.hint {
            lines.push(format!("  {}: in step \"{}\", {hint}", styled(ADVICE, "hint"), failed.step));
        }
    }
    let of = |standing: StepStanding| -> Vec<String> {
        let found = result.state.steps.iter().filter(|step| step.standing == standing);
        // The last was undone first.
        found.rev().map(|step| step.step.to_string()).collect()
    };
    let row = |name: &str, text: &str| format!("  {name:<9} {text}");
    let undone = of(StepStanding::Undone);
    if !undone.is_empty() {
        lines.push(row("undone", &undone.join(", ")));
    }
    for step in result.state.steps.iter().filter(|step| step.standing == StepStanding::UndoFailed) {
        lines.push(row("by hand", &format!("step \"{}\" must be undone by a person:", step.step)));
        lines.extend(step.summaries.iter().map(|summary| row("", summary)));
    }
    for known in &result.state.artifacts {
        let verified = known.verification.as_ref().map_or_else(
            || styled(CAREFUL, "not verified"),
            |verification| format!("verified by {}", verification.method),
        );
        let size = ByteSize(known.artifact.bytes);
        lines.push(row("backup", &format!("{} ({size}, {verified})", known.artifact.location)));
    }
    for step in result.state.steps.iter().filter(|step| step.stage == Stage::Notify) {
        lines.extend(step.report.iter().flat_map(|report| &report.done).map(|done| row("told", done)));
    }
    if !place.delivered.is_empty() {
        lines.push(row("told", &place.delivered.join(", ")));
    }
    lines.extend(result.later.iter().map(|later| row("later", later)));
    let state = if place.state_is_default { String::new() } else { format!(" --state {}", in_shell(place.state)) };
    lines.push(row("journal", &place.state.join("journal.db").display().to_string()));
    lines.push(row("audit", &format!("head {}", place.head)));
    let later = result.later.is_some().then_some("resume");
    let watch = result.state.watch.is_some().then_some("watch");
    let commands: Vec<&str> = match &result.ending {
        Ending::Finished(Outcome::RollbackFailed) => vec!["resume", "status"],
        Ending::Finished(_) => watch.into_iter().chain(later).collect(),
        Ending::Waiting(Wait::Phase(bar)) if bar.passes() => vec!["resume"],
        Ending::Waiting(_) => vec!["status"],
        Ending::Stopped => vec!["resume", "rollback"],
    };
    for command in commands {
        let run = if command == "status" { String::new() } else { format!(" {}", place.run) };
        let why = if command == "rollback" { " --reason '…'" } else { "" };
        lines.push(row("next", &format!("pipe {command}{run}{why}{state}")));
    }
    lines.push(row("more", &format!("pipe show {}{state}", place.run)));
    lines
}

fn headline(result: &RunResult, took: &str) -> String {
    let reason = result.reason.as_deref().unwrap_or_default();
    let outcome = match &result.ending {
        Ending::Finished(outcome) => *outcome,
        Ending::Waiting(_) => return format!("{} after {took}: {reason}", styled(CAREFUL, "waiting")),
        Ending::Stopped => return format!("{} after {took}: what was started stands", styled(CAREFUL, "stopped")),
    };
    match outcome {
        Outcome::Succeeded => {
            format!("{}: {} in {took}", styled(GOOD, "succeeded"), count(result.state.steps.len(), "step"))
        }
        Outcome::Failed => format!("{} after {took}, nothing needed undoing: {reason}", styled(BAD, "failed")),
        Outcome::RolledBack => format!("{} after {took}: {reason}", styled(CAREFUL, "rolled back")),
        Outcome::RollbackFailed => {
            format!(
                "{} after {took}, {}: {reason}",
                styled(BAD, "rollback failed"),
                styled(STRONG, "somebody must look")
            )
        }
        Outcome::Interrupted => {
            format!("{} after {took}, nothing needed undoing: {reason}", styled(CAREFUL, "interrupted"))
        }
        Outcome::Abandoned => format!("{}: {reason}", styled(BAD, "abandoned")),
    }
}
