//! The audit as one page.

mod calls;
mod summary;

use pipe_runner::{Audit, Severity};

use crate::page;

/// What it adds to the look of every page.
const STYLE: &str = include_str!("html/audit.css");

/// The words that findings and rows can be filtered by.
fn words(audit: &Audit) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for rule in audit.calls.iter().flat_map(|call| &call.rules) {
        if !words.contains(&rule.word) {
            words.push(rule.word.clone());
        }
    }
    words
}

/// The report.
pub(super) fn report(audit: &Audit) -> String {
    let words = words(audit);
    let title = format!("{} in {}: capability audit", audit.pipeline, audit.environment);
    page::document(&title, &style(&words), |page| {
        summary::header(page, audit);
        page.raw("<main>\n");
        summary::reach(page, audit);
        summary::findings(page, audit, &words);
        calls::rows(page, audit);
        calls::gates(page, audit);
        calls::peers(page, audit);
        summary::explained(page, audit);
        page.raw("</main>\n<footer>Written by pipe ")
            .text(&audit.pipe_version)
            .raw(". This page runs no script and loads nothing.</footer>\n");
    })
}

/// The style sheet, with the filters of this page. Words are ours: no text of a file or a vendor gets here.
fn style(words: &[String]) -> String {
    let mut style = STYLE.to_owned();
    for severity in Severity::ALL.map(Severity::word) {
        style.push_str(&format!("body:has(#show-{severity}:not(:checked)) .finding.{severity}{{display:none}}\n"));
    }
    for word in words.iter().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())) {
        style.push_str(&format!(
            "body:has(#word-{word}:checked) :is(.finding,.call,.rule):not(.w-{word}){{display:none}}\n"
        ));
    }
    style
}

/// How a severity is drawn: never by its colour alone.
const fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "<span class=\"mark error\"><span aria-hidden=\"true\">■</span> error</span>",
        Severity::Warning => "<span class=\"mark warning\"><span aria-hidden=\"true\">▲</span> warning</span>",
        Severity::Note => "<span class=\"mark note\"><span aria-hidden=\"true\">●</span> note</span>",
    }
}
