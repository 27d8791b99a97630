//! Waiting for what another process does.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Returns once something is so.
///
/// # Panics
///
/// After a minute.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs that has these arguments and no others, the program's name first. Tests run beside each other: each
/// needs arguments of its own.
///
/// # Panics
///
/// Where there is no `/proc`.
#[must_use]
pub fn is_running(arguments: &[&str]) -> bool {
    let wanted: Vec<u8> = arguments.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    processes.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default()).any(|line| line == wanted)
}
