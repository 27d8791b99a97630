//! What somebody wants to know in ten seconds: may it be deployed, what may it touch, what wants a look.

use pipe_runner::{Audit, AuditedRule, Finding, Reach, Severity};

use super::{
    super::{count, grouped, no_runs, policies},
    mark,
};
use crate::page::Page;

/// Who, when, and how bad.
pub(super) fn header(page: &mut Page, audit: &Audit) {
    page.raw("<header>\n<p class=\"kicker\">Capability audit</p>\n<h1>")
        .text(&audit.pipeline)
        .raw(" <span class=\"environment\">")
        .text(&audit.environment)
        .raw("</span></h1>\n");
    let counts = &audit.counts;
    page.raw("<p class=\"verdict ").raw(worst(audit)).raw("\">").raw(match (counts.errors, counts.warnings) {
        (0, 0) => "Nothing here wants a look.",
        (0, _) => "Nothing here should stop this deployment, but some of it wants a look.",
        _ => "This should not be deployed as it is.",
    });
    let within = |rule: &AuditedRule| rule.within_policy == Some(true);
    if !audit.policies.is_empty() && audit.calls.iter().flat_map(|call| &call.rules).all(within) {
        page.raw(" The policy allows every rule.");
    }
    page.raw("</p>\n<ul class=\"tiles\">");
    for (severity, number, says) in [
        (Severity::Error, counts.errors, "should not be deployed as it is"),
        (Severity::Warning, counts.warnings, "want a look and an answer"),
        (Severity::Note, counts.notes, "good to know"),
    ] {
        page.raw("<li class=\"tile ").raw(severity.word()).raw(if number == 0 { " none\">" } else { "\">" });
        page.raw("<span class=\"number\">").number(number).raw("</span> ").raw(plural(severity, number));
        page.raw("<span class=\"says\">").raw(says).raw("</span></li>");
    }
    page.raw("</ul>\n<dl class=\"facts\">");
    let mut fact = |name: &'static str, value: &str| {
        page.raw("<div><dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd></div>");
    };
    fact("file", &audit.file.display().to_string());
    fact("sha256", &audit.file_digest.to_string());
    fact("audited", &audit.made.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    match policies(audit).strip_prefix("policy ") {
        Some(files) => fact("policy", files),
        None => fact("policy", "none"),
    }
    match &audit.record {
        None if audit.record_problem.is_some() => fact("runs looked at", no_runs(audit)),
        None => fact("runs looked at", "no finished run in this state directory"),
        Some(seen) => {
            let last = seen.last_started.strftime("%Y-%m-%d %H:%M:%S UTC");
            fact("runs looked at", &format!("{}, the last {} of {last}", count(seen.runs, "finished run"), seen.last));
        }
    }
    let inputs: Vec<String> = audit.inputs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !inputs.is_empty() {
        fact("inputs", &inputs.join("  "));
    }
    page.raw("</dl>\n</header>\n");
}

const fn plural(severity: Severity, number: usize) -> &'static str {
    match (severity, number) {
        (Severity::Error, 1) => "error",
        (Severity::Error, _) => "errors",
        (Severity::Warning, 1) => "warning",
        (Severity::Warning, _) => "warnings",
        (Severity::Note, 1) => "note",
        (Severity::Note, _) => "notes",
    }
}

fn worst(audit: &Audit) -> &'static str {
    match (audit.counts.errors, audit.counts.warnings) {
        (0, 0) => "note",
        (0, _) => "warning",
        _ => "error",
    }
}

/// Everything that the deployment may touch, by kind.
pub(super) fn reach(page: &mut Page, audit: &Audit) {
    page.raw("<section>\n<h2>What this deployment may touch</h2>\n");
    page.raw("<p class=\"lead\">Everything else is refused, by the host and at every call.</p>\n<div class=\"areas\">");
    for reach in &audit.reach {
        area(page, reach);
    }
    page.raw("</div>\n");
    if !audit.not_granted.is_empty() {
        page.raw("<p class=\"granted-nowhere\">Granted nowhere: ");
        for word in &audit.not_granted {
            page.raw("<span class=\"chip off\">").text(word).raw("</span> ");
        }
        page.raw("</p>\n");
    }
    page.raw("</section>\n");
}

fn area(page: &mut Page, reach: &Reach) {
    page.raw("<article class=\"area\"><h3>").text(reach.area).raw("</h3><ul>");
    for (names, thing) in grouped(reach) {
        page.raw("<li>");
        if let Some(flag) = thing.flag {
            page.raw("<span class=\"changes\">").raw(flag).raw("</span> ");
        }
        for (index, name) in names.into_iter().enumerate() {
            page.raw(if index == 0 { "<strong>" } else { ", <strong>" }).text(name).raw("</strong>");
        }
        if let Some(address) = &thing.address {
            page.raw(" <span class=\"address\">").text(address).raw("</span>");
        }
        page.raw("<div class=\"how\">");
        for how in &thing.how {
            page.raw("<code>").text(how).raw("</code> ");
        }
        page.raw("<span class=\"by\">by ").text(&thing.steps.join(", ")).raw("</span></div></li>");
    }
    page.raw("</ul></article>\n");
}

/// The list of findings, with what to filter it by.
pub(super) fn findings(page: &mut Page, audit: &Audit, words: &[String]) {
    page.raw("<section id=\"findings\">\n<h2>Findings</h2>\n");
    if audit.findings.is_empty() {
        page.raw("<p class=\"lead\">Nothing.</p>\n</section>\n");
        return;
    }
    page.raw("<form class=\"filters\"><fieldset><legend>Show</legend>");
    for severity in Severity::ALL {
        let word = severity.word();
        page.raw("<label><input type=\"checkbox\" id=\"show-")
            .raw(word)
            .raw("\" checked> ")
            .raw(mark(severity))
            .raw("</label>");
    }
    page.raw("</fieldset><fieldset><legend>Word</legend><label><input type=\"radio\" name=\"word\" id=\"word-all\" checked> all</label>");
    for word in words {
        page.raw("<label><input type=\"radio\" name=\"word\" id=\"word-")
            .attribute(word)
            .raw("\"> ")
            .text(word)
            .raw("</label>");
    }
    page.raw("</fieldset></form>\n<ol class=\"findings\">");
    for finding in &audit.findings {
        one(page, audit, finding);
    }
    page.raw("</ol>\n</section>\n");
}

fn one(page: &mut Page, audit: &Audit, finding: &Finding) {
    page.raw("<li class=\"finding ").raw(finding.severity.word());
    if let Some(word) = &finding.word {
        page.raw(" w-").attribute(word);
    }
    page.raw("\">").raw(mark(finding.severity)).raw("<div><p><b>");
    let title = audit.checks.iter().find(|check| check.id == finding.check).map_or(finding.check, |check| check.title);
    page.text(title).raw(".</b> ").prose(&finding.message).raw("</p>");
    if let Some(hint) = &finding.hint {
        page.raw("<p class=\"hint\">").prose(hint).raw("</p>");
    }
    page.raw("<p class=\"where\">");
    if let Some(peer) = &finding.peer {
        page.raw("peer ").text(peer).raw(", used by ");
    }
    if finding.peer.is_none() && finding.steps.is_empty() {
        page.raw("the record");
    }
    for (index, step) in finding.steps.iter().enumerate() {
        page.raw(if index == 0 { "" } else { ", " });
        match audit.calls.iter().position(|call| call.step.to_string() == *step || call.step.name == *step) {
            Some(call) => page.raw("<a href=\"#call-").number(call).raw("\">").text(step).raw("</a>"),
            None => page.text(step),
        };
    }
    page.raw(" <span class=\"place\">").text(&audit.file.display().to_string()).raw(":").number(finding.place.line);
    page.raw("</span> <code class=\"check\">").text(finding.check).raw("</code></p></div></li>\n");
}

/// What each question means, for those that were answered here and the others.
pub(super) fn explained(page: &mut Page, audit: &Audit) {
    page.raw("<section>\n<details class=\"explained\"><summary><h2>What was asked</h2></summary>\n<dl>");
    for check in &audit.checks {
        let found = audit.findings.iter().filter(|finding| finding.check == check.id).count();
        page.raw("<div><dt>").text(check.title).raw(" <code>").text(check.id).raw("</code> ");
        match found {
            0 => page.raw("<span class=\"times\">not found</span>"),
            found => page.raw("<span class=\"times some\">").number(found).raw(" found</span>"),
        };
        page.raw("</dt><dd>").prose(check.help).raw("</dd></div>");
    }
    page.raw("</dl></details>\n</section>\n");
}
