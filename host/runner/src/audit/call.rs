//! One row: a call with its plugin, its rules, and what is found about them.

use std::collections::BTreeMap;

use pipe_capability::audit::{self, Above, CallFacts, PeerFacts, RuleKey};
use pipe_core::stage::Stage;
use pipe_pipeline::{Pipeline, PluginSource, Policy, Step, Tls};
use pipe_sandbox::Plugin;
use serde_json::Value;

use super::{
    AuditSources, reach,
    report::{Asked, AuditedCall, AuditedPeer, AuditedPlugin, AuditedRule, Import, Place},
    verdict::Findings,
};
use crate::{ceiling::Holding, plan::Role};

/// What every row is made with.
pub(super) struct Auditor<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) plugins: &'a BTreeMap<String, Plugin>,
    pub(super) sources: AuditSources<'a>,
    pub(super) holding: Holding<'a>,
}

impl Auditor<'_> {
    /// Audits one call. `place` is its place among all that call a plugin. Nothing where its plugin was not loaded.
    pub(super) fn row(
        &self,
        place: usize,
        role: Role,
        step: &Step,
        findings: &mut Findings<'_>,
    ) -> Option<AuditedCall> {
        let (pipeline, seen) = (self.pipeline, self.sources.seen);
        let plugin = self.plugins.get(&step.plugin)?;
        let (standard, pinned) = match pipeline.plugins.get(&step.plugin) {
            Some(PluginSource::File { sha256, .. }) => (false, sha256.is_some()),
            Some(PluginSource::Standard(_)) | None => (true, false),
        };
        let record = seen.map(|seen| seen.call(&step.id, &step.grant, &plugin.digest));
        let plain_backups = self.plain_backups(step, standard);
        let narrower = seen.map(|seen| seen.narrower(&step.id)).unwrap_or_default();
        let above = (!self.sources.policies.is_empty()).then(|| self.above(place, step));
        let facts = CallFacts {
            stage: step.stage,
            grant: &step.grant,
            plugin: &step.plugin,
            sha256: plugin.digest,
            standard,
            pinned,
            imports: &plugin.contract.imports,
            requests: plugin.description.capabilities.iter().map(|request| request.word.as_str()).collect(),
            irreversible: step.irreversible,
            undo: plugin.contract.undo,
            base: &pipeline.base,
            plain_backups: &plain_backups,
            after_backup: backed_up_before(pipeline, step),
            above: above.as_deref(),
            narrower: &narrower,
            record: record.as_ref(),
        };
        let rules: Vec<(RuleKey, String)> = audit::rules(&step.grant).collect();
        findings.about_call(place, step, &rules, audit::judge(&facts));
        let uses = seen.map(|seen| seen.uses(&step.id, &step.grant)).unwrap_or_default();
        let audited = |(key, rule): (RuleKey, String)| AuditedRule {
            word: key.word.to_string(),
            rule,
            place: Place::of(&pipeline.file, step.rules.of(key.word, key.index).unwrap_or(&step.span)),
            within_policy: facts.above.map(|_| facts.within_policy(key)),
            last_use: uses.get(&key).cloned(),
            findings: Vec::new(),
        };
        Some(AuditedCall {
            role,
            step: step.id.clone(),
            stage: step.stage,
            place: Place::of(&pipeline.file, &step.span),
            reversible: plugin.contract.undo && !step.irreversible,
            rules: rules.into_iter().map(audited).collect(),
            record: seen.map(|seen| seen.summary_of(&step.id)),
            plugin: described(step, plugin, standard, pinned),
            findings: Vec::new(),
        })
    }

    /// What of a call the policies do not allow, each with the line that speaks against it.
    fn above(&self, place: usize, step: &Step) -> Vec<Above> {
        let of_policy = |policy: &Policy| {
            let file = policy.file.path.display().to_string();
            let excesses = self.holding.excesses(policy, place, step).into_iter();
            let above = excesses.map(move |excess| {
                let line = policy.line(excess.against).map_or_else(String::new, |line| format!(":{line}"));
                let means = if excess.means.is_empty() { String::new() } else { format!(", and {}", excess.means) };
                Above {
                    at: excess.at,
                    why: format!("the policy {file}{line} does not allow this: {}{means}", excess.why),
                }
            });
            above.collect::<Vec<_>>()
        };
        self.sources.policies.iter().flat_map(of_policy).collect()
    }

    /// Names of what the settings tell `std:backup` to store in the clear, and of what earlier runs did so store.
    fn plain_backups(&self, step: &Step, standard: bool) -> Vec<String> {
        let mut plain = if standard { plain_backups(step) } else { Vec::new() };
        for name in self.sources.seen.map_or(&[][..], |seen| seen.in_the_clear(&step.id)) {
            if !plain.contains(name) {
                plain.push(name.clone());
            }
        }
        plain
    }
}

fn described(step: &Step, plugin: &Plugin, standard: bool, pinned: bool) -> AuditedPlugin {
    let (contract, description) = (&plugin.contract, &plugin.description);
    let import = |name: &String| Import { name: name.clone(), word: audit::word_of_import(name) };
    let asked = |request: &pipe_sandbox::CapabilityRequest| Asked {
        word: request.word.clone(),
        subject: request.subject.clone(),
        reason: request.reason.clone(),
    };
    AuditedPlugin {
        name: step.plugin.clone(),
        title: description.name.clone(),
        version: description.version.clone(),
        summary: description.summary.clone(),
        sha256: plugin.digest,
        standard,
        pinned,
        contract: contract.version.clone(),
        undo: contract.undo,
        preview: contract.preview,
        imports: contract.imports.iter().map(import).collect(),
        requests: description.capabilities.iter().map(asked).collect(),
    }
}

/// Whether a backup step stands before this one.
fn backed_up_before(pipeline: &Pipeline, step: &Step) -> bool {
    pipeline.steps.iter().take_while(|before| before.id != step.id).any(|before| before.stage == Stage::Backup)
}

/// Names of what `std:backup` is told to store in the clear.
fn plain_backups(step: &Step) -> Vec<String> {
    if step.stage != Stage::Backup {
        return Vec::new();
    }
    let named = |step: &str, key: &str| Some(format!("${{steps.{step}.outputs.{key}}}"));
    let late = BTreeMap::from(["run.outcome", "run.reason"].map(|name| (name.to_owned(), String::new())));
    let settings = step.settings.resolve(&named, &late).unwrap_or_default();
    let items = match settings.get("item") {
        Some(Value::Array(items)) => items.clone(),
        Some(item) => vec![item.clone()],
        None => vec![settings],
    };
    let plain = items.iter().filter(|item| item.get("encrypt") == Some(&Value::Bool(false)));
    // As the plugin names its artifacts.
    let text = |item: &Value, key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = |item: &Value| {
        let of_directory = text(item, "directory")
            .and_then(|path| Some(std::path::Path::new(&path).file_name()?.to_string_lossy().into_owned()));
        let of_peer = text(item, "peer").map(|peer| format!("{peer}.dump"));
        text(item, "name").or(of_directory).or(of_peer)
    };
    plain.filter_map(name).collect()
}

/// The peers that the calls may reach, with what is found about them.
pub(super) fn peers(pipeline: &Pipeline, findings: &mut Findings<'_>) -> Vec<AuditedPeer> {
    let mut audited = Vec::new();
    for (name, spec) in &pipeline.peers {
        let steps = reach::steps_with_peer(pipeline, name);
        if steps.is_empty() {
            continue;
        }
        let place = Place::of(&pipeline.file, &spec.span);
        let facts = PeerFacts {
            url: spec.url.to_string(),
            in_the_clear: spec.sends_in_the_clear(),
            addresses: spec.addresses.clone(),
        };
        findings.about_peer(audited.len(), name, &steps, place, audit::judge_peer(name, &facts));
        audited.push(AuditedPeer {
            name: name.clone(),
            url: spec.url.to_string(),
            tls: match (spec.tls, &spec.database) {
                (_, Some(_)) => "a file",
                (Tls::Disable, None) => "none",
                (Tls::VerifyFull, None) => "verify-full",
            },
            login: spec.secrets().map(str::to_owned).collect(),
            addresses: spec.addresses.iter().map(ToString::to_string).collect(),
            place,
            findings: Vec::new(),
        });
    }
    audited
}
