//! Changes rules of a pipeline file where they stand. Not a byte is touched that does not belong to one of them, so that
//! comments and order survive.

use std::{collections::BTreeMap, ops::Range};

use pipe_capability::{
    suggest::{Suggested, quoted},
    word::Word,
};

use crate::{
    document::{AllowSpec, Document},
    node::{self, Entry, Node, Table, Value},
    report::Report,
};

/// Where an `allow` stands: the section, and its place there from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Step(usize),
    Check(usize),
    Rollback(usize),
    Notify(usize),
}

/// What takes the place of one rule.
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) word: Word,
    /// Its place in the word's array, from 0.
    pub(super) index: usize,
    /// Words, and values of their arrays. Nothing: the rule is taken away.
    pub(super) to: Vec<(&'static str, String)>,
}

/// A text that takes the place of a part of the file.
type Splice = (Range<usize>, String);

/// The rules of an `allow` as they stand in the file.
pub(super) fn sources(document: &Document, place: Place) -> BTreeMap<Word, Vec<String>> {
    let source = |node: &Node| document.file.text.get(node.span.clone()).unwrap_or_default().to_owned();
    let Some(allow) = allow(document, place) else { return BTreeMap::new() };
    let of_word = |word: Word| Some((word, items(&allow.get(word.as_str())?.node).iter().map(source).collect()));
    Word::ALL.into_iter().filter_map(of_word).collect()
}

/// A narrower rule as a value of the file: the table that the rule is, with another text in it, or the text alone.
pub(super) fn value(document: &Document, allow: &AllowSpec, rule: &Suggested, word: Word, text: &str) -> String {
    let table = || {
        let spec = allow.http.get(rule.index).filter(|_| word == Word::Http && rule.word == Word::Http)?;
        let whole = spec.table.clone()?;
        let source = document.file.text.get(whole.clone())?;
        let inner = spec.rule.span.start.checked_sub(whole.start)?..spec.rule.span.end.checked_sub(whole.start)?;
        Some(format!("{}{}{}", source.get(..inner.start)?, quoted(text), source.get(inner.end..)?))
    };
    table().unwrap_or_else(|| quoted(text))
}

/// The file with the changes, and a comment above each `allow` of `noted`.
pub(super) fn apply(document: &Document, changes: &[Change], noted: &[Place], note: &str) -> String {
    let text = &document.file.text;
    let mut splices: Vec<Splice> = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for change in changes {
        if !places.contains(&change.place) {
            places.push(change.place);
        }
    }
    for place in places {
        let Some(allow) = allow(document, place) else { continue };
        splices.extend(of_allow(text, &allow, changes.iter().filter(|change| change.place == place)));
    }
    splices.extend(noted.iter().filter_map(|place| comment(document, *place, note)));
    // From the end, so that what stands before keeps its place.
    splices.sort_by_key(|(range, _)| range.start);
    let mut edited = text.clone();
    for (range, with) in splices.into_iter().rev() {
        edited.replace_range(range, &with);
    }
    edited
}

/// A comment above an `allow`, in place of an older one of the same beginning. Nothing where no line of its own begins there.
fn comment(document: &Document, place: Place, note: &str) -> Option<Splice> {
    let text = &document.file.text;
    let first = allow(document, place)?.entries.iter().map(|entry| entry.key_span.start).min()?;
    let line = text.get(..first)?.rfind('\n').map_or(0, |at| at + 1);
    let prefix = text.get(line..first)?;
    if prefix.contains(|c: char| !c.is_whitespace() && !c.is_alphanumeric() && c != '.') {
        return None;
    }
    let indent: String = prefix.chars().take_while(|c| c.is_whitespace()).collect();
    let before = text.get(..line)?.trim_end_matches('\n');
    let above = before.rfind('\n').map_or(0, |at| at + 1);
    let (begins, _) = note.split_once(" in run ")?;
    let older = text.get(above..line)?.trim_start().starts_with(begins);
    Some((if older { above..line } else { line..line }, format!("{indent}{note}\n")))
}

/// The table of an `allow`.
fn allow(document: &Document, place: Place) -> Option<Table> {
    let (section, index) = match place {
        Place::Step(index) => ("step", index),
        Place::Check(index) => ("check", index),
        Place::Rollback(index) => ("rollback", index),
        Place::Notify(index) => ("notify", index),
    };
    let root = node::tree(&Report::new(&document.file))?;
    let Value::Table(entry) = &items(&root.get(section)?.node).get(index)?.value else { return None };
    match &entry.get("allow")?.node.value {
        Value::Table(table) => Some(table.clone()),
        _ => None,
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// The changes of one `allow`. Rules that get another word go to the end of that word's array, or into a new one.
fn of_allow<'c>(text: &str, allow: &Table, changes: impl Iterator<Item = &'c Change>) -> Vec<Splice> {
    let mut kept: BTreeMap<Word, Vec<Option<Vec<String>>>> = BTreeMap::new();
    let mut moved: Vec<(Word, &'static str, String)> = Vec::new();
    for change in changes {
        let Some(entry) = allow.get(change.word.as_str()) else { continue };
        let rules = kept.entry(change.word).or_insert_with(|| vec![None; items(&entry.node).len()]);
        let own = change.to.iter().filter(|(word, _)| *word == change.word.as_str()).map(|(_, rule)| rule.clone());
        if let Some(rule) = rules.get_mut(change.index) {
            *rule = Some(own.collect());
        }
        let others = change.to.iter().filter(|(word, _)| *word != change.word.as_str());
        moved.extend(others.map(|(word, rule)| (change.word, *word, rule.clone())));
    }
    let mut new: BTreeMap<Word, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for (from, to, rule) in moved {
        match to.parse::<Word>().ok().zip(allow.get(to)) {
            Some((word, entry)) => {
                let items = items(&entry.node);
                let rules = kept.entry(word).or_insert_with(|| vec![None; items.len()]);
                match (rules.last_mut(), items.last()) {
                    (Some(last), Some(item)) => {
                        let own = || vec![text.get(item.span.clone()).unwrap_or_default().to_owned()];
                        last.get_or_insert_with(own).push(rule);
                    }
                    _ => rules.push(Some(vec![rule])),
                }
            }
            None => new.entry(from).or_default().entry(to).or_default().push(rule),
        }
    }
    let mut splices = Vec::new();
    for (word, rules) in kept {
        let Some(entry) = allow.get(word.as_str()) else { continue };
        let new = new.remove(&word).unwrap_or_default();
        splices.extend(of_word(text, entry, &rules, &new));
    }
    splices
}

/// The changes of one word: its rules, each with what takes its place, and further words that follow it.
fn of_word(text: &str, entry: &Entry, rules: &[Option<Vec<String>>], new: &BTreeMap<&str, Vec<String>>) -> Vec<Splice> {
    let array = &entry.node;
    let whole = entry.key_span.start..array.span.end;
    let line = text.get(..whole.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let prefix = text.get(line..whole.start).unwrap_or_default();
    // `allow.read = […]` on a line of its own, or within an inline table.
    let own_line = !prefix.contains(['{', ',', '=']) && !rest_of_line(text, whole.end).starts_with(',');
    let further: Vec<String> = new.iter().map(|(word, rules)| format!("{word} = [{}]", rules.join(", "))).collect();
    let nothing_left = rules.iter().all(|rule| rule.as_ref().is_some_and(Vec::is_empty));
    if nothing_left {
        return vec![match (further.is_empty(), own_line) {
            (false, true) => (whole, further.join(&format!("\n{prefix}"))),
            (false, false) => (whole, further.join(", ")),
            (true, true) => (line..end_of_line(text, whole.end), String::new()),
            (true, false) => (with_comma(text, whole), String::new()),
        }];
    }
    let mut splices = of_array(text, array, rules);
    if !further.is_empty() {
        let lead = if own_line { format!("\n{prefix}") } else { ", ".to_owned() };
        let rest = text.get(whole.end..).unwrap_or_default();
        let at = whole.end + if own_line { rest.find('\n').unwrap_or(rest.len()) } else { 0 };
        splices.push((at..at, further.iter().map(|word| format!("{lead}{word}")).collect()));
    }
    splices
}

/// The changes within an array.
fn of_array(text: &str, array: &Node, rules: &[Option<Vec<String>>]) -> Vec<Splice> {
    let items = items(array);
    let source = |node: &Node| text.get(node.span.clone()).unwrap_or_default().to_owned();
    if !source(array).contains('\n') || items.is_empty() {
        let one = |(index, rule): (usize, &Option<Vec<String>>)| match (rule, items.get(index)) {
            (Some(rules), _) => rules.clone(),
            (None, Some(item)) => vec![source(item)],
            (None, None) => Vec::new(),
        };
        let all: Vec<String> = rules.iter().enumerate().flat_map(one).collect();
        return vec![(array.span.clone(), format!("[{}]", all.join(", ")))];
    }
    let changed = items.iter().zip(rules).filter_map(|(item, rule)| Some((item, rule.as_ref()?)));
    changed
        .map(|(item, rules)| {
            let line = text.get(..item.span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
            let before = text.get(line..item.span.start).unwrap_or_default();
            let separator = if before.trim().is_empty() { format!(",\n{before}") } else { ", ".to_owned() };
            match rules.as_slice() {
                [] => (without_line(text, with_comma(text, item.span.clone())), String::new()),
                rules => (item.span.clone(), rules.join(&separator)),
            }
        })
        .collect()
}

/// An item of a list with the comma that follows it; with the one before where it is the last and none does.
fn with_comma(text: &str, item: Range<usize>) -> Range<usize> {
    let after = text.get(item.end..).unwrap_or_default();
    let gap = after.len() - after.trim_start().len();
    if after[gap..].starts_with(',') {
        let end = item.end + gap + 1;
        let spaces = text.get(end..).unwrap_or_default();
        return item.start..end + (spaces.len() - spaces.trim_start_matches(' ').len());
    }
    let before = text.get(..item.start).unwrap_or_default().trim_end();
    match before.strip_suffix(',') {
        // A comment may stand between: then the comma stays, which an array allows.
        Some(rest) if !text[before.len()..item.start].contains('#') => rest.len()..item.end,
        _ => item,
    }
}

/// The whole line where nothing but a comment would be left of it.
fn without_line(text: &str, item: Range<usize>) -> Range<usize> {
    let line = text.get(..item.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let rest = rest_of_line(text, item.end);
    let alone = text.get(line..item.start).is_some_and(|before| before.trim().is_empty())
        && (rest.is_empty() || rest.starts_with('#'));
    if alone { line..end_of_line(text, item.end) } else { item }
}

fn rest_of_line(text: &str, from: usize) -> &str {
    text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
}

/// Where the next line begins.
fn end_of_line(text: &str, from: usize) -> usize {
    text.get(from..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| from + at + 1)
}
