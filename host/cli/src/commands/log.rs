//! `pipe log export` and `pipe log verify`.

use std::{
    fs::File,
    io::{BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use pipe_core::digest::Digest;
use pipe_journal::{JournalError, Reader, Verified};

use super::{loading, output_file};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Export the audit log, or verify it
///
/// Every entry holds the hash of the one before it: a changed, removed, added or moved entry is found. A tail that was cut
/// off is found when a hash that was noted elsewhere is given with `--head`.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the audit log as JSON lines to stdout or a file
    Export {
        /// Only this run: its name or the beginning of it, or `last`
        #[arg(long, value_name = "RUN")]
        run: Option<String>,

        /// Write to a file
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify an export, or the journal itself
    Verify {
        /// An export; without it, the journal
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,

        /// A hash that the log must hold: the `audit head` that a run printed at its end
        #[arg(long, value_name = "SHA256")]
        head: Option<Digest>,
    },
}

/// Exports or verifies.
pub(crate) fn log(arguments: &LogArguments, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    match &arguments.verb {
        Verb::Export { run, out } => export(run.as_deref(), out.as_deref(), state),
        Verb::Verify { file, head } => verify(file.as_deref(), *head, state, printer),
    }
}

fn export(run: Option<&str>, out: Option<&Path>, state: Option<&Path>) -> Result<Exit, Failure> {
    let state = loading::reading_state(state, None)?;
    let reader = Reader::open(&state)?;
    let run = match run {
        Some(text) => Some(loading::find_run(&reader, text)?.run),
        None => None,
    };
    match out {
        Some(path) => {
            output_file::write(path, &[&state], |file| Ok(reader.export(file, run.as_ref())?))?;
        }
        None => match reader.export(std::io::stdout().lock(), run.as_ref()) {
            // `pipe log export | head`: a reader that has gone away is no error.
            Err(JournalError::Export(error)) if error.kind() == ErrorKind::BrokenPipe => {}
            exported => exported?,
        },
    }
    Ok(Exit::Succeeded)
}

fn verify(file: Option<&Path>, head: Option<Digest>, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let verified = match file {
        Some(path) => {
            let open = File::open(path)
                .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display())))?;
            pipe_journal::verify_lines(BufReader::new(open), head)
                .map_err(|broken| Failure::new(Exit::Invalid, format!("{}: {broken}", path.display())))?
        }
        None => Reader::open(&loading::reading_state(state, None)?)?.verify(head)?,
    };
    if let (Some(path), 0) = (file, verified.entries) {
        return Err(Failure::new(Exit::Invalid, format!("{} holds no audit entry", path.display()))
            .hint("`pipe log export --out FILE` writes one"));
    }
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.verified/v1", "entries": verified.entries, "first": verified.first, "last": verified.last,
            "head": verified.head, "since_head": verified.since_head, "subset": verified.subset,
        }));
    } else {
        print(&verified, head.is_some(), printer);
    }
    Ok(Exit::Succeeded)
}

fn print(verified: &Verified, anchored: bool, printer: Printer) {
    let entries = |count: u64| if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") };
    printer.result(&format!("{}, {} to {}: unchanged", entries(verified.entries), verified.first, verified.last));
    printer.result(&format!("head {}", verified.head));
    if let Some(since) = verified.since_head {
        printer.result(&format!("{} since the head that was given", entries(since)));
    }
    if let Some(run) = &verified.subset {
        printer.result(&format!("an export of run {run} alone: links to other runs' entries could not be followed"));
    }
    if !anchored {
        printer.talk("without --head nobody can tell whether the end was cut off");
    }
}
