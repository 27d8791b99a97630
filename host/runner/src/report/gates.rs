//! Gates: what was asked, who answered, and the proof of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pipe_core::{
    digest::Digest,
    event::{CheckedItem, EventKind, GateEnd, ItemState, SignedApproval},
    id::StepId,
};
use serde::Serialize;

use super::{Item, Report, Tick};

/// A gate, as it was opened last.
#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    /// The gate.
    pub gate: StepId,
    /// Who decides.
    pub role: String,
    /// How many different people must approve.
    pub quorum: u32,
    /// When it was opened.
    pub opened: Timestamp,
    /// When its time is over.
    pub expires: Timestamp,
    /// Hash of the plan that is decided on.
    pub plan_digest: Digest,
    /// Who could decide, as OpenSSH's `allowed_signers`: public keys alone.
    pub signers: String,
    /// Decisions that hold, in order, since it was opened last.
    pub votes: Vec<Signed>,
    /// How it was opened before, and what became of that.
    pub before: Vec<String>,
    /// Decisions that were handed in and do not.
    pub refused: Vec<String>,
    /// When nobody was asked any more: the run was undone or ended.
    pub withdrawn: Option<Timestamp>,
    /// When it ended, and how.
    pub ended: Option<(Timestamp, GateEnd)>,
    /// Who decided it.
    pub by: Vec<String>,
    /// What was said where it was rejected.
    pub why: Option<String>,
    /// What was to be seen to, and what became of it.
    pub checklist: Vec<CheckedItem>,
}

/// A decision with its proof: `ssh-keygen -Y verify` checks it, in seven years too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// When it was recorded.
    pub at: Timestamp,
    /// Whether it is an approval.
    pub approves: bool,
    /// What was signed, by whom, and with which key.
    #[serde(flatten)]
    pub approval: SignedApproval,
}

impl Report {
    /// Takes in an event of a gate; says whether it was one.
    pub(super) fn apply_of_gate(&mut self, at: Timestamp, event: &EventKind) -> bool {
        match event {
            EventKind::GateOpened { .. } => self.opened(at, event),
            EventKind::Approved { step, approval, .. } => self.voted(at, step, approval, true),
            EventKind::Rejected { step, approval, .. } => self.voted(at, step, approval, false),
            EventKind::ApprovalRefused { step, reason, key, actor } => {
                let key = key.as_ref().map(|key| format!(", signed by {key}")).unwrap_or_default();
                self.with_gate(step, |gate| gate.refused.push(format!("handed in by {actor}{key}: {reason}")));
            }
            EventKind::GateClosed { step, how, by, why, checklist } => self.with_gate(step, |gate| {
                gate.ended = Some((at, *how));
                gate.by.clone_from(by);
                gate.why.clone_from(why);
                gate.checklist.clone_from(checklist);
            }),
            _ => return false,
        }
        true
    }

    fn opened(&mut self, at: Timestamp, event: &EventKind) {
        let EventKind::GateOpened { step, role, quorum, expires_at, plan_digest, checklist, signers, .. } = event
        else {
            return;
        };
        let open = checklist.iter().map(|line| CheckedItem { item: line.item.clone(), state: ItemState::Open });
        let before = self.gates.iter().position(|known| known.gate == *step).map(|index| self.gates.remove(index));
        let (before, refused) = before.map(GateReport::past).unwrap_or_default();
        self.gates.push(GateReport {
            gate: step.clone(),
            role: role.clone(),
            quorum: *quorum,
            opened: at,
            expires: *expires_at,
            plan_digest: *plan_digest,
            signers: signers.clone(),
            votes: Vec::new(),
            before,
            refused,
            withdrawn: None,
            ended: None,
            by: Vec::new(),
            why: None,
            checklist: open.collect(),
        });
    }

    /// Nobody is asked any more at the gates that are open.
    pub(super) fn withdraw_gates(&mut self, at: Timestamp) {
        self.gates.iter_mut().filter(|gate| gate.ended.is_none()).for_each(|gate| gate.withdrawn = Some(at));
    }

    fn voted(&mut self, at: Timestamp, step: &StepId, approval: &SignedApproval, approves: bool) {
        self.with_gate(step, |gate| gate.votes.push(Signed { at, approves, approval: approval.clone() }));
    }

    fn with_gate(&mut self, step: &StepId, change: impl FnOnce(&mut GateReport)) {
        if let Some(known) = self.gates.iter_mut().find(|known| known.gate == *step) {
            change(known);
        }
    }
}

impl GateReport {
    /// What is still said of an opening once there is another.
    fn past(mut self) -> (Vec<String>, Vec<String>) {
        let end = match self.ended {
            Some((at, how)) => format!("{} at {at}", how.word()),
            None => "withdrawn".to_owned(),
        };
        self.before.push(format!("opened before at {}: {end}", self.opened));
        let voted = |vote: &Signed| {
            let did = if vote.approves { "approval" } else { "rejection" };
            format!("{did} by {} at {} was of that opening, and does not count", vote.approval.principal, vote.at)
        };
        self.before.extend(self.votes.iter().map(voted));
        (self.before, self.refused)
    }

    /// Different people who approved.
    fn approved(&self) -> usize {
        let people: BTreeSet<&str> =
            self.votes.iter().filter(|vote| vote.approves).map(|vote| vote.approval.principal.as_str()).collect();
        people.len()
    }
}

/// What a gate adds to the checklist: itself, and every line that people had to see to.
pub(super) fn items(gate: &GateReport) -> Vec<Item> {
    let (tick, evidence) = match gate.ended {
        None if gate.withdrawn.is_some() => (Tick::NotNeeded, "withdrawn".to_owned()),
        None => (Tick::Open, format!("{} of {} approved", gate.approved(), gate.quorum)),
        Some((_, GateEnd::Passed)) => (Tick::Done, GateEnd::Passed.word().to_owned()),
        Some((_, how)) => (Tick::Failed, how.word().to_owned()),
    };
    let text = format!("{} ({})", gate.gate, gate.role);
    let by = if gate.by.is_empty() { "pipe".to_owned() } else { gate.by.join(", ") };
    let itself = Item { group: GROUP, text, tick, evidence, by };
    let lines = gate.checklist.iter().map(|line| {
        let (tick, evidence, by) = match &line.state {
            ItemState::Open => (Tick::Open, String::new(), "pipe".to_owned()),
            ItemState::Passed { step } => (Tick::Done, format!("step \"{step}\" succeeded"), "pipe".to_owned()),
            ItemState::Attested { by, evidence } => (Tick::Done, evidence.clone(), by.clone()),
            ItemState::Waived { by, reason } => (Tick::Waived, reason.clone(), by.clone()),
        };
        Item { group: GROUP, text: line.item.clone(), tick, evidence, by }
    });
    std::iter::once(itself).chain(lines).collect()
}

/// Where they stand in the checklist.
const GROUP: &str = "Gates";
