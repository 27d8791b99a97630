//! Gates against the rest of the file: roles, and the steps that they name.

use std::collections::BTreeMap;

use pipe_core::{event::ChecklistItem, id::StepId};

use crate::{
    document::{Document, GateSpec, ItemSpec, RollbackSpec},
    fields::Located,
    gate::{Gate, RoleSpec},
    report::Report,
};

/// Makes gates of what the file says.
pub(super) struct Gates<'a> {
    pub(super) report: &'a Report,
    pub(super) document: &'a Document,
    pub(super) roles: &'a BTreeMap<String, RoleSpec>,
}

impl Gates<'_> {
    /// A gate before which the first `above` calls of the file stand.
    pub(super) fn gate(&self, spec: &GateSpec, above: usize) -> Gate {
        if !self.roles.contains_key(&spec.role.value) {
            let known = self.roles.keys().map(String::as_str);
            let message = format!("there is no role `{}`", spec.role.value);
            self.report.unknown("unknown-role", message, &spec.role.value, known, spec.role.span.clone());
        }
        if let Some(step) = &spec.if_started {
            self.step(step, usize::MAX);
        }
        Gate {
            id: StepId::new(spec.name.value.clone()),
            role: spec.role.value.clone(),
            quorum: spec.quorum,
            expires: spec.expires,
            on_expiry: spec.on_expiry,
            if_started: spec.if_started.as_ref().map(|step| step.value.clone()),
            checklist: spec.checklist.iter().map(|item| self.item(item, above)).collect(),
            span: spec.name.span.clone(),
        }
    }

    /// Warns of roles that nobody is asked for.
    pub(super) fn unused(&self) {
        let of_rollback = self.document.rollback.iter().flatten().filter_map(|entry| match entry {
            RollbackSpec::Gate(gate) | RollbackSpec::Undo { gate: Some(gate), .. } => Some(gate),
            RollbackSpec::Undo { gate: None, .. } | RollbackSpec::Run(_) => None,
        });
        let gates: Vec<&GateSpec> = self.document.gates.iter().chain(of_rollback).collect();
        for (name, role) in self.roles.iter().filter(|(name, _)| gates.iter().all(|gate| gate.role.value != **name)) {
            let message = format!("no gate asks for the role `{name}`");
            let warning = pipe_core::diagnostic::Diagnostic::warning("unused", message);
            self.report.push(warning.at(self.report.file(), role.span.clone(), ""));
        }
    }

    fn item(&self, spec: &ItemSpec, above: usize) -> ChecklistItem {
        let step = spec.step.as_ref().map(|step| {
            self.step(step, above);
            StepId::new(step.value.clone())
        });
        ChecklistItem { item: spec.item.clone(), step }
    }

    /// Reports a name that is not of a step among the first `above`.
    fn step(&self, name: &Located<String>, above: usize) {
        let steps = &self.document.steps;
        match steps.iter().position(|step| step.name.value == name.value) {
            Some(place) if place < above => {}
            Some(_) => {
                let message = format!("the step `{}` comes after the gate", name.value);
                self.report.error("conflict", message, name.span.clone(), "");
            }
            None => {
                let known = steps.iter().map(|step| step.name.value.as_str());
                let message = format!("there is no step `{}`", name.value);
                self.report.unknown("unknown-step", message, &name.value, known, name.span.clone());
            }
        }
    }
}
