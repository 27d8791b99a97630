//! The report for a terminal of a hundred columns.

use pipe_core::report::Finding;
use pipe_runner::report::{GateReport, Report, StepReport};

use super::{
    super::audit::text::wrapped,
    told::{self, Tone},
    waves,
};
use crate::{
    printer::{ADVICE, BAD, CAREFUL, GOOD, QUIET, STRONG, styled, visible},
    reporter::took,
};

/// The report.
pub(super) fn report(report: &Report) -> String {
    let mut lines = head(report);
    section(&mut lines, "Checklist", checklist(report));
    section(&mut lines, "Decisions", decisions(report));
    section(&mut lines, "Gates", report.gates.iter().flat_map(gate).collect());
    section(&mut lines, "Steps", report.steps.iter().flat_map(|one| step(report, one)).collect());
    section(&mut lines, "Watch", watch(report));
    section(&mut lines, "Rollback", rollback(report));
    section(&mut lines, "Artifacts", artifacts(report));
    section(&mut lines, "Refused", refusals(report));
    section(&mut lines, "Notifications", notifications(report));
    if report.processes.len() > 1 {
        section(&mut lines, "Processes", processes(report));
    }
    section(&mut lines, "Record", record(report));
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str, inside: Vec<String>) {
    if !inside.is_empty() {
        lines.push(format!("\n{}", styled(STRONG, title)));
        lines.extend(inside);
    }
}

fn toned(tone: Tone, text: &str) -> String {
    match tone {
        Tone::Good => styled(GOOD, text),
        Tone::Careful => styled(CAREFUL, text),
        Tone::Bad => styled(BAD, text),
        Tone::Quiet => styled(QUIET, text),
    }
}

fn head(report: &Report) -> Vec<String> {
    let (verdict, tone) = told::verdict(report);
    let mut lines = vec![format!(
        "{} in {}: {}",
        styled(STRONG, &visible(&report.pipeline)),
        visible(&report.environment),
        toned(tone, verdict)
    )];
    lines.extend(report.reason.iter().flat_map(|reason| wrapped("  ", "  ", &visible(reason))));
    for (name, value) in told::facts(report) {
        lines.extend(wrapped(&format!("  {name:<14}"), &" ".repeat(16), &visible(&value)));
    }
    lines
}

fn checklist(report: &Report) -> Vec<String> {
    let widest = report.checklist.iter().map(|item| item.text.chars().count()).max().unwrap_or_default().min(44);
    let mut lines = Vec::new();
    let mut group = "";
    for item in &report.checklist {
        if item.group != group {
            group = item.group;
            lines.push(styled(QUIET, &format!("  {group}")));
        }
        let (mark, tone) = told::tick(item.tick);
        let text = visible(&item.text);
        let said = if item.by == "pipe" {
            visible(&item.evidence)
        } else {
            visible(&format!("{} ({})", item.evidence, item.by))
        };
        let beside = " ".repeat(widest.saturating_sub(text.chars().count()));
        let line = format!("[{mark}] {text}{beside}  {said}");
        let mut shown = wrapped("  ", &" ".repeat(6), line.trim_end());
        if let Some(first) = shown.next() {
            lines.push(first.replacen(&format!("[{mark}]"), &format!("[{}]", toned(tone, mark)), 1));
        }
        lines.extend(shown);
    }
    lines
}

fn decisions(report: &Report) -> Vec<String> {
    let told = |decision: &pipe_runner::report::Decision| {
        let reason = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let text = visible(&format!("{} {}{reason}", decision.who, decision.did));
        wrapped(&format!("  {}  ", told::clock(report, decision.at)), "            ", &text)
    };
    report.people.iter().flat_map(told).collect()
}

fn gate(gate: &GateReport) -> Vec<String> {
    let text = visible(&told::gate(gate));
    let mut lines: Vec<String> =
        wrapped(&format!("  {}: ", styled(STRONG, &visible(&gate.gate.to_string()))), "    ", &text).collect();
    let votes = gate.votes.iter().map(told::vote);
    let refused = gate.refused.iter().map(|refused| format!("does not hold: {refused}"));
    let before = gate.before.iter().cloned();
    lines.extend(before.chain(votes).chain(refused).flat_map(|said| wrapped("    ", "      ", &visible(&said))));
    lines
}

fn step(report: &Report, step: &StepReport) -> Vec<String> {
    let (mark, tone) = told::mark(step.status);
    let at = step.started.map_or_else(|| " ".repeat(8), |at| told::clock(report, at));
    let lasted = step.duration_ms.map(|ms| format!(", {}", took(ms))).unwrap_or_default();
    let name = visible(&step.step.to_string());
    let about = visible(&format!("{}: {}{lasted}", told::about(step), told::status(step.status)));
    let mut lines = vec![format!(
        "  {} {} {} {}",
        styled(QUIET, &at),
        toned(tone, mark),
        styled(STRONG, &name),
        styled(QUIET, &about)
    )];
    lines.extend(step.findings.iter().flat_map(finding));
    lines.extend(told::notes(report, step).into_iter().flat_map(|(tone, note)| below(tone, &note)));
    lines
}

fn finding(finding: &Finding) -> Vec<String> {
    let (mark, tone) = told::found(finding.status);
    let text = visible(&format!("{}: {}", finding.name, told::finding(finding)));
    let mut lines = wrapped(&format!("             {mark} "), &" ".repeat(15), &text);
    let first = lines.next().map(|first| first.replacen(mark, &toned(tone, mark), 1));
    first.into_iter().chain(lines).collect()
}

/// A line below a step.
fn below(tone: Tone, note: &str) -> Vec<String> {
    let lines = wrapped("             ", &" ".repeat(15), &visible(note));
    lines.map(|line| if matches!(tone, Tone::Quiet) { line } else { toned(tone, &line) }).collect()
}

fn watch(report: &Report) -> Vec<String> {
    let Some(watch) = &report.watch else { return Vec::new() };
    waves::watch(report, watch).into_iter().flat_map(|(tone, note)| below(tone, &note)).collect()
}

fn rollback(report: &Report) -> Vec<String> {
    let Some(rollback) = &report.rollback else { return Vec::new() };
    let mut lines: Vec<String> =
        wrapped(&format!("  {}  ", told::clock(report, rollback.started)), "            ", &visible(&rollback.reason))
            .collect();
    for entry in &rollback.entries {
        let Some(step) = report.steps.iter().find(|known| known.step == *entry) else { continue };
        let (mark, tone, standing) = told::undone(step);
        let lasted = match &step.undo {
            Some(undo) => undo.duration_ms.map(|ms| format!(", {}", took(ms))).unwrap_or_default(),
            None => String::new(),
        };
        lines.push(format!(
            "           {} {} {}",
            toned(tone, mark),
            styled(STRONG, &visible(&entry.to_string())),
            styled(QUIET, &format!("{standing}{lasted}"))
        ));
        lines.extend(told::undo_notes(step).into_iter().flat_map(|(tone, note)| below(tone, &note)));
    }
    lines
}

fn artifacts(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for known in &report.artifacts {
        let text = visible(&format!("{} of {}: {}", known.artifact.name, known.step, told::artifact(known)));
        lines.extend(wrapped("  ", "    ", &text));
        lines.push(styled(QUIET, &format!("    {}", visible(&known.artifact.location))));
        lines.push(styled(QUIET, &format!("    sha256 {}", known.artifact.digest)));
        lines.extend(told::pruned(known).map(|pruned| format!("    {}", styled(CAREFUL, &visible(&pruned)))));
    }
    lines
}

fn refusals(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for refused in &report.refusals {
        let times = if refused.times > 1 { format!(" ({} times)", refused.times) } else { String::new() };
        let text = format!(
            "{}: {} {}: {}{times}",
            refused.step, refused.refusal.word, refused.refusal.subject, refused.refusal.reason
        );
        lines.extend(wrapped("  ", "    ", &visible(&text)));
        lines.extend(
            refused
                .refusal
                .hint
                .iter()
                .map(|hint| format!("    {}: {}", styled(ADVICE, "would allow it"), visible(hint))),
        );
    }
    lines
}

fn notifications(report: &Report) -> Vec<String> {
    let told = |told: &pipe_runner::report::Told| {
        let what = match &told.failure {
            Some(failure) => format!("was not sent: {failure}"),
            None => told.delivered.join(", "),
        };
        let text = visible(&format!("{} about {}: {what}", told.step, told.about));
        wrapped(&format!("  {}  ", told::clock(report, told.at)), "            ", &text)
    };
    report.notifications.iter().flat_map(told).collect()
}

fn processes(report: &Report) -> Vec<String> {
    let told = |process: &pipe_runner::report::Process| {
        visible(&format!(
            "  {} to {}  pipe {} of {}: {}",
            told::clock(report, process.started),
            told::clock(report, process.last),
            process.pipe_version,
            process.actor,
            told::left(process)
        ))
    };
    report.processes.iter().map(told).collect()
}

fn record(report: &Report) -> Vec<String> {
    let record = &report.record;
    let mut lines = vec![
        format!("  {} entries of the journal, {} to {}", record.entries, record.first, record.last),
        format!("  head {}", record.head),
    ];
    if let Some(broken) = &record.broken {
        let text = visible(&format!("{broken}: this report is not to be trusted"));
        lines.extend(wrapped("  ", "  ", &text).map(|line| styled(BAD, &line)));
    }
    if record.unknown > 0 {
        let text = format!("a later version of pipe wrote {} of them: they are not in this report", record.unknown);
        lines.push(format!("  {}", styled(CAREFUL, &text)));
    }
    lines
}
