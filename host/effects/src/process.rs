//! Programs: native code, run as the grant says and only so.
//!
//! Each program runs below a supervisor of its own (see [`crate::confine`]), which ends its whole tree when the program
//! ends, when the call is cancelled, or when the host dies. There is no shell, and no other way to start a program.

mod arguments;
mod credentials;
mod environment;
mod launch;
pub(crate) mod output;
mod prepare;
mod program;
mod stop;
pub(crate) mod supervise;

use std::{io, process::Stdio, sync::Arc};

use tokio::{net::unix::pipe, sync::mpsc};

use self::{
    output::{MaskedOutput, OUTPUT_LIMIT},
    supervise::{Streams, Supervised},
};
use crate::{blocking::effect_error, error::EffectError, session::Session, traffic::Traffic};

/// How many chunks wait for the guest before the program does.
const WAITING_CHUNKS: usize = 4;

/// The largest chunk, in bytes.
const LARGEST_CHUNK: usize = 64 * 1024;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Name or absolute path, as in the grant.
    pub program: String,
    /// Arguments without the program's own name. Never a secret.
    pub arguments: Vec<String>,
}

/// Where a chunk came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Output,
    /// Standard error.
    ErrorOutput,
}

/// Something that a program wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where.
    pub channel: Channel,
    /// At most 64 KiB, with secrets masked.
    pub data: Vec<u8>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A running program. Dropping it ends the program and everything that it started.
pub struct Child {
    supervised: Supervised,
    chunks: mpsc::Receiver<Chunk>,
    traffic: Traffic,
}

impl Session {
    /// Starts a program with its standard input closed. Capability: `exec`.
    ///
    /// # Errors
    ///
    /// The grant does not cover the program and its arguments, or the program cannot be started.
    pub async fn start(self: &Arc<Self>, command: Command) -> Result<Child, EffectError> {
        let failed = |error| effect_error(error, format_args!("cannot start {}", command.program));
        let (output, output_end) = stream().map_err(failed)?;
        let (error_output, error_output_end) = stream().map_err(failed)?;
        let streams = Streams { input: Stdio::null(), output: output_end, error_output: error_output_end };
        let supervised = self.supervise(&command, streams).await?;
        let (sender, chunks) = mpsc::channel(WAITING_CHUNKS);
        for (channel, source) in [(Channel::Output, output), (Channel::ErrorOutput, error_output)] {
            let stop = supervised.stop().clone();
            let output = MaskedOutput::new(source, self.world.redactor.clone(), stop, Some(OUTPUT_LIMIT));
            self.operations().spawn(deliver(output, channel, sender.clone()));
        }
        Ok(Child { supervised, chunks, traffic: self.traffic.clone() })
    }
}

impl Child {
    /// The next chunk, or nothing once both channels are closed. Waits.
    ///
    /// # Errors
    ///
    /// The program was ended by the host: at the deadline, or because it wrote too much; or its output is more than the call
    /// may take in.
    pub async fn read(&mut self) -> Result<Option<Chunk>, EffectError> {
        match self.chunks.recv().await {
            Some(chunk) => {
                self.traffic.received(chunk.data.len() as u64)?;
                Ok(Some(chunk))
            }
            None => self.supervised.stop().check().map(|()| None),
        }
    }

    /// Waits for the end of the program and of everything that it started. What was not read until then is discarded.
    ///
    /// # Errors
    ///
    /// The program was ended by the host, or its end was not seen.
    pub async fn wait(&mut self) -> Result<Exit, EffectError> {
        self.chunks.close();
        while self.chunks.try_recv().is_ok() {}
        self.supervised.wait().await
    }
}

/// A pipe: the end that the host reads, and the end that the program gets.
pub(crate) fn stream() -> io::Result<(pipe::Receiver, Stdio)> {
    let (reader, writer) = io::pipe()?;
    Ok((pipe::Receiver::from_owned_fd(reader.into())?, writer.into()))
}

/// Hands the program's output to the guest. Once nobody listens, reads on and discards, so that the program can go on.
async fn deliver(mut output: MaskedOutput, channel: Channel, sender: mpsc::Sender<Chunk>) {
    let stop = output.stop().clone();
    while let Some(data) = output.next().await {
        for part in data.chunks(LARGEST_CHUNK) {
            let chunk = Chunk { channel, data: part.to_vec() };
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                _ = sender.send(chunk) => {}
            }
        }
    }
}
