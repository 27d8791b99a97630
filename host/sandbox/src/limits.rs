//! What one call of a guest may take: what the pipeline file says, and what no pipeline file can change.

use pipe_core::limits::{Limit, Limits};
use wasmtime::ResourceLimiter;

/// Bytes that may cross from the guest in one host call.
pub(crate) const HOST_CALL_BYTES: usize = 64 << 20;
/// Bytes of a report or failure, as the journal would keep it. Less than an entry of the journal may have.
pub(crate) const REPORT_BYTES: usize = 512 << 10;

/// Enforces memory, tables and instances, and remembers what was refused, so that the trap that follows has a name.
pub(crate) struct Limiter {
    pub(crate) limits: Limits,
    memory: usize,
    elements: usize,
    /// What was refused last.
    pub(crate) refused: Option<String>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, elements: 0, refused: None }
    }

    /// The amount of one thing as the machine counts.
    pub(crate) fn most(&self, limit: Limit) -> usize {
        usize::try_from(self.limits.get(limit)).unwrap_or(usize::MAX)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.most(Limit::Memory) {
            self.refused = Some(self.limits.exceeded(Limit::Memory, "of memory"));
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.most(Limit::Tables) {
            self.refused = Some(self.limits.exceeded(Limit::Tables, "table elements"));
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.most(Limit::Instances)
    }
}
