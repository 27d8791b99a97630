//! What passes through one call, counted; and the end of a call through which too much passed.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use pipe_core::{
    limits::{Limit, Limits},
    units::ByteSize,
};
use tokio_util::sync::CancellationToken;

use crate::error::{EffectError, ErrorKind};

/// The most refusals of one call. A plugin that goes on asking is looking for a hole, or fills the disk with its refusals.
const MOST_REFUSALS: u64 = 1_000;

/// The most uses of one call that are written down one by one.
const MOST_USES: u64 = 100_000;

/// A call that is ended since it filled the journal, or moved more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overrun {
    /// It was refused too often.
    #[error("the plugin was refused {MOST_REFUSALS} times")]
    Refusals,
    /// It used what it was granted too often.
    #[error("the plugin used what it was granted {MOST_USES} times")]
    Uses,
    /// It took in more bytes than this.
    #[error("the plugin took in more than {} (`limits.bytes_in`)", ByteSize(*.0))]
    BytesIn(u64),
    /// It gave out more bytes than this.
    #[error("the plugin gave out more than {} (`limits.bytes_out`)", ByteSize(*.0))]
    BytesOut(u64),
}

/// The counters of one call. Shared by everything that carries something for the guest.
#[derive(Clone, Debug)]
pub(crate) struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    limits: Limits,
    received: AtomicU64,
    sent: AtomicU64,
    refusals: AtomicU64,
    uses: AtomicU64,
    cancellation: CancellationToken,
    overrun: OnceLock<Overrun>,
}

impl Traffic {
    /// Counters at nothing.
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Counters { limits, ..Counters::default() }))
    }

    /// What the call may take.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Cancelled when the call must end.
    pub(crate) fn cancellation(&self) -> &CancellationToken {
        &self.0.cancellation
    }

    /// Why the call ends itself, where it does.
    pub(crate) fn overrun(&self) -> Option<Overrun> {
        self.0.overrun.get().copied()
    }

    /// Counts bytes that came in. The first one too many ends the call.
    pub(crate) fn received(&self, bytes: u64) -> Result<(), EffectError> {
        let most = self.0.limits.get(Limit::BytesIn);
        self.0.count(&self.0.received, bytes, most, Overrun::BytesIn(most))
    }

    /// Counts bytes that are about to go out. The first one too many ends the call.
    pub(crate) fn sent(&self, bytes: u64) -> Result<(), EffectError> {
        let most = self.0.limits.get(Limit::BytesOut);
        self.0.count(&self.0.sent, bytes, most, Overrun::BytesOut(most))
    }

    /// Counts a refusal. The first one too many ends the call.
    pub(crate) fn refused(&self) -> Result<(), EffectError> {
        self.0.count(&self.0.refusals, 1, MOST_REFUSALS, Overrun::Refusals)
    }

    /// Counts a use. The first one too many ends the call.
    pub(crate) fn used(&self) -> Result<(), EffectError> {
        self.0.count(&self.0.uses, 1, MOST_USES, Overrun::Uses)
    }
}

impl Counters {
    fn count(&self, counter: &AtomicU64, amount: u64, most: u64, overrun: Overrun) -> Result<(), EffectError> {
        if counter.fetch_add(amount, Ordering::Relaxed).saturating_add(amount) <= most {
            return Ok(());
        }
        self.overrun.get_or_init(|| overrun);
        self.cancellation.cancel();
        Err(EffectError::new(ErrorKind::Limit, overrun.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_too_many_ends_the_call_and_says_why() {
        let traffic = Traffic::new(Limits::default().with(Limit::BytesIn, 10).with(Limit::BytesOut, 5));
        assert!(traffic.received(10).is_ok() && traffic.sent(5).is_ok() && !traffic.cancellation().is_cancelled());
        let error = traffic.sent(1).unwrap_err();
        assert_eq!(error.to_string(), "the plugin gave out more than 5 B (`limits.bytes_out`)");
        assert!(traffic.cancellation().is_cancelled());
        // What was first stays the reason.
        assert!(traffic.received(u64::MAX).is_err());
        assert_eq!(traffic.overrun(), Some(Overrun::BytesOut(5)));
    }
}
