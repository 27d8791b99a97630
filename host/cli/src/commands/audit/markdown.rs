//! The audit for a comment on a change: what wants a look comes first, the rest can be unfolded.

use pipe_runner::{Audit, AuditedCall, Finding, Severity};

use super::{asked, count, grouped, imported, no_runs, policies, some_steps, visible, whom};

/// The report.
pub(super) fn report(audit: &Audit) -> String {
    let counts = &audit.counts;
    let mut lines = vec![
        format!("## Capability audit: {} in {}", code(&audit.pipeline), code(&audit.environment)),
        String::new(),
        format!(
            "**{}, {}, {}** in {} of {} ({}{}).",
            count(counts.errors, "error"),
            count(counts.warnings, "warning"),
            count(counts.notes, "note"),
            count(audit.calls.len(), "call"),
            code(&audit.file.display().to_string()),
            escaped(&policies(audit)),
            match &audit.record {
                None => format!(", {}", no_runs(audit)),
                Some(seen) => format!(", {} looked at", count(seen.runs, "finished run")),
            }
        ),
        String::new(),
    ];
    let (look, notes): (Vec<&Finding>, Vec<&Finding>) =
        audit.findings.iter().partition(|finding| finding.severity > Severity::Note);
    if look.is_empty() {
        lines.push("Nothing wants a look.".to_owned());
    } else {
        lines.extend(findings(audit, &look));
    }
    lines.push(String::new());
    lines.extend(folded("What this deployment may touch", reach(audit)));
    lines.extend(folded("Every rule of every step", rules(audit)));
    if !audit.gates.is_empty() {
        lines.extend(folded("Where people decide", gates(audit)));
    }
    if !notes.is_empty() {
        lines.extend(folded(&count(notes.len(), "note"), findings(audit, &notes)));
    }
    lines.extend(folded("Plugins", plugins(audit)));
    lines.pop();
    lines.join("\n")
}

fn folded(title: &str, inside: Vec<String>) -> Vec<String> {
    let mut lines = vec![format!("<details><summary>{title}</summary>"), String::new()];
    lines.extend(inside);
    lines.extend([String::new(), "</details>".to_owned(), String::new()]);
    lines
}

fn findings(audit: &Audit, findings: &[&Finding]) -> Vec<String> {
    let mut lines = vec!["| | finding | where |".to_owned(), "|---|---|---|".to_owned()];
    for finding in findings {
        let severity = match finding.severity {
            Severity::Note => "note".to_owned(),
            other => format!("**{}**", other.word()),
        };
        let hint = finding.hint.as_ref().map_or_else(String::new, |hint| format!("<br>{}", prose(hint)));
        let who = whom(finding, code);
        let who = who.strip_prefix("step ").unwrap_or(&who);
        let place = code(&format!("{}:{}", audit.file.display(), finding.place.line));
        lines.push(format!(
            "| {severity} | {}: {}{hint} | {who}, {place} |",
            code(finding.check),
            prose(&finding.message),
        ));
    }
    lines
}

fn gates(audit: &Audit) -> Vec<String> {
    let mut lines = vec!["| gate | asks | who can decide |".to_owned(), "|---|---|---|".to_owned()];
    for gate in &audit.gates {
        let signers: Vec<String> =
            gate.signers.iter().map(|signer| format!("{} {}", code(&signer.principal), code(&signer.key))).collect();
        let (name, asks) = (code(&gate.planned.gate.to_string()), prose(&gate.summary()));
        lines.push(format!("| {name} | {asks} | {} |", signers.join("<br>")));
    }
    lines
}

fn reach(audit: &Audit) -> Vec<String> {
    let mut lines = vec!["| | what | how | by |".to_owned(), "|---|---|---|---|".to_owned()];
    for reach in &audit.reach {
        for (names, thing) in grouped(reach) {
            let address = thing.address.as_ref().map_or_else(String::new, |address| format!(" ({})", code(address)));
            let how: Vec<String> = thing.how.iter().map(|how| code(how)).collect();
            let flag = thing.flag.map_or_else(String::new, |flag| format!("**{flag}:** "));
            lines.push(format!(
                "| {} | {}{address} | {flag}{} | {} |",
                reach.area,
                names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "),
                how.join(", "),
                code(&some_steps(&thing.steps)),
            ));
        }
    }
    if !audit.not_granted.is_empty() {
        lines.extend([String::new(), format!("Nothing of {}.", audit.not_granted.join(", "))]);
    }
    lines
}

fn rules(audit: &Audit) -> Vec<String> {
    let mut lines = vec!["| step | line | rule | last used | policy |".to_owned(), "|---|---|---|---|---|".to_owned()];
    for call in &audit.calls {
        for rule in &call.rules {
            let used = match (&rule.last_use, &audit.record) {
                (Some(last), _) => format!("{}, {}", last.at.strftime("%Y-%m-%d %H:%M:%S"), code(last.run.as_str())),
                (None, Some(_)) if succeeded(call) => "never".to_owned(),
                _ => "not known".to_owned(),
            };
            let policy = match rule.within_policy {
                None => "none",
                Some(true) => "within",
                Some(false) => "**above**",
            };
            lines.push(format!(
                "| {} | {} | {} | {used} | {policy} |",
                code(&call.step.to_string()),
                rule.place.line,
                code(&format!("{} {}", rule.word, rule.rule)),
            ));
        }
    }
    lines
}

fn succeeded(call: &AuditedCall) -> bool {
    call.record.as_ref().is_some_and(|record| record.succeeded > 0)
}

fn plugins(audit: &Audit) -> Vec<String> {
    let mut lines = vec![
        "| plugin | version | sha256 | can use | asks for | used by |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    let mut told: Vec<&str> = Vec::new();
    for plugin in audit.calls.iter().map(|call| &call.plugin) {
        if told.contains(&plugin.name.as_str()) {
            continue;
        }
        told.push(&plugin.name);
        let calls = audit.calls.iter().filter(|call| call.plugin.name == plugin.name);
        let mut steps: Vec<String> = calls.map(|call| call.step.name.clone()).collect();
        steps.dedup();
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} |",
            code(&plugin.name),
            code(&plugin.version),
            code(&plugin.sha256.to_string()),
            code(&imported(plugin).join(", ")),
            code(&asked(plugin).join(", ")),
            code(&some_steps(&steps)),
        ));
    }
    lines
}

/// `text` as code: whatever it holds, nothing of it means anything to Markdown, HTML or a table.
pub(in crate::commands) fn code(text: &str) -> String {
    let text = visible(text);
    // The fence is longer than any run of backquotes in the text.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    // A bar ends a cell even within code. Backquotes at either end, and empty code, need room.
    let inside = text.replace('|', "\\|");
    let room = if inside.is_empty() || inside.starts_with('`') || inside.ends_with('`') { " " } else { "" };
    format!("{fence}{room}{inside}{room}{fence}")
}

/// A sentence of ours, in which what is quoted with backquotes did not come from us.
fn prose(text: &str) -> String {
    let text = visible(text);
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { code(part) } else { escaped(part) }).collect()
}

/// Text in which no character means anything, and no name or address becomes a mention or a link.
pub(in crate::commands) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("@<!-- -->"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    // Addresses become links by themselves.
    escaped.replace("://", "\\://").replace("www.", "www\\.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_holds_anything() {
        for (text, shown) in [
            ("a", "`a`"),
            ("a|b", "`a\\|b`"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("``x", "``` ``x ```"),
            ("", "`  `"),
            ("<script>", "`<script>`"),
            ("a\nb\u{202e}", "`a\\u{a}b\\u{202e}`"),
        ] {
            assert_eq!(code(text), shown, "{text:?}");
        }
    }

    #[test]
    fn prose_is_inert_but_for_its_code() {
        for (text, shown) in [
            ("the plugin `a|b` does", "the plugin `a\\|b` does"),
            ("a <b>bold</b> claim", "a &lt;b&gt;bold&lt;/b&gt; claim"),
            ("[x](https://evil)", "\\[x\\](https\\://evil)"),
            ("ask @admin: now", "ask @<!-- -->admin: now"),
            ("see www.evil.example", "see www\\.evil.example"),
            ("odd `quote", "odd `quote`"),
        ] {
            assert_eq!(prose(text), shown);
        }
    }
}
