//! The command line. Each command's own arguments stand in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{commands, exit};

/// Run deployments from one TOML file, each step in its own sandboxed WebAssembly component
///
/// A step may touch only what its pipeline file grants: hosts, files, databases, variables, secrets, programs. Every use
/// and every refusal is written down. A deployment that fails is undone.
#[derive(Debug, Parser)]
#[command(name = "pipe", version, max_term_width = 100, after_help = exit::TABLE, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) output: OutputOptions,

    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Directory of journal and artifacts [default: `state` of the pipeline file, else the user's state directory]
    #[arg(long, global = true, value_name = "DIR", env = "PIPE_STATE")]
    pub(crate) state: Option<PathBuf>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputOptions {
    /// Format of results on stdout; `json` writes one JSON value a line
    #[arg(long = "output", global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) format: Format,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
}

/// A format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(commands::run::RunArguments),
    Approve(commands::approve::ApproveArguments),
    Check(commands::check::CheckArguments),
    Plan(commands::plan::PlanArguments),
    Status(commands::status::StatusArguments),
    Resume(commands::resume::ResumeArguments),
    Watch(commands::watch::WatchArguments),
    Rollback(commands::rollback::RollbackArguments),
    Resolve(commands::resolve::ResolveArguments),
    Abandon(commands::abandon::AbandonArguments),
    Audit(commands::audit::AuditArguments),
    Diff(commands::diff::DiffArguments),
    Inspect(commands::inspect::InspectArguments),
    History(commands::history::HistoryArguments),
    Show(commands::show::ShowArguments),
    Prune(commands::prune::PruneArguments),
    Lock(commands::lock::LockArguments),
    Suggest(commands::suggest::SuggestArguments),
    Unlock(commands::unlock::UnlockArguments),
    Log(commands::log::LogArguments),
    Schema(commands::schema::SchemaArguments),
    Completions(commands::completions::CompletionsArguments),
    Man(commands::man::ManArguments),
}

/// Which pipeline, where, with what.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The environment: one of `environments` in the file; there is no default
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,

    /// Set an input; can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) set: Vec<(String, String)>,

    /// Input of the deployment before, where this pipe has not made it; can be repeated
    #[arg(long = "previous", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) previous: Vec<(String, String)>,

    /// Hold the pipeline against this policy too; the system's own, /etc/pipe/policy.toml, always applies where it exists
    #[arg(long, value_name = "FILE", env = "PIPE_POLICY")]
    pub(crate) policy: Option<PathBuf>,
}

pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1_000;

/// Why somebody decides something, for the record: one line.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    // What a hint shows is no reason.
    if text.is_empty() || text == "…" {
        return Err("say why".to_owned());
    }
    if text.chars().any(char::is_control) || text.chars().count() > LONGEST_REASON {
        return Err(format!("one line of at most {LONGEST_REASON} characters"));
    }
    Ok(text.to_owned())
}

/// A person, as a signers file names them.
pub(crate) fn principal(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty()
        || text.chars().any(|c| c.is_control() || c.is_whitespace())
        || text.chars().count() > LONGEST_REASON
    {
        return Err("one name as it stands in a signers file: `alice@example.org`".to_owned());
    }
    Ok(text.to_owned())
}
