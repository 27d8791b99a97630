//! `pipe:host/process`.

use std::sync::Arc;

use pipe_effects::process::{Channel, Child, Chunk, Command, Exit};
use wasmtime::component::Resource;

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::process as wit, state::State};

/// A guest's handle to a running program.
pub struct Running(Child);

impl wit::Host for State {
    async fn start(&mut self, command: wit::Command) -> HostResult<Resource<Running>> {
        let session = Arc::clone(&self.session);
        match session.start(command.into()).await {
            Ok(child) => Ok(Ok(self.table.push(Running(child))?)),
            Err(error) => told(Err(error)),
        }
    }
}

impl wit::HostChild for State {
    async fn read(&mut self, child: Resource<Running>) -> HostResult<Option<wit::Chunk>> {
        told(self.table.get_mut(&child)?.0.read().await.map(|chunk| chunk.map(wit::Chunk::from)))
    }

    async fn wait(&mut self, child: Resource<Running>) -> HostResult<wit::Exit> {
        told(self.table.get_mut(&child)?.0.wait().await.map(wit::Exit::from))
    }

    async fn drop(&mut self, child: Resource<Running>) -> wasmtime::Result<()> {
        self.table.delete(child)?;
        Ok(())
    }
}

impl From<wit::Command> for Command {
    fn from(command: wit::Command) -> Self {
        Self { program: command.program, arguments: command.arguments }
    }
}

impl From<Chunk> for wit::Chunk {
    fn from(chunk: Chunk) -> Self {
        let channel = match chunk.channel {
            Channel::Output => wit::Channel::Output,
            Channel::ErrorOutput => wit::Channel::ErrorOutput,
        };
        Self { channel, data: chunk.data }
    }
}

impl From<Exit> for wit::Exit {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal(signal) => Self::Signal(signal),
        }
    }
}
