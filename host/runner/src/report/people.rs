//! What people decided, from the events that say so. Whatever comes to be decided by people in a later version is told here.

use jiff::Timestamp;
use pipe_core::event::{EventKind, SignedApproval};

use super::Decision;
use crate::gate::Approval;

/// The decision that an event tells of.
pub(super) fn decision(at: Timestamp, event: &EventKind) -> Option<Decision> {
    let told = |who: &str, did: String, reason: Option<&String>| {
        Some(Decision { at, who: who.to_owned(), event: event.word(), did, reason: reason.cloned() })
    };
    match event {
        EventKind::RunStarted { actor, .. } => told(actor, "started the run".to_owned(), None),
        EventKind::RunResumed { actor, .. } => told(actor, "went on with the run".to_owned(), None),
        EventKind::InFlightDecided { step, decision, actor } => {
            let word = decision.word();
            told(actor, format!("decided about step \"{step}\", which was cut off: {word}"), None)
        }
        EventKind::RollbackRequested { actor, reason } => {
            told(actor, "asked for the run to be undone".to_owned(), Some(reason))
        }
        EventKind::LateAccepted { phase, actor, reason } => {
            told(actor, format!("let phase {phase} begin although it was too late for it"), Some(reason))
        }
        EventKind::Resolved { step, resolution, actor, reason } => {
            told(actor, format!("said that step \"{step}\" is {resolution}, after a repair by hand"), Some(reason))
        }
        EventKind::Abandoned { actor, reason } => told(actor, "gave the run up".to_owned(), Some(reason)),
        EventKind::PluginReplaced { step, plugin, role, actor, reason } => {
            let what =
                format!("let step \"{step}\" call {} (sha256 {}) instead, as {role}", plugin.name, plugin.digest);
            told(actor, what, Some(reason))
        }
        EventKind::Waived { step, rule, role, actor, reason } => {
            told(actor, format!("ran \"{step}\" without the {rule} that it needs, which {role} accepts"), Some(reason))
        }
        EventKind::ChangedRecordAccepted { actor, found } => {
            told(actor, format!("went on although the record was changed: {found}"), None)
        }
        EventKind::WatchContinued { actor } => {
            told(actor, "saw to what the watch found, and let it go on".to_owned(), None)
        }
        EventKind::Approved { step, approval, .. } => told(
            &approval.principal,
            format!("approved \"{step}\", signed with {}", approval.key),
            reason(approval).as_ref(),
        ),
        EventKind::Rejected { step, approval, .. } => told(
            &approval.principal,
            format!("rejected \"{step}\", signed with {}", approval.key),
            reason(approval).as_ref(),
        ),
        EventKind::ApprovalRefused { step, reason, actor, .. } => {
            told(actor, format!("handed in a decision about \"{step}\" that does not hold"), Some(reason))
        }
        EventKind::Unlocked { actor, reason, holder, .. } => {
            let holder = if holder.is_empty() { "whoever drove it" } else { holder };
            told(actor, format!("took the run from {holder}, who can record nothing more"), Some(reason))
        }
        EventKind::ArtifactPruned { name, actor, reason, found, .. } => {
            let gone = if *found { "" } else { ", whose file was gone already" };
            told(actor, format!("pruned the artifact {name}{gone}"), Some(reason))
        }
        EventKind::CopiesPruned { actor, reason, .. } => {
            told(actor, "pruned copies of what earlier runs were begun with".to_owned(), Some(reason))
        }
        _ => None,
    }
}

/// What the signer gave as the reason, if anything.
fn reason(approval: &SignedApproval) -> Option<String> {
    let read = Approval::read(&approval.text).ok()?;
    (!read.reason.is_empty()).then_some(read.reason)
}
