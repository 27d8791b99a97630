//! `pipe`: runs deployments from one TOML file, each step in its own sandboxed component.
//!
//! The only crate that knows arguments, prints, or ends the process.

mod arguments;
mod commands;
mod diagnostics;
mod exit;
mod failure;
mod page;
mod places;
mod printer;
mod reporter;
mod standard;
mod tracing_log;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::Parser as _;
use pipe_core::redact::Redactor;

use crate::{arguments::Arguments, exit::Exit, printer::Printer};

/// The hidden first argument with which the host starts itself as the supervisor of one program.
pub(crate) const SUPERVISOR: &str = "__confine";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(SUPERVISOR.as_ref()) {
        return supervisor(arguments);
    }
    // Before anything can open a connection: two providers in one process panic at run time.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let arguments = Arguments::parse();
    let printer = Printer::new(&arguments.output);
    let redactor = Redactor::default();
    tracing_log::start(printer, arguments.verbose, &redactor);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        printer.error("cannot start: the system gives no threads", None);
        return ExitCode::from(Exit::Internal.code());
    };
    let exit = match runtime.block_on(commands::run(arguments, &printer, redactor)) {
        Ok(exit) => exit,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit()
        }
    };
    let exit = if printer::results_were_lost() {
        printer.error("the result could not be written to stdout", None);
        if exit == Exit::Succeeded { Exit::Internal } else { exit }
    } else {
        exit
    };
    // A host call that hangs in the kernel must not keep the process: the journal is closed by now.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ExitCode::from(exit.code())
}

/// Ends the process at once, for an operator who interrupts twice.
#[expect(clippy::disallowed_methods, reason = "the one place that ends the process")]
pub(crate) fn end_now(exit: Exit) -> ! {
    std::process::exit(i32::from(exit.code()))
}

/// Runs as the supervisor of one program. Not a command: the host starts itself so.
fn supervisor(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(u8::try_from(pipe_effects::confine::confine_main(arguments)).unwrap_or(Exit::Internal.code()))
}
