//! `pipe:host/disk` and `pipe:host/files`.

use std::sync::Arc;

use super::{HostResult, told};
use crate::{
    bindings::host::pipe::host::{disk, files},
    state::State,
};

impl disk::Host for State {
    async fn free(&mut self, path: String) -> HostResult<disk::Space> {
        let session = Arc::clone(&self.session);
        told(session.disk_free(&path).await.map(|space| disk::Space { total: space.total, available: space.available }))
    }
}

impl files::Host for State {
    async fn stat(&mut self, path: String) -> HostResult<files::Attributes> {
        let session = Arc::clone(&self.session);
        told(
            session
                .stat(&path)
                .await
                .map(|attributes| files::Attributes { mode: attributes.mode, owner: attributes.owner }),
        )
    }
}
