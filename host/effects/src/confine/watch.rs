//! A program from its start to the end of everything that it has started.

use std::{
    fs::File,
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    process::{Child, ExitStatus},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill},
        signalfd::SignalFd,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{self, Pid},
};
use pipe_capability::exec::Bound;

use super::{bounds::Bounded, protocol::End, tree};

/// The first process of a namespace.
const FIRST: Pid = Pid::from_raw(1);

/// How often a tree that does not end is looked through again, in milliseconds.
const AGAIN_AFTER_MS: u16 = 20;

/// How many ended processes are taken note of before anything else is looked at.
const MOST_AT_ONCE: usize = 10_000;

/// How a program came to its end.
pub(super) struct Watched {
    /// How it ended itself, if that was seen.
    pub(super) ended: Option<End>,
    /// What it had too much of.
    pub(super) exceeded: Option<Bound>,
}

/// Returns once no process of the program's tree is left. Ends them when the program has ended, when `lifeline` closes, or
/// when they hold more than they may.
pub(super) fn watch(program: &mut Child, signals: &SignalFd, lifeline: &File, bounded: &mut Bounded<'_>) -> Watched {
    let (mut ended, mut exceeded) = (None, None);
    let mut ending = false;
    while reap(program, &mut ended) {
        if !ending {
            // A program may end because it came up against what the kernel bounds, before anybody looked.
            let failed = ended.is_some_and(|ended: ExitStatus| !ended.success());
            exceeded = if failed { bounded.look_now() } else { ended.map_or_else(|| bounded.look(), |_| None) };
        }
        ending |= ended.is_some() || exceeded.is_some();
        if ending {
            end_all();
            let mut sources = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut sources, PollTimeout::from(AGAIN_AFTER_MS));
        } else {
            let mut sources =
                [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
            // Rounded down: one too early costs nothing but a turn.
            let pause = PollTimeout::try_from(bounded.pause()).unwrap_or(PollTimeout::ZERO);
            let polled = poll(&mut sources, pause);
            ending = polled.is_err_and(|error| error != Errno::EINTR) || sources[1].any() == Some(true);
        }
        while let Ok(Some(_)) = signals.read_signal() {}
    }
    let exceeded = exceeded.or_else(|| bounded.of_end(ended?));
    Watched { ended: ended.map(end_of), exceeded }
}

/// Sends SIGKILL to everything that the program has started.
fn end_all() {
    let own = unistd::getpid();
    if own == FIRST {
        // All that there is in this namespace, but for this process.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    } else {
        tree::kill_below(own);
    }
}

/// Takes note of children that have ended. Whether any child is left.
fn reap(program: &mut Child, ended: &mut Option<ExitStatus>) -> bool {
    let pid = Pid::from_raw(program.id().cast_signed());
    for _ in 0..MOST_AT_ONCE {
        // A look first: the program itself is left to `Child`, which knows signals that nix has no name for.
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(status) if status.pid() != Some(pid) => {
                let _ = waitpid(status.pid(), Some(WaitPidFlag::WNOHANG));
            }
            Err(Errno::ECHILD) => return false,
            // The program, or a child that was ended by such a signal.
            Ok(_) | Err(_) => match program.try_wait() {
                Ok(Some(status)) if ended.is_none() => *ended = Some(status),
                _ => {
                    let _ = waitpid(None, Some(WaitPidFlag::WNOHANG));
                }
            },
        }
    }
    true
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}
