//! The audit for a terminal of a hundred columns.

use pipe_runner::{Audit, AuditedCall, AuditedRule, Finding, Reach, Role, Severity};

use super::{asked, count, grouped, no_runs, policies, some_steps, visible, whom};
use crate::printer::{ADVICE, BAD, CAREFUL, QUIET, STRONG, styled};

const WIDTH: usize = 100;
/// Where what is known of a rule begins, if the rule ends before it.
const BESIDE: usize = 42;

/// The report.
pub(super) fn report(audit: &Audit) -> String {
    let mut lines = head(audit);
    lines.push(format!("\n{}", styled(STRONG, "May touch (! wants a second look)")));
    for reach in &audit.reach {
        lines.extend(reached(reach));
    }
    if audit.reach.is_empty() {
        lines.push("  nothing".to_owned());
    }
    if !audit.not_granted.is_empty() {
        lines.extend(
            wrapped("  ", "  ", &format!("nothing of {}", audit.not_granted.join(", ")))
                .map(|line| styled(QUIET, &line)),
        );
    }
    let (look, notes): (Vec<&Finding>, Vec<&Finding>) =
        audit.findings.iter().partition(|finding| finding.severity > Severity::Note);
    for (title, findings) in [("Wants a look", look), ("Notes", notes)] {
        if !findings.is_empty() {
            lines.push(format!("\n{}", styled(STRONG, title)));
            lines.extend(findings.into_iter().flat_map(|finding| found(audit, finding)));
        }
    }
    for (role, title) in [
        (Role::Step, "Steps"),
        (Role::Rollback, "After a rollback"),
        (Role::Notification, "Notifications"),
        (Role::Check, "Checks of guards and of the watch"),
    ] {
        let calls: Vec<&AuditedCall> = audit.calls.iter().filter(|call| call.role == role).collect();
        if !calls.is_empty() {
            lines.push(format!("\n{}", styled(STRONG, title)));
            lines.extend(calls.into_iter().flat_map(|call| row(audit, call)));
        }
    }
    if !audit.gates.is_empty() {
        lines.push(format!("\n{}", styled(STRONG, "People decide")));
    }
    for gate in &audit.gates {
        let what = format!("{}: {}", visible(&gate.planned.gate.to_string()), visible(&gate.summary()));
        lines.extend(wrapped("  ", "    ", &what));
        let signer = |signer: &pipe_runner::AuditedSigner| format!("    {} {}", visible(&signer.principal), signer.key);
        lines.extend(gate.signers.iter().map(|known| styled(QUIET, &signer(known))));
    }
    lines.join("\n")
}

fn head(audit: &Audit) -> Vec<String> {
    let mut lines = vec![format!("{} in {}", styled(STRONG, &audit.pipeline), audit.environment)];
    let file = visible(&audit.file.display().to_string());
    lines.push(styled(QUIET, &format!("  {file}, sha256 {}", audit.file_digest.short())));
    let runs = match &audit.record {
        None => no_runs(audit).to_owned(),
        Some(seen) => format!("{} looked at, the last {}", count(seen.runs, "finished run"), seen.last),
    };
    lines.push(styled(QUIET, &format!("  {}, {}, {runs}", count(audit.calls.len(), "call"), policies(audit))));
    let counts = &audit.counts;
    let told = |number: usize, word: &str, style| {
        let text = count(number, word);
        if number == 0 { text } else { styled(style, &text) }
    };
    lines.push(format!(
        "  {}, {}, {}",
        told(counts.errors, "error", BAD),
        told(counts.warnings, "warning", CAREFUL),
        count(counts.notes, "note")
    ));
    lines
}

fn reached(reach: &Reach) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, (names, thing)) in grouped(reach).into_iter().enumerate() {
        let area = if index == 0 { reach.area } else { "" };
        let address = thing.address.as_ref().map_or_else(String::new, |address| format!(" ({})", visible(address)));
        let mark = if thing.flag.is_some() { "!" } else { " " };
        let names = visible(&names.join(", "));
        let (how, steps) = (visible(&thing.how.join(", ")), some_steps(&thing.steps));
        let text = format!("{names}{address}: {how}, by {steps}");
        lines.extend(wrapped(&format!("  {area:<10} {mark} "), &" ".repeat(15), &text));
    }
    lines
}

fn found(audit: &Audit, finding: &Finding) -> Vec<String> {
    let style = match finding.severity {
        Severity::Error => BAD,
        Severity::Warning => CAREFUL,
        Severity::Note => QUIET,
    };
    let indent = " ".repeat(10);
    let mark = format!("  {:<8}", finding.severity.word());
    let mut lines: Vec<String> = wrapped(&mark, &indent, &visible(&finding.message)).collect();
    lines[0] = lines[0].replacen(&mark, &styled(style, &mark), 1);
    let who = whom(finding, visible);
    let file = visible(&audit.file.display().to_string());
    lines.push(styled(QUIET, &format!("{indent}{}: {who}, {file}:{}", finding.check, finding.place.line)));
    if let Some(hint) = &finding.hint {
        let mut text: Vec<String> = wrapped(&indent, &indent, &format!("hint: {}", visible(hint))).collect();
        text[0] = text[0].replacen("hint", &styled(ADVICE, "hint"), 1);
        lines.extend(text);
    }
    lines
}

fn row(audit: &Audit, call: &AuditedCall) -> Vec<String> {
    let plugin = &call.plugin;
    let mut about = vec![call.stage.to_string()];
    about.push(format!("{} {} {}", visible(&plugin.name), visible(&plugin.version), plugin.sha256.short()));
    about.push(format!("line {}", call.place.line));
    if call.reversible {
        about.push("undone on failure".to_owned());
    }
    let mut lines =
        vec![format!("  {} {}", styled(STRONG, &visible(&call.step.to_string())), styled(QUIET, &about.join(", ")))];
    for rule in &call.rules {
        let text = visible(&rule.rule);
        let standing = standing(audit, call, rule);
        if text.chars().count() < BESIDE - 14 {
            lines.push(format!("    {:<10}{text:<width$}{standing}", rule.word, width = BESIDE - 14));
        } else {
            lines.extend(wrapped(&format!("    {:<10}", rule.word), &" ".repeat(16), &text));
            lines.push(format!("{}{standing}", " ".repeat(16)));
        }
    }
    if call.rules.is_empty() {
        lines.push("    nothing is granted".to_owned());
    }
    let listed = |words: Vec<String>| if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    let asks = asked(plugin).into_iter().map(visible).collect();
    let text = format!("asks for  {}", listed(asks));
    lines.extend(wrapped("    ", " ".repeat(14).as_str(), &text).map(|line| styled(QUIET, &line)));
    let imports = plugin.imports.iter().filter(|import| import.word.is_some()).map(|import| visible(&import.name));
    let imports = format!("imports   {}", listed(imports.collect()));
    lines.extend(wrapped("    ", " ".repeat(14).as_str(), &imports).map(|line| styled(QUIET, &line)));
    lines
}

/// Line, last use, policy, findings of a rule.
fn standing(audit: &Audit, call: &AuditedCall, rule: &AuditedRule) -> String {
    let mut about = vec![format!("line {}", rule.place.line)];
    match (&rule.last_use, &audit.record) {
        (Some(last), Some(seen)) => {
            about.push(format!(
                "used {} in {} of {}",
                last.at.strftime("%Y-%m-%d %H:%M:%S"),
                last.runs,
                count(seen.runs, "run")
            ));
        }
        (None, Some(_)) if call.record.as_ref().is_some_and(|record| record.succeeded > 0) => {
            about.push("never used".to_owned());
        }
        (None, Some(_)) => about.push("not yet succeeded".to_owned()),
        (_, None) => {}
    }
    match rule.within_policy {
        Some(true) => about.push("within the policy".to_owned()),
        Some(false) => about.push("above the policy".to_owned()),
        None => {}
    }
    let mut text = styled(QUIET, &about.join(", "));
    let mut told: Vec<&str> = Vec::new();
    for finding in rule.findings.iter().filter_map(|index| audit.findings.get(*index)) {
        if told.contains(&finding.check) {
            continue;
        }
        told.push(finding.check);
        match finding.severity {
            Severity::Error => text.push_str(&format!("  {}", styled(BAD, finding.check))),
            Severity::Warning => text.push_str(&format!("  {}", styled(CAREFUL, finding.check))),
            Severity::Note => {}
        }
    }
    text
}

/// `text` in lines of a terminal's width, the first behind `first` and the others behind `rest`.
pub(in crate::commands) fn wrapped(first: &str, rest: &str, text: &str) -> impl Iterator<Item = String> + use<> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split(' ') {
        let length = line.chars().count() + usize::from(begun) + word.chars().count();
        if begun && length > WIDTH {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    lines.push(line);
    lines.into_iter()
}
