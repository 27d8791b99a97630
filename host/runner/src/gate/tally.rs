//! What the gates of a run have come to: a pure fold over its events. It believes no event that it cannot check: an approval
//! counts if its signature holds, whoever wrote it into the journal.

use std::time::Duration;

use pipe_core::{
    event::{CheckedItem, EventKind, GateEnd, ItemState, Moment, SignedApproval},
    id::{RunId, StepId},
};

use super::{
    approval::{Decision, Remark},
    judge::{Opening, Refused, Vote, passed},
    signers::{Signers, same_person},
};

/// The gates of a run.
#[derive(Clone, Debug)]
pub struct Gates {
    run: RunId,
    pipeline: String,
    environment: String,
    requesters: Vec<String>,
    signers: Vec<(String, String)>,
    gates: Vec<GateState>,
}

/// A gate since it was opened last.
#[derive(Clone, Debug)]
pub struct GateState {
    /// What was opened.
    pub opening: Opening,
    votes: Vec<Vote>,
    /// How long it has waited at least, by all that is known.
    waited: Duration,
    ended: Option<GateEnd>,
}

/// How a gate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits.
    Open {
        /// How many more people must approve.
        missing: u32,
        /// Lines of the checklist that nobody has settled.
        unsettled: Vec<String>,
        /// How long it waits still.
        left: Duration,
    },
    /// It is decided.
    Decided(GateEnd),
}

impl Gates {
    /// Of a run in which nothing has happened yet.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            pipeline: String::new(),
            environment: String::new(),
            requesters: Vec::new(),
            signers: Vec::new(),
            gates: Vec::new(),
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::RunStarted { pipeline, environment, .. } => {
                self.pipeline.clone_from(pipeline);
                self.environment.clone_from(environment);
            }
            EventKind::RolesPinned { requesters, signers } => {
                self.requesters.clone_from(requesters);
                self.signers = signers.iter().map(|(role, text)| (role.clone(), text.clone())).collect();
            }
            EventKind::GateOpened { .. } => {
                if let Some(state) = self.opened(event) {
                    self.gates.retain(|known| known.opening.gate != state.opening.gate);
                    self.gates.push(state);
                }
            }
            EventKind::Approved { step, approval, recorded, .. } => {
                self.decide(step, approval, recorded, Decision::Approve);
            }
            EventKind::Rejected { step, approval, recorded, .. } => {
                self.decide(step, approval, recorded, Decision::Reject);
            }
            EventKind::GateClosed { step, how, .. } => {
                if let Some(state) = self.gates.iter_mut().find(|state| state.opening.gate == *step) {
                    state.ended = Some(*how);
                }
            }
            // What was asked is not asked any more: another plugin would be called, or nothing more is done behind the gate.
            EventKind::PluginReplaced { .. } => self.gates.clear(),
            EventKind::RollbackStarted { .. } | EventKind::RunFinished { .. } => {
                self.gates.retain(|state| state.ended.is_some());
            }
            _ => {}
        }
    }

    /// A gate, if it was opened.
    #[must_use]
    pub fn gate(&self, step: &StepId) -> Option<&GateState> {
        self.gates.iter().find(|state| state.opening.gate == *step)
    }

    /// The gates that nothing has closed, in the order in which they were opened.
    pub fn open(&self) -> impl Iterator<Item = &GateState> {
        self.gates.iter().filter(|state| state.ended.is_none())
    }

    /// Who asked for the run, as far as that is known.
    #[must_use]
    pub fn requesters(&self) -> &[String] {
        &self.requesters
    }

    /// The signers of a role as they were when the run was accepted.
    #[must_use]
    pub fn signers(&self, role: &str) -> Option<&str> {
        self.signers.iter().find(|(known, _)| known == role).map(|(_, text)| text.as_str())
    }

    fn opened(&self, event: &EventKind) -> Option<GateState> {
        let EventKind::GateOpened {
            step,
            role,
            quorum,
            opening,
            opened,
            expires_ms,
            expires_at,
            plan_digest,
            checklist,
            signers,
            requesters,
        } = event
        else {
            return None;
        };
        let opening = Opening {
            run: self.run.clone(),
            pipeline: self.pipeline.clone(),
            environment: self.environment.clone(),
            gate: step.clone(),
            role: role.clone(),
            quorum: *quorum,
            opening: opening.clone(),
            opened: opened.clone(),
            expires: Duration::from_millis(*expires_ms),
            expires_at: *expires_at,
            plan: *plan_digest,
            checklist: checklist.clone(),
            // What cannot be read names nobody, and nobody can approve.
            signers: Signers::read(signers).unwrap_or_default(),
            requesters: requesters.clone(),
        };
        Some(GateState { opening, votes: Vec::new(), waited: Duration::ZERO, ended: None })
    }

    fn decide(&mut self, step: &StepId, approval: &SignedApproval, recorded: &Moment, said: Decision) {
        let Some(state) = self.gates.iter_mut().find(|state| state.opening.gate == *step) else { return };
        // What the event says of itself is nothing: what was signed counts.
        if let Ok(vote) = state.consider(&approval.text, &approval.signature, recorded)
            && vote.decision == said
        {
            state.votes.push(vote);
        }
        state.waited = state.waited.max(passed(&state.opening.opened, recorded));
    }
}

impl GateState {
    /// Whether a decision that is handed in now would count.
    ///
    /// # Errors
    ///
    /// Why it would not.
    pub fn consider(&self, text: &str, signature: &str, now: &Moment) -> Result<Vote, Refused> {
        match self.standing(now) {
            Standing::Decided(GateEnd::Expired) => Err(Refused::Expired { expires_at: self.opening.expires_at }),
            Standing::Decided(_) => Err(Refused::Closed),
            Standing::Open { .. } => self.opening.judge(text, signature, now),
        }
    }

    /// How it stands at a moment.
    #[must_use]
    pub fn standing(&self, now: &Moment) -> Standing {
        if let Some(ended) = self.ended {
            return Standing::Decided(ended);
        }
        if self.votes.iter().any(|vote| vote.decision == Decision::Reject) {
            return Standing::Decided(GateEnd::Rejected);
        }
        let approved = u32::try_from(self.approvers().len()).unwrap_or(u32::MAX);
        let missing = self.opening.quorum.saturating_sub(approved);
        let unsettled: Vec<String> =
            self.checklist().into_iter().filter(|item| !item.state.is_settled()).map(|item| item.item).collect();
        if missing == 0 && unsettled.is_empty() {
            return Standing::Decided(GateEnd::Passed);
        }
        // A clock that was set back gives no time that has been used already.
        let waited = self.waited.max(passed(&self.opening.opened, now));
        if waited > self.opening.expires {
            return Standing::Decided(GateEnd::Expired);
        }
        Standing::Open { missing, unsettled, left: self.opening.expires.saturating_sub(waited) }
    }

    /// How the run that waited closed it, if it did.
    #[must_use]
    pub const fn ended(&self) -> Option<GateEnd> {
        self.ended
    }

    /// The different people who approved, in order.
    #[must_use]
    pub fn approvers(&self) -> Vec<&str> {
        self.people(Decision::Approve)
    }

    /// Those whose word decided it.
    #[must_use]
    pub fn deciders(&self) -> Vec<&str> {
        let rejected = self.people(Decision::Reject);
        if rejected.is_empty() { self.approvers() } else { rejected }
    }

    /// Why it was rejected, where it was.
    #[must_use]
    pub fn rejection(&self) -> Option<&Vote> {
        self.votes.iter().find(|vote| vote.decision == Decision::Reject)
    }

    fn people(&self, decision: Decision) -> Vec<&str> {
        let mut people: Vec<&Vote> = Vec::new();
        for vote in self.votes.iter().filter(|vote| vote.decision == decision) {
            // One person counts once, whatever keys they have; one key counts once, whatever names it has.
            if !people.iter().any(|known| same_person(&known.principal, &vote.principal) || known.key == vote.key) {
                people.push(vote);
            }
        }
        people.into_iter().map(|vote| vote.principal.as_str()).collect()
    }

    /// The checklist, with what became of each line. Who said something of one last is named: it may correct what was said before.
    #[must_use]
    pub fn checklist(&self) -> Vec<CheckedItem> {
        let said = |item: &str| {
            let approvals = self.votes.iter().filter(|vote| vote.decision == Decision::Approve);
            let said = approvals.flat_map(|vote| vote.items.iter().map(move |(of, remark)| (vote, of, remark)));
            said.rev().find(|(_, of, _)| *of == item).map(|(vote, _, remark)| match remark {
                Remark::Attested(evidence) => {
                    ItemState::Attested { by: vote.principal.clone(), evidence: evidence.clone() }
                }
                Remark::Waived(reason) => ItemState::Waived { by: vote.principal.clone(), reason: reason.clone() },
            })
        };
        let checked = self.opening.checklist.iter().map(|item| {
            let state = match &item.step {
                Some(step) => ItemState::Passed { step: step.clone() },
                None => said(&item.item).unwrap_or(ItemState::Open),
            };
            CheckedItem { item: item.item.clone(), state }
        });
        checked.collect()
    }
}

#[cfg(test)]
mod tests;
