//! Rules that would have been enough: what `pipe suggest` says of the newest runs, where none of them speaks against it.

use std::collections::{BTreeMap, BTreeSet};

use pipe_capability::{audit::RuleKey, word::Word};
use pipe_journal::{JournalError, Reader, RunSummary};
use pipe_pipeline::{Advice, Document, RuleAdvice, RunFacts, Selection, activity, suggest};

/// The runs that are asked, the newest: each is held against the whole file.
const RUNS_ASKED: usize = 5;

/// Of each step by name, the rules that are wider than needed: the lines that would have been enough.
pub(crate) type Narrower = BTreeMap<String, BTreeMap<RuleKey, Vec<String>>>;

/// Asks the newest of `runs`, which are newest first.
pub(super) fn narrower(reader: &Reader, document: &Document, runs: &[RunSummary]) -> Result<Narrower, JournalError> {
    let mut narrower = Narrower::new();
    let mut kept: BTreeSet<(String, RuleKey)> = BTreeSet::new();
    for run in runs.iter().take(RUNS_ASKED) {
        let events = reader.events(&run.run)?;
        let activity = activity(events.iter().filter_map(|event| event.event.known()));
        // A run whose inputs the file no longer takes says nothing about it.
        let Ok(suggestion) = suggest(document, &selection(document, run), &activity) else { continue };
        for entry in suggestion.entries.iter().filter(|entry| entry.unknown.is_none()) {
            for (step, (key, rule)) in
                entry.steps.iter().flat_map(|step| keyed(&entry.rules).map(move |one| (step, one)))
            {
                match &rule.advice {
                    Advice::Keep => drop(kept.insert((step.clone(), key))),
                    // Another run may have used it.
                    Advice::Drop => {}
                    Advice::Narrow(rules) => {
                        narrower.entry(step.clone()).or_default().entry(key).or_insert_with(|| lines(rules));
                    }
                }
            }
        }
    }
    for (step, key) in &kept {
        if let Some(rules) = narrower.get_mut(step) {
            rules.remove(key);
        }
    }
    Ok(narrower)
}

/// The rules of an entry, by word and place: they are listed in that order.
fn keyed(rules: &[RuleAdvice]) -> impl Iterator<Item = (RuleKey, &RuleAdvice)> {
    let mut counts: BTreeMap<Word, usize> = BTreeMap::new();
    rules.iter().filter_map(move |rule| {
        let word: Word = rule.word.parse().ok()?;
        let count = counts.entry(word).or_default();
        let index = *count;
        *count += 1;
        Some((RuleKey { word, index }, rule))
    })
}

/// Rules as lines of the pipeline file, one for each word.
fn lines(rules: &[(&'static str, String)]) -> Vec<String> {
    let mut words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (word, rule) in rules {
        words.entry(word).or_default().push(rule);
    }
    words.into_iter().map(|(word, rules)| format!("allow.{word} = [{}]", rules.join(", "))).collect()
}

/// The file as that run selected it.
fn selection(document: &Document, run: &RunSummary) -> Selection {
    let has_environments = document.environments().next().is_some();
    Selection {
        environment: has_environments.then(|| run.environment.clone()),
        inputs: run.inputs.clone(),
        // No grant depends on those before.
        previous: run.inputs.clone(),
        run: RunFacts { id: run.run.clone(), started: run.started },
    }
}
