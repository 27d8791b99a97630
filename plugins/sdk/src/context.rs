//! For whom and for what.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Context;

impl Context {
    /// When the run started.
    #[must_use]
    pub fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.started_unix_ms)
    }

    /// When the host will end the call.
    #[must_use]
    pub fn deadline(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.deadline_unix_ms)
    }

    /// What is left until then. Zero where it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline().duration_since(SystemTime::now()).unwrap_or_default()
    }
}
