//! The policy file: the ceiling above every pipeline, written by the security team.
//!
//! Its peers, plugins and paths are its own. What a pipeline calls by the same name has to be the same thing.

mod above;
mod block;
mod named;
mod schema;

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use pipe_capability::{
    ceiling::{Ceiling, Requirements},
    word::Word,
};
use pipe_core::{
    diagnostic::{Diagnostic, SourceFile},
    digest::Digest,
};

use self::named::Named;
pub use self::{
    above::{ABOVE_POLICY, check_against_policy},
    schema::policy_schema,
};
use crate::{
    fields::{self, Fields},
    keys,
    node::{self, Table},
    pipeline::OLDEST_BACKUP,
    read::read,
    report::Report,
};

/// A policy file that was read.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The file, for diagnostics.
    pub file: Arc<SourceFile>,
    /// Its content.
    pub digest: Digest,
    /// What it says.
    pub ceiling: Ceiling,
    places: Places,
}

/// Where a policy file says what.
#[derive(Clone, Debug, Default)]
struct Places {
    /// By the order of [`Ceiling::allow`].
    blocks: Vec<BlockPlaces>,
    /// By the key of a requirement.
    require: BTreeMap<String, Range<usize>>,
}

#[derive(Clone, Debug, Default)]
struct BlockPlaces {
    span: Range<usize>,
    /// For each word that stands in the block: its key, and its rules in their order.
    words: BTreeMap<Word, (Range<usize>, Vec<Range<usize>>)>,
}

/// Reads a policy file.
///
/// # Errors
///
/// The file cannot be read, or everything that is wrong with it, in the order of the file.
pub fn policy(path: &Path) -> Result<Policy, Vec<Diagnostic>> {
    policy_of(&read(path)?)
}

/// Reads the text of a policy file.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the file.
pub fn policy_of(file: &Arc<SourceFile>) -> Result<Policy, Vec<Diagnostic>> {
    let report = Report::new(file);
    let read = node::tree(&report).map(|root| ceiling(&report, &root));
    match read {
        Some((ceiling, places)) if !report.has_errors() => {
            Ok(Policy { digest: Digest::of(file.text.as_bytes()), file: Arc::clone(file), ceiling, places })
        }
        _ => Err(report.into_diagnostics()),
    }
}

fn ceiling(report: &Report, root: &Table) -> (Ceiling, Places) {
    let fields = Fields::of_table(report, root, 0..0, keys::POLICY);
    let named = Named::read(report, &fields);
    let mut places = Places::default();
    let mut allow = Vec::new();
    for node in fields.array("allow") {
        if let Some((block, place)) = block::read(report, node, &named) {
            allow.push(block);
            places.blocks.push(place);
        }
    }
    if allow.is_empty() && fields.misses("allow") && !report.has_errors() {
        let hint = "a policy that only requires something begins with `[[allow]]` and `any = [\"*\"]`";
        let diagnostic = Diagnostic::error("missing-key", "there is no `[[allow]]`, so that nothing would be allowed");
        report.push(diagnostic.at(report.file(), 0..0, "").hint(hint));
    }
    let require = requirements(report, &fields, &mut places);
    (Ceiling { allow, require }, places)
}

fn requirements(report: &Report, file: &Fields<'_>, places: &mut Places) -> Requirements {
    let Some(entry) = file.get("require") else { return Requirements::default() };
    let Some(fields) = Fields::of(report, &entry.node, keys::POLICY_REQUIRE) else { return Requirements::default() };
    for entry in fields::table(report, &entry.node).into_iter().flat_map(|table| &table.entries) {
        places.require.insert(entry.key.clone(), entry.key_span.start..entry.node.span.end);
    }
    let programs = fields.get(Requirements::PROGRAMS).map(|entry| {
        let texts = fields::array(report, &entry.node).iter().filter_map(|node| fields::string(report, node));
        texts.map(|text| text.value).collect()
    });
    let unconfined = fields.string(Requirements::UNCONFINED).is_some_and(|text| match text.value.as_str() {
        "report" => true,
        "refuse" => false,
        other => {
            let message = format!("`{}` cannot be `{other}`", Requirements::UNCONFINED);
            report.unknown("bad-value", message, other, ["refuse", "report"], text.span.clone());
            false
        }
    });
    let holds = |key: &str| fields.boolean(key).unwrap_or(false);
    Requirements {
        no_reveal: fields.boolean(Requirements::REVEAL) == Some(false),
        https_only: holds(Requirements::HTTPS_ONLY),
        programs,
        pinned_plugins: holds(Requirements::PINNED_PLUGINS),
        encrypted_backup_before_migrate: holds(Requirements::ENCRYPTED_BACKUP),
        restored_backup_before_migrate: holds(Requirements::RESTORED_BACKUP),
        backup_max_age: fields.duration(Requirements::BACKUP_MAX_AGE, OLDEST_BACKUP),
        unconfined_programs: unconfined,
    }
}
