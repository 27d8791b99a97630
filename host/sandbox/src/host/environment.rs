//! `pipe:host/environment`.

use std::sync::Arc;

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::environment as wit, state::State};

impl wit::Host for State {
    async fn variable(&mut self, name: String) -> HostResult<Option<String>> {
        let session = Arc::clone(&self.session);
        told(session.variable(&name).await)
    }
}
