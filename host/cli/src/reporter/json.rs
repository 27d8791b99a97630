//! Events as JSON lines on stdout: `pipe.event/v1`.

use pipe_core::event::{Event, SCHEMA};
use serde::Serialize;

use crate::printer::Printer;

#[derive(Serialize)]
struct Line<'e> {
    schema: &'static str,
    #[serde(flatten)]
    event: &'e Event,
}

/// Writes one event.
pub(crate) fn report(printer: Printer, event: &Event) {
    printer.value(&Line { schema: SCHEMA, event });
}
