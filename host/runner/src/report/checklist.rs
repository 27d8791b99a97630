//! The checklist of a run, ticked from its results: nobody ticks a step by hand.

use pipe_core::{
    event::{Outcome, Part},
    report::{Finding, FindingStatus},
};
use serde::Serialize;

use super::{Conclusion, Report, StepReport, StepStatus, gates};

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tick {
    /// Done.
    Done,
    /// Tried, and not done.
    Failed,
    /// Done, and undone again.
    Undone,
    /// Not done yet, or never.
    Open,
    /// Somebody decided that it need not be done.
    Waived,
    /// Not called for.
    NotNeeded,
}

impl Tick {
    /// The word in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Open => "open",
            Self::Waived => "waived",
            Self::NotNeeded => "not needed",
        }
    }
}

/// One item of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it belongs to: `Deployment`, `Rollback`, `Gates`, `Outcome`.
    pub group: &'static str,
    /// What was to be done.
    pub text: String,
    /// How it stands.
    pub tick: Tick,
    /// What shows it.
    pub evidence: String,
    /// Who says so: `pipe`, for what follows from results, or a person.
    pub by: String,
}

/// The items, in the order of the run.
pub(super) fn items(report: &Report) -> Vec<Item> {
    let of = |group, text, tick, evidence| Item { group, text, tick, evidence, by: "pipe".to_owned() };
    let steps = report.steps.iter().map(|step| {
        let group = if step.part == Part::Rollback { "Rollback" } else { "Deployment" };
        let name = step.step.to_string();
        let stage = if name == step.stage.word() { String::new() } else { format!(" ({})", step.stage) };
        // It was to be undone, and nothing undid it.
        let stands = step.status == StepStatus::Succeeded
            && step.reversible
            && step.part == Part::Deployment
            && report.rollback.as_ref().is_some_and(|rollback| rollback.entries.contains(&step.step));
        if stands {
            let evidence = format!("still stands, {}", evidence(step));
            let tick = if report.conclusion == Conclusion::Running { Tick::Open } else { Tick::Failed };
            return of(group, format!("{name}{stage}"), tick, evidence.trim_end_matches(", ").to_owned());
        }
        of(group, format!("{name}{stage}"), tick(step), evidence(step))
    });
    let artifacts = report.artifacts.iter().map(|known| {
        let text = format!("{} of {} can be read back", known.artifact.name, known.step);
        match &known.verification {
            Some(seen) => of("Outcome", text, Tick::Done, format!("verified by {}", seen.method)),
            None => of("Outcome", text, Tick::Open, "never verified".to_owned()),
        }
    });
    let refused: u64 = report.refusals.iter().map(|refused| refused.times).sum();
    let fenced = match refused {
        0 => of("Outcome", "no plugin asked for more than it may".to_owned(), Tick::Done, "no refusal".to_owned()),
        _ => {
            let times = count(refused, "refusal");
            of("Outcome", "no plugin asked for more than it may".to_owned(), Tick::Failed, times)
        }
    };
    let (tick, evidence) = match report.conclusion {
        Conclusion::Ended(Outcome::Succeeded) => {
            let all = |step: &StepReport| step.part != Part::Deployment || step.status == StepStatus::Succeeded;
            let whole = report.steps.iter().all(all);
            let evidence = if whole { "every step succeeded" } else { "every step before its later phases succeeded" };
            (Tick::Done, evidence.to_owned())
        }
        Conclusion::Ended(Outcome::RolledBack) => (Tick::Undone, "what was started is undone".to_owned()),
        Conclusion::Ended(outcome) => (Tick::Failed, outcome.word().to_owned()),
        other => (Tick::Open, other.word().to_owned()),
    };
    let deployed = of("Outcome", format!("{} is deployed to {}", report.pipeline, report.environment), tick, evidence);
    let gates = report.gates.iter().flat_map(gates::items);
    steps.chain(gates).chain(artifacts).chain([fenced, deployed]).collect()
}

const fn tick(step: &StepReport) -> Tick {
    match step.status {
        StepStatus::Succeeded => Tick::Done,
        StepStatus::Failed | StepStatus::UndoFailed => Tick::Failed,
        StepStatus::Undone => Tick::Undone,
        StepStatus::NotReached | StepStatus::Running | StepStatus::CutOff => Tick::Open,
        StepStatus::NotNeeded => Tick::NotNeeded,
    }
}

fn evidence(step: &StepReport) -> String {
    let mut parts = Vec::new();
    match (step.status, &step.failure, step.undo.as_ref().and_then(|undo| undo.failure.as_ref())) {
        (StepStatus::UndoFailed, _, Some(why)) => parts.push(format!("could not be undone: {why}")),
        (StepStatus::Failed, Some(failure), _) => parts.push(failure.message.clone()),
        (StepStatus::NotReached, ..) => parts.push("not reached".to_owned()),
        (StepStatus::NotNeeded, ..) => parts.push("nothing was undone".to_owned()),
        (StepStatus::Running, ..) => parts.push("going on".to_owned()),
        (StepStatus::CutOff, ..) => parts.push("cut off".to_owned()),
        _ => {}
    }
    if matches!(step.status, StepStatus::Succeeded | StepStatus::Undone | StepStatus::UndoFailed) {
        parts.extend(checked(&step.findings));
        if let Some(after) = &step.after {
            parts.push(format!("{} → {after}", step.before.as_deref().unwrap_or("nothing")));
        }
    }
    match step.attempts.len() {
        0 | 1 => {}
        attempts => parts.push(format!("{attempts} attempts")),
    }
    parts.join(", ")
}

/// `3 of 4 checks passed, 1 warning`.
fn checked(findings: &[Finding]) -> Option<String> {
    let asked: Vec<_> = findings.iter().filter(|finding| finding.status != FindingStatus::Skip).collect();
    let passed = asked.iter().filter(|finding| finding.status == FindingStatus::Pass).count();
    let passed = match (passed, asked.len()) {
        (_, 0) => return None,
        (1, 1) => "1 check passed".to_owned(),
        (0, 1) => "1 check".to_owned(),
        (passed, all) => format!("{passed} of {all} checks passed"),
    };
    match asked.iter().filter(|finding| finding.status == FindingStatus::Warn).count() {
        0 => Some(passed),
        warned => Some(format!("{passed}, {}", count(warned as u64, "warning"))),
    }
}

fn count(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}
