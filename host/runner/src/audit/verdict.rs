//! Verdicts become findings: with a place in the file, told once for a repeated step, the worst first.

use std::cmp::Reverse;

use pipe_capability::audit::{About, Check, RuleKey, Verdict};
use pipe_core::digest::Digest;
use pipe_pipeline::{Pipeline, Step};

use super::report::{Audit, Finding, Place};
use pipe_capability::audit::Severity;

/// Where a finding is shown, besides the list.
#[derive(Clone, Debug)]
enum Shown {
    Call(usize),
    Rule { call: usize, rule: usize },
    Peer(usize),
}

/// Findings while they are collected.
pub(super) struct Findings<'p> {
    pipeline: &'p Pipeline,
    found: Vec<(Finding, Vec<Shown>)>,
}

impl<'p> Findings<'p> {
    pub(super) const fn new(pipeline: &'p Pipeline) -> Self {
        Self { pipeline, found: Vec::new() }
    }

    /// Takes the verdicts about a call. `call` is its place among the calls, `rules` its rules as they are listed.
    pub(super) fn about_call(&mut self, call: usize, step: &Step, rules: &[(RuleKey, String)], verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            let (rule, span, shown) = match &verdict.about {
                About::Rule(key) => {
                    let index = rules.iter().position(|(known, _)| known == key);
                    let span = step.rules.of(key.word, key.index).unwrap_or(&step.span).clone();
                    (
                        index.map(|index| &rules[index]),
                        span,
                        index.map_or(Shown::Call(call), |rule| Shown::Rule { call, rule }),
                    )
                }
                About::Plugin => (None, step.plugin_span.clone(), Shown::Call(call)),
                About::Call | About::Peer(_) => (None, step.span.clone(), Shown::Call(call)),
            };
            let place = Place::of(&self.pipeline.file, &span);
            let word = rule.map(|(key, _)| key.word.to_string());
            let rule = rule.map(|(_, toml)| toml.clone());
            let name = step.id.to_string();
            // One line of the file is told once, however many instances it has. Its rule differs with each of them.
            let same = |known: &Finding| {
                step.id.instance.is_some()
                    && known.check == verdict.check.id()
                    && known.severity == verdict.severity
                    && known.place == place
                    && !known.steps.contains(&name)
            };
            if let Some((known, places)) = self.found.iter_mut().find(|(known, _)| same(known)) {
                known.steps.push(name);
                places.push(shown);
                continue;
            }
            // Not the message where there is a rule: it may tell of runs, and they go on.
            let subject = rule.as_deref().unwrap_or(&verdict.message);
            let alike = |known: &Finding| {
                known.check == verdict.check.id() && known.rule == rule && known.steps.first() == Some(&name)
            };
            let before = self.found.iter().filter(|(known, _)| alike(known)).count().to_string();
            let parts = [verdict.check.id(), &name, word.as_deref().unwrap_or_default(), subject, &before];
            let finding = Finding {
                fingerprint: fingerprint(&parts),
                check: verdict.check.id(),
                severity: verdict.severity,
                steps: vec![name],
                word,
                rule,
                peer: None,
                message: verdict.message,
                hint: verdict.hint,
                place,
            };
            self.found.push((finding, vec![shown]));
        }
    }

    /// Takes that the record of earlier runs is not to be trusted. It is about no line of the file: the first stands for all.
    pub(super) fn about_record(&mut self, why: &str, hint: Option<&str>) {
        let check = Check::UntrustedRecord;
        let finding = Finding {
            // Not the reason: it names the place, and that moves.
            fingerprint: fingerprint(&[check.id()]),
            check: check.id(),
            severity: check.severity(),
            steps: Vec::new(),
            word: None,
            rule: None,
            peer: None,
            message: format!("what earlier runs used is not known: {why}"),
            hint: hint.map(str::to_owned),
            place: Place::of(&self.pipeline.file, &(0..0)),
        };
        self.found.push((finding, Vec::new()));
    }

    /// Takes the verdicts about a peer. `peer` is its place among the peers.
    pub(super) fn about_peer(
        &mut self,
        peer: usize,
        name: &str,
        steps: &[String],
        place: Place,
        verdicts: Vec<Verdict>,
    ) {
        for verdict in verdicts {
            let finding = Finding {
                fingerprint: fingerprint(&[verdict.check.id(), "peer", name]),
                check: verdict.check.id(),
                severity: verdict.severity,
                steps: steps.to_vec(),
                word: None,
                rule: None,
                peer: Some(name.to_owned()),
                message: verdict.message,
                hint: verdict.hint,
                place,
            };
            self.found.push((finding, vec![Shown::Peer(peer)]));
        }
    }

    /// Puts the findings into the audit, and their places where they are shown.
    pub(super) fn place_in(mut self, audit: &mut Audit) {
        self.found.sort_by_key(|(finding, _)| (Reverse(finding.severity), finding.place.line, finding.place.column));
        for (index, (finding, places)) in self.found.into_iter().enumerate() {
            match finding.severity {
                Severity::Error => audit.counts.errors += 1,
                Severity::Warning => audit.counts.warnings += 1,
                Severity::Note => audit.counts.notes += 1,
            }
            audit.findings.push(finding);
            for place in places {
                let list = match place {
                    Shown::Call(call) => audit.calls.get_mut(call).map(|call| &mut call.findings),
                    Shown::Rule { call, rule } => audit
                        .calls
                        .get_mut(call)
                        .and_then(|call| call.rules.get_mut(rule))
                        .map(|rule| &mut rule.findings),
                    Shown::Peer(peer) => audit.peers.get_mut(peer).map(|peer| &mut peer.findings),
                };
                if let Some(list) = list {
                    list.push(index);
                }
            }
        }
    }
}

/// 32 digits that stay the same while the finding does.
fn fingerprint(parts: &[&str]) -> String {
    let mut digest = Digest::of(parts.join("\0").as_bytes()).to_string();
    digest.truncate(32);
    digest
}
