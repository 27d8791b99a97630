//! A supervisor from its start to its end.

use std::{
    ffi::OsString,
    io::{self, PipeWriter, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    time::Duration,
};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::unistd::Pid;
use pipe_capability::exec::{Bound, ExecRule};
use pipe_core::event::StartedProgram;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::unix::pipe,
    process::Child,
    runtime::Handle,
    sync::oneshot,
};

use super::{
    Exit,
    prepare::Prepared,
    stop::Stop,
    supervise::{Streams, lost},
};
use crate::{
    confine::{
        fence::Fence,
        namespaces,
        protocol::{End, LIFELINE, PROGRAM, Report, SPECIFICATION, STATUS},
        tree,
    },
    error::{EffectError, ErrorKind},
    remains,
};

/// How long a supervisor may take to end its tree once it was told to.
const ENDING: Duration = Duration::from_secs(5);

/// How often a tree that must be ended by force is looked through.
const ROUNDS: u32 = 100;

/// How long to wait in between.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(20);

/// The most bytes that a supervisor says.
const MOST_STATUS_BYTES: u64 = 64 * 1024;

/// What is said on the way to a running program.
pub(super) struct Steps {
    /// The fence stands around the program of this supervisor.
    pub(super) ready: oneshot::Sender<(Fence, StartedProgram)>,
    /// It is written down, and the program may begin.
    pub(super) begin: oneshot::Receiver<()>,
    /// The program runs, or cannot.
    pub(super) started: oneshot::Sender<Result<(), EffectError>>,
}

/// From the start of the supervisor to its end, which this outlives whatever becomes of the caller. How the program ended
/// is said once, and as soon as nothing is left of it.
pub(super) async fn run(
    supervisor: Vec<OsString>,
    prepared: Prepared,
    streams: Streams,
    stop: &Stop,
    steps: Steps,
    say: impl Fn(Result<Exit, EffectError>),
) {
    if let Err(error) = stop.check() {
        return say(Err(error));
    }
    let (name, rule) = (prepared.specification.name.clone(), prepared.rule.clone());
    let launched = in_thread(move || launch(&supervisor, prepared, streams)).await;
    let Launched { mut supervisor, lifeline, status, scratch } = match launched {
        Ok(launched) => launched,
        Err(error) => {
            let error = EffectError::new(ErrorKind::Unavailable, format!("no supervisor: {error}"));
            let _ = steps.started.send(Err(error.clone()));
            return say(Err(error));
        }
    };
    // From here: the thread that has launched it may share the supervisor's view of the processes.
    let born = supervisor.id().ok_or_else(|| io::Error::other("it has ended at once"));
    let heard = match born.and_then(|pid| remains::born(pid, &name, scratch.path())) {
        Ok(born) => tokio::select! {
            biased;
            () = stop.stopped() => Heard::Nothing,
            heard = listen(status, &lifeline, born, steps, &rule) => heard,
        },
        Err(error) => {
            let error = EffectError::new(ErrorKind::Unavailable, format!("no supervisor that can be told: {error}"));
            let _ = steps.started.send(Err(error.clone()));
            Heard::Failed(error)
        }
    };
    drop(lifeline);
    if let Heard::Ended(exit) = heard {
        // The supervisor has emptied it. A directory that it has mounted is not its own to remove.
        let path = scratch.path().to_owned();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
        say(Ok(exit));
    }
    let ended = tokio::time::timeout(ENDING, supervisor.wait()).await;
    if ended.is_err() {
        tracing::warn!(pid = supervisor.id(), "a supervisor did not end its programs in time");
        force_end(&mut supervisor).await;
    }
    // One that was ended by a signal may have left something behind.
    let orderly = matches!(ended, Ok(Ok(status)) if status.code().is_some());
    let cleaning = tokio::task::spawn_blocking(move || {
        if !orderly {
            until_none(|| tree::kill_marked(scratch.path().as_os_str().as_bytes()));
        }
        // The supervisor has removed it, if it came to that.
        drop(scratch);
    });
    let _ = cleaning.await;
    match heard {
        Heard::Ended(_) => {}
        Heard::Failed(error) => say(Err(error)),
        Heard::Nothing => say(Err(stop.check().err().unwrap_or_else(lost))),
    }
}

struct Launched {
    supervisor: Child,
    /// Nobody else has this end.
    lifeline: PipeWriter,
    status: pipe::Receiver,
    scratch: TempDir,
}

/// Does `work` in a thread of its own, which may leave what it shares with the others.
async fn in_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (say, done) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::Builder::new().name("launch".to_owned()).spawn(move || {
        let _here = runtime.enter();
        let _ = say.send(work());
    })?;
    done.await.unwrap_or_else(|_| Err(io::Error::other("its thread was lost")))
}

fn launch(supervisor: &[OsString], mut prepared: Prepared, streams: Streams) -> io::Result<Launched> {
    let (program, arguments) =
        supervisor.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "none was set up"))?;
    // These are open at the start of the supervisor, so the numbers below are taken and none of them can be the one that
    // `Command` itself uses between fork and exec.
    let (lifeline_end, lifeline) = io::pipe()?;
    let (status, status_end) = io::pipe()?;
    // Opened out here: what is open for writing within could not be made read-only there.
    let mut specification = tempfile::tempfile_in(prepared.scratch.path())?;
    let alone = prepared.specification.reach.ports.is_empty();
    // Where this is not allowed, the supervisor has another way to try.
    prepared.specification.namespaces = namespaces::leave(alone).ok();
    specification.write_all(&serde_json::to_vec(&prepared.specification)?)?;

    let map = |parent_fd: OwnedFd, child_fd| FdMapping { parent_fd, child_fd };
    let mut mappings = vec![
        map(lifeline_end.into(), LIFELINE),
        map(status_end.into(), STATUS),
        map(specification.into(), SPECIFICATION),
    ];
    mappings.extend(prepared.pinned.map(|file| map(file.into(), PROGRAM)));
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(prepared.variables).current_dir(&prepared.directory);
    command.stdin(streams.input).stdout(streams.output).stderr(streams.error_output);
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    let mut command = tokio::process::Command::from(command);
    let supervisor = command.spawn()?;
    Ok(Launched {
        supervisor,
        lifeline,
        status: pipe::Receiver::from_owned_fd(status.into())?,
        scratch: prepared.scratch,
    })
}

/// What a supervisor said last.
enum Heard {
    /// How the program ended, and that nothing is left of it.
    Ended(Exit),
    /// The program was not started, or was ended at a limit.
    Failed(EffectError),
    /// Nothing: it was told to stop, or is gone.
    Nothing,
}

async fn listen(
    status: pipe::Receiver,
    mut lifeline: &PipeWriter,
    born: StartedProgram,
    steps: Steps,
    rule: &ExecRule,
) -> Heard {
    let Steps { ready, begin, started } = steps;
    let (mut ready, mut begin, mut started) = (Some((ready, born)), Some(begin), Some(started));
    let mut lines = BufReader::new(status.take(MOST_STATUS_BYTES)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Report::Ready(fence)) => {
                let (Some((ready, born)), Some(begin)) = (ready.take(), begin.take()) else { return Heard::Nothing };
                let _ = ready.send((fence, born));
                // Not a word where it could not be written down.
                if begin.await.is_err() || lifeline.write_all(b"\n").is_err() {
                    return Heard::Nothing;
                }
            }
            Ok(Report::Started) => {
                if let Some(started) = started.take() {
                    let _ = started.send(Ok(()));
                }
            }
            Ok(Report::Ended(End::Code(code))) => return Heard::Ended(Exit::Code(code)),
            Ok(Report::Ended(End::Signal(signal))) => return Heard::Ended(Exit::Signal(signal)),
            Ok(Report::Exceeded(key)) => {
                return Bound::of_key(&key).map_or(Heard::Nothing, |b| Heard::Failed(exceeded(rule, b)));
            }
            Ok(Report::Failed { message, hint }) => {
                let error = EffectError { hint, ..EffectError::new(ErrorKind::Unavailable, message) };
                if let Some(started) = started.take() {
                    let _ = started.send(Err(error.clone()));
                }
                return Heard::Failed(error);
            }
            Err(_) => return Heard::Nothing,
        }
    }
    Heard::Nothing
}

/// The error where a program had more than it may.
fn exceeded(rule: &ExecRule, bound: Bound) -> EffectError {
    let most = rule.limits.of(bound).map_or_else(String::new, |most| format!(": {}", bound.shown(most)));
    let message = format!("{} was ended at its limit of {bound}{most} (`{}`)", rule.program, bound.key());
    EffectError::new(ErrorKind::Limit, message).with_hint(rule.raised(bound))
}

/// Ends the tree of a supervisor that does not, and then the supervisor.
async fn force_end(supervisor: &mut Child) {
    if let Some(pid) = supervisor.id() {
        let pid = Pid::from_raw(pid.cast_signed());
        let _ = tokio::task::spawn_blocking(move || until_none(|| tree::kill_below(pid))).await;
    }
    let _ = supervisor.start_kill();
    let _ = supervisor.wait().await;
}

/// Repeats `kill` until it finds nothing to end. A process that the kernel does not let go is given up.
fn until_none(kill: impl Fn() -> usize) {
    for _ in 0..ROUNDS {
        if kill() == 0 {
            return;
        }
        std::thread::sleep(BETWEEN_ROUNDS);
    }
}
