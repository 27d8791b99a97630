//! Runs a program under ptrace, tells every call to the kernel that matters, and kills the program at one of them. The program
//! knows nothing of it. Its threads are followed, its children are not.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    errno::Errno,
    libc::user_regs_struct,
    sys::{
        ptrace::{self, Event, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::call::{self, Seen};

/// `PTRACE_SYSCALL_INFO_ENTRY` and `_EXIT`, which nix leaves to libc.
const ENTRY: u8 = 1;
const EXIT: u8 = 2;

/// On which side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It never happens.
    Before,
    /// It has happened, and the program has not yet heard of it.
    After,
}

/// Where to kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The call, as [`call::Seen`] names it.
    pub(crate) call: String,
    /// Which of these, from 1.
    pub(crate) nth: usize,
    pub(crate) side: Side,
}

/// How a traced program ended.
#[derive(Debug)]
pub(crate) struct Traced {
    /// The calls that matter, in the order in which they were begun.
    pub(crate) calls: Vec<String>,
    /// Exit code; nothing where it was killed.
    pub(crate) code: Option<i32>,
}

/// Runs a command to its end, or to `point`. `home` is the folder of the scene. The command's output goes to `said`.
pub(crate) fn trace(command: &Command, home: &Path, said: &Path, point: Option<&Point>) -> io::Result<Traced> {
    let said = File::options().create(true).append(true).open(said)?;
    let mut stopped = Command::new("/bin/sh");
    // Stops until it is traced, and becomes the program then.
    stopped.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    stopped.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    stopped.current_dir(command.get_current_dir().unwrap_or(home));
    let child = stopped.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).spawn()?;
    let leader = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    waitpid(leader, Some(WaitPidFlag::WUNTRACED))?;
    let options = Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACESYSGOOD;
    ptrace::seize(leader, options)?;
    kill(leader, Signal::SIGCONT)?;
    Tracer { leader, home, point, running: false, inside: HashMap::new(), counts: HashMap::new(), calls: Vec::new() }
        .follow()
}

struct Tracer<'t> {
    leader: Pid,
    home: &'t Path,
    point: Option<&'t Point>,
    /// Set once the program itself runs.
    running: bool,
    /// Calls that have begun, by thread, and which of their name each is.
    inside: HashMap<Pid, (String, usize)>,
    counts: HashMap<String, usize>,
    calls: Vec<String>,
}

impl Tracer<'_> {
    fn follow(mut self) -> io::Result<Traced> {
        // Children of this thread alone: other threads of the test trace too.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let (thread, signal) = match waitpid(Pid::from_raw(-1), Some(flags))? {
                WaitStatus::Exited(pid, code) if pid == self.leader => return Ok(self.ended(Some(code))),
                WaitStatus::Signaled(pid, _, _) if pid == self.leader => return Ok(self.ended(None)),
                WaitStatus::PtraceEvent(pid, _, event) => {
                    self.running |= event == Event::PTRACE_EVENT_EXEC as i32;
                    (pid, None)
                }
                WaitStatus::PtraceSyscall(pid) => {
                    match self.syscall(pid) {
                        // The thread is gone: killed, or by its own end.
                        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                        other => other?,
                    }
                    (pid, None)
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                _ => continue,
            };
            let gone = if self.running { ptrace::syscall(thread, signal) } else { ptrace::cont(thread, signal) };
            match gone {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn ended(self, code: Option<i32>) -> Traced {
        Traced { calls: self.calls, code }
    }

    fn syscall(&mut self, thread: Pid) -> io::Result<()> {
        match ptrace::syscall_info(thread)?.op {
            ENTRY => {
                let registers = ptrace::getregs(thread)?;
                let seen = Seen {
                    leader: self.leader,
                    home: self.home,
                    number: number(&registers),
                    arguments: arguments(&registers),
                };
                let Some(name) = call::name(&seen) else { return Ok(()) };
                let nth = self.counts.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
                let nth = *nth;
                self.calls.push(name.clone());
                self.at(&name, nth, Side::Before)?;
                self.inside.insert(thread, (name, nth));
            }
            EXIT => {
                if let Some((name, nth)) = self.inside.remove(&thread) {
                    self.at(&name, nth, Side::After)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The whole program is killed where this is the point.
    fn at(&self, name: &str, nth: usize, side: Side) -> io::Result<()> {
        if self.point.is_some_and(|point| point.side == side && point.nth == nth && point.call == name) {
            kill(self.leader, Signal::SIGKILL)?;
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
fn number(registers: &user_regs_struct) -> i64 {
    registers.orig_rax.cast_signed()
}

#[cfg(target_arch = "x86_64")]
fn arguments(registers: &user_regs_struct) -> [u64; 6] {
    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
}

#[cfg(target_arch = "aarch64")]
fn number(registers: &user_regs_struct) -> i64 {
    registers.regs[8].cast_signed()
}

#[cfg(target_arch = "aarch64")]
fn arguments(registers: &user_regs_struct) -> [u64; 6] {
    let [a, b, c, d, e, f, ..] = registers.regs;
    [a, b, c, d, e, f]
}
