//! The smallest grant that would have sufficed, from what calls used of the one they had.
//!
//! A rule that nothing used is dropped, one that more than sufficed is narrowed, and one of which the record tells too little
//! is kept as it is: **every recorded use is covered by what is suggested, and all that is suggested was granted before**.

mod http;
mod path;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pipe_core::event::Use;

pub use self::path::Lying;
use crate::{
    grant::Grant,
    line,
    path::PathRequest,
    sql::{Access, SqlRule},
    word::Word,
};

/// The most rules that one rule becomes. Above, what they have in common is suggested: nobody reads more.
pub const MOST_RULES: usize = 8;

/// One call of a step: what it was granted, and what it used of it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The grant. The paths of its rules are canonical.
    pub grant: &'a Grant,
    /// Every recorded use.
    pub uses: &'a [Use],
    /// Values that are others in another run, or in another call of the same step: what holds one is not fixed.
    pub varying: &'a [String],
}

/// What rules look like in the file, and what the machine looks like.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Directory that relative paths begin in. Canonical.
    pub base: &'a Path,
    /// The text of a rule as the file has it, with its references, by word and place in the word's array. Of an `http` rule
    /// with addresses the text without them.
    pub written: &'a dyn Fn(Word, usize) -> Option<String>,
    /// What lies at a path, without following a link.
    pub lies: &'a dyn Fn(&Path) -> Lying,
    /// Paths that the run wrote, whoever did. They may not be there when the next run begins.
    pub made: &'a BTreeSet<PathBuf>,
}

/// What becomes of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// Its word.
    pub word: Word,
    /// Its place in the word's array, from 0.
    pub index: usize,
    /// How often it was used.
    pub uses: usize,
    /// What is suggested.
    pub verdict: Verdict,
    /// Why. Lower-case fragment.
    pub why: String,
}

/// What is suggested for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was used, and nothing narrower is known to suffice.
    Keep,
    /// These would have sufficed in its place: the word and the text of each rule, as the file would have it.
    Narrow(Vec<(Word, String)>),
    /// Nothing used it.
    Drop,
}

/// What becomes of each rule of a step, by word and place. `calls` are those of one step, whose grants have their rules in
/// the same order; without a call there is nothing to say.
#[must_use]
pub fn suggest(calls: &[Call<'_>], facts: &Facts<'_>) -> Vec<Suggested> {
    let Some(first) = calls.first() else { return Vec::new() };
    let attributed: Vec<Attributed<'_>> = calls.iter().map(Attributed::of).collect();
    let rules = |word| (0..displayed(first.grant, word).len()).map(move |index| (word, index));
    Word::ALL
        .into_iter()
        .flat_map(rules)
        .map(|(word, index)| {
            let uses: Vec<&[&Use]> = attributed.iter().map(|call| call.uses(word, index)).collect();
            let count = uses.iter().map(|uses| uses.len()).sum();
            let stray = attributed.iter().any(|call| call.stray.contains(&word));
            let (verdict, why) = match count {
                _ if stray => (Verdict::Keep, "a use is recorded whose rule is not known"),
                0 => (Verdict::Drop, "nothing used it"),
                _ => match narrowed(calls, &uses, facts, word, index) {
                    Some((rules, why)) => (Verdict::Narrow(rules), why),
                    None => (Verdict::Keep, "used as it is"),
                },
            };
            Suggested { word, index, uses: count, verdict, why: why.to_owned() }
        })
        .collect()
}

/// The narrower rules, and why they suffice. Nothing where none are known.
type Narrowed = Option<(Vec<(Word, String)>, &'static str)>;

fn narrowed(calls: &[Call<'_>], uses: &[&[&Use]], facts: &Facts<'_>, word: Word, index: usize) -> Narrowed {
    match word {
        Word::Http => http::narrowed(calls, uses, facts, index),
        Word::Sql => sql(calls, uses, facts, index),
        Word::Read | Word::Write | Word::Disk => path::narrowed(calls, uses, facts, word, index),
        // One name, one place, one program: used is used. What a program was given is not all in the record.
        Word::Tcp
        | Word::Tls
        | Word::Mail
        | Word::Env
        | Word::Secrets
        | Word::Reveal
        | Word::Exec
        | Word::Artifacts => None,
    }
}

/// The uses of one call, by the rule that allowed them.
struct Attributed<'u> {
    uses: BTreeMap<(Word, usize), Vec<&'u Use>>,
    /// Words of which a use names a rule that the grant does not have.
    stray: BTreeSet<Word>,
}

impl<'u> Attributed<'u> {
    fn of(call: &Call<'u>) -> Self {
        let mut attributed = Self { uses: BTreeMap::new(), stray: BTreeSet::new() };
        let texts: BTreeMap<Word, Vec<String>> =
            Word::ALL.into_iter().map(|word| (word, displayed(call.grant, word))).collect();
        // Of two rules with the same text the first allows everything.
        let find = |word: Word, rule: &str| Some((word, texts.get(&word)?.iter().position(|text| text == rule)?));
        for used in call.uses {
            let Ok(word) = used.word.parse::<Word>() else { continue };
            let rule = match word {
                // A rule for writing also reads, what no rule for reading does.
                Word::Read => find(word, &used.rule).or_else(|| find(Word::Write, &used.rule)),
                _ => find(word, &used.rule),
            };
            match (rule, word) {
                (Some(rule), _) => attributed.uses.entry(rule).or_default().push(used),
                // What a step stored itself it may read. Secrets are also used by rules of other words, whose own uses are
                // recorded as well.
                (None, Word::Artifacts | Word::Secrets) => {}
                (None, Word::Read) => attributed.stray.extend([Word::Read, Word::Write]),
                (None, _) => attributed.stray.extend([word]),
            }
        }
        attributed
    }

    fn uses(&self, word: Word, index: usize) -> &[&'u Use] {
        self.uses.get(&(word, index)).map_or(&[], Vec::as_slice)
    }
}

/// The rules of a word as uses name them.
fn displayed(grant: &Grant, word: Word) -> Vec<String> {
    fn all<R: ToString>(rules: &[R]) -> Vec<String> {
        rules.iter().map(R::to_string).collect()
    }
    match word {
        Word::Http => all(&grant.http),
        Word::Tcp => all(&grant.tcp),
        Word::Tls => all(&grant.tls),
        Word::Sql => all(&grant.sql),
        Word::Mail => all(&grant.mail),
        Word::Read => all(&grant.read),
        Word::Write => all(&grant.write),
        Word::Disk => all(&grant.disk),
        Word::Env => all(&grant.env),
        Word::Secrets => all(&grant.secrets),
        Word::Reveal => all(&grant.reveal),
        Word::Exec => all(&grant.exec),
        Word::Artifacts => all(&grant.artifacts),
    }
}

/// Writing becomes reading where no connection was opened for more.
fn sql(calls: &[Call<'_>], uses: &[&[&Use]], facts: &Facts<'_>, index: usize) -> Narrowed {
    let rules: Vec<&SqlRule> = calls.iter().filter_map(|call| call.grant.sql.get(index)).collect();
    let read_only = rules.iter().zip(uses).all(|(rule, uses)| {
        let reading = format!("{} {}:", Access::Read, rule.peer);
        rule.access == Access::Write && uses.iter().all(|used| !used.effect && used.subject.starts_with(&reading))
    });
    let written = (facts.written)(Word::Sql, index)?;
    let peer = written.strip_prefix(Access::Write.as_str()).filter(|_| read_only)?;
    Some((vec![(Word::Sql, format!("{}{peer}", Access::Read))], "it was only read"))
}

/// Whether a part of a path holds a value that varies, and not only letters of it within a longer word.
fn varies(part: &str, values: &[String]) -> bool {
    let ends = |before: Option<char>| before.is_none_or(|c| !c.is_alphanumeric());
    values.iter().any(|value| {
        part.match_indices(value.as_str())
            .any(|(at, _)| ends(part[..at].chars().next_back()) && ends(part[at + value.len()..].chars().next()))
    })
}

/// A text as a value of the pipeline file: in quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    line::text(text)
}

/// The first use that `narrow` would not have allowed, where there is one. `granted` is the grant that did allow it; the paths
/// of both are canonical. Where the record does not tell what was asked for, the rule itself must be there.
#[must_use]
pub fn missing<'u>(granted: &Grant, narrow: &Grant, uses: &'u [Use], base: &Path) -> Option<&'u Use> {
    uses.iter().find(|used| {
        let Ok(word) = used.word.parse::<Word>() else { return false };
        let names = |grant: &Grant| {
            displayed(grant, word).contains(&used.rule)
                || word == Word::Read && displayed(grant, Word::Write).contains(&used.rule)
        };
        // What the grant did not name was allowed by something else.
        names(granted) && !names(narrow) && !(covers(granted, word, used, base) && covers(narrow, word, used, base))
    })
}

/// Whether a grant covers a use, as far as the record tells what it was.
fn covers(grant: &Grant, word: Word, used: &Use, base: &Path) -> bool {
    let path = path::place(base, &used.subject);
    let asked = PathRequest { shown: &used.subject, resolved: &path };
    match word {
        Word::Http => grant.http.iter().any(|rule| http::allows(rule, &used.subject)),
        Word::Sql => grant.sql.iter().any(|rule| {
            let opened = |access| used.subject.starts_with(&format!("{access} {}:", rule.peer));
            [Access::Read, Access::Write].into_iter().any(|access| rule.access >= access && opened(access))
        }),
        Word::Read => grant.read(&asked).is_ok(),
        Word::Write => grant.write(&asked).is_ok(),
        Word::Disk => grant.disk(&asked).is_ok(),
        Word::Tcp
        | Word::Tls
        | Word::Mail
        | Word::Env
        | Word::Secrets
        | Word::Reveal
        | Word::Exec
        | Word::Artifacts => false,
    }
}

#[cfg(test)]
mod tests;
