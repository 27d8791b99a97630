//! The audit as one page: no script, nothing from elsewhere, light and dark, and on paper.
//!
//! Its content security policy allows the one style sheet, by its hash, and nothing else at all.

mod calls;
mod page;
mod summary;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pipe_core::digest::Digest;
use pipe_runner::{Audit, Severity};

use self::page::Page;

/// How the page looks.
const STYLE: &str = include_str!("html/page.css");

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
    let style = style(&words);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Digest::of(style.as_bytes()).as_bytes())
    );
    let mut page = Page::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"")
        .attribute(&policy)
        .raw("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>")
        .title(&format!("{} in {}: capability audit", audit.pipeline, audit.environment))
        .raw("</title>\n<style>")
        .style(&style)
        .raw("</style>\n</head>\n<body>\n");
    summary::header(&mut page, audit);
    page.raw("<main>\n");
    summary::reach(&mut page, audit);
    summary::findings(&mut page, audit, &words);
    calls::rows(&mut page, audit);
    calls::gates(&mut page, audit);
    calls::peers(&mut page, audit);
    summary::explained(&mut page, audit);
    page.raw("</main>\n<footer>Written by pipe ")
        .text(&audit.pipe_version)
        .raw(". This page runs no script and loads nothing.</footer>\n</body>\n</html>");
    page.finish()
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
