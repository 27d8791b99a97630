//! What a program writes, as an artifact.

use std::{io, process::Stdio, sync::Arc};

use nix::fcntl::{FcntlArg, fcntl};

use super::{
    progress::Progress,
    store::{self, Destination, Written},
};
use crate::{
    blocking::effect_error,
    error::{EffectError, ErrorKind},
    process::{
        Command, Exit,
        output::{LineLog, MaskedOutput, OUTPUT_LIMIT},
        stream,
        supervise::{Streams, Supervised},
    },
    session::Session,
};

/// How much a pipe for bulk data holds, in bytes. The kernel may give less.
const BULK_PIPE: i32 = 1 << 20;

impl Session {
    /// Runs `producer` and stores its output. What is returned is not yet an artifact.
    pub(super) async fn captured(
        self: &Arc<Self>,
        producer: &Command,
        destination: &Destination,
    ) -> Result<Written, EffectError> {
        let program = &producer.program;
        let failed = |error| effect_error(error, format_args!("cannot store the output of {program}"));
        let (output, output_end) = bulk_pipe().map_err(failed)?;
        let (errors, errors_end) = stream().map_err(failed)?;
        let streams = Streams { input: Stdio::null(), output: output_end.into(), error_output: errors_end };
        let mut supervised = self.supervise(producer, streams).await?;
        let last_lines = self.log_errors(&supervised, errors, program);

        let mut progress = Progress::new(&self.ledger, format!("storing the output of {program}"), None);
        let plan = destination.clone();
        let written = self
            .blocking(move |stop| store::write(&plan, stop, |content| content.take(output, |done| progress.at(done))));
        let written = written.await;
        if let Err(error) = &written {
            // It would wait for ever for someone to read on.
            supervised.stop().because(EffectError::new(ErrorKind::Failed, error.to_string()));
        }
        let exit = supervised.wait().await;
        let last_lines = last_lines.await.unwrap_or_default();
        let written = written.map_err(failed)?;
        succeeded(program, exit?, &last_lines)?;
        if written.content_bytes == 0 {
            return Err(EffectError::new(
                ErrorKind::Failed,
                with_lines(format!("{program} wrote nothing"), &last_lines),
            ));
        }
        Ok(written)
    }

    /// Logs what a program writes to its standard error. The task's result are the last lines.
    pub(super) fn log_errors(
        self: &Arc<Self>,
        supervised: &Supervised,
        source: tokio::net::unix::pipe::Receiver,
        program: &str,
    ) -> tokio::task::JoinHandle<Vec<String>> {
        let output =
            MaskedOutput::new(source, self.world.redactor.clone(), supervised.stop().clone(), Some(OUTPUT_LIMIT));
        self.operations().spawn(LineLog::new(Arc::clone(&self.ledger), program).take(output))
    }
}

/// A pipe for much data: the end that reads and the end that writes.
pub(super) fn bulk_pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    // Only faster: an unprivileged user may have used up what pipes may take.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(BULK_PIPE));
    Ok((reader, writer))
}

/// An error unless the program exited with 0.
pub(super) fn succeeded(program: &str, exit: Exit, last_lines: &[String]) -> Result<(), EffectError> {
    let how = match exit {
        Exit::Code(0) => return Ok(()),
        Exit::Code(code) => format!("{program} exited with {code}"),
        Exit::Signal(signal) => format!("{program} was ended by signal {signal}"),
    };
    Err(EffectError::new(ErrorKind::Failed, with_lines(how, last_lines)))
}

fn with_lines(how: String, last_lines: &[String]) -> String {
    if last_lines.is_empty() { how } else { format!("{how}: {}", last_lines.join(" | ")) }
}
