//! What two versions of a plugin differ in: what they import, ask for, and can do.

use std::collections::{BTreeMap, BTreeSet};

use pipe_pipeline::compile_schema;
use pipe_sandbox::Plugin;

use super::{Difference, Side, schema};

/// The differences of two plugins. Imports and requests are what a plugin could use; a grant decides what it may.
#[must_use]
pub fn difference_of_plugins(old: &Plugin, new: &Plugin) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut say = |side: Side, what: String| found.push(Difference::new("", side, what));
    if old.digest == new.digest {
        return found;
    }
    let versions = (&old.description.version, &new.description.version);
    let version = if versions.0 == versions.1 { String::new() } else { format!(", {} → {}", versions.0, versions.1) };
    say(Side::Changed, format!("sha256 {} → {}{version}", old.digest.short(), new.digest.short()));
    let (before, now) = (&old.contract, &new.contract);
    if before.stage != now.stage {
        say(Side::Changed, format!("stage {} → {}", before.stage, now.stage));
    }
    if before.version != now.version {
        say(Side::Changed, format!("contract {} → {}", before.version, now.version));
    }
    // The version of an interface is no capability of its own.
    let interfaces = |imports: &[String]| -> BTreeSet<String> {
        imports.iter().map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect()
    };
    both(&interfaces(&before.imports), &interfaces(&now.imports), |name| format!("imports {name}"), &mut say);
    let requests = |plugin: &Plugin| -> BTreeSet<(String, String)> {
        let requests = plugin.description.capabilities.iter();
        requests.map(|request| (request.word.clone(), request.subject.clone())).collect()
    };
    both(&requests(old), &requests(new), |(word, subject)| format!("asks for {word}: {subject}"), &mut say);
    for (what, before, now) in [("undo", before.undo, now.undo), ("preview", before.preview, now.preview)] {
        if before != now {
            say(Side::Changed, if now { format!("has {what}") } else { format!("no longer has {what}") });
        }
    }
    let keys = |plugin: &Plugin| {
        compile_schema(&plugin.description.settings_schema).map(|schema| schema::keys(&schema)).unwrap_or_default()
    };
    settings(&keys(old), &keys(new), &mut say);
    found
}

fn both<T: Ord>(old: &BTreeSet<T>, new: &BTreeSet<T>, say: impl Fn(&T) -> String, out: &mut impl FnMut(Side, String)) {
    new.difference(old).for_each(|item| out(Side::Gained, say(item)));
    old.difference(new).for_each(|item| out(Side::Lost, say(item)));
}

/// Settings by key, and whether each is required. They are no capability: what was valid may no longer be.
fn settings(old: &BTreeMap<String, bool>, new: &BTreeMap<String, bool>, say: &mut impl FnMut(Side, String)) {
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let what = match (old.get(key), new.get(key)) {
            (None, Some(true)) => "a new setting, required",
            (None, Some(false)) => "a new setting",
            (Some(_), None) => "a setting no longer",
            (Some(false), Some(true)) => "a setting now required",
            (Some(true), Some(false)) => "a setting no longer required",
            _ => continue,
        };
        say(Side::Changed, format!("`{key}`: {what}"));
    }
}
