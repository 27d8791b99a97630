//! `pipe completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{arguments::Arguments, exit::Exit, failure::Failure, printer::Printer};

/// Print completions for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub(crate) fn completions(arguments: &CompletionsArguments, printer: Printer) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "pipe", &mut script);
    printer.result(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Succeeded)
}
