//! An artifact's content on the standard input of a program that checks it.

use std::{
    fs::{File, OpenOptions},
    io::{self, PipeWriter, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    sync::Arc,
};

use nix::fcntl::OFlag;
use pipe_core::units::ByteSize;
use tokio_util::sync::CancellationToken;

use super::{
    capture::{bulk_pipe, succeeded},
    progress::Progress,
    retrieve::{self, Source},
    unreadable,
};
use crate::{
    blocking::effect_error,
    error::{EffectError, ErrorKind},
    process::{Command, output::MaskedOutput, stream, supervise::Streams},
    session::Session,
};

/// Size of one buffer, in bytes.
const PIECE: usize = 256 * 1024;

impl Session {
    /// Feeds the content of `source` to `verifier`: how many lines it wrote.
    pub(super) async fn fed(self: &Arc<Self>, source: Source, verifier: &Command) -> Result<u64, EffectError> {
        let (artifact, program) = (source.artifact.clone(), &verifier.program);
        let failed = |error| effect_error(error, unreadable(&artifact));
        let (input_end, input) = bulk_pipe().map_err(failed)?;
        let (output, output_end) = stream().map_err(failed)?;
        let (errors, errors_end) = stream().map_err(failed)?;
        let streams = Streams { input: input_end.into(), output: output_end, error_output: errors_end };
        let mut supervised = self.supervise(verifier, streams).await?;
        let stop = supervised.stop().clone();
        let last_lines = self.log_errors(&supervised, errors, program);
        // The program's output is counted and goes nowhere, so it may be as much as the content gives.
        let output = MaskedOutput::new(output, self.world.redactor.clone(), stop.clone(), None);
        let lines = self.operations().spawn(count_lines(output));

        let message = format!("verifying {} with {program}", artifact.name);
        let progress = Progress::new(&self.ledger, message, Some(artifact.content_bytes));
        let fed = self.blocking(move |stop| feed(&source, input, stop, progress)).await;
        if let Err(error) = &fed {
            // Before it takes the end of a damaged content for the end of a sound one.
            stop.because(EffectError::new(ErrorKind::Failed, error.to_string()));
        }
        let exit = supervised.wait().await;
        let last_lines = last_lines.await.unwrap_or_default();
        let lines = lines.await.unwrap_or_default();
        let fed = fed.map_err(failed)?;
        succeeded(program, exit?, &last_lines)?;
        match fed {
            Fed::All(unread) if nothing_in(&unread) => Ok(lines),
            _ => Err(not_taken(verifier, artifact.content_bytes)),
        }
    }
}

/// How far the feeding came.
enum Fed {
    /// All was written, and this is a second reader of the pipe.
    All(File),
    /// The program did not want more.
    Part,
}

/// Writes the content into `input`. It is closed, which tells the program that this was all, after everything is checked.
fn feed(source: &Source, mut input: PipeWriter, stop: &CancellationToken, progress: Progress) -> io::Result<Fed> {
    let written = retrieve::read(source, stop, progress, |content| {
        let mut buffer = vec![0; PIECE];
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(()),
                read => input.write_all(&buffer[..read])?,
            }
        }
    });
    match written {
        Ok(()) => {}
        // Only writing can fail like this: errors of reading have a type of their own by now.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Fed::Part),
        Err(error) => return Err(error),
    }
    // What the pipe still holds when the program has ended, it has not read. Opened only now: with another reader about,
    // writing to a program that is gone would wait for ever.
    let path = format!("/proc/self/fd/{}", input.as_raw_fd());
    let unread = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    Ok(Fed::All(unread))
}

/// Whether a pipe that nobody writes to any more is empty.
fn nothing_in(mut pipe: &File) -> bool {
    matches!(pipe.read(&mut [0]), Ok(0))
}

async fn count_lines(mut output: MaskedOutput) -> u64 {
    let (mut lines, mut open) = (0, false);
    while let Some(data) = output.next().await {
        lines += data.iter().filter(|&&byte| byte == b'\n').count() as u64;
        open = data.last() != Some(&b'\n');
    }
    lines + u64::from(open)
}

fn not_taken(verifier: &Command, content_bytes: u64) -> EffectError {
    let program = &verifier.program;
    let size = ByteSize(content_bytes);
    let error = EffectError::new(
        ErrorKind::Failed,
        format!("{program} exited with 0 without having read all {size} of the content: that verifies nothing"),
    );
    if program.rsplit('/').next() == Some("pg_restore") {
        return error
            .with_hint("`pg_restore --list` reads the table of contents; `pg_restore --file=-` reads everything");
    }
    error.with_hint("a verifier reads its standard input to the end")
}
