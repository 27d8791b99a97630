//! The report as one page, to be kept: nothing of it lies elsewhere, so it reads the same in seven years.

mod steps;

use pipe_runner::report::{Conclusion, Report};

use super::told::{self, Tone};
use crate::page::{self, Page};

/// What it adds to the look of every page.
const STYLE: &str = include_str!("html/report.css");

/// The report.
pub(super) fn report(report: &Report) -> String {
    let (verdict, _) = told::verdict(report);
    let title = format!("{} in {}: {verdict}, run {}", report.pipeline, report.environment, report.run);
    page::document(&title, STYLE, |page| {
        header(page, report);
        page.raw("<main>\n");
        checklist(page, report);
        decisions(page, report);
        gates(page, report);
        steps::steps(page, report);
        steps::watch(page, report);
        steps::rollback(page, report);
        artifacts(page, report);
        refusals(page, report);
        notifications(page, report);
        processes(page, report);
        record(page, report);
        page.raw("</main>\n<footer>Made by pipe ")
            .text(env!("CARGO_PKG_VERSION"))
            .raw(" from the journal alone. This page runs no script and loads nothing.</footer>\n");
    })
}

/// The class of a tone.
pub(super) const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Careful => "careful",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    }
}

/// A mark: told by its shape and a word, never by its colour alone.
pub(super) fn mark(page: &mut Page, mark: &'static str, tone: Tone, word: &str) {
    page.raw("<span class=\"sign ").raw(class(tone)).raw("\"><span aria-hidden=\"true\">").raw(mark).raw("</span>");
    page.raw("<span class=\"unseen\">").text(word).raw("</span></span>");
}

fn header(page: &mut Page, report: &Report) {
    let (verdict, tone) = told::verdict(report);
    page.raw("<header>\n<p class=\"kicker\">Deployment report</p>\n<h1>")
        .text(&report.pipeline)
        .raw(" <span class=\"environment\">")
        .text(&report.environment)
        .raw("</span></h1>\n<div class=\"verdict banner ")
        .raw(class(tone))
        .raw("\"><p>")
        .text(&capital(verdict))
        .raw("</p>");
    if let Some(reason) = &report.reason {
        page.raw("<p class=\"reason\">").text(reason).raw("</p>");
    }
    if report.record.broken.is_some() {
        page.raw("<p class=\"reason\">The journal was changed: nothing of this is to be trusted (see Record).</p>");
    }
    if report.conclusion == Conclusion::Running {
        page.raw("<p class=\"reason\">Made while the run was going on: it is not its last word.</p>");
    }
    page.raw("</div>\n<dl class=\"facts\">");
    for (name, value) in told::facts(report) {
        page.raw("<div><dt>").text(name).raw("</dt><dd>").text(&value).raw("</dd></div>");
    }
    page.raw("</dl>\n</header>\n");
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn checklist(page: &mut Page, report: &Report) {
    page.raw("<section id=\"checklist\">\n<h2>Checklist</h2>\n<p class=\"lead\">Ticked from results: nobody ticks a step by hand.</p>\n");
    page.raw("<div class=\"lists\">");
    let mut group = "";
    for item in &report.checklist {
        if item.group != group {
            page.raw(if group.is_empty() { "" } else { "</ul></div>" });
            group = item.group;
            page.raw("<div class=\"list\"><h3>").text(group).raw("</h3><ul>");
        }
        let (sign, tone) = told::tick(item.tick);
        page.raw("<li class=\"").raw(class(tone)).raw("\"><span class=\"box\">");
        mark(page, sign, tone, item.tick.word());
        page.raw("</span><span><b>").text(&item.text).raw("</b>");
        if !item.evidence.is_empty() {
            page.raw(" <span class=\"evidence\">").text(&item.evidence).raw("</span>");
        }
        if item.by != "pipe" {
            page.raw(" <span class=\"by\">").text(&item.by).raw("</span>");
        }
        page.raw("</span></li>\n");
    }
    page.raw(if group.is_empty() { "" } else { "</ul></div>" }).raw("</div>\n</section>\n");
}

fn decisions(page: &mut Page, report: &Report) {
    page.raw("<section id=\"decisions\">\n<h2>Who decided what</h2>\n<div class=\"scroll\"><table><thead><tr><th>when</th><th>who</th><th>what</th><th>why</th></tr></thead><tbody>");
    for decision in &report.people {
        page.raw("<tr><td class=\"when\">").text(&told::moment(decision.at)).raw("</td><td><strong>");
        page.text(&decision.who).raw("</strong></td><td>").text(&decision.did).raw("</td><td>");
        page.text(decision.reason.as_deref().unwrap_or_default()).raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

/// Every decision with its proof, so that it can be checked with nothing but this page and `ssh-keygen`.
fn gates(page: &mut Page, report: &Report) {
    if report.gates.is_empty() {
        return;
    }
    page.raw("<section id=\"gates\">\n<h2>Gates</h2>\n");
    for gate in &report.gates {
        page.raw("<article class=\"list gate\"><p><b>").text(&gate.gate.to_string()).raw("</b> <span class=\"about\">");
        page.text(&told::gate(gate)).raw("</span></p>\n<ul>");
        for before in &gate.before {
            page.raw("<li class=\"vote\"><p>").text(before).raw("</p></li>\n");
        }
        for vote in &gate.votes {
            page.raw("<li class=\"vote\"><p>").text(&told::vote(vote)).raw("</p>");
            page.raw(
                "<details class=\"more\"><summary>what was signed, and the signature: <code>ssh-keygen -Y verify -n ",
            );
            page.raw(pipe_runner::gate::NAMESPACE).raw("</code></summary><pre>").text_lines(&vote.approval.text);
            page.raw("</pre><pre>").text_lines(&vote.approval.signature).raw("</pre></details></li>\n");
        }
        for refused in &gate.refused {
            page.raw("<li class=\"vote\"><p><span class=\"bad\">does not hold</span>: ")
                .text(refused)
                .raw("</p></li>\n");
        }
        page.raw("</ul><details class=\"more\"><summary>who could decide, as it was then</summary><pre>");
        page.text_lines(&gate.signers).raw("</pre></details></article>\n");
    }
    page.raw("</section>\n");
}

fn artifacts(page: &mut Page, report: &Report) {
    if report.artifacts.is_empty() {
        return;
    }
    page.raw("<section id=\"artifacts\">\n<h2>Artifacts</h2>\n<div class=\"scroll\"><table><thead><tr><th>artifact</th><th>stored by</th><th>how</th><th>where, and its sha256</th></tr></thead><tbody>");
    for known in &report.artifacts {
        page.raw("<tr><td><strong>").text(&known.artifact.name).raw("</strong></td><td>");
        page.text(&known.step.to_string()).raw("<br><span class=\"when\">").text(&told::moment(known.stored));
        page.raw("</span></td><td>").text(&told::artifact(known));
        if let Some(pruned) = told::pruned(known) {
            page.raw("<br><span class=\"careful\">").text(&pruned).raw("</span>");
        }
        page.raw("</td><td><code>").text(&known.artifact.location).raw("</code><br><code>");
        page.text(&known.artifact.digest.to_string()).raw("</code></td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

fn refusals(page: &mut Page, report: &Report) {
    if report.refusals.is_empty() {
        return;
    }
    page.raw("<section id=\"refusals\">\n<h2>Refused</h2>\n<p class=\"lead\">What a plugin asked for beyond its grant, and did not get.</p>\n");
    page.raw("<div class=\"scroll\"><table><thead><tr><th>first</th><th>step</th><th>what</th><th>why</th><th>times</th><th>would allow it</th></tr></thead><tbody>");
    for refused in &report.refusals {
        let refusal = &refused.refusal;
        page.raw("<tr><td class=\"when\">").text(&told::clock(report, refused.at)).raw("</td><td>");
        page.text(&refused.step.to_string()).raw("</td><td><code>").text(&refusal.word).raw(" ");
        page.text(&refusal.subject).raw("</code></td><td>").text(&refusal.reason).raw("</td><td>");
        page.text(&refused.times.to_string()).raw("</td><td>");
        if let Some(hint) = &refusal.hint {
            page.raw("<code>").text(hint).raw("</code>");
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

fn notifications(page: &mut Page, report: &Report) {
    if report.notifications.is_empty() {
        return;
    }
    page.raw("<section id=\"notifications\">\n<h2>Who was told</h2>\n<div class=\"scroll\"><table><thead><tr><th>when</th><th>about</th><th>notification</th><th>channels</th></tr></thead><tbody>");
    for told in &report.notifications {
        page.raw("<tr><td class=\"when\">").text(&told::clock(report, told.at)).raw("</td><td>").text(&told.about);
        page.raw("</td><td>").text(&told.step.to_string()).raw("</td><td>");
        match &told.failure {
            Some(failure) => page.raw("<span class=\"bad\">not sent</span>: ").text(failure),
            None => page.text(&told.delivered.join(", ")),
        };
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

fn processes(page: &mut Page, report: &Report) {
    if report.processes.len() < 2 {
        return;
    }
    page.raw("<section id=\"processes\">\n<h2>Processes</h2>\n<p class=\"lead\">The run was gone on with. A step whose report was in the journal did not run again.</p>\n");
    page.raw("<div class=\"scroll\"><table><thead><tr><th>from</th><th>to</th><th>by</th><th>pipe</th><th></th></tr></thead><tbody>");
    for process in &report.processes {
        page.raw("<tr><td class=\"when\">").text(&told::moment(process.started)).raw("</td><td class=\"when\">");
        page.text(&told::moment(process.last)).raw("</td><td>").text(&process.actor).raw("</td><td>");
        page.text(&process.pipe_version).raw("</td><td>").text(&told::left(process)).raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

fn record(page: &mut Page, report: &Report) {
    let record = &report.record;
    page.raw("<section id=\"record\">\n<h2>Record</h2>\n<p class=\"lead\">Everything above stands in ")
        .text(&record.entries.to_string())
        .raw(" entries of the journal, ")
        .text(&record.first.to_string())
        .raw(" to ")
        .text(&record.last.to_string())
        .raw(". Each holds the hash of the one before it; this is that of the last, which <code>pipe log verify --head</code> finds again in the journal or any later export:</p>\n<p><code>");
    page.text(&record.head.to_string()).raw("</code></p>\n");
    if let Some(broken) = &record.broken {
        page.raw("<p class=\"bad\">").text(broken).raw(": this report is not to be trusted.</p>\n");
    }
    if record.unknown > 0 {
        page.raw("<p class=\"careful\">A later version of pipe wrote ")
            .text(&record.unknown.to_string())
            .raw(" of them: they are not in this report.</p>\n");
    }
    page.raw("</section>\n");
}
