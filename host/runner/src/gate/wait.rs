//! A run at a gate: it opens it, looks for what people recorded, and closes it. `pipe approve` writes to the same journal from
//! its own process, so that nobody needs to be there at the same time.

use std::{collections::BTreeMap, time::Duration};

use pipe_core::{
    event::{EventKind, GateEnd},
    id::StepId,
};
use pipe_journal::JournalError;
use pipe_pipeline::Gate;

use super::{GateState, Gates, Standing, moment};
use crate::step::Stepper;

/// How often the journal is asked.
const POLL: Duration = Duration::from_millis(500);

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The gate is closed: its end is in the journal.
    Closed,
    /// It is open, and nobody is there to see the run wait.
    Alone {
        /// Who decides.
        role: String,
    },
    /// The operator does not want to wait.
    Interrupted,
}

/// What this process knows of the gates of its run.
struct Watch {
    gates: Gates,
    /// The last event that was taken in.
    seen: u64,
    /// How each gate was opened last.
    openings: BTreeMap<StepId, EventKind>,
}

impl Stepper<'_> {
    /// Opens a gate, or finds it open, and waits there until it is decided.
    pub(crate) async fn wait_at(&self, gate: &Gate) -> Result<Waited, JournalError> {
        let mut watch = Watch { gates: Gates::new(self.recorder.run().clone()), seen: 0, openings: BTreeMap::new() };
        self.catch_up(&mut watch, false).await?;
        match watch
            .openings
            .remove(&gate.id)
            .filter(|_| watch.gates.gate(&gate.id).is_some_and(|state| state.ended().is_none()))
        {
            // Another process opened it, and whoever looks on now has not heard of it.
            Some(opening) => self.recorder.tell(opening),
            None => self.open(gate, &watch.gates).await?,
        }
        loop {
            self.catch_up(&mut watch, true).await?;
            let left = match watch.gates.gate(&gate.id) {
                Some(state) => match state.standing(&moment()) {
                    Standing::Decided(end) => return self.close(state, end).await,
                    Standing::Open { left, .. } => left,
                },
                // Written by us a moment ago.
                None => POLL,
            };
            if !self.prepared.waits {
                return Ok(Waited::Alone { role: gate.role.clone() });
            }
            tokio::select! {
                () = tokio::time::sleep(POLL.min(left + Duration::from_millis(1))) => {}
                () = self.interrupt.cancelled() => return Ok(Waited::Interrupted),
            }
        }
    }

    async fn close(&self, state: &GateState, end: GateEnd) -> Result<Waited, JournalError> {
        let why = state.rejection().map(|vote| format!("rejected by {}: {}", vote.principal, vote.reason));
        // Nobody decides that nobody decided.
        let by = if end == GateEnd::Expired { Vec::new() } else { state.deciders() };
        let by = by.into_iter().map(str::to_owned).collect();
        let step = state.opening.gate.clone();
        self.recorder.durable(EventKind::GateClosed { step, how: end, by, why, checklist: state.checklist() }).await?;
        Ok(Waited::Closed)
    }

    async fn open(&self, gate: &Gate, gates: &Gates) -> Result<(), JournalError> {
        let opened = moment();
        let event = EventKind::GateOpened {
            step: gate.id.clone(),
            role: gate.role.clone(),
            quorum: gate.quorum,
            opening: uuid::Uuid::now_v7().simple().to_string(),
            expires_ms: u64::try_from(gate.expires.as_millis()).unwrap_or(u64::MAX),
            expires_at: opened.at.checked_add(gate.expires).unwrap_or(opened.at),
            opened,
            plan_digest: self.prepared.plan.digest(),
            checklist: gate.checklist.clone(),
            signers: self.prepared.signers.get(&gate.role).cloned().unwrap_or_default(),
            requesters: gates.requesters().to_vec(),
        };
        self.recorder.durable(event).await
    }

    /// Takes in what was recorded since. What other processes recorded is `told` to whoever looks on.
    async fn catch_up(&self, watch: &mut Watch, told: bool) -> Result<(), JournalError> {
        for stored in self.recorder.journal().events_from(self.recorder.run(), watch.seen + 1).await? {
            watch.seen = stored.seq;
            let Some(event) = stored.event.known() else { continue };
            watch.gates.apply(event);
            if let EventKind::GateOpened { step, .. } = event {
                watch.openings.insert(step.clone(), event.clone());
            }
            let by_people = matches!(
                event,
                EventKind::Approved { .. } | EventKind::Rejected { .. } | EventKind::ApprovalRefused { .. }
            );
            if told && by_people {
                self.recorder.tell(event.clone());
            }
        }
        Ok(())
    }
}
