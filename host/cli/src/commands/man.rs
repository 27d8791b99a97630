//! `pipe man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::{arguments::Arguments, exit::Exit, failure::Failure, printer::Printer};

/// Print the manual page, or write the pages of all commands into a directory
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Write every page into this directory
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(crate) fn man(arguments: &ManArguments, printer: Printer) -> Result<Exit, Failure> {
    match &arguments.out {
        Some(directory) => {
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory));
            written.map_err(|error| {
                let message = format!("cannot write the pages into {}: {error}", directory.display());
                Failure::new(Exit::Internal, message)
                    .hint("`--out` names a directory, which is made where it is missing")
            })?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
            printer.result(String::from_utf8_lossy(&page).trim_end());
        }
    }
    Ok(Exit::Succeeded)
}
