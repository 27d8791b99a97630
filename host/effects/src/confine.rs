//! The supervisor of one program: the body of the hidden `pipe __confine`.
//!
//! The host starts one supervisor per program, and the supervisor starts the program. It is a subreaper, so whatever the
//! program leaves behind becomes its child, whether or not it forked twice or began a session of its own. It ends all of it
//! with SIGKILL when the program has ended, or when the lifeline closes: the host alone holds the other end of that pipe, so
//! a host that is killed takes its programs with it. Then it says how the program ended, and ends.
//!
//! Not done, and why: no parent-death signal. The kernel ties it to the thread that started the supervisor, and a supervisor
//! that dies before the program can end nothing.

pub(crate) mod protocol;
pub(crate) mod tree;

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, RawFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd,
};

use self::protocol::{End, LIFELINE, PROGRAM, Report, SPECIFICATION, STATUS, Specification};

/// Wrong use: started by hand.
const USAGE: i32 = 2;

/// The supervisor itself failed.
const FAILED: i32 = 70;

/// How often a tree that does not end is looked through again, in milliseconds.
const AGAIN_AFTER_MS: u16 = 20;

/// The body of `pipe __confine`: starts and watches the program that the host describes, and returns the status to exit
/// with. To be called first thing in `main`, before any thread or descriptor: it closes every descriptor it was not meant
/// to have. Takes no arguments and prints nothing.
pub fn confine_main(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    if arguments.next().is_some() {
        return USAGE;
    }
    let Ok(inherited) = Inherited::take() else { return USAGE };
    match supervise(&inherited) {
        Ok(()) => 0,
        Err(error) => {
            let _ = Report::Failed { message: error.to_string() }.send(&inherited.status);
            FAILED
        }
    }
}

/// What the host passed on. Opened anew, so that nothing of it survives the start of the program.
struct Inherited {
    lifeline: File,
    status: File,
    specification: Specification,
    /// The program, where the host has checked its content.
    pinned: Option<File>,
}

impl Inherited {
    fn take() -> io::Result<Self> {
        let open =
            |fd: RawFd, write: bool| File::options().read(!write).write(write).open(format!("/proc/self/fd/{fd}"));
        let passed: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&fd| fd > 2)
            .collect();
        let (lifeline, status) = (open(LIFELINE, false)?, open(STATUS, true)?);
        let specification: Specification = serde_json::from_reader(open(SPECIFICATION, false)?)?;
        let pinned = specification.pinned.then(|| open(PROGRAM, false)).transpose()?;
        // The listing's own descriptor is among them, but closed by now: one of the files above may have its number.
        let kept: Vec<RawFd> =
            [Some(&lifeline), Some(&status), pinned.as_ref()].into_iter().flatten().map(File::as_raw_fd).collect();
        for fd in passed.into_iter().filter(|fd| !kept.contains(fd)) {
            let _ = unistd::close(fd);
        }
        Ok(Self { lifeline, status, specification, pinned })
    }
}

/// Runs the program to its end, and everything that it started to theirs.
fn supervise(inherited: &Inherited) -> io::Result<()> {
    // Away from the terminal: Ctrl-C is the host's to act on, and nobody asks for a password.
    unistd::setsid()?;
    prctl::set_child_subreaper(true)?;
    prctl::set_no_new_privs()?;
    // Nobody of the same user looks into the supervisor or writes its status pipe. Undone by `exec`, so not inherited.
    prctl::set_dumpable(false)?;
    let child_ended = SigSet::from_iter([Signal::SIGCHLD]);
    let signals = SignalFd::with_flags(&child_ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;

    // The program inherits the mask.
    SigSet::empty().thread_set_mask()?;
    let mut program = start(&inherited.specification, inherited.pinned.as_ref())?;
    // From here on nothing may fail before the tree has ended. Streams that stay open are seen to end a little later.
    let _ = SigSet::all().thread_block();
    let _ = leave_streams();
    let _ = Report::Started { pid: program.id() }.send(&inherited.status);
    let ended = watch(&mut program, &signals, &inherited.lifeline);
    let _ = fs::remove_dir_all(&inherited.specification.scratch);
    let report = match ended {
        Some(status) => Report::Ended(end_of(status)),
        None => Report::Failed { message: "the end of the program was not seen".to_owned() },
    };
    // A host that is gone does not listen.
    let _ = report.send(&inherited.status);
    Ok(())
}

fn start(specification: &Specification, pinned: Option<&File>) -> io::Result<Child> {
    let mut command = match pinned {
        // The very file whose content the host checked, whatever its path leads to by now.
        Some(file) => Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())),
        None => Command::new(&specification.program),
    };
    command.arg0(&specification.name).args(&specification.arguments).spawn()
}

/// Lets go of the program's streams: the host sees their end when the program's tree has closed them.
fn leave_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Returns once no process of the program's tree is left: how the program itself ended.
fn watch(program: &mut Child, signals: &SignalFd, lifeline: &File) -> Option<ExitStatus> {
    let mut ended = None;
    let mut ending = false;
    while reap(program, &mut ended) {
        ending |= ended.is_some();
        if ending {
            tree::kill_below(unistd::getpid());
            let mut sources = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut sources, PollTimeout::from(AGAIN_AFTER_MS));
        } else {
            let mut sources =
                [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
            let polled = poll(&mut sources, PollTimeout::NONE);
            ending = polled.is_err_and(|error| error != Errno::EINTR) || sources[1].any() == Some(true);
        }
        while let Ok(Some(_)) = signals.read_signal() {}
    }
    ended
}

/// Takes note of every child that has ended. Whether any child is left.
fn reap(program: &mut Child, ended: &mut Option<ExitStatus>) -> bool {
    let pid = unistd::Pid::from_raw(program.id().cast_signed());
    loop {
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
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}
