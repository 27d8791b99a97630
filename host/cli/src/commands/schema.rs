//! `pipe schema`.

use clap::Args;

use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Print the JSON Schema of pipeline files
///
/// For editors: put `#:schema ./pipe.schema.json` on the first line of the pipeline file.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {}

/// Prints the schema.
pub(crate) fn schema(printer: Printer) -> Result<Exit, Failure> {
    let schema = pipe_pipeline::json_schema();
    if printer.json() {
        printer.value(&schema);
    } else {
        printer.result(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    }
    Ok(Exit::Succeeded)
}
