//! `[window]`, and `phase` of steps and gates.

use std::time::Duration;

use pipe_core::{diagnostic::Diagnostic, phase::Phase};

use crate::{
    document::{GateSpec, StepSpec, name},
    fields::{Fields, Located},
    keys,
    reference::Template,
    report::Report,
};

/// A window that is open for longer keeps nothing out.
const LONGEST_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// No result is worth anything for longer, and nothing is waited for so long.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// When the deployment takes place.
#[derive(Clone, Debug)]
pub(crate) struct WindowSpec {
    /// A moment, once references are resolved.
    pub(crate) start: Template,
    pub(crate) duration: Duration,
    pub(crate) late: Option<Duration>,
    pub(crate) max_age: Option<Located<Duration>>,
}

pub(super) fn read(report: &Report, file: &Fields<'_>) -> Option<WindowSpec> {
    let fields = Fields::of(report, &file.get("window")?.node, keys::WINDOW)?;
    let start = fields.required("start", "`start = \"${inputs.window}\"`: a moment with its zone");
    let start = start.and_then(|text| Template::read(report, &text));
    fields.needs("duration", "`duration = \"4h\"`: for how long after its start the deployment may begin");
    let duration = fields.duration("duration", LONGEST_WINDOW);
    let late = fields.duration("late", LONGEST);
    let max_age = fields
        .get("max_age")
        .and_then(|entry| Some(Located { value: fields.duration("max_age", LONGEST)?, span: entry.node.span.clone() }));
    Some(WindowSpec { start: start?, duration: duration?, late, max_age })
}

/// `phase` of a table. Those that cannot have one do not know the key.
pub(super) fn phase(report: &Report, fields: &Fields<'_>) -> Option<Located<Phase>> {
    let text = fields.string("phase")?;
    match text.value.parse() {
        Ok(phase) => Some(Located { value: phase, span: text.span }),
        Err(error) => {
            let code =
                if matches!(error, pipe_core::phase::PhaseError::Duration(_)) { "bad-unit" } else { "bad-value" };
            let hint = "`t-24h` is a day before the start of the window, `t` is its start, `t+1h` an hour after";
            report.advise(code, name::shortened(&error.to_string()), text.span, hint);
            None
        }
    }
}

/// Reports phases that go backwards: steps run in the order written. And phases without a window to count from.
pub(super) fn in_order(report: &Report, has_window: bool, steps: &[StepSpec], gates: &[GateSpec]) {
    let steps = steps.iter().map(|step| (step.at, &step.name, &step.phase));
    let mut all: Vec<_> = steps.chain(gates.iter().map(|gate| (gate.at, &gate.name, &gate.phase))).collect();
    all.sort_by_key(|(at, ..)| *at);
    if !has_window && let Some(phase) = all.iter().find_map(|(.., phase)| phase.as_ref()) {
        let hint = "`[window]` with `start = \"${inputs.window}\"` and `duration = \"4h\"` says when `t` is";
        report.advise("missing-key", "a phase needs `[window]`", phase.span.clone(), hint);
    }
    let of = |phase: &Option<Located<Phase>>| phase.as_ref().map_or(Phase::T, |phase| phase.value);
    for pair in all.windows(2) {
        let [(_, above_name, above), (_, below_name, below)] = pair else { continue };
        if of(below) < of(above) {
            let place = |name: &Located<String>, phase: &Option<Located<Phase>>| {
                phase.as_ref().map_or_else(|| name.span.clone(), |phase| phase.span.clone())
            };
            let message =
                format!("the phase `{}` comes after `{}` in the file, and before it in time", of(below), of(above));
            report.push(
                Diagnostic::error("phase-order", message)
                    .at(report.file(), place(below_name, below), "")
                    .at(report.file(), place(above_name, above), "after this")
                    .hint("steps run in the order written: put it above; a step that says no phase is of `t`"),
            );
        }
    }
}
