//! What earlier runs tell of a grant.

use super::{About, CallFacts, Check, Severity, Verdict, rules};
use crate::word::Word;

/// Refusals that are named one by one.
const MOST_REFUSALS: usize = 5;

pub(super) fn verdicts(facts: &CallFacts<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let Some(record) = facts.record else { return verdicts };
    // A step that never came to its end says nothing about what it needs.
    if record.succeeded > 0 {
        for (rule, toml) in
            rules(facts.grant).filter(|(rule, _)| record.had.contains(rule) && !record.used.contains(rule))
        {
            let message = format!("no run has used {toml}, and the step succeeded in {}", runs(record.succeeded));
            let verdict = Verdict::new(Check::NeverUsed, About::Rule(rule), message);
            verdicts.push(if facts.undo && !facts.irreversible && !record.undone {
                verdict.hint("it was never undone in these runs: keep what only undoing needs")
            } else {
                verdict
            });
        }
    }
    for (rule, lines) in facts.narrower.iter().filter(|_| record.succeeded > 0) {
        let message = "the rule is wider than all that the runs used of it";
        let verdict = Verdict::new(Check::BroaderThanNeeded, About::Rule(*rule), message);
        let verdict = verdict.hint(format!("this would have been enough: {}", lines.join(" and ")));
        // One file instead of its directory is worth a thought; another method or reading for writing is worth an answer.
        let same_word = lines.iter().all(|line| line.starts_with(&format!("allow.{} = ", rule.word)));
        let less = !same_word || matches!(rule.word, Word::Http | Word::Sql);
        verdicts.push(if less { verdict } else { verdict.at(Severity::Note) });
    }
    for (refusal, count) in record.refused.iter().take(MOST_REFUSALS) {
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        let message =
            format!("asked for {} {}, and was refused {times}: {}", refusal.word, refusal.subject, refusal.reason);
        verdicts.push(Verdict::new(Check::WasRefused, About::Call, message));
    }
    if let Some(more) = record.refused.len().checked_sub(MOST_REFUSALS).filter(|more| *more > 0) {
        let message = format!("and {more} more that were refused; `pipe show` has them all");
        verdicts.push(Verdict::new(Check::WasRefused, About::Call, message));
    }
    if record.other_plugin {
        let message = format!("the last run had another `{}`", facts.plugin);
        verdicts.push(Verdict::new(Check::PluginChanged, About::Plugin, message));
    }
    verdicts
}

fn runs(count: usize) -> String {
    if count == 1 { "one run".to_owned() } else { format!("{count} runs") }
}
