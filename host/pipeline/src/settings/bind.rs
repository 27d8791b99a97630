//! Resolves the references of settings that are known before the run, and looks the others up.

use std::{collections::BTreeMap, ops::Range};

use pipe_core::{diagnostic::Diagnostic, id::StepId};
use serde_json::Value;

use crate::{
    document::{MAXIMUM_STRING, With, WithValue},
    reference::{Piece, Reference, RunWord, Target, Template},
    scope::Scope,
    settings::{Open, OpenEntry, OpenValue, Part, Settings},
};

/// Where each step stands, and what it is repeated over.
pub(crate) type Order<'a> = BTreeMap<&'a str, (usize, Option<&'a str>)>;

/// Binds the settings of one step.
pub(crate) struct Binder<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) order: &'a Order<'a>,
    /// Steps that stand before this place may be referred to.
    pub(crate) before: usize,
    /// Whether it is a notification, which knows how the run went.
    pub(crate) notification: bool,
    /// Bytes so far.
    pub(crate) weight: usize,
}

impl Binder<'_> {
    pub(crate) fn bind(&mut self, with: &With) -> Option<Settings> {
        self.value(with).map(|root| Settings { root })
    }

    fn value(&mut self, with: &With) -> Option<Open> {
        self.weight += size_of::<Open>();
        let value = match &with.value {
            WithValue::Boolean(boolean) => OpenValue::Fixed(Value::Bool(*boolean)),
            WithValue::Number(number) => OpenValue::Fixed(Value::Number(number.clone())),
            WithValue::Text(template) => self.text(template)?,
            WithValue::Array(items) => {
                let items: Vec<Option<Open>> = items.iter().map(|item| self.value(item)).collect();
                OpenValue::Array(items.into_iter().collect::<Option<_>>()?)
            }
            WithValue::Table(entries) => {
                let entries: Vec<Option<OpenEntry>> = entries
                    .iter()
                    .map(|(key, value)| {
                        self.weight += key.value.len();
                        let value = self.value(value)?;
                        Some(OpenEntry { key: key.value.clone(), key_span: key.span.clone(), value })
                    })
                    .collect();
                OpenValue::Table(entries.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(Open { span: with.span.clone(), value })
    }

    fn text(&mut self, template: &Template) -> Option<OpenValue> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut sound = true;
        for piece in &template.pieces {
            match piece {
                Piece::Literal(text) => literal.push_str(text),
                Piece::Reference(reference) => match self.part(reference) {
                    Some(Part::Literal(text)) => literal.push_str(&text),
                    Some(open) => {
                        if !literal.is_empty() {
                            parts.push(Part::Literal(std::mem::take(&mut literal)));
                        }
                        parts.push(open);
                    }
                    None => sound = false,
                },
            }
            if literal.len() > MAXIMUM_STRING {
                let message = format!("a string of the settings is longer than {} KiB", MAXIMUM_STRING >> 10);
                self.scope.report.error("too-large", message, template.span.clone(), "");
                return None;
            }
        }
        self.weight += literal.len() + parts.len() * size_of::<Part>();
        if parts.is_empty() {
            return sound.then_some(OpenValue::Fixed(Value::String(literal)));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        sound.then_some(OpenValue::Text(parts))
    }

    fn part(&self, reference: &Reference) -> Option<Part> {
        let written = || reference.written.clone();
        match &reference.to {
            Target::Output { step, key } => {
                let step = self.output_of(step, &reference.span)?;
                Some(Part::Output { written: written(), step, key: key.clone() })
            }
            Target::Run(RunWord::Outcome) => self.late(reference, "run.outcome"),
            Target::Run(RunWord::Reason) => self.late(reference, "run.reason"),
            _ => self.scope.value(reference).map(Part::Literal),
        }
    }

    fn late(&self, reference: &Reference, name: &'static str) -> Option<Part> {
        if !self.notification {
            let message = format!("`{}` is known to notifications alone", reference.written);
            self.scope.report.error("unknown-reference", message, reference.span.clone(), "");
            return None;
        }
        Some(Part::Late { written: reference.written.clone(), name })
    }

    /// The step whose output is meant: an earlier one, and of a repeated one the instance of the same key.
    fn output_of(&self, name: &str, span: &Range<usize>) -> Option<String> {
        let report = self.scope.report;
        let Some(&(place, set)) = self.order.get(name) else {
            let known = self.order.iter().filter(|(_, (place, _))| *place < self.before).map(|(name, _)| *name);
            report.unknown("unknown-reference", format!("there is no step `{name}`"), name, known, span.clone());
            return None;
        };
        if place >= self.before {
            let hint = "only steps that stand above have outputs by then";
            report.advise("later-step", format!("the step `{name}` does not run before this one"), span.clone(), hint);
            return None;
        }
        match (set, self.scope.each) {
            (None, _) => Some(StepId::new(name).to_string()),
            (Some(set), Some(each)) if each.set == set => {
                Some(StepId { name: name.to_owned(), instance: Some(each.key.to_owned()) }.to_string())
            }
            (Some(set), _) => {
                let message = format!("the step `{name}` is repeated over `{set}`: it has one output for each entry");
                let diagnostic = Diagnostic::error("repeated-step", message).at(report.file(), span.clone(), "");
                let hint = format!("a step with `for_each = {{ in = \"{set}\" }}` sees the output for its own key");
                report.push(diagnostic.hint(hint));
                None
            }
        }
    }
}
