//! What ends a program before its time.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::error::EffectError;

/// What ends a program before its time, and why. Clones share it.
#[derive(Clone)]
pub(crate) struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<EffectError>>,
}

impl Stop {
    /// Comes with `token`, or for a reason of its own.
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token, reason: Arc::default() }
    }

    /// Ends the program for a reason of the host's. The first reason counts.
    pub(crate) fn because(&self, reason: EffectError) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// Returns once the program must end.
    pub(crate) async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// An error once the program must end.
    pub(crate) fn check(&self) -> Result<(), EffectError> {
        if self.token.is_cancelled() { Err(self.error()) } else { Ok(()) }
    }

    fn error(&self) -> EffectError {
        self.reason.get().cloned().unwrap_or_else(EffectError::cancelled)
    }
}
