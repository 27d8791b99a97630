//! What is known, before a run, of the backups of a pipeline: which of its steps may store anything that is encrypted, and which may
//! restore what they store.
//!
//! Two things tell, and neither asks the plugin. Without a slot that leads a secret into artifacts (`allow.secrets`) the host
//! encrypts nothing for a step, whoever wrote its plugin, and without a program that restores, or a directory to unpack into, it
//! sees nothing restored. And where the plugin's schema marks the setting that names this secret
//! ([`ENCRYPTS`](pipe_pipeline::ENCRYPTS)) or says how artifacts are verified ([`RESTORES`](pipe_pipeline::RESTORES)), the pipeline
//! file says whether it will be used. What was really stored, and what became of it, is asked when the run comes to the migration.

use std::collections::BTreeMap;

use pipe_capability::{artifact::ArtifactRule, ceiling::BackupSeen, exec::ExecRule, grant::Grant, secret::SlotTarget};
use pipe_core::stage::Stage;
use pipe_pipeline::{Encryption, EncryptionReader, Pipeline, Restoring, RestoringReader, Step, read_schema};
use pipe_sandbox::Plugin;
use serde_json::Value;

/// The first backups of a pipeline of each kind.
#[derive(Debug, Default)]
pub(crate) struct Backups {
    /// Their places among the steps, growing.
    places: Vec<usize>,
    seen: Vec<BackupSeen>,
}

/// What the schema of a plugin tells of its settings.
struct Readers<'s> {
    encryption: EncryptionReader<'s>,
    restoring: RestoringReader<'s>,
}

impl Backups {
    pub(crate) fn of(pipeline: &Pipeline, plugins: &BTreeMap<String, Plugin>) -> Self {
        let mut found = Self::default();
        // No migration: nobody asks.
        if !pipeline.calls().any(|step| step.stage == Stage::Migrate) {
            return found;
        }
        let schemas: BTreeMap<&str, Value> = pipeline
            .steps
            .iter()
            .filter(|step| step.stage == Stage::Backup)
            .filter_map(|step| Some((step.plugin.as_str(), plugins.get(&step.plugin)?)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .filter_map(|(name, plugin)| Some((name, read_schema(&plugin.description.settings_schema).ok()?)))
            .collect();
        let reader =
            |schema| Readers { encryption: EncryptionReader::new(schema), restoring: RestoringReader::new(schema) };
        let readers: BTreeMap<&str, Readers<'_>> =
            schemas.iter().map(|(name, schema)| (*name, reader(schema))).collect();
        for (place, step) in pipeline.steps.iter().enumerate().filter(|(_, step)| step.stage == Stage::Backup) {
            let readers = readers.get(step.plugin.as_str());
            let in_the_clear = in_the_clear(pipeline, step, readers.map(|readers| &readers.encryption));
            let not_restored = not_restored(pipeline, step, readers.map(|readers| &readers.restoring));
            let kind = (in_the_clear.is_some(), not_restored.is_some());
            let alike = |seen: &BackupSeen| (seen.in_the_clear.is_some(), seen.not_restored.is_some()) == kind;
            // Another of the same kind adds nothing, and there may be a hundred thousand.
            if !found.seen.iter().any(alike) {
                found.places.push(place);
                found.seen.push(BackupSeen { in_the_clear, not_restored });
            }
            if kind == (false, false) {
                break;
            }
        }
        found
    }

    /// What stands before the call at a place among all that call a plugin.
    pub(crate) fn before(&self, place: usize) -> &[BackupSeen] {
        let end = self.places.partition_point(|at| *at < place);
        self.seen.get(..end).unwrap_or_default()
    }
}

/// Why a backup step stores nothing that is encrypted. Nothing where it may.
fn in_the_clear(pipeline: &Pipeline, step: &Step, reader: Option<&EncryptionReader<'_>>) -> Option<String> {
    let line = |at: usize| pipeline.file.position(at).0;
    let name = named(pipeline, step);
    if !step.grant.artifacts.contains(&ArtifactRule::Write) {
        return Some(format!("{name} may store nothing: it has no `allow.artifacts = [\"write\"]`"));
    }
    if slots(&step.grant).next().is_none() {
        return Some(format!("{name} may encrypt nothing: no slot of its `allow.secrets` has `to = \"artifacts\"`"));
    }
    match reader.map_or(Encryption::Unknown, |reader| reader.of(step, line)) {
        Encryption::Unknown => None,
        Encryption::With(secrets) if secrets.iter().any(|secret| slots(&step.grant).any(|slot| slot == secret)) => None,
        Encryption::With(secrets) => {
            let secrets = secrets.join("`, `");
            Some(format!("{name} names `{secrets}`, and `allow.secrets` does not let it go to artifacts"))
        }
        Encryption::Never { line, setting: Some(setting) } => {
            Some(format!("{name} stores in the clear: line {line} says `{setting}`"))
        }
        Encryption::Never { setting: None, .. } => {
            Some(format!("{name} stores in the clear: its settings name no secret that encrypts"))
        }
    }
}

/// Why nothing that a backup step stores is restored. Nothing where it may be.
fn not_restored(pipeline: &Pipeline, step: &Step, reader: Option<&RestoringReader<'_>>) -> Option<String> {
    let line = |at: usize| pipeline.file.position(at).0;
    let name = named(pipeline, step);
    if !step.grant.artifacts.contains(&ArtifactRule::Write) {
        return Some(format!("{name} may store nothing: it has no `allow.artifacts = [\"write\"]`"));
    }
    if !step.grant.exec.iter().any(ExecRule::may_restore) && step.grant.write.is_empty() {
        return Some(format!(
            "{name} may restore nothing: no rule of its `allow.exec` lets `pg_restore` fill a database, and `allow.write` names \
             no directory to unpack into"
        ));
    }
    match reader.map_or(Restoring::Unknown, |reader| reader.of(step, line)) {
        Restoring::Unknown | Restoring::Restored => None,
        Restoring::Never { line, setting: Some(setting) } => {
            Some(format!("{name} restores nothing: line {line} says `{setting}`"))
        }
        Restoring::Never { setting: None, .. } => Some(format!("{name} restores nothing: its settings do not say how")),
    }
}

fn named(pipeline: &Pipeline, step: &Step) -> String {
    format!("the backup step `{}` on line {}", step.id.name, pipeline.file.position(step.span.start).0)
}

/// Names of the secrets that may go into artifacts.
fn slots(grant: &Grant) -> impl Iterator<Item = &str> {
    grant.secrets.iter().filter(|slot| slot.to == SlotTarget::Artifacts).map(|slot| slot.name.as_str())
}
