//! Directories and files: those that were looked at, and those that were written.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use pipe_core::event::Use;

use super::{Call, Facts, MOST_RULES, Narrowed, varies};
use crate::{path::PathRule, word::Word};

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lying {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A link, which may lead elsewhere tomorrow; something else; or nothing.
    Other,
}

/// The narrower rules.
pub(super) fn narrowed(calls: &[Call<'_>], uses: &[&[&Use]], facts: &Facts<'_>, word: Word, index: usize) -> Narrowed {
    let written = (facts.written)(word, index)?;
    let mut of_calls = Vec::new();
    for (call, uses) in calls.iter().zip(uses) {
        let rules = match word {
            Word::Read => &call.grant.read,
            Word::Write => &call.grant.write,
            _ => &call.grant.disk,
        };
        of_calls.push(Needed::of(rules.get(index)?, uses, facts, call.varying)?);
    }
    // What one call of the step needs may not be there for another.
    let needed = of_calls.pop()?;
    if of_calls.iter().any(|other| *other != needed) {
        return None;
    }
    let Needed { read, write } = needed;
    let whole = Path::new("");
    let reading = if word == Word::Disk { Word::Disk } else { Word::Read };
    if write.contains(whole) || word != Word::Write && read.contains(whole) {
        return None;
    }
    let why = match (word, write.is_empty()) {
        (Word::Write, true) if read.contains(whole) => "nothing was written",
        (Word::Write, true) => "nothing was written, and nothing else was read",
        (Word::Write, false) => "nothing else was written",
        (Word::Disk, _) => "no other place was asked about",
        _ => "nothing else was read",
    };
    let rule = |word: Word, below: &PathBuf| Some((word, below_written(&written, below)?));
    let rules = write.iter().map(|below| rule(Word::Write, below)).chain(read.iter().map(|below| rule(reading, below)));
    Some((rules.collect::<Option<_>>()?, why))
}

/// The text of a path below a written one.
fn below_written(written: &str, below: &Path) -> Option<String> {
    // The characters of a reference, which here are only characters.
    let below = below.to_str()?.replace("${", "$${");
    Some(match written.strip_suffix('/').unwrap_or(written) {
        _ if below.is_empty() => written.to_owned(),
        "." => below,
        directory => format!("{directory}/{below}"),
    })
}

/// What is needed of a rule's directory, as paths below it. The empty path is the directory itself.
#[derive(Debug, PartialEq, Eq)]
struct Needed {
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
}

impl Needed {
    fn of(rule: &PathRule, uses: &[&Use], facts: &Facts<'_>, varying: &[String]) -> Option<Self> {
        let (mut read, mut write) = (BTreeSet::new(), BTreeSet::new());
        for used in uses {
            let path = place(facts.base, &used.subject);
            // Through a link, perhaps: where it leads today is not what was granted.
            let below = path.strip_prefix(&rule.resolved).ok()?;
            let writes = used.word == Word::Write.as_str();
            let narrow = narrow(&rule.resolved, below, writes, used.word == Word::Disk.as_str(), facts, varying);
            if writes {
                write.insert(narrow)
            } else {
                read.insert(narrow)
            };
        }
        let write = few(write);
        // What may be written may be read.
        read.retain(|path| !write.iter().any(|wider| path.starts_with(wider)));
        Some(Self { read: few(read), write })
    }
}

/// A path as it was shown, from the pipeline file. What is no plain path is as good as everything.
pub(super) fn place(base: &Path, shown: &str) -> PathBuf {
    base.join(shown).components().filter(|part| *part != Component::CurDir).collect()
}

/// How far down a grant can begin on the way to `below`: as long as it is certain that the same will lie there before the
/// next run.
fn narrow(root: &Path, below: &Path, writes: bool, disk: bool, facts: &Facts<'_>, varying: &[String]) -> PathBuf {
    let mut reached = PathBuf::new();
    // A directory to be written is made where it is missing, if it is the only one.
    let mut may_make = writes;
    for part in below.components() {
        let Some(name) = part.as_os_str().to_str() else { break };
        let varies = varies(name, varying);
        let next = reached.join(name);
        let path = root.join(&next);
        let made = facts.made.contains(&path);
        if !matches!(part, Component::Normal(_)) || varies || made && !std::mem::take(&mut may_make) {
            break;
        }
        match (facts.lies)(&path) {
            Lying::Directory => reached = next,
            Lying::File if !writes && !disk && !made => return next,
            _ => break,
        }
    }
    reached
}

/// Without what lies in another one, and where there are still too many, the directories that hold them.
fn few(mut paths: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    loop {
        let within = |path: &PathBuf| paths.iter().any(|wider| wider != path && path.starts_with(wider));
        let outer: BTreeSet<PathBuf> = paths.iter().filter(|path| !within(path)).cloned().collect();
        if outer.len() <= MOST_RULES {
            return outer;
        }
        let deepest = outer.iter().map(|path| path.components().count()).max().unwrap_or_default();
        let up = |path: PathBuf| match path.parent() {
            Some(parent) if path.components().count() == deepest => parent.to_owned(),
            _ => path,
        };
        paths = outer.into_iter().map(up).collect();
    }
}
