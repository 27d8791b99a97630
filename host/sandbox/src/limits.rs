//! What one call of a guest may take: time, memory, tables, handles, log lines, report bytes.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one call. The defaults suit a stage that talks and compares; bulk bytes never pass through a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall time over guest code and host calls.
    pub deadline: Duration,
    /// Linear memory of all of the component's instances together, in bytes.
    pub memory_bytes: usize,
    /// Elements of all its tables together.
    pub table_elements: usize,
    /// Core instances.
    pub instances: usize,
    /// Open handles: files, streams, connections, programs.
    pub handles: usize,
    /// Bytes that may cross from the guest in one host call.
    pub host_call_bytes: usize,
    /// Lines of log, standard output and standard error together.
    pub log_lines: u32,
    /// Bytes of all these lines. Less than the journal lets wait, so that none of them is lost unsaid.
    pub log_bytes: usize,
    /// Bytes of a report or failure, as the journal would keep it. Less than an entry of the journal may have.
    pub report_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(300),
            memory_bytes: 256 << 20,
            table_elements: 100_000,
            instances: 50,
            handles: 4_096,
            host_call_bytes: 64 << 20,
            log_lines: 10_000,
            log_bytes: 2 << 20,
            report_bytes: 512 << 10,
        }
    }
}

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
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.limits.memory_bytes {
            self.refused = Some(format!("more than {} MiB of memory", self.limits.memory_bytes >> 20));
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.limits.table_elements {
            self.refused = Some(format!("more than {} table elements", self.limits.table_elements));
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }
}
