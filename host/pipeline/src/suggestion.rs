//! The file that would have sufficed for a run: every grant cut down to what was used, and nothing else changed.
//!
//! What is suggested is proved before it is handed out: the changed file is read and checked like any other, covers every
//! recorded use, and grants nothing new.

mod activity;
mod edit;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::{
    grant::Grant,
    suggest::{Call as Used, Facts, Lying, Suggested, Verdict, missing, suggest as narrower},
    word::Word,
};
use pipe_core::{
    diagnostic::{Diagnostic, SourceFile},
    event::Use,
    id::{RunId, StepId},
};

pub use self::activity::{Activity, Ended, activity};
use self::edit::{Change, Place};
use crate::{
    check::{Selection, check},
    document::{AllowSpec, Body, Document, RollbackSpec, StepSpec, parse},
    pipeline::{Pipeline, Step},
    place,
    reference::{Piece, Template},
};

/// What is said of a step that is there to change something, and changed nothing.
const NOTHING_TO_DO: &str = "had nothing to do in this run, and may need more when it has";

/// The beginning of the comment above a grant that is kept for that reason.
const NOT_JUDGED: &str = "# Not judged by `pipe suggest`: the step had nothing to do";

/// The shortest value that is looked for in paths: a shorter one is found everywhere.
const SHORTEST_VALUE: usize = 3;

/// What a run says about the grants of its file.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// One for each `allow` of the file, in the order of the file.
    pub entries: Vec<EntryAdvice>,
    /// The file with what is suggested. The file itself where nothing is.
    pub text: String,
}

/// What a run says about one `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryAdvice {
    /// Name of the step, check or notification.
    pub name: String,
    /// Names of the steps that it is for: of a check those that run it, else its own.
    pub steps: Vec<String>,
    /// Why nothing can be said, where that is so. Lower-case fragment.
    pub unknown: Option<String>,
    /// Whether something of it was undone: only then it is known what undoing needs.
    pub undone: bool,
    /// One for each rule, word by word.
    pub rules: Vec<RuleAdvice>,
}

/// What a run says about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleAdvice {
    /// Word of `allow`.
    pub word: &'static str,
    /// As it stands in the file.
    pub rule: String,
    /// How often it was used.
    pub uses: usize,
    /// What is suggested.
    pub advice: Advice,
    /// Why. Lower-case fragment.
    pub why: String,
}

/// What is suggested for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Leave it.
    Keep,
    /// Put these in its place: word, and rule as it would stand in the file.
    Narrow(Vec<(&'static str, String)>),
    /// Take it away.
    Drop,
}

/// An `allow` of the file, and the calls that it is for.
struct Owner<'d> {
    name: &'d str,
    place: Place,
    allow: &'d AllowSpec,
    /// Names of the steps that are called with it.
    steps: Vec<&'d str>,
}

/// Says what would have sufficed for a run of `document`, selected as that run was.
///
/// # Errors
///
/// What is wrong with the file, in that environment with those inputs.
pub fn suggest(
    document: &Document,
    selection: &Selection,
    activity: &BTreeMap<StepId, Activity>,
) -> Result<Suggestion, Vec<Diagnostic>> {
    let pipeline = check(document, selection)?.pipeline;
    let made = made(&pipeline.base, activity);
    let owners = owners(document);
    let mut found: Vec<(EntryAdvice, Vec<Suggested>)> =
        owners.iter().map(|owner| advise(document, &pipeline, owner, activity, &made)).collect();
    loop {
        let text = edited(document, &owners, &found, &selection.run.id);
        let bad = unproved(document, selection, &pipeline, activity, &owners, &found, &text);
        if bad.is_empty() {
            let entries = found.into_iter().map(|(entry, _)| entry).filter(|entry| !entry.rules.is_empty()).collect();
            return Ok(Suggestion { entries, text });
        }
        for at in bad {
            let (entry, suggested) = &mut found[at];
            suggested.clear();
            for rule in &mut entry.rules {
                rule.advice = Advice::Keep;
            }
            entry.unknown = Some("what would be suggested could not be proved to suffice".to_owned());
        }
    }
}

/// Every `allow` of the file.
fn owners(document: &Document) -> Vec<Owner<'_>> {
    let rollback = document.rollback.iter().flatten().filter_map(|entry| match entry {
        RollbackSpec::Run(step) => Some((Place::Rollback(step.at), step)),
        RollbackSpec::Undo { .. } | RollbackSpec::Gate(_) => None,
    });
    let notifications = document.notifications.iter().map(|entry| &entry.step);
    let steps: Vec<(Place, &StepSpec)> = (document.steps.iter())
        .map(|step| (Place::Step(step.at), step))
        .chain(document.checks.iter().map(|step| (Place::Check(step.at), step)))
        .chain(rollback)
        .chain(notifications.map(|step| (Place::Notify(step.at), step)))
        .collect();
    let called_by = |place: Place, name: &str| {
        let calls = |(other, step): &&(Place, &StepSpec)| match &step.body {
            Body::Call(_) => *other == place && !matches!(place, Place::Check(_)),
            Body::Check(check) => matches!(place, Place::Check(_)) && check.value == name,
        };
        steps.iter().filter(calls).map(|(_, step)| step.name.value.as_str()).collect()
    };
    let mut owners = Vec::new();
    for (place, step) in &steps {
        if let Body::Call(call) = &step.body {
            let name = step.name.value.as_str();
            let mut calls: Vec<&str> = called_by(*place, name);
            // A check that a guard makes runs under its own name.
            calls.extend((matches!(place, Place::Check(_)) && document.guards_with(name)).then_some(name));
            owners.push(Owner { name, place: *place, allow: &call.allow, steps: calls });
        }
    }
    owners
}

/// What is said about one `allow`.
fn advise(
    document: &Document,
    pipeline: &Pipeline,
    owner: &Owner<'_>,
    activity: &BTreeMap<StepId, Activity>,
    made: &BTreeSet<PathBuf>,
) -> (EntryAdvice, Vec<Suggested>) {
    let sources = edit::sources(document, owner.place);
    let calls: Vec<&Step> = pipeline.calls().filter(|step| owner.steps.contains(&step.id.name.as_str())).collect();
    let none = Activity::default();
    let known: Vec<&Activity> = calls.iter().map(|step| activity.get(&step.id).unwrap_or(&none)).collect();
    let unknown = unknown(&calls, &known);
    let grants: Vec<Grant> = calls.iter().map(|step| canonical(&step.grant, &pipeline.base)).collect();
    let varying: Vec<Vec<String>> = calls.iter().map(|step| varying(pipeline, step)).collect();
    let used: Vec<Used<'_>> = (grants.iter().zip(&known).zip(&varying))
        .map(|((grant, known), varying)| Used { grant, uses: &known.uses, varying })
        .collect();
    let written = |word: Word, index: usize| written(owner.allow, word, index);
    let facts = Facts { base: &pipeline.base, written: &written, lies: &lies, made };
    let mut suggested = narrower(&used, &facts);
    let source = |word: Word, index: usize| sources.get(&word).and_then(|rules| rules.get(index)).cloned();
    let rules = suggested.iter().map(|rule| RuleAdvice {
        word: rule.word.as_str(),
        rule: source(rule.word, rule.index).unwrap_or_default(),
        uses: rule.uses,
        advice: match &rule.verdict {
            _ if unknown.is_some() => Advice::Keep,
            Verdict::Keep => Advice::Keep,
            Verdict::Drop => Advice::Drop,
            Verdict::Narrow(rules) => Advice::Narrow(
                rules
                    .iter()
                    .map(|(word, text)| (word.as_str(), edit::value(document, owner.allow, rule, *word, text)))
                    .collect(),
            ),
        },
        why: rule.why.clone(),
    });
    let entry = EntryAdvice {
        steps: owner.steps.iter().map(|step| (*step).to_owned()).collect(),
        name: owner.name.to_owned(),
        undone: known.iter().any(|known| known.undone),
        rules: rules.collect(),
        unknown,
    };
    if entry.unknown.is_some() {
        suggested.clear();
    }
    (entry, suggested)
}

/// Why a run says nothing about a grant: only a call that went well used all that it needs.
fn unknown(calls: &[&Step], known: &[&Activity]) -> Option<String> {
    if calls.is_empty() {
        return Some("no step calls it".to_owned());
    }
    let (step, ended) = calls.iter().zip(known).find_map(|(step, known)| match known.ended {
        Ended::Succeeded => None,
        other => Some((&step.id, other)),
    })?;
    let what = match ended {
        Ended::Failed => "failed, and may have needed more",
        Ended::Idle => NOTHING_TO_DO,
        Ended::Never | Ended::Succeeded => "did not run",
    };
    Some(if calls.len() == 1 { format!("it {what}") } else { format!("\"{step}\" {what}") })
}

/// Values that another run or another call may have others of.
fn varying(pipeline: &Pipeline, step: &Step) -> Vec<String> {
    let own = step.id.instance.iter();
    let values = pipeline.inputs.values().chain(own).chain([&pipeline.environment]);
    values.filter(|value| value.len() >= SHORTEST_VALUE).cloned().collect()
}

/// A grant as a run has it: its paths lead where they lead on this machine.
fn canonical(grant: &Grant, base: &Path) -> Grant {
    let mut grant = grant.clone();
    for rule in grant.read.iter_mut().chain(&mut grant.write).chain(&mut grant.disk) {
        rule.resolved = place::real(&rule.resolved);
    }
    for rule in &mut grant.exec {
        rule.cwd = rule.cwd.as_ref().map(|cwd| place::real(&place::resolve(base, cwd)).to_string_lossy().into_owned());
    }
    grant
}

/// Every path that the run wrote.
fn made(base: &Path, activity: &BTreeMap<StepId, Activity>) -> BTreeSet<PathBuf> {
    let uses = activity.values().flat_map(|known| &known.uses);
    uses.filter(|used| used.word == Word::Write.as_str()).map(|used| base.join(&used.subject)).collect()
}

fn lies(path: &Path) -> Lying {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Lying::Directory,
        Ok(metadata) if metadata.is_file() => Lying::File,
        _ => Lying::Other,
    }
}

/// The text of a rule as the file has it, references and all. Of a table, what the engine narrows.
fn written(allow: &AllowSpec, word: Word, index: usize) -> Option<String> {
    let template = match word {
        Word::Http => &allow.http.get(index)?.rule,
        Word::Tcp | Word::Tls | Word::Mail | Word::Secrets | Word::Exec => return None,
        _ => allow.texts.iter().filter(|(of, _)| *of == word).map(|(_, template)| template).nth(index)?,
    };
    Some(unresolved(template))
}

/// The string that a template was read from.
pub(crate) fn unresolved(template: &Template) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Literal(text) => text.replace("${", "$${"),
        Piece::Reference(reference) => reference.written.clone(),
    };
    template.pieces.iter().map(text).collect()
}

/// The file with everything that is suggested. Whoever reads it later should not take for needed what only could not be
/// judged: where something is changed, that is said above the grants of steps that had nothing to do in `run`.
fn edited(document: &Document, owners: &[Owner<'_>], found: &[(EntryAdvice, Vec<Suggested>)], run: &RunId) -> String {
    let mut changes = Vec::new();
    for (owner, (entry, suggested)) in owners.iter().zip(found) {
        for (rule, advice) in suggested.iter().zip(&entry.rules) {
            let to = match &advice.advice {
                Advice::Keep => continue,
                Advice::Drop => Vec::new(),
                Advice::Narrow(rules) => rules.clone(),
            };
            changes.push(Change { place: owner.place, word: rule.word, index: rule.index, to });
        }
    }
    if changes.is_empty() {
        return document.file.text.clone();
    }
    let idle = |entry: &EntryAdvice| entry.unknown.as_ref().is_some_and(|why| why.ends_with(NOTHING_TO_DO));
    let idle = owners.iter().zip(found).filter(|(_, (entry, _))| idle(entry)).map(|(owner, _)| owner.place);
    let note = format!("{NOT_JUDGED} in run {run}, and may need all of this when it has");
    edit::apply(document, &changes, &idle.collect::<Vec<_>>(), &note)
}

/// The entries for which the changed file does not suffice, or grants what was not granted.
fn unproved(
    document: &Document,
    selection: &Selection,
    before: &Pipeline,
    activity: &BTreeMap<StepId, Activity>,
    owners: &[Owner<'_>],
    found: &[(EntryAdvice, Vec<Suggested>)],
    text: &str,
) -> Vec<usize> {
    let changed = |(_, (_, suggested)): &(usize, &(EntryAdvice, Vec<Suggested>))| {
        suggested.iter().any(|rule| rule.verdict != Verdict::Keep)
    };
    let changed: Vec<usize> = found.iter().enumerate().filter(changed).map(|(at, _)| at).collect();
    let file = Arc::new(SourceFile { path: document.file.path.clone(), text: text.to_owned() });
    let Ok(after) = parse(&file).and_then(|document| check(&document, selection)) else { return changed };
    let after: BTreeMap<&StepId, &Step> = after.pipeline.calls().map(|step| (&step.id, step)).collect();
    let nothing: Vec<Use> = Vec::new();
    let proved = |at: &usize| {
        let of_owner = before.calls().filter(|step| owners[*at].steps.contains(&step.id.name.as_str()));
        of_owner.into_iter().all(|step| {
            let Some(narrow) = after.get(&step.id) else { return false };
            let (granted, narrow) = (canonical(&step.grant, &before.base), canonical(&narrow.grant, &before.base));
            let uses = activity.get(&step.id).map_or(&nothing, |known| &known.uses);
            granted.includes(&narrow) && missing(&granted, &narrow, uses, &before.base).is_none()
        })
    };
    changed.into_iter().filter(|at| !proved(at)).collect()
}
