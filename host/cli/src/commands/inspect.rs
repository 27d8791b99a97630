//! `pipe inspect`.

use std::path::PathBuf;

use clap::Args;
use pipe_core::stage::Stage;
use pipe_sandbox::{CONTRACT_VERSION, Plugin, Sandbox};
use serde_json::{Value, json};

use super::loading;
use crate::{
    exit::Exit,
    failure::Failure,
    printer::{Printer, QUIET, STRONG, harmless_json, styled},
    standard,
};

/// Say what a plugin is: stage, contract, imports, settings, and what it asks for
///
/// The stage, imports and digest come from the component itself. The description is the vendor's own word: the component is
/// run for it with nothing granted.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A component file, or a standard plugin: `std:precheck` … `std:notify`
    #[arg(value_name = "PLUGIN")]
    plugin: String,

    /// Print only the JSON Schema of the settings
    #[arg(long)]
    schema: bool,
}

/// Inspects the plugin.
pub(crate) async fn inspect(arguments: &InspectArguments, printer: Printer) -> Result<Exit, Failure> {
    let sandbox = loading::sandbox(printer)?;
    let plugin = load(&arguments.plugin, &sandbox).await?;
    let schema: Value = pipe_pipeline::compile_schema(&plugin.description.settings_schema)
        .map_err(|error| Failure::new(Exit::Invalid, format!("its settings schema is refused: {error}")))?;
    if arguments.schema {
        printer.result(&pretty(&schema));
    } else if printer.json() {
        printer.value(&as_json(&plugin, &schema));
    } else {
        print(&plugin, &schema, printer);
    }
    Ok(Exit::Succeeded)
}

/// A plugin named on the command line: a file, or a standard one.
pub(crate) async fn load(name: &str, sandbox: &Sandbox) -> Result<Plugin, Failure> {
    let loaded = match name.strip_prefix("std:") {
        Some(word) => {
            let stage: Stage = word.parse().map_err(|error: pipe_core::stage::UnknownStage| {
                Failure::new(Exit::Usage, error.to_string())
                    .hint(format!("standard plugins are {}", Stage::ALL.map(|stage| format!("std:{stage}")).join(", ")))
            })?;
            sandbox.load(name, standard::component(stage)).await?
        }
        None => sandbox.load_file(name, &PathBuf::from(name), None).await?,
    };
    Ok(loaded)
}

fn print(plugin: &Plugin, schema: &Value, printer: Printer) {
    let description = &plugin.description;
    printer.result(&format!("{} {}", styled(STRONG, &description.name), description.version));
    printer.result(&description.summary);
    printer.result("");
    let row = |name: &str, text: &str| printer.result(&format!("{}  {text}", styled(QUIET, &format!("{name:<9}"))));
    row("stage", plugin.contract.stage.word());
    row("contract", &format!("pipe:stage {} (this pipe speaks {CONTRACT_VERSION})", plugin.contract.version));
    row("sha256", &plugin.digest.to_string());
    row("undo", if plugin.contract.undo { "yes" } else { "no" });
    row("preview", if plugin.contract.preview { "yes" } else { "no" });
    printer.result(&format!("\n{}", styled(STRONG, "Imports")));
    for import in &plugin.contract.imports {
        printer.result(&format!("  {import}"));
    }
    printer.result(&format!("\n{}", styled(STRONG, "Asks for")));
    if description.capabilities.is_empty() {
        printer.result("  nothing");
    }
    for request in &description.capabilities {
        printer.result(&format!("  {:<9} {}", request.word, request.subject));
        printer.result(&styled(QUIET, &format!("            {}", request.reason)));
    }
    printer.result(&format!("\n{}", styled(STRONG, "Settings (JSON Schema)")));
    printer.result(&pretty(schema));
}

fn as_json(plugin: &Plugin, schema: &Value) -> Value {
    json!({
        "schema": "pipe.plugin/v1",
        "name": plugin.description.name,
        "version": plugin.description.version,
        "summary": plugin.description.summary,
        "stage": plugin.contract.stage,
        "contract": plugin.contract.version,
        "sha256": plugin.digest,
        "undo": plugin.contract.undo,
        "preview": plugin.contract.preview,
        "imports": plugin.contract.imports,
        "requests": plugin.description.capabilities,
        "settings": schema,
    })
}

fn pretty(value: &Value) -> String {
    harmless_json(serde_json::to_string_pretty(value).unwrap_or_default())
}
