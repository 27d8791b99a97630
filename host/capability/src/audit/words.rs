//! Three lists of words that should be one: what the plugin says it needs, what its binary can use, what it was granted.

use std::collections::BTreeSet;

use super::{About, CallFacts, Check, Verdict, imports};
use crate::word::Word;

pub(super) fn verdicts(facts: &CallFacts<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for word in facts.granted() {
        let about = About::Rule(super::RuleKey { word, index: 0 });
        if !imports::can_use(facts.imports, word) {
            let message = format!("`allow.{word}` is granted, and the plugin does not import what it needs to use it");
            verdicts.push(Verdict::new(Check::CannotBeUsed, about, message).hint(format!("leave `allow.{word}` out")));
        } else if !requests(facts, word) {
            let message = format!("`allow.{word}` is granted, and the plugin never says that it needs it");
            verdicts.push(Verdict::new(Check::NotRequested, about, message));
        }
    }
    let imported: BTreeSet<&str> = facts.imports.iter().filter_map(|import| imports::word_of_import(import)).collect();
    let hidden = listed(imported.into_iter().filter(|word| !facts.requests.contains(word)));
    if let Some(words) = hidden {
        let message = format!("the binary can ask for {words}, and its description does not say so");
        verdicts.push(Verdict::new(Check::HiddenImport, About::Plugin, message));
    }
    let granted = |word: &str| {
        facts.granted().any(|granted| granted.as_str() == word || word == "read" && granted == Word::Write)
    };
    // A standard plugin asks by kind of setting, and no step has all of them: that it lacks some tells nothing.
    let missing = facts.requests.iter().copied().filter(|word| !facts.standard && !granted(word));
    if let Some(words) = listed(missing) {
        let message = format!("the plugin may ask for {words}, and has no rule for that");
        verdicts.push(Verdict::new(Check::NotGranted, About::Plugin, message));
    }
    verdicts
}

/// Whether the plugin says that it needs a word. One that writes reads as well.
fn requests(facts: &CallFacts<'_>, word: Word) -> bool {
    facts.requests.contains(word.as_str()) || word == Word::Read && facts.requests.contains(Word::Write.as_str())
}

/// `exec, http and sql`, each once; nothing for no word.
fn listed<'w>(words: impl Iterator<Item = &'w str>) -> Option<String> {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [before @ .., last] => Some(format!("{} and {last}", before.join(", "))),
    }
}
