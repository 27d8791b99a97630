//! From a decision to a running supervisor, and from its end to an exit status.

use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io::{self, PipeWriter, Write as _},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    },
    path::PathBuf,
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::{sys::memfd, unistd::Pid};
use pipe_capability::{denial::Denial, exec::ExecRule, word::Word};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::unix::pipe,
    process::Child,
    sync::{oneshot, watch},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Command, Exit,
    environment::{Environment, environment, search_path},
    program,
};
use crate::{
    blocking::effect_error,
    confine::{
        protocol::{End, LIFELINE, PROGRAM, Report, SPECIFICATION, STATUS, Specification},
        tree,
    },
    error::{EffectError, ErrorKind},
    path::resolve,
    session::Session,
};

/// How long a supervisor may take to end its tree once it was told to.
const ENDING: Duration = Duration::from_secs(5);

/// How often a tree that must be ended by force is looked through.
const ROUNDS: u32 = 100;

/// How long to wait in between.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(20);

/// The most arguments of one program.
const MOST_ARGUMENTS: usize = 4096;

/// The most bytes of all arguments together. The kernel takes 2 MiB, of which the environment has its share.
const MOST_ARGUMENT_BYTES: usize = 1 << 20;

/// The most bytes that a supervisor says.
const MOST_STATUS_BYTES: u64 = 64 * 1024;

/// The program's ends of its three streams.
pub(crate) struct Streams {
    /// Standard input.
    pub(crate) input: Stdio,
    /// Standard output.
    pub(crate) output: Stdio,
    /// Standard error.
    pub(crate) error_output: Stdio,
}

/// What ends a program before its time, and why. Clones share it.
#[derive(Clone)]
pub(crate) struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<EffectError>>,
}

impl Stop {
    /// Ends the program for a reason of the host's. The first reason counts.
    pub(crate) fn because(&self, reason: EffectError) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// Returns once the program must end.
    pub(crate) async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// An error once the program must end.
    pub(crate) fn check(&self) -> Result<(), EffectError> {
        if self.token.is_cancelled() { Err(self.error()) } else { Ok(()) }
    }

    fn error(&self) -> EffectError {
        self.reason.get().cloned().unwrap_or_else(EffectError::cancelled)
    }
}

/// A program below its supervisor. Dropping it ends both.
pub(crate) struct Supervised {
    stop: Stop,
    ended: watch::Receiver<Option<Result<Exit, EffectError>>>,
    _ends_when_dropped: DropGuard,
}

impl Supervised {
    /// What ends the program.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Waits until nothing of the program is left.
    pub(crate) async fn wait(&mut self) -> Result<Exit, EffectError> {
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| Err(lost())),
            Err(_) => Err(lost()),
        }
    }
}

impl Session {
    /// Starts a program under a supervisor: decision, record, start. Returns once the program runs.
    pub(crate) async fn supervise(
        self: &Arc<Self>,
        command: &Command,
        streams: Streams,
    ) -> Result<Supervised, EffectError> {
        check_arguments(command)?;
        let rule = match self.grant.exec(&command.program, &command.arguments) {
            Ok(rule) => rule.clone(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let written = rule.to_string();
        let failed = format!("cannot start {}", command.program);
        let prepared = {
            let (session, command) = (Arc::clone(self), command.clone());
            self.blocking(move |_| prepare(&session, rule, &command))
                .await
                .map_err(|error| effect_error(error, &failed))?
        };
        if let Some(reason) = &prepared.refused {
            return Err(self.refuse(Denial::new(Word::Exec, &command.program, reason.as_str())).await);
        }
        self.used(Word::Exec.as_str(), shown(command), written.clone(), true).await?;
        for secret in &prepared.secrets {
            let subject = format!("{secret} of {}", command.program);
            self.used(Word::Secrets.as_str(), subject, written.clone(), false).await?;
        }

        let token = self.cancellation().child_token();
        let stop = Stop { token: token.clone(), reason: Arc::default() };
        let (say_ended, ended) = watch::channel(None);
        let (say_started, started) = oneshot::channel();
        // A task of its own: it sees the supervisor to its end whatever becomes of the caller.
        let (supervisor, watched) = (self.world.supervisor.clone(), stop.clone());
        self.operations().spawn(async move {
            let say = |exit| drop(say_ended.send_replace(Some(exit)));
            run(supervisor, prepared, streams, &watched, say_started, say).await;
        });
        let supervised = Supervised { stop, ended, _ends_when_dropped: token.drop_guard() };
        match started.await {
            Ok(Ok(())) => Ok(supervised),
            Ok(Err(error)) => Err(EffectError { message: format!("{failed}: {}", error.message), ..error }),
            Err(_) => Err(supervised.stop.check().err().unwrap_or_else(lost)),
        }
    }
}

/// Everything that is known before the start.
struct Prepared {
    specification: Specification,
    pinned: Option<File>,
    /// Why the file is not the one that the rule pins.
    refused: Option<String>,
    variables: Vec<(String, OsString)>,
    /// Which secrets the program gets, for the record.
    secrets: Vec<String>,
    directory: PathBuf,
    scratch: TempDir,
}

fn prepare(session: &Session, rule: ExecRule, command: &Command) -> io::Result<Prepared> {
    let world = &session.world;
    let path = program::find(&command.program, &search_path(&rule)).map_err(io::Error::other)?;
    let directory = rule.cwd.as_ref().map_or_else(|| world.base.clone(), |cwd| resolve(&world.base, cwd));
    if !directory.is_dir() {
        let message = format!("the working directory {} is not there", rule.cwd.as_deref().unwrap_or("."));
        return Err(io::Error::other(EffectError::new(ErrorKind::Unavailable, message)));
    }
    let (mut pinned, mut refused) = (None, None);
    if let Some(expected) = rule.sha256 {
        let content = program::pin(&path)?;
        if content.script {
            refused = Some(format!("{} is a script, and its sha256 says nothing about what it starts", path.display()));
        } else if content.digest != expected {
            refused = Some(format!("the sha256 of {} is {}, the rule says {expected}", path.display(), content.digest));
        }
        pinned = Some(content.file);
    }
    let scratch =
        tempfile::Builder::new().prefix("pipe-").rand_bytes(12).permissions(Permissions::from_mode(0o700)).tempdir()?;
    let Environment { variables, secrets } =
        environment(&rule, world, &session.step.to_string(), scratch.path()).map_err(io::Error::other)?;
    let specification = Specification {
        program: path.into(),
        pinned: pinned.is_some(),
        name: command.program.clone(),
        arguments: command.arguments.clone(),
        scratch: scratch.path().into(),
    };
    Ok(Prepared {
        specification,
        pinned,
        refused,
        variables: variables.into_iter().collect(),
        secrets,
        directory,
        scratch,
    })
}

/// From the start of the supervisor to its end, which this outlives whatever becomes of the caller. How the program ended
/// is said once, and as soon as nothing is left of it.
async fn run(
    supervisor: Vec<OsString>,
    prepared: Prepared,
    streams: Streams,
    stop: &Stop,
    started: oneshot::Sender<Result<(), EffectError>>,
    say: impl Fn(Result<Exit, EffectError>),
) {
    if let Err(error) = stop.check() {
        return say(Err(error));
    }
    // A fork of a large process takes its time.
    let launching = tokio::task::spawn_blocking(move || launch(&supervisor, prepared, streams));
    let launched = launching.await.unwrap_or_else(|lost| Err(io::Error::other(lost)));
    let Launched { mut supervisor, lifeline, status, scratch } = match launched {
        Ok(launched) => launched,
        Err(error) => {
            let error = EffectError::new(ErrorKind::Unavailable, format!("no supervisor: {error}"));
            let _ = started.send(Err(error.clone()));
            return say(Err(error));
        }
    };
    let heard = tokio::select! {
        biased;
        () = stop.stopped() => Heard::Nothing,
        heard = listen(status, started) => heard,
    };
    drop(lifeline);
    if let Heard::Ended(exit) = heard {
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

fn launch(supervisor: &[OsString], prepared: Prepared, streams: Streams) -> io::Result<Launched> {
    let (program, arguments) =
        supervisor.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "none was set up"))?;
    // These are open at the start of the supervisor, so the numbers below are taken and none of them can be the one that
    // `Command` itself uses between fork and exec.
    let (lifeline_end, lifeline) = io::pipe()?;
    let (status, status_end) = io::pipe()?;
    let mut specification: File = memfd::memfd_create(c"pipe", memfd::MFdFlags::MFD_CLOEXEC)?.into();
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
    /// The program was not started.
    Failed(EffectError),
    /// Nothing: it was told to stop, or is gone.
    Nothing,
}

async fn listen(status: pipe::Receiver, started: oneshot::Sender<Result<(), EffectError>>) -> Heard {
    let mut lines = BufReader::new(status.take(MOST_STATUS_BYTES)).lines();
    let mut started = Some(started);
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Report::Started { pid }) => {
                tracing::debug!(pid, "program started");
                if let Some(started) = started.take() {
                    let _ = started.send(Ok(()));
                }
            }
            Ok(Report::Ended(End::Code(code))) => return Heard::Ended(Exit::Code(code)),
            Ok(Report::Ended(End::Signal(signal))) => return Heard::Ended(Exit::Signal(signal)),
            Ok(Report::Failed { message }) => {
                let error = EffectError::new(ErrorKind::Unavailable, message);
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

fn check_arguments(command: &Command) -> Result<(), EffectError> {
    let bytes: usize = command.arguments.iter().map(|argument| argument.len() + 1).sum();
    if command.arguments.len() > MOST_ARGUMENTS || bytes > MOST_ARGUMENT_BYTES {
        return Err(EffectError::new(
            ErrorKind::Limit,
            format!("more than {MOST_ARGUMENTS} arguments or {MOST_ARGUMENT_BYTES} bytes of them"),
        ));
    }
    if command.arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(EffectError::new(ErrorKind::Invalid, "an argument holds a NUL"));
    }
    Ok(())
}

/// The command as a line of a shell would have it, for the record.
fn shown(command: &Command) -> String {
    let words = std::iter::once(&command.program).chain(&command.arguments);
    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let shown: String =
        word.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    format!("'{}'", shown.replace('\'', "'\\''"))
}

fn lost() -> EffectError {
    EffectError::new(ErrorKind::Failed, "the supervisor of the program was lost: how the program ended is not known")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_unambiguously() {
        let command = |arguments: &[&str]| Command {
            program: "pg_dump".into(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        assert_eq!(shown(&command(&["-F", "c", "--file=a/b"])), "pg_dump -F c --file=a/b");
        assert_eq!(shown(&command(&["a b", "", "it's", "x\ny"])), "pg_dump 'a b' '' 'it'\\''s' 'x\\ny'");
    }

    #[test]
    fn arguments_are_bounded() {
        let command = |arguments| Command { program: "true".into(), arguments };
        assert_eq!(check_arguments(&command(vec![String::new(); 4097])).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(check_arguments(&command(vec!["x".repeat(1 << 20)])).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(check_arguments(&command(vec!["a\0b".into()])).unwrap_err().kind, ErrorKind::Invalid);
    }
}
