//! The call itself: how much time it has left. No capability.

use std::time::Duration;

use crate::bindings::host::pipe::host::run as host;

/// How long until the host ends this call. Unlike [`Context::remaining`](crate::Context::remaining) it is not counted by the
/// wall clock, which may be set meanwhile.
#[must_use]
pub fn remaining() -> Duration {
    Duration::from_millis(host::remaining_ms())
}
