//! `pipe check`.

use clap::Args;
use pipe_core::{diagnostic::Diagnostic, id::RunId};
use pipe_pipeline::{Document, Policy, RunFacts, Selection as Request};
use pipe_sandbox::Sandbox;

use super::{loading, lock, lock::Locking};
use crate::{
    arguments::Selection,
    exit::Exit,
    failure::Failure,
    printer::{Printer, count},
    standard,
};

/// Check a pipeline file: everything that can be known without touching anything
///
/// Checks syntax, references, grants, plugins and settings, for the environment named with `--env`, else for each of them.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    locking: Locking,
}

/// Checks the file.
pub(crate) async fn check(arguments: &CheckArguments, printer: Printer) -> Result<Exit, Failure> {
    let document = loading::document(&arguments.selection.file)?;
    let policies = loading::policies(&arguments.selection)?;
    let sandbox = loading::sandbox(printer)?;
    let mut environments: Vec<Option<String>> = match &arguments.selection.env {
        Some(environment) => vec![Some(environment.clone())],
        None => document.environments().map(|environment| Some(environment.to_owned())).collect(),
    };
    // A file without any is checked all the same.
    if environments.is_empty() {
        environments.push(None);
    }
    let mut told: Vec<Diagnostic> = Vec::new();
    let mut steps = 0;
    for environment in &environments {
        let found = match one(&document, environment.as_deref(), arguments, &policies, &sandbox).await {
            Ok((count, warnings)) => {
                steps = count;
                warnings
            }
            Err(Failure::Diagnostics(problems)) => problems,
            Err(failure) => return Err(failure),
        };
        // What is wrong in every environment is said once.
        for diagnostic in found {
            if !told.contains(&diagnostic) {
                told.push(diagnostic);
            }
        }
    }
    let failed = loading::any_error(&told);
    printer.diagnostics(&told);
    if failed {
        return Ok(Exit::of_diagnostics(&told));
    }
    let environments: Vec<&str> = environments.iter().flatten().map(String::as_str).collect();
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.check/v1", "pipeline": document.name(), "environments": environments, "calls": steps,
            "warnings": told.len(),
        }));
    } else {
        let environments = if environments.is_empty() { "no environment".to_owned() } else { environments.join(", ") };
        printer.result(&format!("{} is valid: {}, checked for {environments}", document.name(), count(steps, "call")));
    }
    Ok(Exit::Succeeded)
}

/// Checks the file for one environment: how many calls it plans, and what is worth a warning.
async fn one(
    document: &Document,
    environment: Option<&str>,
    arguments: &CheckArguments,
    policies: &[Policy],
    sandbox: &Sandbox,
) -> Result<(usize, Vec<Diagnostic>), Failure> {
    let selection = &arguments.selection;
    let started = jiff::Timestamp::now();
    let request = Request {
        environment: environment.map(str::to_owned),
        inputs: selection.set.iter().cloned().collect(),
        previous: selection.previous.iter().cloned().collect(),
        run: RunFacts { id: RunId::new(started), started },
    };
    let mut checked = pipe_pipeline::check(document, &request)?;
    lock::hold(arguments.locking, document, &mut checked.pipeline)?;
    let (plugins, _, mut warnings) = pipe_runner::describe_plugins(
        &checked.pipeline,
        sandbox,
        &pipe_runner::PluginBytes::Fresh(standard::component),
    )
    .await?;
    warnings.extend(pipe_runner::check_policies(policies, &checked.pipeline, &plugins));
    warnings.extend(pipe_runner::gate::check_signers(&checked.pipeline));
    warnings.extend(checked.warnings);
    Ok((checked.pipeline.steps.len() + checked.pipeline.notifications.len(), warnings))
}
