//! `pipe watch`.

use std::{path::Path, time::Duration};

use clap::Args;
use pipe_core::{
    event::{Breach, EventKind, WatchEnd},
    redact::Redactor,
};
use pipe_journal::{Reader, RunFilter, RunSummary};
use pipe_runner::{Seen, WatchStanding, look};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    left::{self, Left, LeftRun},
    loading, rollback,
    run::Display,
};
use crate::{
    exit::Exit,
    failure::Failure,
    places,
    printer::{CAREFUL, GOOD, Printer, styled},
    reporter,
};

/// Watch a deployment that has succeeded, as its `[watch]` says
///
/// Makes the checks every so often until the time is over, which is counted from the end of the run. It can be stopped and
/// begun again at any time. It owns the pipeline and environment only while it looks: a later run takes its place. A check that
/// is not met, or says nothing, undoes the deployment, or ends the watch until somebody has seen to it.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::TABLE)]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    which: LeftRun,

    /// Watch on after a check was not met: somebody has seen to it
    #[arg(long)]
    go_on: bool,
}

/// Watches the deployment.
pub(crate) async fn watch(
    arguments: &WatchArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let interrupt = CancellationToken::new();
    tokio::spawn(stop_when_told(interrupt.clone()));
    let (mut ends, mut go_on, mut which) = (None, arguments.go_on, arguments.which.clone());
    loop {
        let taken = if ends.is_none() { left::take(&which, state, printer) } else { left::take_again(&which, state) };
        let left = match taken {
            Ok(left) => left,
            // Another process has it for now: a later run, or somebody who looks at the same time.
            Err(failure) if ends.is_some() && failure.exit() == Exit::Locked => {
                if let Some(later) = later(&which, state)? {
                    return Ok(superseded(&later, printer));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        which.run = left.begun.run.to_string();
        if left.accepted().is_some() {
            left.record(Vec::new(), redactor.clone()).await?;
        }
        let standing = standing(&left)?;
        if let Some(later) = later(&which, state)? {
            let by = later.run.to_string();
            left.record(vec![EventKind::WatchEnded { end: WatchEnd::Superseded { by } }], redactor).await?;
            return Ok(superseded(&later, printer));
        }
        let display = Display { state: &left.state, verbose, printer };
        let continued = match &standing.breach {
            None => None,
            Some(breached) if breached.breach == Breach::Rollback => {
                return rollback::go_back(&left, &breached.failure.message, display, redactor).await;
            }
            Some(breached) if !go_on => return Ok(asks(&left, &breached.failure.message, printer)),
            Some(_) => Some(EventKind::WatchContinued { actor: loading::actor() }),
        };
        go_on = false;
        let ends = *ends.get_or_insert_with(|| Instant::now() + remaining(&standing));
        let every = left.every()?;
        let (prepared, journal) = left.prepare(printer, redactor.clone()).await?;
        let observer = reporter::observer(printer, verbose);
        let last = Instant::now() >= ends;
        let seen = look(&prepared, left.begun.state.clone(), continued, last, observer, &interrupt).await;
        journal.close().await?;
        drop((prepared, journal));
        match seen? {
            Seen::Met => {}
            Seen::Over => {
                printer.talk(&format!("{}: every check was met to the end", styled(GOOD, "watched")));
                return Ok(Exit::Succeeded);
            }
            Seen::Interrupted => return Ok(Exit::Interrupted),
            Seen::Breached(Breach::Rollback, _) => continue,
            Seen::Breached(_, why) => return Ok(asks(&left, &why, printer)),
        }
        drop(left);
        tokio::select! {
            () = interrupt.cancelled() => return Ok(Exit::Interrupted),
            () = tokio::time::sleep_until(ends.min(Instant::now() + every)) => {}
        }
    }
}

/// How the watch stands.
fn standing(left: &Left) -> Result<WatchStanding, Failure> {
    let run = &left.begun.run;
    match &left.begun.state.watch {
        Some(watch) if watch.is_open() => Ok(watch.clone()),
        Some(_) => Err(Failure::new(Exit::Usage, format!("the watch over run {run} has ended"))),
        None => Err(Failure::new(Exit::Usage, format!("there is nothing to watch of run {run}"))
            .hint("a run can be watched once it has succeeded, where its pipeline has `[watch]`")),
    }
}

/// What is left of it by the wall clock; never more than all of it, whatever became of the clock.
fn remaining(standing: &WatchStanding) -> Duration {
    let left = standing.until.duration_since(jiff::Timestamp::now());
    Duration::try_from(left).unwrap_or_default().min(Duration::from_millis(standing.for_ms))
}

/// A later run of the same pipeline in the same environment.
fn later(which: &LeftRun, state: Option<&Path>) -> Result<Option<RunSummary>, Failure> {
    let state = loading::reading_state(state, which.file.as_deref())?;
    let reader = Reader::open(&state)?;
    let run = loading::find_run(&reader, &which.run)?;
    let filter =
        RunFilter { pipeline: Some(run.pipeline.clone()), environment: Some(run.environment.clone()), limit: Some(1) };
    Ok(reader.runs(&filter)?.into_iter().next().filter(|newest| newest.run != run.run))
}

fn superseded(by: &RunSummary, printer: Printer) -> Exit {
    printer.talk(&format!("run {} takes its place: it is not watched any more", by.run));
    Exit::Succeeded
}

fn asks(left: &Left, why: &str, printer: Printer) -> Exit {
    let (run, state) = (&left.begun.run, places::in_shell(&left.state));
    printer.talk(&format!("{}: the watch was not met: {why}", styled(CAREFUL, "waiting")));
    printer.talk(&format!("next      pipe watch {run} --go-on --state {state}"));
    printer.talk(&format!("next      pipe rollback {run} --reason '…' --state {state}"));
    Exit::Waiting
}

/// A watch changes nothing, and stops at the first signal.
async fn stop_when_told(interrupt: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupted), Ok(mut terminated)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    interrupt.cancel();
}
