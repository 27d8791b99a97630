//! `pipe run`.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use clap::Args;
use pipe_core::{
    event::{Event, EventKind},
    redact::Redactor,
};
use pipe_runner::Observer;
use tokio_util::sync::CancellationToken;

use super::{loading, lock::Locking, ownership};
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
    #[arg(long = "as", value_name = "PRINCIPAL")]
    asked_by: Vec<String>,
}

/// Runs the deployment.
pub(crate) async fn run(
    arguments: &RunArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let policies = loading::policies(&arguments.selection)?;
    let loaded = loading::load(&arguments.selection, arguments.locking, state, printer)?;
    let state = loaded.state.clone();
    loading::make_state(&state)?;
    let _lock = ownership::take(&state, &loaded.checked.pipeline)?;
    ownership::warn_of_unfinished(&state, &loaded.checked.pipeline, printer);
    let (prepared, journal) = loading::prepare(loaded, policies, &arguments.asked_by, printer, redactor).await?;
    let interrupt = CancellationToken::new();
    let show =
        format!("`pipe show {} --state {}` says how far it came and how to undo it", prepared.run, state.display());
    tokio::spawn(watch_interrupts(interrupt.clone(), printer, show));
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let observer = collecting(reporter::observer(printer, verbose), &delivered);
    let result = pipe_runner::run(&prepared, observer, &interrupt).await;
    let closed = journal.close().await;
    let result = result?;
    let head = closed?;
    let place = Place {
        run: prepared.run.as_str(),
        state: &state,
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

/// Once: stop the step and undo. Twice: stop at once.
async fn watch_interrupts(interrupt: CancellationToken, printer: Printer, show: String) {
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
    printer.warning("interrupted: stopping the step and undoing what was started; interrupt again to stop at once");
    interrupt.cancel();
    next().await;
    printer.error("stopped at once: what is not undone by now still stands", Some(&show));
    crate::end_now(Exit::Interrupted);
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
