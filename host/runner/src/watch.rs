//! The watch over a deployment: one look at a time, each in a process or a turn of its own, so that it stands in the way of no
//! later run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use pipe_core::event::{Breach, EventKind, WatchEnd};
use tokio_util::sync::CancellationToken;

use crate::{
    error::RunError,
    guard::Verdict,
    prepare::Prepared,
    record::{Observer, Recorder},
    state::RunState,
    step::Stepper,
};

/// What one look at a deployment saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Every check was met, or what was not has no consequences.
    Met,
    /// The same, and it was the last look.
    Over,
    /// A check was not met: what follows, and what was seen.
    Breached(Breach, String),
    /// The operator stopped it.
    Interrupted,
}

impl Prepared {
    /// Says that the deployment is to be watched from here on, where the pipeline says so.
    pub(crate) fn watch_opened(&self) -> Option<EventKind> {
        let lasts = self.pipeline.watch.as_ref()?.lasts;
        let now = jiff::Timestamp::now();
        let until = now.checked_add(lasts).unwrap_or(jiff::Timestamp::MAX);
        Some(EventKind::WatchOpened { for_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX), until })
    }
}

/// Makes every check of the watch once. `continued` is what a person said of an earlier breach: written down first. `last` says
/// that the time is over.
///
/// # Errors
///
/// The journal can no longer be written.
pub async fn look(
    prepared: &Prepared,
    state: RunState,
    continued: Option<EventKind>,
    last: bool,
    observer: Observer,
    interrupt: &CancellationToken,
) -> Result<Seen, RunError> {
    let recorder = Recorder::new(prepared.run.clone(), Arc::clone(&prepared.journal), observer, state);
    if let Some(continued) = continued {
        recorder.durable(continued).await?;
    }
    let began = Mutex::new(BTreeMap::new());
    let stepper = Stepper { prepared, recorder: &recorder, interrupt, began: &began };
    let verdict = match &prepared.pipeline.watch {
        Some(watch) => stepper.round(&watch.guard, |checked| EventKind::WatchChecked { checked }).await?,
        None => Verdict::Met,
    };
    match verdict {
        Verdict::Interrupted => Ok(Seen::Interrupted),
        Verdict::Breached(breach @ (Breach::Rollback | Breach::Ask), failure) => {
            let why = failure.message.clone();
            recorder.durable(EventKind::WatchBreached { breach, failure }).await?;
            Ok(Seen::Breached(breach, why))
        }
        Verdict::Met | Verdict::Breached(Breach::Warn, _) if last => {
            recorder.durable(EventKind::WatchEnded { end: WatchEnd::Passed }).await?;
            Ok(Seen::Over)
        }
        Verdict::Met | Verdict::Breached(Breach::Warn, _) => Ok(Seen::Met),
    }
}
