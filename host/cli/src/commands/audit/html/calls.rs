//! One row for each call, which opens to its rules, imports and requests; and the peers.

use pipe_runner::{Audit, AuditedCall, AuditedRule, Finding, Role, Severity};

use super::{super::count, mark};
use crate::page::Page;

/// The rows.
pub(super) fn rows(page: &mut Page, audit: &Audit) {
    for (role, title) in [
        (Role::Step, "Step by step"),
        (Role::Rollback, "After a rollback"),
        (Role::Notification, "Notifications"),
        (Role::Check, "Checks of guards and of the watch"),
    ] {
        if !audit.calls.iter().any(|call| call.role == role) {
            continue;
        }
        page.raw("<section>\n<h2>").raw(title).raw("</h2>\n");
        for (index, call) in audit.calls.iter().enumerate().filter(|(_, call)| call.role == role) {
            row(page, audit, index, call);
        }
        page.raw("</section>\n");
    }
}

/// Everything that was found about a call and its rules.
fn found<'a>(audit: &'a Audit, call: &'a AuditedCall) -> impl Iterator<Item = &'a Finding> {
    let of_rules = call.rules.iter().flat_map(|rule| &rule.findings);
    call.findings.iter().chain(of_rules).filter_map(|index| audit.findings.get(*index))
}

fn row(page: &mut Page, audit: &Audit, index: usize, call: &AuditedCall) {
    let plugin = &call.plugin;
    let worst = found(audit, call).map(|finding| finding.severity).max();
    page.raw("<details class=\"call");
    page.raw(match worst {
        Some(Severity::Error) => " error",
        Some(Severity::Warning) => " warning",
        _ => "",
    });
    let words = words(call);
    for (word, _) in &words {
        page.raw(" w-").attribute(word);
    }
    page.raw("\" id=\"call-").number(index).raw(if worst > Some(Severity::Note) { "\" open>" } else { "\">" });
    page.raw("<summary><span class=\"step\">").text(&call.step.to_string()).raw("</span><span class=\"plugin\">");
    page.text(call.stage.word())
        .raw(", ")
        .text(&plugin.name)
        .raw(" ")
        .text(&plugin.version)
        .raw("</span><span class=\"chips\">");
    for (word, rules) in &words {
        let strong = matches!(*word, "write" | "exec" | "reveal" | "mail" | "tcp") || *word == "sql" && writes(rules);
        page.raw(if strong { "<span class=\"chip strong\">" } else { "<span class=\"chip\">" }).text(word);
        if rules.len() > 1 {
            page.raw("<sup>").number(rules.len()).raw("</sup>");
        }
        page.raw("</span>");
    }
    if words.is_empty() {
        page.raw("<span class=\"chip off\">nothing granted</span>");
    }
    page.raw("</span><span class=\"badges\">");
    for severity in [Severity::Error, Severity::Warning] {
        let number = found(audit, call).filter(|finding| finding.severity == severity).count();
        if number > 0 {
            page.raw("<span class=\"badge\">").number(number).raw(" ").raw(mark(severity)).raw("</span>");
        }
    }
    page.raw("</span></summary>\n");
    about(page, audit, call);
    rules(page, audit, call);
    said(page, call);
    page.raw("</details>\n");
}

/// The words of a call, each with its rules.
fn words(call: &AuditedCall) -> Vec<(&str, Vec<&AuditedRule>)> {
    let mut words: Vec<(&str, Vec<&AuditedRule>)> = Vec::new();
    for rule in &call.rules {
        match words.iter_mut().find(|(word, _)| *word == rule.word) {
            Some((_, rules)) => rules.push(rule),
            None => words.push((&rule.word, vec![rule])),
        }
    }
    words
}

fn writes(rules: &[&AuditedRule]) -> bool {
    rules.iter().any(|rule| rule.rule.starts_with("\"write "))
}

fn about(page: &mut Page, audit: &Audit, call: &AuditedCall) {
    let plugin = &call.plugin;
    page.raw("<p class=\"about\">").text(&plugin.summary).raw(" <span class=\"vendor\">the ");
    page.raw(if plugin.standard { "plugin's" } else { "vendor's" })
        .raw(" own words</span></p>\n<ul class=\"properties\"><li>sha256 <code class=\"digest\">");
    page.text(&plugin.sha256.to_string()).raw("</code></li><li>");
    page.raw(match (plugin.standard, plugin.pinned) {
        (true, _) => "inside pipe",
        (false, true) => "pinned in the pipeline file",
        (false, false) => "not pinned",
    });
    page.raw("</li><li>contract ").text(&plugin.contract).raw("</li><li>");
    page.raw(if call.reversible { "undone when a later step fails" } else { "not undone" })
        .raw("</li><li>line ")
        .number(call.place.line);
    page.raw("</li>");
    if let (Some(record), Some(seen)) = (&call.record, &audit.record) {
        page.raw("<li>succeeded in ").number(record.succeeded).raw(" of ").text(&count(seen.runs, "run")).raw("</li>");
        if record.refused > 0 {
            page.raw("<li class=\"refused\">refused ").number(record.refused).raw(" times</li>");
        }
    }
    page.raw("</ul>\n");
    let own: Vec<&Finding> = call.findings.iter().filter_map(|index| audit.findings.get(*index)).collect();
    if !own.is_empty() {
        page.raw("<ul class=\"own\">");
        for finding in own {
            page.raw("<li>").raw(mark(finding.severity)).raw(" ").prose(&finding.message).raw("</li>");
        }
        page.raw("</ul>\n");
    }
}

fn rules(page: &mut Page, audit: &Audit, call: &AuditedCall) {
    if call.rules.is_empty() {
        return;
    }
    page.raw("<div class=\"scroll\"><table class=\"rules\"><thead><tr><th>word</th><th>rule</th><th>line</th><th>last used</th>");
    page.raw(if !audit.policies.is_empty() { "<th>policy</th>" } else { "" })
        .raw("<th>findings</th></tr></thead><tbody>");
    for rule in &call.rules {
        page.raw("<tr class=\"rule w-").attribute(&rule.word).raw("\"><td><span class=\"chip\">").text(&rule.word);
        page.raw("</span></td><td><code>")
            .text(&rule.rule)
            .raw("</code></td><td class=\"line\">")
            .number(rule.place.line);
        page.raw("</td><td class=\"used\">");
        used(page, audit, call, rule);
        page.raw("</td>");
        page.raw(match rule.within_policy {
            Some(true) => "<td class=\"within\">within</td>",
            Some(false) => "<td class=\"above\">above</td>",
            None => "",
        });
        page.raw("<td class=\"found\">");
        for finding in rule.findings.iter().filter_map(|index| audit.findings.get(*index)) {
            page.raw(mark(finding.severity)).raw(" ").text(finding.check).raw("<br>");
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n");
}

fn used(page: &mut Page, audit: &Audit, call: &AuditedCall, rule: &AuditedRule) {
    match (&rule.last_use, &audit.record) {
        (Some(last), Some(seen)) => {
            page.text(&last.at.strftime("%Y-%m-%d %H:%M:%S").to_string())
                .raw("<br><span class=\"run\">")
                .text(last.run.as_str());
            page.raw("</span><br>").number(last.runs).raw(" of ").text(&count(seen.runs, "run"))
        }
        (None, Some(_)) if call.record.as_ref().is_some_and(|record| record.succeeded > 0) => {
            page.raw("<span class=\"never\">never</span>")
        }
        (None, Some(_)) => page.raw("the step has not succeeded yet"),
        (_, None) if audit.record_problem.is_some() => page.raw("not known"),
        (_, None) => page.raw("no run to look at"),
    };
}

/// What the binary imports, and what its vendor says.
fn said(page: &mut Page, call: &AuditedCall) {
    let plugin = &call.plugin;
    let telling = plugin.imports.iter().filter(|import| import.word.is_some()).count();
    page.raw("<details class=\"more\"><summary>Imports ")
        .number(plugin.imports.len())
        .raw(" interfaces, ")
        .number(telling);
    page.raw(" of them for a word</summary><ul class=\"imports\">");
    for import in &plugin.imports {
        page.raw("<li><code>").text(&import.name).raw("</code>");
        if let Some(word) = import.word {
            page.raw(" <span class=\"chip\">").text(word).raw("</span>");
        }
        page.raw("</li>");
    }
    page.raw("</ul></details>\n<details class=\"more\"><summary>Says that it may ask for ")
        .number(plugin.requests.len());
    page.raw(if plugin.requests.len() == 1 { " thing" } else { " things" });
    page.raw("; its word grants nothing</summary><ul class=\"requests\">");
    for request in &plugin.requests {
        let granted =
            call.rules.iter().any(|rule| rule.word == request.word || rule.word == "write" && request.word == "read");
        page.raw(if granted {
            "<li><span class=\"chip\">"
        } else {
            "<li><span class=\"chip off\" title=\"not granted\">"
        })
        .text(&request.word)
        .raw("</span> <code>")
        .text(&request.subject)
        .raw("</code> ");
        page.text(&request.reason).raw("</li>");
    }
    page.raw("</ul></details>\n");
}

/// Where people decide, and who can.
pub(super) fn gates(page: &mut Page, audit: &Audit) {
    if audit.gates.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Where people decide</h2>\n<div class=\"scroll\"><table><thead><tr><th>gate</th>");
    page.raw("<th>asks</th><th>who can decide</th></tr></thead><tbody>");
    for gate in &audit.gates {
        page.raw("<tr><td><strong>").text(&gate.planned.gate.to_string()).raw("</strong></td><td>");
        page.text(&gate.summary()).raw("</td><td>");
        for (index, signer) in gate.signers.iter().enumerate() {
            page.raw(if index == 0 { "" } else { "<br>" }).text(&signer.principal).raw(" <code>");
            page.text(&signer.key).raw("</code>");
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}

/// Who is reached, and how.
pub(super) fn peers(page: &mut Page, audit: &Audit) {
    if audit.peers.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Peers</h2>\n<p class=\"lead\">Addresses and logins are the host's business: a plugin knows the name alone.</p>\n");
    page.raw("<div class=\"scroll\"><table><thead><tr><th>name</th><th>address</th><th>TLS</th><th>login</th><th>private addresses</th><th>findings</th></tr></thead><tbody>");
    for peer in &audit.peers {
        page.raw("<tr><td><strong>")
            .text(&peer.name)
            .raw("</strong></td><td><code>")
            .text(&peer.url)
            .raw("</code></td><td>");
        page.text(peer.tls)
            .raw("</td><td>")
            .text(&peer.login.join(", "))
            .raw("</td><td>")
            .text(&peer.addresses.join(", "));
        page.raw("</td><td class=\"found\">");
        for finding in peer.findings.iter().filter_map(|index| audit.findings.get(*index)) {
            page.raw(mark(finding.severity)).raw(" ").text(finding.check).raw("<br>");
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n</section>\n");
}
