//! A run at a gate: it opens it, looks for what people recorded, and closes it. `pipe approve` writes to the same journal from
//! its own process, so that nobody needs to be there at the same time.

use std::time::Duration;

use pipe_core::{
    event::{EventKind, GateEnd},
    report::{Failure, FailureKind},
};
use pipe_journal::JournalError;
use pipe_pipeline::{Gate, OnExpiry};

use super::{Gates, Standing, moment};
use crate::step::Stepper;

/// How often the journal is asked.
const POLL: Duration = Duration::from_millis(500);

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The run may go on.
    Passed,
    /// It may not: somebody said no, or nobody came in time and the gate says what that means.
    Failed(Failure),
    /// Nobody is there to see it wait, or nobody came and the run is to stop as it is.
    Stopped(String),
    /// The operator does not want to wait.
    Interrupted,
}

/// What this process knows of the gates of its run.
struct Watch {
    gates: Gates,
    /// The last event that was taken in.
    seen: u64,
}

impl Stepper<'_> {
    /// Waits at a gate until it is decided. One that has passed once lets the run pass again; one that ended otherwise opens anew
    /// where `again` says so.
    pub(crate) async fn wait_at(&self, gate: &Gate, again: bool) -> Result<Waited, JournalError> {
        let mut watch = Watch { gates: Gates::new(self.recorder.run().clone()), seen: 0 };
        self.catch_up(&mut watch, false).await?;
        match watch.gates.gate(&gate.id).map(|state| (state.ended(), state.standing(&moment()))) {
            Some((Some(GateEnd::Passed), _)) => return Ok(Waited::Passed),
            Some((Some(end), _)) if !again => return Ok(self.meaning(gate, end, &watch)),
            Some((None, _)) => {}
            Some((Some(_), _)) | None => {
                self.open(gate, &watch.gates).await?;
                self.catch_up(&mut watch, false).await?;
            }
        }
        loop {
            let Some(state) = watch.gates.gate(&gate.id) else {
                return Ok(Waited::Failed(failure(format!("the gate \"{}\" is not in the journal", gate.id))));
            };
            match state.standing(&moment()) {
                Standing::Decided(end) => {
                    let by = state.deciders().into_iter().map(str::to_owned).collect();
                    let closed =
                        EventKind::GateClosed { step: gate.id.clone(), how: end, by, checklist: state.checklist() };
                    self.recorder.durable(closed).await?;
                    return Ok(self.meaning(gate, end, &watch));
                }
                Standing::Open { .. } if !self.prepared.waits => {
                    return Ok(Waited::Stopped(format!("it waits for {} at the gate \"{}\"", gate.role, gate.id)));
                }
                Standing::Open { left, .. } => {
                    tokio::select! {
                        () = tokio::time::sleep(POLL.min(left + Duration::from_millis(1))) => {}
                        () = self.interrupt.cancelled() => return Ok(Waited::Interrupted),
                    }
                }
            }
            self.catch_up(&mut watch, true).await?;
        }
    }

    /// What the end of a gate means for the run.
    fn meaning(&self, gate: &Gate, end: GateEnd, watch: &Watch) -> Waited {
        let role = &gate.role;
        match (end, gate.on_expiry) {
            (GateEnd::Passed, _) => Waited::Passed,
            (GateEnd::Rejected, _) => {
                let rejection = watch.gates.gate(&gate.id).and_then(|state| state.rejection());
                let said = rejection.map(|vote| format!(" by {}: {}", vote.principal, vote.reason)).unwrap_or_default();
                Waited::Failed(failure(format!("rejected{said}")))
            }
            (GateEnd::Expired, OnExpiry::Stop) => {
                Waited::Stopped(format!("{role} did not come to the gate \"{}\" in time", gate.id))
            }
            (GateEnd::Expired, OnExpiry::Rollback | OnExpiry::Fail) => {
                Waited::Failed(failure(format!("{role} did not approve in time")))
            }
        }
    }

    async fn open(&self, gate: &Gate, gates: &Gates) -> Result<(), JournalError> {
        let opened = moment();
        let event = EventKind::GateOpened {
            step: gate.id.clone(),
            role: gate.role.clone(),
            quorum: gate.quorum,
            opening: uuid::Uuid::now_v7().simple().to_string(),
            expires_ms: u64::try_from(gate.expires.as_millis()).unwrap_or(u64::MAX),
            expires_at: opened.at.saturating_add(jiff::SignedDuration::try_from(gate.expires).unwrap_or_default()).unwrap_or(opened.at),
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

fn failure(message: String) -> Failure {
    Failure { kind: FailureKind::Gate, message, retryable: false, findings: Vec::new(), hint: None }
}
