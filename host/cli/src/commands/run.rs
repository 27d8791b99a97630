//! `pipe run`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use clap::Args;
use pipe_core::{
    event::{Event, EventKind},
    redact::Redactor,
};
use pipe_journal::Journal;
use pipe_pipeline::OnInterrupt;
use pipe_runner::{Observer, Prepared, RunError, RunResult};
use tokio_util::sync::CancellationToken;

use super::{
    binding,
    loading::{self, Loaded},
    lock::Locking,
    open, ownership,
};
use crate::{
    arguments::Selection,
    exit::Exit,
    failure::Failure,
    places,
    printer::Printer,
    reporter::{self, Place},
};

/// Run a deployment
///
/// Everything that can be known is checked first: settings, references, grants, plugins, secrets. Then the steps run in the
/// order written. When one fails, what was started is undone. Interrupt once to stop the step in hand and undo; twice to
/// stop at once.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::TABLE)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    locking: Locking,

    /// Who asks for this run, beside the user who runs it: a principal who then cannot approve it; can be repeated
    #[arg(long = "as", value_name = "PRINCIPAL", value_parser = crate::arguments::principal)]
    asked_by: Vec<String>,

    /// Run what this plan says and nothing else: a file that `pipe plan --out` wrote. Environment and inputs are taken from it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

/// Runs the deployment.
pub(crate) async fn run(
    arguments: &RunArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let policies = loading::policies(&arguments.selection)?;
    let bound = arguments.plan.as_deref().map(binding::read).transpose()?;
    let selection = bound.as_ref().map(|plan| plan.selection(&arguments.selection));
    let selection = selection.as_ref().unwrap_or(&arguments.selection);
    let loaded = loading::load(selection, arguments.locking, state, printer)?;
    let loaded = Loaded { asked_by: arguments.asked_by.clone(), ..loaded };
    let state = loaded.state.clone();
    loading::make_state(&state)?;
    if !state.join("journal.db").exists() && state.join("pins").exists() {
        printer.warning(&format!(
            "there was a journal in {}, and it is gone: a run that has not ended, and everything that was deployed, is unknown to pipe",
            state.display()
        ));
    }
    let pipeline = &loaded.checked.pipeline;
    let ownership = ownership::take(&state, &pipeline.name, &pipeline.environment, Some(&loaded.run))?;
    open::refuse(&ownership, &state, pipeline)?;
    let superseded = open::superseded(&ownership, &state);
    pipe_journal::set_aside(&state)?;
    let (prepared, journal) = loading::prepare(loaded, ownership, policies, printer, redactor).await?;
    if let Some(bound) = &bound {
        bound.hold(&prepared.plan, selection)?;
    }
    if let Some(bar) = prepared.barred(jiff::Timestamp::now()) {
        let message = format!("it is too late to begin: {bar}");
        return Err(Failure::new(Exit::Invalid, message).hint("nothing was begun; choose another `[window]`"));
    }
    superseded.iter().for_each(|what| printer.warning(what));
    let display = Display { state: &state, verbose, printer };
    watched(&prepared, &journal, display, async |observer, interrupt: &CancellationToken| {
        pipe_runner::run(&prepared, observer, interrupt).await
    })
    .await
}

/// How a run is shown.
#[derive(Clone, Copy)]
pub(crate) struct Display<'d> {
    pub(crate) state: &'d Path,
    pub(crate) verbose: bool,
    pub(crate) printer: Printer,
}

/// Runs, or goes on with a run, while the operator looks on and may interrupt; closes the journal, and says how it ended.
pub(crate) async fn watched(
    prepared: &Prepared,
    journal: &Journal,
    display: Display<'_>,
    drive: impl AsyncFnOnce(Observer, &CancellationToken) -> Result<RunResult, RunError>,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let Display { state, verbose, printer } = display;
    let interrupt = CancellationToken::new();
    let (run, shown) = (&prepared.run, places::in_shell(state));
    let resume = format!(
        "`pipe resume {run} --state {shown}` goes on, `pipe rollback {run} --reason '…' --state {shown}` undoes it"
    );
    let stops = prepared.pipeline.on_interrupt == OnInterrupt::Stop;
    tokio::spawn(watch_interrupts(interrupt.clone(), printer, resume, stops));
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let observer = collecting(reporter::observer(printer, verbose), &delivered);
    let observer = telling_how(observer, printer, state);
    let result = drive(observer, &interrupt).await;
    let closed = journal.close().await;
    let result = result?;
    let head = closed?;
    let place = Place {
        run: prepared.run.as_str(),
        state,
        state_is_default: places::state(None, None).is_ok_and(|default| default == state),
        head: head.hash.to_string(),
        delivered: delivered.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        took: reporter::took(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
    };
    if !printer.json() {
        for line in reporter::summary(&result, &place) {
            printer.talk(&line);
        }
    }
    Ok(Exit::of(&result))
}

/// Once: stop the step, and undo or leave it as the pipeline says. Twice: stop at once.
async fn watch_interrupts(interrupt: CancellationToken, printer: Printer, resume: String, stops: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupted), Ok(mut terminated)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        printer.warning("signals cannot be caught: an interrupt stops this process at once");
        return;
    };
    // A terminal that goes away is no reason to leave a deployment half done.
    if let Ok(mut hung_up) = signal(SignalKind::hangup()) {
        tokio::spawn(async move { while hung_up.recv().await.is_some() {} });
    }
    let mut next = async || {
        tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    };
    next().await;
    let then = if stops { "stopping, to be resumed" } else { "stopping the step and undoing what was started" };
    printer.warning(&format!("interrupted: {then}; interrupt again to stop at once"));
    interrupt.cancel();
    next().await;
    printer.error("stopped at once: what is not undone by now still stands", Some(&resume));
    crate::end_now(Exit::Interrupted);
}

/// Also says how people decide at a gate, where one opens.
fn telling_how(observer: Observer, printer: Printer, state: &Path) -> Observer {
    let state = state.display().to_string();
    Arc::new(move |event: &Event| {
        observer(event);
        if let (EventKind::GateOpened { step, role, .. }, false) = (&event.kind, printer.json()) {
            let run = &event.run;
            printer.talk(&format!(
                "  `pipe approve {run} '{step}' --role {role} --key ~/.ssh/id_ed25519 --reason '…' --state {state}` approves, \
                 with `--reject` it ends here"
            ));
        }
    })
}

/// Also remembers who was told, for the summary.
fn collecting(observer: Observer, delivered: &Arc<Mutex<Vec<String>>>) -> Observer {
    let delivered = Arc::clone(delivered);
    Arc::new(move |event: &Event| {
        if let EventKind::Notified { delivered: channels, .. } = &event.kind {
            let mut known = delivered.lock().unwrap_or_else(PoisonError::into_inner);
            for channel in channels {
                if !known.contains(channel) {
                    known.push(channel.clone());
                }
            }
        }
        observer(event);
    })
}
