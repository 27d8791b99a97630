//! How long artifacts are kept: a pure decision over what the journal says is there.
//!
//! Nothing is ever removed because it lies in a directory. What can be removed is what `artifact-stored` says was stored, and of
//! that only what is old enough, has enough newer ones beside it, and belongs to no run that could still need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pipe_core::{
    digest::Digest,
    event::{Artifact, EventKind},
    id::{RunId, StepId},
};
use pipe_journal::StoredEvent;
use pipe_pipeline::Retention;

/// An artifact of the manifest.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The run that stored it.
    pub run: RunId,
    /// The step that did.
    pub step: StepId,
    /// What it is.
    pub artifact: Artifact,
    /// Whether the host saw it read back to its end.
    pub verified: bool,
    /// How long ago it was stored, by the clock that says less.
    pub age: Duration,
    /// Whether a removal of it is in the record.
    pub pruned: bool,
    /// Whether its file is there, as large as it was stored.
    pub there: bool,
    /// Whether its run may still go on or be undone.
    pub needed: bool,
}

/// What becomes of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays: its run may still go on or be undone.
    Needed,
    /// It stays: it is not old enough.
    Young,
    /// It stays: it is one of the newest verified ones of its step.
    OneOfTheNewest,
    /// It goes, or its record does where its file is gone already.
    Goes,
    /// Its file is gone although it should stay, and no record says why.
    Missing,
    /// It is gone, as the record says.
    Gone,
}

/// Decides about everything that a pipeline stored in an environment: newest first, one verdict for each.
///
/// Of every step, the verified artifacts of the newest `keep_min` runs whose files are really there stay, whatever their age:
/// what is not there does not count as kept. A removal that was recorded and cut off is decided anew.
#[must_use]
pub fn decide(retention: Retention, stored: &[Stored]) -> Vec<Verdict> {
    let least = retention.keep_min.max(1);
    let mut newest: BTreeMap<&StepId, BTreeSet<&RunId>> = BTreeMap::new();
    stored
        .iter()
        .map(|one| {
            let kept = newest.entry(&one.step).or_default();
            let among = one.verified && one.there && (kept.contains(&one.run) || (kept.len() as u64) < least);
            if among {
                kept.insert(&one.run);
            }
            match one {
                _ if !one.there && one.pruned => Verdict::Gone,
                _ if !one.there && (one.needed || one.age < retention.artifacts) => Verdict::Missing,
                _ if one.needed => Verdict::Needed,
                _ if one.age < retention.artifacts => Verdict::Young,
                _ if among => Verdict::OneOfTheNewest,
                _ => Verdict::Goes,
            }
        })
        .collect()
}

/// The clocks now.
#[derive(Clone, Debug)]
pub struct Now {
    /// The wall's.
    pub at: jiff::Timestamp,
    /// Identity of the machine's start, where the kernel says it.
    pub boot: Option<String>,
    /// Milliseconds since then, sleep included.
    pub boot_ms: u64,
}

impl Now {
    /// What they say.
    #[must_use]
    pub fn read() -> Self {
        Self { at: jiff::Timestamp::now(), boot: pipe_journal::boot_id(), boot_ms: pipe_journal::boot_ms() }
    }
}

/// The manifest of a run: what it stored, in order. `there` looks whether a file is.
#[must_use]
pub fn manifest(
    run: &RunId,
    events: &[StoredEvent],
    now: &Now,
    needed: bool,
    there: impl Fn(&Artifact) -> bool,
) -> Vec<Stored> {
    let mut boot = None;
    let mut stored: Vec<Stored> = Vec::new();
    for event in events {
        match event.event.known() {
            Some(EventKind::RunStarted { boot: at, .. } | EventKind::RunResumed { boot: at, .. }) => {
                boot.clone_from(at);
            }
            Some(EventKind::ArtifactStored { step, artifact, .. }) => {
                stored.push(Stored {
                    run: run.clone(),
                    step: step.clone(),
                    verified: false,
                    age: age(event, boot.as_deref(), now),
                    pruned: false,
                    there: there(artifact),
                    needed,
                    artifact: artifact.clone(),
                });
            }
            Some(EventKind::ArtifactVerified { verification, .. }) => {
                for one in stored.iter_mut().filter(|one| one.artifact.digest == verification.digest) {
                    one.verified = true;
                }
            }
            Some(EventKind::ArtifactPruned { digest, .. }) => {
                for one in stored.iter_mut().filter(|one| one.artifact.digest == *digest) {
                    one.pruned = true;
                }
            }
            _ => {}
        }
    }
    // A step that stored the same once more has the same file, which is as old as its last use.
    let mut last: Vec<Stored> = Vec::new();
    for one in stored.into_iter().rev() {
        if !last.iter().any(|known| known.artifact.location == one.artifact.location) {
            last.push(one);
        }
    }
    last
}

/// How long ago a run was accepted. Nothing where its record does not say.
#[must_use]
pub fn run_age(events: &[StoredEvent], now: &Now) -> Duration {
    events.first().map_or(Duration::ZERO, |first| match first.event.known() {
        Some(EventKind::RunStarted { boot, .. }) => age(first, boot.as_deref(), now),
        _ => Duration::ZERO,
    })
}

/// Contents of the copies that a run was begun with.
#[must_use]
pub fn copies(events: &[StoredEvent]) -> BTreeSet<Digest> {
    let mut copies = BTreeSet::new();
    for event in events.iter().filter_map(|stored| stored.event.known()) {
        if let EventKind::RunStarted { pipeline_digest, policies, copies: manifest, .. } = event {
            copies.insert(*pipeline_digest);
            copies.extend(policies);
            copies.extend(manifest);
        }
        copies.extend(event.planned_steps().iter().map(|planned| planned.plugin.digest));
    }
    copies
}

/// The manifest of what was copied for a run alone.
#[must_use]
pub fn copied(events: &[StoredEvent]) -> Option<Digest> {
    match events.first()?.event.known()? {
        EventKind::RunStarted { copies, .. } => *copies,
        _ => None,
    }
}

/// How long ago an event was, by the clock that says less: one that was set forward must not make a backup old, and one that was
/// set back makes it young.
fn age(event: &StoredEvent, boot: Option<&str>, now: &Now) -> Duration {
    let by_wall = Duration::try_from(now.at.duration_since(event.at)).unwrap_or_default();
    match (boot, now.boot.as_deref()) {
        (Some(then), Some(here)) if then == here => {
            by_wall.min(Duration::from_millis(now.boot_ms.saturating_sub(event.boot_ms)))
        }
        _ => by_wall,
    }
}

#[cfg(test)]
mod tests;
