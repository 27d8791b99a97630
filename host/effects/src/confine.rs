//! The supervisor of one program: the body of the hidden `pipe __confine`.
//!
//! The host starts one supervisor per program, and the supervisor starts the program within a fence: files and ports by
//! Landlock, system calls by seccomp, processes, mounts and network by namespaces where the kernel allows them. Fence and
//! program are made by a thread of their own, since Landlock, seccomp and privileges belong to threads: the program inherits
//! them, the supervisor stays outside.
//!
//! It ends everything that the program started when the program has ended, when it holds more than it may, or when the lifeline
//! closes: the host alone holds
//! the other end of that pipe, so a host that is killed takes its programs with it. As the first process of a namespace it
//! has the kernel's word for that. Elsewhere it is a subreaper, so whatever the program leaves behind becomes its child,
//! whether or not it forked twice or began a session of its own. Then it says how the program ended, and ends.
//!
//! Not done, and why: no parent-death signal. The kernel ties it to the thread that started the supervisor, and a supervisor
//! that dies before the program can end nothing.

mod bounds;
pub(crate) mod fence;
pub(crate) mod files;
pub(crate) mod limits;
pub(crate) mod namespaces;
mod own;
pub(crate) mod protocol;
mod root;
mod syscalls;
pub(crate) mod tree;
mod watch;

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command},
    thread,
};

use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd,
};

use self::{
    bounds::Bounded,
    fence::Fence,
    files::Files,
    namespaces::View,
    protocol::{LIFELINE, Namespaces, PROGRAM, Report, SPECIFICATION, STATUS, Specification},
    syscalls::{Sockets, Syscalls},
    watch::{Watched, watch},
};

/// Wrong use: started by hand.
const USAGE: i32 = 2;

/// The supervisor itself failed.
const FAILED: i32 = 70;

/// The first version of Landlock that keeps signals in, and connections to UNIX sockets without a path.
const SCOPES: i32 = 6;

/// Stack of the thread that starts the program, in bytes.
const STACK: usize = 256 * 1024;

/// What to do about a program that was not allowed to begin.
const OUT_OF_REACH: &str = "the program, its interpreter or a library lies where it may not read: name the directory in \
                            the rule, as in `read = [\"/opt/program\"]`";

/// The body of `pipe __confine`: starts and watches the program that the host describes, and returns the status to exit
/// with. To be called first thing in `main`, before any thread or descriptor: it closes every descriptor it was not meant
/// to have. Takes no arguments and prints nothing.
pub fn confine_main(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    if arguments.next().is_some() {
        return USAGE;
    }
    let Ok(mut inherited) = Inherited::take() else { return USAGE };
    match enter(&mut inherited) {
        Ok(status) => status,
        Err(error) => {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let hint = denied.then(|| OUT_OF_REACH.to_owned());
            let _ = Report::Failed { message: error.to_string(), hint }.send(&inherited.status);
            FAILED
        }
    }
}

/// What the host passed on. Opened anew, so that nothing of it survives the start of the program.
struct Inherited {
    lifeline: File,
    status: File,
    specification: Specification,
    /// The content of the program, where the host has checked it.
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
        let mut text = Vec::new();
        open(SPECIFICATION, false)?.read_to_end(&mut text)?;
        let specification: Specification = serde_json::from_slice(&text)?;
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

/// Goes where the program sees nobody else, if need be, and supervises it there. The status to exit with.
fn enter(inherited: &mut Inherited) -> io::Result<i32> {
    // Away from the terminal: Ctrl-C is the host's to act on, and nobody asks for a password.
    unistd::setsid()?;
    prctl::set_child_subreaper(true)?;
    if inherited.specification.namespaces.is_none()
        && let Some(inside) = namespaces::run_inside(inherited)?
    {
        return Ok(inside.code().unwrap_or(FAILED));
    }
    supervise(inherited).map(|()| 0)
}

/// Runs the program to its end, and everything that it started to theirs.
fn supervise(inherited: &Inherited) -> io::Result<()> {
    let specification = &inherited.specification;
    prctl::set_no_new_privs()?;
    bounds::be_first_to_go();
    let view = match specification.namespaces {
        Some(_) => namespaces::set_up_view(specification, inherited.pinned.as_ref())?,
        None => View::default(),
    };
    // Nobody of the same user looks into the supervisor or writes its status pipe. Undone by `exec`, so not inherited.
    prctl::set_dumpable(false)?;
    let child_ended = SigSet::from_iter([Signal::SIGCHLD]);
    let signals = SignalFd::with_flags(&child_ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;

    // The program inherits the mask.
    SigSet::empty().thread_set_mask()?;
    let Some(mut program) = begin(inherited, &view)? else { return Ok(()) };
    // From here on nothing may fail before the tree has ended. Streams that stay open are seen to end a little later.
    let _ = SigSet::all().thread_block();
    let _ = leave_streams();
    let _ = Report::Started.send(&inherited.status);
    let mut bounded = Bounded::new(&specification.bounds, &specification.scratch, view.bounded);
    let Watched { ended, exceeded } = watch(&mut program, &signals, &inherited.lifeline, &mut bounded);
    if !view.bounded {
        let _ = fs::remove_dir_all(&specification.scratch);
    }
    let report = match (exceeded, ended) {
        (Some(bound), _) => Report::Exceeded(bound.key().to_owned()),
        (None, Some(end)) => Report::Ended(end),
        (None, None) => Report::Failed { message: "the end of the program was not seen".to_owned(), hint: None },
    };
    // A host that is gone does not listen.
    let _ = report.send(&inherited.status);
    Ok(())
}

/// Starts the program within its fence, once the host has written down what the fence is. Nothing where the host has let go
/// before that.
fn begin(inherited: &Inherited, view: &View) -> io::Result<Option<Child>> {
    let fenced = || {
        let fence = erect(inherited, view)?;
        Report::Ready(fence).send(&inherited.status)?;
        if (&inherited.lifeline).read(&mut [0])? == 0 {
            return Ok(None);
        }
        start(&inherited.specification, view.program.as_ref().or(inherited.pinned.as_ref())).map(Some)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, fenced)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the supervisor failed")))
    })
}

/// Puts the fence around this thread, and so around what it starts.
fn erect(inherited: &Inherited, view: &View) -> io::Result<Fence> {
    let specification = &inherited.specification;
    let reach = &specification.reach;
    let namespaces = specification.namespaces;
    let mut fence = Fence {
        processes: namespaces.is_some(),
        read_only: view.read_only,
        network: namespaces.is_some_and(|namespaces| namespaces.network),
        without: view.without.clone(),
        ..Fence::default()
    };
    if namespaces.is_none() {
        fence.without.push("namespaces".to_owned());
    }
    let others = match namespaces {
        Some(Namespaces { users: true, .. }) => 0,
        None if !unistd::getuid().is_root() => tree::of_user(unistd::getuid()),
        // Nobody here knows them all.
        _ => u64::MAX,
    };
    limits::set(&specification.bounds, others)?;
    limits::drop_privileges().map_err(io::Error::other)?;
    let files = match Files::new() {
        Ok(files) => Some(files),
        Err(error) => {
            fence.missing.push(format!("Landlock for files and TCP ports (Linux 6.7 or later: {error})"));
            None
        }
    };
    if !reach.sockets.is_empty() && !view.apart {
        fence.missing.push("a mount namespace, without which every UNIX socket could be reached".to_owned());
    }
    let sockets = Sockets { tcp: !reach.ports.is_empty(), unix: !reach.sockets.is_empty() };
    let syscalls = Syscalls::new(sockets, view.read_only).map_err(io::Error::other)?;
    if let Some(files) = files {
        let files = files.allow(reach, &specification.scratch, view.processes)?;
        let files = match (&view.program, &inherited.pinned) {
            (Some(file), _) => files.allow_program(file)?,
            // Landlock is not asked about files that lie in no directory.
            (None, Some(_)) => files,
            (None, None) => files.allow_program(files::open_following(Path::new(&specification.program))?)?,
        };
        fence.landlock = files.restrict().map_err(io::Error::other)?;
    }
    if fence.landlock.is_some_and(|version| version < SCOPES) {
        // A network of its own has names of its own, and processes that are not seen get no signals.
        if !reach.sockets.is_empty() && !fence.network {
            fence.missing.push("Landlock for abstract UNIX sockets (Linux 6.12 or later)".to_owned());
        }
        if !fence.processes {
            fence.missing.push("Landlock for signals (Linux 6.12 or later), or a PID namespace".to_owned());
        }
    }
    match syscalls.restrict() {
        Ok(()) => fence.seccomp = true,
        Err(error) => fence.missing.push(format!("seccomp ({error})")),
    }
    if !fence.missing.is_empty() && !specification.unconfined {
        let message = format!("this kernel cannot confine programs: it lacks {}", fence.missing.join(", "));
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    Ok(fence)
}

fn start(specification: &Specification, pinned: Option<&File>) -> io::Result<Child> {
    let mut command = match pinned {
        // The very content that the host checked, whatever the path leads to by now.
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
