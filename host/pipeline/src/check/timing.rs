//! `[window]` with its inputs: when the phases are due.

use pipe_core::{diagnostic::Diagnostic, phase::Phase, units::format_duration};

use crate::{
    document::{Document, WindowSpec, shortened},
    scope::{Place, Scope},
    window::Window,
};

/// The window of these inputs. Whether it is too late for it is known when something is to begin, not here.
pub(super) fn window(scope: &Scope<'_>, document: &Document, spec: &WindowSpec) -> Option<Window> {
    let report = scope.report;
    let text = scope.fixed(&spec.start, Place::Plain)?;
    let Ok(start) = text.parse() else {
        let message = format!("`{}` is not a moment with its zone", shortened(&text));
        let hint = "such as `2026-11-28T22:00:00+01:00`, or with `Z` for UTC";
        report.advise("bad-value", message, spec.start.span.clone(), hint);
        return None;
    };
    let steps = document.steps.iter().map(|step| (&step.name, &step.phase));
    let gates = document.gates.iter().map(|gate| (&gate.name, &gate.phase));
    let phases = steps.chain(gates).filter_map(|(name, phase)| Some((name.value.clone(), phase.as_ref()?.value)));
    let max_age = spec.max_age.as_ref().map(|max_age| max_age.value);
    let window = Window { start, duration: spec.duration, late: spec.late, max_age, phases: phases.collect() };
    if let Some(max_age) = &spec.max_age {
        let youngest = |phase: &Phase| {
            let latest = window.until(*phase)?;
            let age = window.start.duration_since(latest);
            (age > jiff::SignedDuration::try_from(max_age.value).ok()?).then_some(*phase)
        };
        if let Some(phase) =
            window.all().into_iter().filter(|phase| *phase < Phase::T).find_map(|phase| youngest(&phase))
        {
            let allowed = format_duration(max_age.value);
            let message = format!("results of `{phase}` are always older than {allowed} when `t` is due");
            report.push(
                Diagnostic::error("conflict", message)
                    .at(report.file(), max_age.span.clone(), "")
                    .hint("let `max_age` be longer, or the phase be nearer to `t`"),
            );
        }
    }
    Some(window)
}
