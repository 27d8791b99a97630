//! `pipe:host/secret`.

use std::sync::Arc;

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::secret as wit, state::State};

impl wit::Host for State {
    async fn reveal(&mut self, name: String) -> HostResult<String> {
        let session = Arc::clone(&self.session);
        told(session.reveal(&name).await)
    }
}
