//! What guards and the watch look at: `[[check]]` entries, called once each, however many guards make them.

use std::collections::BTreeSet;

use pipe_core::{diagnostic::Diagnostic, id::StepId};

use crate::{
    check::expand::{Expander, Kind},
    document::{Document, GuardSpec, RollbackSpec, WatchSpec},
    fields::Located,
    pipeline::{Guard, GuardCheck, Step, Watch},
    report::Report,
};

/// The checks that guards and the watch make.
pub(super) fn checks(report: &Report, document: &Document, expander: &Expander<'_>) -> Vec<Step> {
    let mut made = BTreeSet::new();
    let mut checks = Vec::new();
    // A check sees what every one of its guards sees: the outputs of the steps above the first of them.
    for (place, guard) in document.guards() {
        for named in &guard.checks {
            let (name, span) = (named.check.value.as_str(), &named.check.span);
            let Some(check) = document.checks.iter().find(|check| check.name.value == name) else {
                let known = document.checks.iter().map(|check| check.name.value.as_str());
                report.unknown("unknown-check", format!("there is no check `{name}`"), name, known, span.clone());
                continue;
            };
            if !made.insert(name) {
                continue;
            }
            if let Some(step) = called(document).find(|step| step.value == name) {
                let message = format!("a step or gate and a check of a guard are both called `{name}`");
                report.push(
                    Diagnostic::error("duplicate-name", message)
                        .at(report.file(), span.clone(), "")
                        .at(report.file(), step.span.clone(), "the other")
                        .hint("give it a `name` of its own: the record tells them apart by it"),
                );
                continue;
            }
            expander.called.borrow_mut().checks.insert(name.to_owned());
            checks.extend(expander.steps(check, place, Kind::Check));
        }
    }
    checks
}

/// Everything else that runs under its own name.
fn called(document: &Document) -> impl Iterator<Item = &Located<String>> {
    let rollback = document.rollback.iter().flatten().filter_map(|entry| match entry {
        RollbackSpec::Run(step) => Some(&step.name),
        RollbackSpec::Gate(gate) | RollbackSpec::Undo { gate: Some(gate), .. } => Some(&gate.name),
        RollbackSpec::Undo { gate: None, .. } => None,
    });
    let notifications = document.notifications.iter().map(|notification| &notification.step.name);
    let gates = document.gates.iter().map(|gate| &gate.name);
    document.steps.iter().map(|step| &step.name).chain(gates).chain(rollback).chain(notifications)
}

pub(super) fn guarded(spec: &GuardSpec) -> Guard {
    let checks = spec.checks.iter();
    let checks = checks.map(|named| GuardCheck { check: StepId::new(&named.check.value), breach: named.breach });
    Guard { checks: checks.collect(), every: spec.every }
}

pub(super) fn watch(spec: &WatchSpec) -> Watch {
    Watch { lasts: spec.lasts, guard: guarded(&spec.guard) }
}
