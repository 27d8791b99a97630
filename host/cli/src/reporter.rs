//! Reporters: they read a run's events and change nothing.

mod json;
mod lines;
mod summary;
mod text;

use std::sync::Arc;

use pipe_core::event::Event;
use pipe_runner::Observer;

pub(crate) use lines::took;
pub(crate) use summary::{Place, summary};

use crate::printer::Printer;

/// The reporter that the operator asked for.
pub(crate) fn observer(printer: Printer, verbose: bool) -> Observer {
    if printer.json() {
        return Arc::new(move |event: &Event| json::report(printer, event));
    }
    let text = text::TextReporter::new(printer, verbose);
    Arc::new(move |event: &Event| text.report(event))
}

/// The lines that an event is worth, for `pipe show`.
pub(crate) fn event_lines(kind: &pipe_core::event::EventKind, verbose: bool) -> Vec<String> {
    lines::of(kind, verbose)
}
