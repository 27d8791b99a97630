//! The report for the ticket of a change: what matters comes first, the rest can be unfolded.

use pipe_runner::report::{Report, Tick};

use super::{
    super::audit::markdown::{code, escaped},
    told, waves,
};
use crate::{
    printer::{count, visible},
    reporter::took,
};

/// The report.
pub(super) fn report(report: &Report) -> String {
    let (verdict, _) = told::verdict(report);
    let mut lines =
        vec![format!("## {} in {}: {verdict}", code(&report.pipeline), code(&report.environment)), String::new()];
    if let Some(reason) = &report.reason {
        lines.extend([text(reason), String::new()]);
    }
    lines.extend(["| | |".to_owned(), "|---|---|".to_owned()]);
    lines.extend(told::facts(report).into_iter().map(|(name, value)| format!("| {name} | {} |", code(&value))));
    lines.push(String::new());
    lines.extend(checklist(report));
    table(
        &mut lines,
        "Decisions",
        "| when | who | what |\n|---|---|---|",
        report.people.iter().map(|decision| {
            let reason = decision.reason.as_ref().map(|reason| format!(": {}", text(reason))).unwrap_or_default();
            format!("| {} | {} | {}{reason} |", told::moment(decision.at), code(&decision.who), text(&decision.did))
        }),
    );
    table(
        &mut lines,
        "Gates",
        "| gate | | decisions |\n|---|---|---|",
        report.gates.iter().map(|gate| {
            let votes = gate.votes.iter().map(told::vote);
            let refused = gate.refused.iter().map(|refused| format!("does not hold: {refused}"));
            let said: Vec<String> =
                gate.before.iter().cloned().chain(votes).chain(refused).map(|said| text(&said)).collect();
            format!("| {} | {} | {} |", code(&gate.gate.to_string()), text(&told::gate(gate)), said.join("<br>"))
        }),
    );
    if let Some(watch) = &report.watch {
        let said = waves::watch(report, watch);
        table(&mut lines, "Watch", "| |\n|---|", said.iter().map(|(_, note)| format!("| {} |", text(note))));
    }
    table(
        &mut lines,
        "Artifacts",
        "| artifact | of | | sha256 |\n|---|---|---|---|",
        report.artifacts.iter().map(|known| {
            let pruned = told::pruned(known).map(|pruned| format!("; {}", text(&pruned))).unwrap_or_default();
            format!(
                "| {} | {} | {}{pruned} | {} |",
                code(&known.artifact.name),
                code(&known.step.to_string()),
                text(&told::artifact(known)),
                code(&known.artifact.digest.to_string())
            )
        }),
    );
    table(
        &mut lines,
        "Refused",
        "| step | what | why | would allow it |\n|---|---|---|---|",
        report.refusals.iter().map(|refused| {
            format!(
                "| {} | {} | {} | {} |",
                code(&refused.step.to_string()),
                code(&format!("{} {}", refused.refusal.word, refused.refusal.subject)),
                text(&refused.refusal.reason),
                refused.refusal.hint.as_ref().map(|hint| code(hint)).unwrap_or_default()
            )
        }),
    );
    lines.extend(["<details><summary>Every step</summary>".to_owned(), String::new()]);
    lines.extend(steps(report));
    lines.extend([String::new(), "</details>".to_owned(), String::new()]);
    let record = &report.record;
    if let Some(broken) = &record.broken {
        lines.extend([format!("**{}: this report is not to be trusted.**", text(broken)), String::new()]);
    }
    lines.push(format!(
        "Entries {} to {} of the journal, head {}.",
        record.first,
        record.last,
        code(&record.head.to_string())
    ));
    lines.join("\n")
}

fn text(text: &str) -> String {
    escaped(&visible(text))
}

fn table(lines: &mut Vec<String>, title: &str, head: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<String> = rows.collect();
    if !rows.is_empty() {
        lines.extend([format!("### {title}"), String::new(), head.to_owned()]);
        lines.extend(rows);
        lines.push(String::new());
    }
}

/// A box that is ticked is one that is done. What was done and undone again is not.
fn checklist(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut group = "";
    for item in &report.checklist {
        if item.group != group {
            group = item.group;
            lines.extend([format!("### {group}"), String::new()]);
        }
        let ticked = if item.tick == Tick::Done { "x" } else { " " };
        let word = match item.tick {
            Tick::Done => String::new(),
            other => format!(" **{}**", other.word()),
        };
        let evidence = if item.evidence.is_empty() { String::new() } else { format!(": {}", text(&item.evidence)) };
        let by = if item.by == "pipe" { String::new() } else { format!(" ({})", text(&item.by)) };
        lines.push(format!("- [{ticked}] {}{word}{evidence}{by}", text(&item.text)));
    }
    lines.push(String::new());
    // A heading between two lists needs a line before it.
    let mut spaced: Vec<String> = Vec::new();
    for line in lines {
        if line.starts_with("###") && spaced.last().is_some_and(|last| !last.is_empty()) {
            spaced.push(String::new());
        }
        spaced.push(line);
    }
    spaced
}

fn steps(report: &Report) -> Vec<String> {
    let mut lines = vec!["| at | step | | took | checks and notes |".to_owned(), "|---|---|---|---|---|".to_owned()];
    for step in &report.steps {
        let (mark, _) = told::mark(step.status);
        let findings = step.findings.iter().map(|finding| {
            let (mark, _) = told::found(finding.status);
            format!("{mark} {}: {}", text(&finding.name), text(&told::finding(finding)))
        });
        let notes = told::notes(report, step).into_iter().chain(told::undo_notes(step)).map(|(_, note)| text(&note));
        let said: Vec<String> = findings.chain(notes).collect();
        lines.push(format!(
            "| {} | {}<br>{} | {mark} {} | {} | {} |",
            step.started.map(|at| told::clock(report, at)).unwrap_or_default(),
            code(&step.step.to_string()),
            text(&told::about(step)),
            told::status(step.status),
            step.duration_ms.map(took).unwrap_or_default(),
            said.join("<br>")
        ));
    }
    if report.steps.is_empty() {
        lines.push(format!("| | {} | | | |", count(0, "step")));
    }
    lines
}
