//! `pipe log export`, `pipe log verify` and `pipe log prove`.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read as _, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use pipe_core::{digest::Digest, event::EventKind};
use pipe_journal::{JournalError, Reader, Recorded, RunFilter, Verified};

use super::{loading, output_file};
use crate::{exit::Exit, failure::Failure, printer::Printer};

/// Export the audit log, verify it, or find in it what it does not show
///
/// Every entry holds the hash of the one before it: a changed, removed, added or moved entry is found. A tail that was cut
/// off, or a log that was wholly written anew, is found when a hash that was noted elsewhere is given with `--head`.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the audit log as JSON lines to stdout or a file
    ///
    /// The journal is checked too: where it is not what was written, what is there is exported all the same, and the command ends
    /// with exit code 3.
    Export {
        /// Only this run or preview: its name or the beginning of it, or `last` for the last run
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
    /// Find the uses of a text that the audit log leaves out: it is read from stdin
    ///
    /// Statements stand in the log without their literals, requests without their query, commands without what the grant leaves
    /// open. Beside each stands a hash of the whole text under the key of the state directory. Whoever can read that key and knows
    /// the text can show which entries are about it.
    Prove {
        /// What the text is: an SQL statement, a query without `?`, or the arguments of a program, each with a NUL behind it
        #[arg(value_enum)]
        word: Proven,
    },
}

/// The words whose entries carry a proof.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Proven {
    Sql,
    Http,
    Exec,
}

/// The longest text that can stand behind an entry, in bytes.
const LONGEST_TEXT: u64 = 16 << 20;

/// Exports, verifies or proves.
pub(crate) fn log(arguments: &LogArguments, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    match &arguments.verb {
        Verb::Export { run, out } => export(run.as_deref(), out.as_deref(), state),
        Verb::Verify { file, head } => verify(file.as_deref(), *head, state, printer),
        Verb::Prove { word } => prove(*word, state, printer),
    }
}

fn export(run: Option<&str>, out: Option<&Path>, state: Option<&Path>) -> Result<Exit, Failure> {
    let state = loading::reading_state(state, None)?;
    let reader = Reader::open(&state)?;
    let run = match run {
        Some(text) => match (reader.previews_named(text)?.as_slice(), reader.runs_named(Some(text))?.is_empty()) {
            ([preview], true) => Some(preview.clone()),
            _ => Some(loading::find_run(&reader, text)?.run),
        },
        None => None,
    };
    let mut damage = None;
    // What is there is evidence, the more so where something is wrong with it: it is written as it is, and then that is said.
    let mut entries = |target: &mut dyn Write| match reader.export(target, run.as_ref()) {
        Err(error @ JournalError::Damaged { .. }) => {
            damage = Some(error);
            Ok(())
        }
        exported => exported,
    };
    match out {
        Some(path) => output_file::write(path, &[&state], |file| Ok(entries(file)?))?,
        None => match entries(&mut std::io::stdout().lock()) {
            // `pipe log export | head`: a reader that has gone away is no error.
            Err(JournalError::Export(error)) if error.kind() == ErrorKind::BrokenPipe => {}
            exported => exported?,
        },
    }
    let checked = match damage {
        Some(error) => Err((error, "what was exported ends before an entry that cannot be read")),
        None => reader.verify(None).map_err(|error| (error, "what was exported is not to be trusted")),
    };
    checked.map_err(|(error, what)| match not_as_written(error) {
        Failure::Message { exit, message, hint } => {
            Failure::Message { exit, message: format!("{what}: {message}"), hint }
        }
        other => other,
    })?;
    Ok(Exit::Succeeded)
}

fn verify(file: Option<&Path>, head: Option<Digest>, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let verified = match file {
        Some(path) => {
            let open = File::open(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Failure::new(Exit::Invalid, format!("there is no file `{}`", path.display())),
                _ => Failure::new(Exit::Invalid, format!("cannot read `{}`: {error}", path.display())),
            })?;
            pipe_journal::verify_lines(BufReader::new(open), head)
                .map_err(|broken| Failure::new(Exit::Invalid, format!("{}: {broken}", path.display())))?
        }
        None => Reader::open(&loading::reading_state(state, None)?)?.verify(head).map_err(not_as_written)?,
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

/// A record that is not what was written is the record's fault and not the journal's, however it came to be so.
pub(super) fn not_as_written(error: JournalError) -> Failure {
    match Failure::from(error.clone()) {
        Failure::Message { message, hint, .. } if matches!(error, JournalError::Damaged { .. }) => {
            Failure::Message { exit: Exit::Invalid, message, hint }
        }
        failure => failure,
    }
}

fn prove(word: Proven, state: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(LONGEST_TEXT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_TEXT {
        return Err(Failure::new(Exit::Usage, "the text is longer than any that was recorded"));
    }
    let word = match word {
        Proven::Sql => {
            text = text.trim_ascii_start().to_vec();
            while text.last().is_some_and(|last| last.is_ascii_whitespace() || *last == b';') {
                text.pop();
            }
            "sql"
        }
        Proven::Http => {
            text = text.trim_ascii().to_vec();
            "http"
        }
        Proven::Exec => "exec",
    };
    let reader = Reader::open(&loading::reading_state(state, None)?)?;
    let proof = reader.proof_key()?.of(word, &text);
    let mut found = 0_u64;
    let runs = reader.runs(&RunFilter::default())?.into_iter().map(|run| run.run);
    for run in runs.chain(reader.previews_named("")?) {
        for event in reader.events(&run)? {
            let Recorded::Known(EventKind::Used { step, used }) = &event.event else { continue };
            if used.proof != Some(proof) || used.word != word {
                continue;
            }
            found += 1;
            if printer.json() {
                printer.value(&serde_json::json!({
                    "schema": "pipe.proven/v1", "proof": proof, "seq": event.seq, "at": event.at, "run": event.run,
                    "step": step, "use": used,
                }));
            } else {
                let at = event.at.strftime("%Y-%m-%d %H:%M:%S");
                printer.result(&format!(
                    "entry {} of run {}, {at}, {step}: {word} {}",
                    event.seq, event.run, used.subject
                ));
            }
        }
    }
    if found == 0 {
        printer.talk(&format!("no entry is about this text, whose proof is {proof}"));
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
        printer.talk("without --head nobody can tell whether the end was cut off, or all of it was written anew");
    }
}
