//! Step by step, and what was undone.

use pipe_core::report::Finding;
use pipe_runner::report::{Report, StepReport, StepStatus};

use super::{
    super::{
        told::{self, Tone},
        waves,
    },
    class, mark,
};
use crate::{page::Page, reporter::took};

/// One row for each step, which holds what it found and did.
pub(super) fn steps(page: &mut Page, report: &Report) {
    page.raw("<section id=\"steps\">\n<h2>Step by step</h2>\n<ol class=\"steps\">");
    let longest = report.steps.iter().filter_map(|step| step.duration_ms).max().unwrap_or_default();
    for step in &report.steps {
        one(page, report, step, longest);
    }
    page.raw("</ol>\n</section>\n");
}

fn one(page: &mut Page, report: &Report, step: &StepReport, longest: u64) {
    let (sign, tone) = told::mark(step.status);
    page.raw("<li class=\"step ").raw(class(tone)).raw("\"><div class=\"at\">");
    page.text(&step.started.map(|at| told::clock(report, at)).unwrap_or_default()).raw("</div><div class=\"what\"><p>");
    mark(page, sign, tone, told::status(step.status));
    page.raw(" <b>").text(&step.step.to_string()).raw("</b> <span class=\"about\">").text(&told::about(step));
    page.raw("</span>");
    if step.status != StepStatus::Succeeded {
        page.raw(" <span class=\"status ").raw(class(tone)).raw("\">").text(told::status(step.status)).raw("</span>");
    }
    page.raw("</p>\n");
    if !step.findings.is_empty() {
        page.raw("<ul class=\"found\">");
        step.findings.iter().for_each(|one| finding(page, one));
        page.raw("</ul>\n");
    }
    notes(page, &told::notes(report, step));
    if !step.receipts.is_empty() || !step.used.is_empty() {
        page.raw("<details class=\"more\"><summary>what it used, and what it saved to be undone with</summary>");
        page.raw("<p class=\"chips\">");
        for (word, times) in &step.used {
            page.raw("<span class=\"chip\">").text(word).raw("<sup>").text(&times.to_string()).raw("</sup></span> ");
        }
        page.raw("</p><ul>");
        for receipt in &step.receipts {
            page.raw("<li>").text(receipt).raw("</li>");
        }
        page.raw("</ul><p class=\"about\">sha256 of its plugin <code>").text(&step.plugin.digest.to_string());
        page.raw("</code></p></details>\n");
    }
    page.raw("</div><div class=\"took\">");
    if let Some(ms) = step.duration_ms {
        page.text(&took(ms)).raw("<span class=\"bar ").raw(width(ms, longest)).raw("\"></span>");
    }
    page.raw("</div></li>\n");
}

/// A bar as long as its share of the longest step. A style of its own would need a policy that lets styles in.
const fn width(ms: u64, longest: u64) -> &'static str {
    const WIDTHS: [&str; 11] = ["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10"];
    match ms.saturating_mul(10).checked_div(longest) {
        None => WIDTHS[0],
        Some(share @ 0..=10) => WIDTHS[share as usize],
        Some(_) => WIDTHS[10],
    }
}

fn finding(page: &mut Page, finding: &Finding) {
    let (sign, tone) = told::found(finding.status);
    page.raw("<li>");
    mark(page, sign, tone, told_word(finding));
    page.raw(" <b>").text(&finding.name).raw("</b>: ").text(&told::finding(finding)).raw("</li>");
}

const fn told_word(finding: &Finding) -> &'static str {
    use pipe_core::report::FindingStatus;
    match finding.status {
        FindingStatus::Pass => "passed",
        FindingStatus::Warn => "warning",
        FindingStatus::Fail => "failed",
        FindingStatus::Skip => "skipped",
    }
}

fn notes(page: &mut Page, notes: &[(Tone, String)]) {
    if notes.is_empty() {
        return;
    }
    page.raw("<ul class=\"notes\">");
    for (tone, note) in notes {
        page.raw("<li class=\"").raw(class(*tone)).raw("\">").text(note).raw("</li>");
    }
    page.raw("</ul>\n");
}

/// What the watch saw.
pub(super) fn watch(page: &mut Page, report: &Report) {
    let Some(watch) = &report.watch else { return };
    page.raw("<section id=\"watch\">\n<h2>Watch</h2>\n<p class=\"lead\">What the checks saw after every step had succeeded.</p>\n");
    notes(page, &waves::watch(report, watch));
    page.raw("</section>\n");
}

/// What was undone, in the order in which it was.
pub(super) fn rollback(page: &mut Page, report: &Report) {
    let Some(rollback) = &report.rollback else { return };
    page.raw("<section id=\"rollback\">\n<h2>Rollback</h2>\n<p class=\"lead\">Begun at ");
    page.text(&told::clock(report, rollback.started))
        .raw(": ")
        .text(&rollback.reason)
        .raw("</p>\n<ol class=\"steps\">");
    for entry in &rollback.entries {
        let Some(step) = report.steps.iter().find(|known| known.step == *entry) else { continue };
        let (sign, tone, standing) = told::undone(step);
        page.raw("<li class=\"step ").raw(class(tone)).raw("\"><div class=\"at\">");
        let began = step.undo.as_ref().map(|undo| undo.started).or(step.started);
        page.text(&began.map(|at| told::clock(report, at)).unwrap_or_default()).raw("</div><div class=\"what\"><p>");
        mark(page, sign, tone, standing);
        page.raw(" <b>").text(&entry.to_string()).raw("</b> <span class=\"status ").raw(class(tone)).raw("\">");
        page.text(standing).raw("</span></p>\n");
        notes(page, &told::undo_notes(step));
        page.raw("</div><div class=\"took\">");
        if let Some(ms) = step.undo.as_ref().and_then(|undo| undo.duration_ms) {
            page.text(&took(ms));
        }
        page.raw("</div></li>\n");
    }
    page.raw("</ol>\n</section>\n");
}
