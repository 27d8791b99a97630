//! `pipe:host/artifact`.

use std::sync::Arc;

use pipe_core::event::{Artifact, Verification};
use pipe_effects::artifact::Storing;

use super::{HostResult, told};
use crate::{
    bindings::host::pipe::host::{artifact as wit, process::Command},
    state::State,
};

impl wit::Host for State {
    async fn archive(&mut self, directory: String, storing: wit::Storing) -> HostResult<wit::Stored> {
        let session = Arc::clone(&self.session);
        let stored = session.archive(&directory, storing.into()).await;
        told(self.stored(stored))
    }

    async fn capture(&mut self, producer: Command, storing: wit::Storing) -> HostResult<wit::Stored> {
        let session = Arc::clone(&self.session);
        let stored = session.capture(producer.into(), storing.into()).await;
        told(self.stored(stored))
    }

    async fn verify_archive(&mut self, digest: String) -> HostResult<wit::Verification> {
        let session = Arc::clone(&self.session);
        told(session.verify_archive(&digest).await.map(wit::Verification::from))
    }

    async fn verify_with(&mut self, digest: String, verifier: Command) -> HostResult<wit::Verification> {
        let session = Arc::clone(&self.session);
        told(session.verify_with(&digest, verifier.into()).await.map(wit::Verification::from))
    }

    async fn extract(&mut self, digest: String, directory: String) -> HostResult<wit::Verification> {
        let session = Arc::clone(&self.session);
        told(session.extract(&digest, &directory).await.map(wit::Verification::from))
    }
}

impl State {
    /// Remembers what this call stored: its report may name nothing else.
    fn stored<E>(&self, result: Result<Artifact, E>) -> Result<wit::Stored, E> {
        result.map(|artifact| {
            if let Ok(mut stored) = self.stored.lock() {
                stored.insert(artifact.digest);
            }
            wit::Stored {
                digest: artifact.digest.to_string(),
                location: artifact.location,
                bytes: artifact.bytes,
                content_bytes: artifact.content_bytes,
                encrypted: artifact.encrypted,
            }
        })
    }
}

impl From<wit::Storing> for Storing {
    fn from(storing: wit::Storing) -> Self {
        Self { name: storing.name, encrypt_with: storing.encrypt_with }
    }
}

impl From<Verification> for wit::Verification {
    fn from(verification: Verification) -> Self {
        Self { method: verification.method, content_bytes: verification.content_bytes, entries: verification.entries }
    }
}
