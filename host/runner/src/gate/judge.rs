//! Whether a decision holds: for this opening of this gate, by somebody who may, in time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pipe_core::{
    digest::Digest,
    event::{ChecklistItem, Moment},
    id::{RunId, StepId},
};

use super::{
    approval::{Approval, Decision, NotAnApproval, Remark},
    signature::{BadSignature, Signed, fingerprint},
    signers::{Signers, may_be},
};

/// A gate that was opened: what a decision about it must name, and who may make one.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The run.
    pub run: RunId,
    /// Name of its pipeline.
    pub pipeline: String,
    /// Its environment.
    pub environment: String,
    /// The gate.
    pub gate: StepId,
    /// Who decides.
    pub role: String,
    /// How many different people must approve.
    pub quorum: u32,
    /// Names this opening.
    pub opening: String,
    /// When it was opened.
    pub opened: Moment,
    /// How long it waits.
    pub expires: Duration,
    /// Until when that is, by the wall clock.
    pub expires_at: Timestamp,
    /// Hash of the plan that is decided on.
    pub plan: Digest,
    /// What is to be seen to.
    pub checklist: Vec<ChecklistItem>,
    /// Those who have the role.
    pub signers: Signers,
    /// None of them may approve.
    pub requesters: Vec<String>,
}

/// A decision that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Who decided.
    pub principal: String,
    /// With which key.
    pub key: String,
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// What was said of the checklist.
    pub items: Vec<(String, Remark)>,
}

/// Why a decision does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The text is none of ours.
    #[error(transparent)]
    Text(#[from] NotAnApproval),
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Nobody of the role has the key.
    #[error("the key {key} is nobody's who has the role `{role}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// The role.
        role: String,
    },
    /// The key does not hold any more, or not yet.
    #[error("the key of `{principal}` is not valid at this time")]
    KeyNotInForce {
        /// Whose.
        principal: String,
    },
    /// It was made for something else: a replay.
    #[error("it was signed for the {what} `{named}`, and this is `{here}`")]
    Elsewhere {
        /// `run`, `gate`, …
        what: &'static str,
        /// What it names.
        named: String,
        /// What this is.
        here: String,
    },
    /// It was made for this gate, but before it was opened this time.
    #[error("it was signed for another opening of the gate")]
    OtherOpening,
    /// Signed before the gate was opened.
    #[error("it was signed at {signed_at}, before the gate was opened")]
    TooEarly {
        /// When it says it was signed.
        signed_at: Timestamp,
    },
    /// The gate's time had run out.
    #[error("the gate waited until {expires_at}, and that is over")]
    Expired {
        /// Until when it waited.
        expires_at: Timestamp,
    },
    /// Who asks for a run may not approve it.
    #[error("`{principal}` may not approve: the run was asked for by `{requester}`")]
    Requester {
        /// Who signed.
        principal: String,
        /// Who asked.
        requester: String,
    },
    /// A line that the checklist does not have.
    #[error("the checklist has no line `{0}`")]
    UnknownItem(String),
    /// It says two things of one line.
    #[error("it speaks twice of the line `{0}` of the checklist")]
    TwiceItem(String),
    /// The gate does not wait any more.
    #[error("the gate is closed")]
    Closed,
}

impl Opening {
    /// Whether the gate's time had run out at a moment.
    #[must_use]
    pub fn is_over(&self, now: &Moment) -> bool {
        passed(&self.opened, now) > self.expires
    }

    /// How much of its time is left.
    #[must_use]
    pub fn left(&self, now: &Moment) -> Duration {
        self.expires.saturating_sub(passed(&self.opened, now))
    }

    /// Holds a decision against everything that it must be: signed by a key of the role, over this very gate and plan, while the
    /// gate was open. `recorded` is when it was handed in.
    ///
    /// # Errors
    ///
    /// The first thing that it is not.
    pub fn judge(&self, text: &str, signature: &str, recorded: &Moment) -> Result<Vote, Refused> {
        let signed = Signed::read(signature)?;
        let key = fingerprint(signed.key());
        let Some(signer) = self.signers.of_key(signed.key()) else {
            return Err(Refused::UnknownKey { key, role: self.role.clone() });
        };
        signed.check(text)?;
        let approval = Approval::read(text)?;
        self.is_about_this(&approval)?;
        let principal = signer.principal.clone();
        if approval.signed_at < self.opened.at {
            return Err(Refused::TooEarly { signed_at: approval.signed_at });
        }
        if self.is_over(recorded) || approval.signed_at > self.expires_at {
            return Err(Refused::Expired { expires_at: self.expires_at });
        }
        if !signer.holds_at(approval.signed_at) || !signer.holds_at(recorded.at) {
            return Err(Refused::KeyNotInForce { principal });
        }
        // Whoever asked may still stop it.
        let asked = self.requesters.iter().find(|requester| may_be(&principal, requester));
        if let (Decision::Approve, Some(requester)) = (approval.decision, asked) {
            return Err(Refused::Requester { principal, requester: requester.clone() });
        }
        let known = |item: &str| self.checklist.iter().any(|known| known.item == item);
        if let Some((item, _)) = approval.items.iter().find(|(item, _)| !known(item)) {
            return Err(Refused::UnknownItem(item.clone()));
        }
        let twice = |index: usize, item: &str| approval.items[..index].iter().any(|(known, _)| known == item);
        if let Some((_, (item, _))) = approval.items.iter().enumerate().find(|(index, (item, _))| twice(*index, item)) {
            return Err(Refused::TwiceItem(item.clone()));
        }
        Ok(Vote { principal, key, decision: approval.decision, reason: approval.reason, items: approval.items })
    }

    fn is_about_this(&self, approval: &Approval) -> Result<(), Refused> {
        let named = [
            ("run", approval.run.to_string(), self.run.to_string()),
            ("pipeline", approval.pipeline.clone(), self.pipeline.clone()),
            ("environment", approval.environment.clone(), self.environment.clone()),
            ("gate", approval.gate.clone(), self.gate.to_string()),
            ("role", approval.role.clone(), self.role.clone()),
            ("plan", approval.plan.to_string(), self.plan.to_string()),
        ];
        for (what, named, here) in named {
            if named != here {
                return Err(Refused::Elsewhere { what, named, here });
            }
        }
        if approval.opening == self.opening { Ok(()) } else { Err(Refused::OtherOpening) }
    }
}

/// How much time passed between two moments. Within one start of the machine its own clock says so, and nobody moves that; across
/// starts there is only the wall clock, and what it says never is less than nothing.
pub(super) fn passed(from: &Moment, to: &Moment) -> Duration {
    let one_clock = from.boot.is_some() && from.boot == to.boot && from.boot_ms > 0 && to.boot_ms >= from.boot_ms;
    if one_clock {
        return Duration::from_millis(to.boot_ms - from.boot_ms);
    }
    let by_the_wall: SignedDuration = to.at.duration_since(from.at);
    by_the_wall.try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
