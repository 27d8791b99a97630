//! `pipe schema`.

use clap::Args;

use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Print the JSON Schema of pipeline files, or of policy files
///
/// For editors: put `#:schema ./pipe.schema.json` on the first line of the pipeline file.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// The schema of policy files instead
    #[arg(long)]
    policy: bool,
}

/// Prints the schema.
pub(crate) fn schema(arguments: &SchemaArguments, printer: Printer) -> Result<Exit, Failure> {
    let schema = if arguments.policy { pipe_pipeline::policy_schema() } else { pipe_pipeline::json_schema() };
    if printer.json() {
        printer.value(&schema);
    } else {
        printer.result(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    }
    Ok(Exit::Succeeded)
}
