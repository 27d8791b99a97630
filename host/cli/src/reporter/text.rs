//! Events for people: plain lines, and on a terminal one line below them that lives.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipe_core::{
    event::{Event, EventKind},
    id::StepId,
    units::ByteSize,
};

use crate::{printer::Printer, reporter::lines};

/// Writes lines to stderr.
pub(crate) struct TextReporter {
    printer: Printer,
    verbose: bool,
    live: Option<ProgressBar>,
    said: Mutex<HashSet<(StepId, String)>>,
}

impl TextReporter {
    pub(crate) fn new(printer: Printer, verbose: bool) -> Self {
        let live = printer.live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template that does not parse would be a fault of ours, and costs no more than its looks.
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Self { printer, verbose, live, said: Mutex::default() }
    }

    /// Tells people of one event.
    pub(crate) fn report(&self, event: &Event) {
        if let EventKind::Denied { step, refusal } = &event.kind {
            // A guest that asks a thousand times is told about once.
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if !said.insert((step.clone(), format!("{} {}", refusal.word, refusal.subject))) {
                return;
            }
        }
        self.follow(&event.kind);
        for line in lines::of(&event.kind, self.verbose) {
            match &self.live {
                Some(bar) => bar.suspend(|| self.printer.talk(&line)),
                None => self.printer.talk(&line),
            }
        }
    }

    /// Keeps the living line true.
    fn follow(&self, kind: &EventKind) {
        let Some(bar) = &self.live else { return };
        match kind {
            EventKind::StepStarted { step, .. } => self.begin(bar, &step.to_string()),
            EventKind::UndoStarted { step } => self.begin(bar, &format!("undo {step}")),
            EventKind::GateOpened { role, expires_at, .. } => {
                self.begin(bar, &format!("waiting for {role} until {}", expires_at.strftime("%H:%M:%S UTC")));
            }
            EventKind::Progress { step, message, done, total } => {
                let amount = match total {
                    Some(total) if *total > 0 => format!("{} of {}", ByteSize(*done), ByteSize(*total)),
                    _ => ByteSize(*done).to_string(),
                };
                bar.set_message(format!("{step}: {message} {amount}"));
            }
            EventKind::Holding { step, wave, left_ms } => {
                let left = lines::took(left_ms.div_ceil(1_000) * 1_000);
                bar.set_message(format!("{step}: holding {wave}, {left} to go"));
            }
            EventKind::StepFinished { .. }
            | EventKind::UndoFinished { .. }
            | EventKind::GateClosed { .. }
            | EventKind::RunFinished { .. } => {
                bar.disable_steady_tick();
                bar.finish_and_clear();
            }
            _ => {}
        }
    }

    fn begin(&self, bar: &ProgressBar, what: &str) {
        bar.reset();
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
    }
}
