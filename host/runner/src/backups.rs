//! What is known, before a run, of the backups of a pipeline: which of its steps may store anything that is encrypted.
//!
//! Two things tell, and neither asks the plugin. Without a slot that leads a secret into artifacts (`allow.secrets`) the host
//! encrypts nothing for a step, whoever wrote its plugin. And where the plugin's schema marks the setting that names this secret
//! ([`ENCRYPTS`](pipe_pipeline::ENCRYPTS)), the pipeline file says whether it will be used. What was really stored, and whether
//! it could be read back, is asked when the run comes to the migration.

use std::collections::BTreeMap;

use pipe_capability::{artifact::ArtifactRule, ceiling::BackupsBefore, grant::Grant, secret::SlotTarget};
use pipe_core::stage::Stage;
use pipe_pipeline::{Encryption, EncryptionReader, Pipeline, Step, read_schema};
use pipe_sandbox::Plugin;
use serde_json::Value;

/// The first backups of a pipeline, each by its place among the steps.
#[derive(Debug, Default)]
pub(crate) struct Backups {
    /// The first, and why it is not encrypted, where it is not.
    first: Option<(usize, String)>,
    /// The first that may be encrypted.
    encrypted: Option<usize>,
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
        let readers: BTreeMap<&str, EncryptionReader<'_>> =
            schemas.iter().map(|(name, schema)| (*name, EncryptionReader::new(schema))).collect();
        for (place, step) in pipeline.steps.iter().enumerate().filter(|(_, step)| step.stage == Stage::Backup) {
            let why = in_the_clear(pipeline, step, readers.get(step.plugin.as_str()));
            if why.is_none() {
                found.encrypted = Some(place);
            }
            found.first.get_or_insert_with(|| (place, why.unwrap_or_default()));
            if found.encrypted.is_some() {
                break;
            }
        }
        found
    }

    /// What stands before the call at a place among all that call a plugin.
    pub(crate) fn before(&self, place: usize) -> BackupsBefore<'_> {
        match (&self.first, self.encrypted) {
            (_, Some(encrypted)) if encrypted < place => BackupsBefore::MayBeEncrypted,
            (Some((first, why)), _) if *first < place => BackupsBefore::InTheClear(why),
            _ => BackupsBefore::None,
        }
    }
}

/// Why a backup step stores nothing that is encrypted. Nothing where it may.
fn in_the_clear(pipeline: &Pipeline, step: &Step, reader: Option<&EncryptionReader<'_>>) -> Option<String> {
    let line = |at: usize| pipeline.file.position(at).0;
    let name = format!("the backup step `{}` on line {}", step.id.name, line(step.span.start));
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

/// Names of the secrets that may go into artifacts.
fn slots(grant: &Grant) -> impl Iterator<Item = &str> {
    grant.secrets.iter().filter(|slot| slot.to == SlotTarget::Artifacts).map(|slot| slot.name.as_str())
}
