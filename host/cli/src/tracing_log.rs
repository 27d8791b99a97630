//! The program's own log, on stderr. It passes the redactor like everything else that leaves the process.

use std::io::{self, Write};

use pipe_core::redact::Redactor;
use tracing_subscriber::EnvFilter;

use crate::printer::Printer;

/// Starts the log. `PIPE_LOG` says more than `--verbose` can.
pub(crate) fn start(printer: Printer, verbose: u8, redactor: &Redactor) {
    let default = match verbose {
        0 => "error",
        1 => "pipe=info,pipe_runner=info,pipe_sandbox=info,warn",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("PIPE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let redactor = redactor.clone();
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Masked { redactor: redactor.clone() })
        .with_ansi(printer.live())
        .try_init();
    if started.is_err() {
        printer.warning("the log was started twice");
    }
}

/// stderr, without secrets. `tracing` writes an event as a whole, so that no secret is cut in two.
struct Masked {
    redactor: Redactor,
}

impl Write for Masked {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&self.redactor.redact_bytes(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
