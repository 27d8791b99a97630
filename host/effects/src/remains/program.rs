//! A program of a dead process: found by what no other process can have in common with it, and ended with everything below
//! and behind it.

use std::{
    fs,
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use nix::unistd::Pid;
use pipe_core::event::StartedProgram;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::confine::tree;

/// How long between two looks at something that ends.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long a supervisor whose host is gone may take to end by itself, and to clean up behind its program.
const BY_ITSELF: Duration = Duration::from_secs(2);

/// How often what a supervisor leaves behind is looked through.
const ROUNDS: u32 = 100;

/// How the directory of a program's temporary files begins.
const SCRATCH: &str = ".pipe-";

/// Where the kernel says which start of the machine this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What is to be journaled of a supervisor that has just been started, and not been waited for.
pub(crate) fn born(pid: u32, name: &str, scratch: &Path) -> io::Result<StartedProgram> {
    // It may have ended by now. Until it is waited for, its number is nobody else's.
    let (start_time, _) = parse(&fs::read(format!("/proc/{pid}/stat"))?)?;
    let scratch = scratch.to_string_lossy().into_owned();
    Ok(StartedProgram { name: name.to_owned(), pid, start_time, boot: boot()?, scratch })
}

fn boot() -> io::Result<String> {
    fs::read_to_string(BOOT).map(|text| text.trim().to_owned())
}

/// When the process started that lives under this number, if one does.
fn start_time(pid: u32) -> io::Result<Option<u64>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => parse(&stat).map(|(start_time, alive)| alive.then_some(start_time)),
        Err(error) if error.kind() == ErrorKind::NotFound || is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The process ended while its file was read.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Field 22 of `12 (a name) S 1 …`, and whether the process does more than wait to be waited for. The name may hold spaces
/// and parentheses.
fn parse(stat: &[u8]) -> io::Result<(u64, bool)> {
    let unknown = || io::Error::other("the kernel says nothing that is known of the process");
    let stat = String::from_utf8_lossy(stat);
    let (_, rest) = stat.rsplit_once(')').ok_or_else(unknown)?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next().ok_or_else(unknown)?;
    let start = fields.nth(18).and_then(|field| field.parse().ok()).ok_or_else(unknown)?;
    Ok((start, !matches!(state, "Z" | "X" | "x")))
}

/// A supervisor that is still there.
pub(super) struct Found {
    pid: Pid,
    /// The process itself, whoever gets its number later.
    handle: OwnedFd,
}

/// Finds the supervisor of a program, if it is still there.
pub(super) fn find(program: &StartedProgram) -> io::Result<Option<Found>> {
    if boot()? != program.boot {
        return Ok(None);
    }
    let Some(number) = i32::try_from(program.pid).ok().filter(|pid| *pid > 0) else { return Ok(None) };
    let Some(pid) = rustix::process::Pid::from_raw(number) else { return Ok(None) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Behind the handle, so that it is the handle's process whose start is compared.
    let same = start_time(program.pid)? == Some(program.start_time);
    Ok(same.then(|| Found { pid: Pid::from_raw(number), handle }))
}

impl Found {
    /// Whether it ends without help. One that works sees that its host is gone at once.
    pub(super) async fn ends_by_itself(&self) -> bool {
        self.ended_within(BY_ITSELF).await
    }

    /// Ends everything below it, and then it.
    pub(super) async fn end(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        loop {
            // While it lives it is the parent of whatever its program leaves behind, so nothing gets away.
            let pid = self.pid;
            let below = tokio::task::spawn_blocking(move || tree::kill_below(pid)).await.unwrap_or(0);
            if below == 0 || Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        match pidfd_send_signal(&self.handle, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(format!("it cannot be ended: {}", io::Error::from(error))),
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(LOOK_AGAIN * 5);
        if self.ended_within(left).await {
            Ok(())
        } else {
            Err(format!("it did not end within {} s", within.as_secs()))
        }
    }

    async fn ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while !self.ended() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        true
    }

    /// The first process of a namespace has ended once everything in it has.
    fn ended(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut handle = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut handle, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// Ends what a supervisor without a namespace has left behind, and removes its temporary files: they may hold the login of a
/// peer. `state` is the directory in which they were made.
pub(super) fn sweep(program: &StartedProgram, state: Option<&Path>) -> Result<(), String> {
    let scratch = Path::new(&program.scratch);
    let is_scratch = scratch.parent() == state
        && state.is_some()
        && scratch.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SCRATCH));
    if !is_scratch {
        return Ok(());
    }
    if boot().is_ok_and(|boot| boot == program.boot) {
        let mut rounds = 0;
        while tree::kill_marked(program.scratch.as_bytes()) > 0 {
            rounds += 1;
            if rounds >= ROUNDS {
                return Err("something that it started does not end".to_owned());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("its temporary files cannot be removed: {}: {error}", scratch.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_anything() {
        let fields = "1 1 1 0 -1 4194304 1 1 1 1 1 1 1 1 20 0 1 0 4711 1000 100";
        let parse = |stat: String| parse(stat.as_bytes()).ok();
        assert_eq!(parse(format!("12 (a) S 1 (b) S {fields}")), Some((4711, true)));
        assert_eq!(parse(format!("12 (a) Z {fields}")), Some((4711, false)));
        assert_eq!(parse("12 (a".to_owned()), None);
        assert_eq!(parse("12 (a) S 1".to_owned()), None);
    }

    #[test]
    fn only_the_very_process_is_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let program = born(child.id(), "sleep", Path::new("/nowhere")).unwrap();
        assert!(find(&program).unwrap().is_some());
        for other in [
            StartedProgram { start_time: program.start_time + 1, ..program.clone() },
            StartedProgram { boot: "another".to_owned(), ..program.clone() },
            StartedProgram { pid: 0, ..program.clone() },
            StartedProgram { pid: u32::MAX, ..program.clone() },
        ] {
            assert!(find(&other).unwrap().is_none(), "{other:?}");
        }
        child.kill().unwrap();
        // Not waited for: it is nothing but a number.
        while start_time(child.id()).unwrap().is_some() {}
        assert!(find(&program).unwrap().is_none());
        child.wait().unwrap();
    }

    #[test]
    fn nothing_but_temporary_files_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let program = |scratch: &Path| StartedProgram {
            name: "x".to_owned(),
            pid: 1,
            start_time: 0,
            boot: "another".to_owned(),
            scratch: scratch.to_string_lossy().into_owned(),
        };
        let (scratch, other) = (state.path().join(".pipe-abc"), state.path().join("artifacts"));
        for directory in [&scratch, &other] {
            fs::create_dir(directory).unwrap();
            sweep(&program(directory), Some(state.path())).unwrap();
        }
        assert!(!scratch.exists() && other.exists());
        let elsewhere = tempfile::tempdir().unwrap();
        sweep(&program(&state.path().join(".pipe-x/../artifacts")), Some(state.path())).unwrap();
        sweep(&program(elsewhere.path()), Some(state.path())).unwrap();
        assert!(other.exists() && elsewhere.path().exists());
        sweep(&program(&scratch), Some(state.path())).unwrap();
    }
}
