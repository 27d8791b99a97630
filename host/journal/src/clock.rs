//! The two clocks of an entry.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use nix::time::{ClockId, clock_gettime};

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// A moment by the wall and by the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// UTC, RFC 3339, microseconds: `2026-11-23T02:15:00.000000Z`.
    pub(crate) at: String,
    /// Milliseconds since the machine started, sleep included. No clock change moves it.
    pub(crate) boot_ms: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { at: PRINTER.timestamp_to_string(&Timestamp::now()), boot_ms: boot_ms() }
    }
}

/// Identity of the machine's present start, as the kernel gives it. The `boot_ms` of two entries can be compared where both
/// belong to one. Nothing where the kernel does not say.
#[must_use]
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// Milliseconds since the machine started, sleep included. No clock change moves it. 0 where the kernel has no such clock.
#[must_use]
pub fn boot_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec()).unwrap_or(0) / 1_000_000
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_has_one_width_and_reads_back() {
        let moment = Moment::now();
        assert_eq!(moment.at.len(), "2026-11-23T02:15:00.000000Z".len());
        assert!(moment.at.parse::<Timestamp>().is_ok(), "{}", moment.at);
        assert!(moment.boot_ms > 0);
    }

    #[test]
    fn a_boot_has_one_name() {
        assert_eq!(boot_id().map(|id| id.len()), Some(36));
        assert_eq!(boot_id(), boot_id());
    }
}
