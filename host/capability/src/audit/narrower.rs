//! Rules that would have been enough, as far as the ways in which a rule was used tell: methods, and reading for writing.
//!
//! Paths and arguments are not narrowed here: the next version of what is deployed has others.

use std::collections::{BTreeMap, BTreeSet};

use super::RuleKey;
use crate::{
    grant::Grant,
    http::{HttpRule, Method},
    line,
    rule::InToml as _,
    sql::{Access, SqlRule},
    word::Word,
};

/// A narrower rule: the word that it belongs to, and its value as it stands in the pipeline file.
pub type Narrower = (Word, String);

/// For each rule that was used and need not have been as wide, one that would have been enough. `ways` are the words in front
/// of what was recorded: `GET` of `GET k8s:/version`, `read` of `read main: SELECT 1`; of files `read` and `write`.
#[must_use]
pub fn narrower(grant: &Grant, ways: &BTreeMap<RuleKey, BTreeSet<String>>) -> BTreeMap<RuleKey, Narrower> {
    let narrowed = ways.iter().filter_map(|(key, ways)| Some((*key, one(grant, *key, ways)?)));
    narrowed.collect()
}

fn one(grant: &Grant, RuleKey { word, index }: RuleKey, ways: &BTreeSet<String>) -> Option<Narrower> {
    let only_read = || ways.iter().eq(["read"]);
    match word {
        Word::Http => {
            let rule = grant.http.get(index)?;
            let used: Option<Vec<&str>> = ways.iter().map(|way| Some(Method::named(way)?.as_str())).collect();
            let (_, place) = rule.text().split_once(' ')?;
            let narrow = HttpRule::parse(&format!("{} {place}", used?.join("|"))).ok()?;
            let narrow = narrow.with_addresses(rule.addresses.clone()).ok()?;
            // Never anything that was not granted, and only what is really less.
            (rule.includes(&narrow) && !narrow.includes(rule)).then(|| (word, narrow.in_toml()))
        }
        Word::Sql => {
            let rule = grant.sql.get(index)?;
            let narrow = SqlRule { access: Access::Read, peer: rule.peer.clone() };
            (rule.access == Access::Write && only_read()).then(|| (word, narrow.in_toml()))
        }
        Word::Write => only_read().then_some(()).and_then(|()| {
            let rule = grant.write.get(index)?;
            Some((Word::Read, line::text(&rule.written)))
        }),
        _ => None,
    }
}
