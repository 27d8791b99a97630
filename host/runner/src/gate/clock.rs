//! The two clocks of a gate.

use jiff::{Timestamp, TimestampRound, Unit};
use pipe_core::event::Moment;

/// Now, by the wall to the microsecond, and by the machine.
#[must_use]
pub fn moment() -> Moment {
    let now = Timestamp::now();
    let rounded = now.round(TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Trunc));
    Moment { at: rounded.unwrap_or(now), boot: pipe_journal::boot_id(), boot_ms: pipe_journal::boot_ms() }
}
