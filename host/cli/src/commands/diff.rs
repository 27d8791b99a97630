//! `pipe diff`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::id::RunId;
use pipe_pipeline::{Checked, Document, NO_ENVIRONMENT, RunFacts, Selection};
use pipe_runner::{Difference, Side, Version};
use pipe_sandbox::{Plugin, Sandbox};
use serde_json::json;

use super::{inspect, loading};
use crate::{
    exit::Exit,
    failure::Failure,
    printer::{BAD, CAREFUL, GOOD, Printer, STRONG, styled},
    standard,
};

/// Say what a new version of a plugin or pipeline may do that the old one may not, and the reverse
///
/// Two plugins are compared by what they import and ask for, two pipelines by what each step may touch, by inclusion: a
/// narrower rule is no gain. Exit code 10 says that something was gained. Nothing is touched.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// A pipeline file (`.toml`), a component file, or a standard plugin: `std:precheck` … `std:notify`
    #[arg(value_name = "OLD")]
    old: String,

    /// Another of the same kind
    #[arg(value_name = "NEW")]
    new: String,

    /// Of pipelines: compare this environment alone [default: all of both]
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,

    /// Of pipelines: set an input of whichever has it; can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = crate::arguments::assignment)]
    set: Vec<(String, String)>,
}

/// A difference, and the environment that it is of.
type Found = (Option<String>, Difference);

/// A checked pipeline and its plugins.
type Loaded = (Checked, BTreeMap<String, Plugin>);

/// Compares the two.
pub(crate) async fn diff(arguments: &DiffArguments, printer: Printer) -> Result<Exit, Failure> {
    let is_pipeline = |name: &str| Path::new(name).extension().is_some_and(|end| end == "toml");
    let sandbox = loading::sandbox(printer)?;
    let (kind, found): (&str, Vec<Found>) = match (is_pipeline(&arguments.old), is_pipeline(&arguments.new)) {
        (true, true) => ("pipelines", pipelines(arguments, &sandbox).await?),
        (false, false) => {
            let old = inspect::load(&arguments.old, &sandbox).await?;
            let new = inspect::load(&arguments.new, &sandbox).await?;
            (
                "plugins",
                pipe_runner::difference_of_plugins(&old, &new)
                    .into_iter()
                    .map(|difference| (None, difference))
                    .collect(),
            )
        }
        _ => {
            let message = "a pipeline and a plugin cannot be compared";
            return Err(Failure::new(Exit::Usage, message).hint("name two files that end in `.toml`, or two plugins"));
        }
    };
    let gained = found.iter().any(|(_, difference)| difference.side == Side::Gained);
    if printer.json() {
        let differences: Vec<_> = found
            .iter()
            .map(|(environment, difference)| {
                json!({
                    "environment": environment, "about": difference.about, "side": difference.side,
                    "what": difference.what,
                })
            })
            .collect();
        printer.value(&json!({
            "schema": "pipe.diff/v1", "kind": kind, "old": arguments.old, "new": arguments.new, "gained": gained,
            "differences": differences,
        }));
    } else {
        print(&found, printer);
    }
    Ok(if gained { Exit::Gained } else { Exit::Succeeded })
}

fn print(found: &[Found], printer: Printer) {
    let mut under = None;
    for (environment, difference) in found {
        let place = (environment, &difference.about);
        if under != Some(place) {
            let title = match (difference.about.as_str(), environment) {
                ("", _) => String::new(),
                (about, Some(environment)) => format!("{} in {environment}", styled(STRONG, about)),
                (about, None) => styled(STRONG, about),
            };
            if !title.is_empty() {
                printer.result(&title);
            }
            under = Some(place);
        }
        let mark = match difference.side {
            Side::Gained => styled(BAD, "+"),
            Side::Lost => styled(GOOD, "-"),
            Side::Changed => styled(CAREFUL, "~"),
        };
        printer.result(&format!("  {mark} {}", difference.what));
    }
    let count = |side: Side| found.iter().filter(|(_, difference)| difference.side == side).count();
    printer.talk(&match found {
        [] => "no difference in what they may do".to_owned(),
        _ => {
            let [gained, lost, changed] = [Side::Gained, Side::Lost, Side::Changed].map(count);
            format!("{gained} gained, {lost} lost, {changed} changed otherwise")
        }
    });
}

/// The differences of two pipeline files, environment by environment.
async fn pipelines(arguments: &DiffArguments, sandbox: &Sandbox) -> Result<Vec<Found>, Failure> {
    let old = loading::document(&PathBuf::from(&arguments.old))?;
    let new = loading::document(&PathBuf::from(&arguments.new))?;
    let names: Vec<Option<String>> = match &arguments.env {
        Some(name) => vec![Some(name.clone())],
        None => {
            let mut names = environments(&new);
            names.extend(environments(&old).into_iter().filter(|name| !environments(&new).contains(name)));
            names
        }
    };
    let mut found = Vec::new();
    for name in names {
        let before = side(&old, &new, name.as_deref(), arguments, sandbox).await?;
        let after = side(&new, &old, name.as_deref(), arguments, sandbox).await?;
        let differences =
            pipe_runner::difference_of_pipelines(before.as_ref().map(version), after.as_ref().map(version));
        let label = name.unwrap_or_else(|| NO_ENVIRONMENT.to_owned());
        found.extend(differences.into_iter().map(|difference| (Some(label.clone()), difference)));
    }
    Ok(found)
}

fn version((checked, plugins): &Loaded) -> Version<'_> {
    Version { pipeline: &checked.pipeline, plugins }
}

/// The environments of a file; the one without a name where it declares none.
fn environments(document: &Document) -> Vec<Option<String>> {
    let names: Vec<Option<String>> = document.environments().map(|name| Some(name.to_owned())).collect();
    if names.is_empty() { vec![None] } else { names }
}

/// One of the two in one environment; nothing where it does not have that one, and the other does.
async fn side(
    document: &Document,
    other: &Document,
    environment: Option<&str>,
    arguments: &DiffArguments,
    sandbox: &Sandbox,
) -> Result<Option<Loaded>, Failure> {
    let has = |document: &Document| environments(document).iter().any(|name| name.as_deref() == environment);
    if !has(document) && has(other) {
        return Ok(None);
    }
    let started = jiff::Timestamp::now();
    // An input of the other one alone is none of this one's business; one of neither is a mistake that is told.
    let own = |name: &str| document.has_input(environment, name) || !other.has_input(environment, name);
    let selection = Selection {
        environment: environment.map(str::to_owned),
        inputs: arguments.set.iter().filter(|(name, _)| own(name)).cloned().collect(),
        previous: BTreeMap::new(),
        run: RunFacts { id: RunId::new(started), started },
    };
    let checked = pipe_pipeline::check(document, &selection)?;
    let (plugins, _, _) = pipe_runner::describe_plugins(
        &checked.pipeline,
        sandbox,
        &pipe_runner::PluginBytes::Fresh(standard::component),
    )
    .await?;
    Ok(Some((checked, plugins)))
}
