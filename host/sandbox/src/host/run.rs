//! `pipe:host/run`.

use tokio::time::Instant;

use crate::{bindings::host::pipe::host::run as wit, plugin::DESCRIBE_DEADLINE, state::State};

impl wit::Host for State {
    fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        let left = match self.ends {
            Some(ends) => ends.saturating_duration_since(Instant::now()),
            // A description is the same every time.
            None => DESCRIBE_DEADLINE,
        };
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}
