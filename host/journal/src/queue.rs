//! What waits for the writer thread: in order, bounded, and woken as seldom as possible.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pipe_core::{digest::Digest, id::RunId};
use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use crate::{JournalError, clock::Moment, outputs::NewOutput, receipt::NewReceipt, writer::Placed};

/// How long an event that may wait does wait.
pub(crate) const SOON: Duration = Duration::from_millis(200);

/// How much may wait, in bytes.
const MOST_BYTES: usize = 4 << 20;

/// Events of one call.
pub(crate) struct Append {
    pub(crate) run: RunId,
    pub(crate) moment: Moment,
    pub(crate) bodies: Vec<String>,
    /// The last event of the run, where the caller insists.
    pub(crate) expected: Option<u64>,
    /// Belongs to the last event.
    pub(crate) receipt: Option<NewReceipt>,
    /// Belong to the events that they name.
    pub(crate) outputs: Vec<NewOutput>,
    /// The key that receipt and outputs are sealed with.
    pub(crate) sealed_with: Option<Digest>,
    /// Who waits for it. Nobody, where it may wait itself.
    pub(crate) reply: Option<oneshot::Sender<Result<Placed, JournalError>>>,
}

/// Something for the writer thread.
pub(crate) enum Task {
    Append(Box<Append>),
    /// Reads, after everything that was appended before.
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    bytes: usize,
    due: Option<Instant>,
    urgent: bool,
    closed: bool,
    /// Why what waits could not be written when its time had come. It is tried again.
    failed: Option<JournalError>,
}

/// Shared by the callers and the thread.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    space: Notify,
}

impl Queue {
    /// For a task that somebody waits for. Takes everything before it along.
    pub(crate) fn push(&self, task: Task) -> Result<(), JournalError> {
        let mut state = self.state();
        if state.closed {
            return Err(JournalError::Closed);
        }
        state.tasks.push_back(task);
        state.urgent = true;
        self.wake.notify_one();
        Ok(())
    }

    /// For events that may wait. Never blocks.
    ///
    /// # Errors
    ///
    /// Too much waits already, or what waits could not be written.
    pub(crate) fn push_soon(&self, append: Append) -> Result<(), JournalError> {
        self.offer(append).map_err(|(error, _)| error)
    }

    /// For events that may wait. Waits itself while too much does.
    pub(crate) async fn push_soon_or_wait(&self, mut append: Append) -> Result<(), JournalError> {
        loop {
            let space = self.space.notified();
            match self.offer(append) {
                Err((JournalError::Backlog, back)) => append = *back,
                done => return done.map_err(|(error, _)| error),
            }
            space.await;
        }
    }

    fn offer(&self, append: Append) -> Result<(), (JournalError, Box<Append>)> {
        let mut state = self.state();
        let refusal = if state.closed {
            Some(JournalError::Closed)
        } else if let Some(failed) = &state.failed {
            Some(failed.clone())
        } else if state.bytes > 0 && state.bytes + append.bytes() > MOST_BYTES {
            state.urgent = true;
            self.wake.notify_one();
            Some(JournalError::Backlog)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return Err((refusal, Box::new(append)));
        }
        state.bytes += append.bytes();
        state.tasks.push_back(Task::Append(Box::new(append)));
        if state.due.is_none() {
            state.due = Some(Instant::now() + SOON);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Everything that waits, once something of it is urgent or has waited long enough. Nothing at the end.
    pub(crate) fn take(&self) -> Option<VecDeque<Task>> {
        let mut state = self.state();
        loop {
            let left = state.due.map(|due| due.saturating_duration_since(Instant::now()));
            if state.urgent || state.closed || left == Some(Duration::ZERO) {
                break;
            }
            state = match left {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        (state.bytes, state.due, state.urgent) = (0, None, false);
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        self.space.notify_waiters();
        (!tasks.is_empty() || !self.state().closed).then_some(tasks)
    }

    /// Something could be written.
    pub(crate) fn written(&self) {
        self.state().failed = None;
    }

    /// What could not be written waits again, before everything else. Returns how many events are lost since the queue is closed.
    pub(crate) fn put_back(&self, appends: Vec<Append>, error: JournalError) -> usize {
        let mut state = self.state();
        if state.closed {
            return appends.iter().map(|append| append.bodies.len()).sum();
        }
        state.failed = Some(error);
        if !appends.is_empty() {
            state.due = Some(Instant::now() + SOON);
        }
        for append in appends.into_iter().rev() {
            state.bytes += append.bytes();
            state.tasks.push_front(Task::Append(Box::new(append)));
        }
        0
    }

    /// Nothing more is taken. What waits is still written.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
        self.space.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Append {
    fn bytes(&self) -> usize {
        self.bodies.iter().map(|body| body.len() + 128).sum()
    }
}
