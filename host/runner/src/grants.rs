//! The grants of a run, with their paths resolved once and held against what belongs to pipe itself.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::{grant::Grant, path::PathRule};
use pipe_core::{diagnostic::Diagnostic, id::StepId};
use pipe_effects::path::{OwnPlaces, canonical_grant, resolve};
use pipe_pipeline::{LOCK_FILE, Pipeline, PluginSource, Step};

use crate::prepare::{Settings, all_steps};

/// Every step's grant, or everything that is wrong with one.
pub(crate) fn canonical(
    pipeline: &Pipeline,
    unwritable: &[PathBuf],
    unreadable: &[PathBuf],
) -> Result<BTreeMap<StepId, Arc<Grant>>, Vec<Diagnostic>> {
    let mut grants = BTreeMap::new();
    let mut problems = Vec::new();
    for (step, grant) in each(pipeline, unwritable, unreadable) {
        match grant {
            Ok(grant) => drop(grants.insert(step, grant)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(grants) } else { Err(problems) }
}

/// Every step's grant, or what is wrong with it, in order.
pub(crate) fn each(
    pipeline: &Pipeline,
    unwritable: &[PathBuf],
    unreadable: &[PathBuf],
) -> Vec<(StepId, Result<Arc<Grant>, Diagnostic>)> {
    let mut written: Vec<PathBuf> = Vec::new();
    let mut one = |step: &Step| {
        let mut grant = step.grant.clone();
        let to_come = to_come(&mut grant, &pipeline.base, &written);
        match canonical_grant(grant, &pipeline.base, OwnPlaces { unwritable, unreadable }) {
            Ok(mut grant) => {
                let of_programs = grant.exec.iter().flat_map(|rule| &rule.write);
                written.extend(grant.write.iter().chain(of_programs).map(|rule| rule.resolved.clone()));
                to_come.put_back(&mut grant);
                Ok(Arc::new(grant))
            }
            Err(error) => {
                let message = format!("step \"{}\": {error}", step.id);
                let span = rule_span(&pipeline.file.text, &step.span, error.written());
                let mut problem = Diagnostic::error("grant-refused", message).at(&pipeline.file, span, "");
                problem.hints.extend(error.hint());
                Err(problem)
            }
        }
    };
    all_steps(pipeline).map(|step| (step.id.clone(), one(step))).collect()
}

/// What of a grant an earlier step is yet to make.
struct ToCome {
    /// What the step may read.
    read: Vec<PathRule>,
    /// What each of its programs may read, and write.
    programs: Vec<(Vec<PathRule>, Vec<PathRule>)>,
}

impl ToCome {
    fn put_back(self, grant: &mut Grant) {
        grant.read.extend(self.read);
        for (rule, (read, write)) in grant.exec.iter_mut().zip(self.programs) {
            rule.read.extend(read);
            rule.write.extend(write);
        }
    }
}

/// Takes out of a grant what it, or a program of it, may touch and what an earlier step is yet to make: nothing is there, and it
/// lies in what that step or a program of it may write, which is nothing of pipe's own. It is opened without following a link,
/// so that it is made there or nowhere.
fn to_come(grant: &mut Grant, base: &Path, written: &[PathBuf]) -> ToCome {
    let is_to_come = |rule: &mut PathRule| {
        let resolved = resolve(base, &rule.resolved);
        let found = !resolved.exists() && written.iter().any(|written| resolved.starts_with(written));
        if found {
            rule.resolved = resolved;
        }
        found
    };
    let programs = grant
        .exec
        .iter_mut()
        .map(|rule| (rule.read.extract_if(.., is_to_come).collect(), rule.write.extract_if(.., is_to_come).collect()));
    ToCome { programs: programs.collect(), read: grant.read.extract_if(.., is_to_come).collect() }
}

/// Where a rule stands in a step: its text in quotes, before the next part of the file begins. The step itself, where a reference
/// in the rule makes the file say something else.
fn rule_span(text: &str, step: &Range<usize>, written: &str) -> Range<usize> {
    let rest = text.get(step.end..).unwrap_or_default();
    let own = &rest[..rest.find("\n[").unwrap_or(rest.len())];
    let found = ['"', '\''].into_iter().filter_map(|quote| {
        let quoted = format!("{quote}{written}{quote}");
        own.find(&quoted).map(|at| step.end + at..step.end + at + quoted.len())
    });
    found.min_by_key(|span| span.start).unwrap_or_else(|| step.clone())
}

/// What no grant may write: what makes pipe what it is.
pub(crate) fn unwritable(pipeline: &Pipeline, settings: &Settings) -> Vec<PathBuf> {
    let plugins = pipeline.plugins.values().filter_map(|source| match source {
        PluginSource::File { path, .. } => Some(real(path)),
        PluginSource::Standard(_) => None,
    });
    let mut places = unreadable(settings);
    places.extend([real(&pipeline.file.path), real(&settings.executable), real(&pipeline.base.join(LOCK_FILE))]);
    places.extend(plugins);
    // Whoever could write there could approve next time.
    places.extend(pipeline.roles.values().flat_map(|role| [real(&role.signers), beside(&role.signers)]));
    for policy in &settings.policies {
        // Where it lies, and where a link of that name lies: replacing either would be another policy next time.
        places.extend([real(&policy.file.path), beside(&policy.file.path)]);
    }
    places
}

/// What no grant may read either: the journal and everybody's artifacts, and the key that makes compiled code trusted.
pub(crate) fn unreadable(settings: &Settings) -> Vec<PathBuf> {
    settings.cache.iter().chain([&settings.state]).map(|path| real(path)).collect()
}

/// The path with its directory resolved, but not its last part.
fn beside(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    path.file_name().map_or_else(|| real(path), |name| real(parent).join(name))
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_in_its_own_step() {
        let text = "[[step]]\nname = \"a\"\nallow.read = ['data', \"etc/${x}\"]\n[[step]]\nname = \"b\"\nallow.read = [\"other\"]\n";
        let step = 16..19;
        assert_eq!(&text[step.clone()], "\"a\"");
        assert_eq!(&text[rule_span(text, &step, "data")], "'data'");
        assert_eq!(rule_span(text, &step, "other"), step, "that is another step's");
        assert_eq!(rule_span(text, &step, "etc/app"), step, "the file says it with a reference");
    }
}
