//! What a process writes down first: that a run begins, with everything that it begins with, or that it goes on.

use pipe_core::event::{EventKind, PlannedStep};

use crate::{
    plan::PlanEntry,
    prepare::{Prepared, absolute},
};

impl Prepared {
    /// Says that this process goes on with the run.
    pub(crate) fn resumed_event(&self) -> EventKind {
        EventKind::RunResumed {
            actor: self.actor.clone(),
            pipe_version: self.version.clone(),
            boot: pipe_journal::boot_id(),
            epoch: self.journal.ownership().map_or(0, |ownership| ownership.epoch()),
        }
    }

    /// The first events of the run: one, unless it has more steps than one can hold.
    pub(crate) fn started_events(&self) -> Vec<EventKind> {
        let planned = |entry: &PlanEntry| PlannedStep { part: entry.role.part(), ..entry.planned.clone() };
        let mut portions = portions(self.plan.entries.iter().map(planned));
        let steps = if portions.is_empty() { Vec::new() } else { portions.remove(0) };
        let started = EventKind::RunStarted {
            pipeline: self.pipeline.name.clone(),
            environment: self.pipeline.environment.clone(),
            file: Some(absolute(self.pipeline.path())),
            pipeline_digest: self.plan.pipeline_digest,
            plan_digest: self.plan.digest(),
            pipe_version: self.version.clone(),
            actor: self.actor.clone(),
            boot: pipe_journal::boot_id(),
            started: Some(self.started),
            inputs: self.pipeline.inputs.clone(),
            previous: self.previous.clone(),
            policy_files: self.policy_files.clone(),
            copies: self.copies,
            policies: self.plan.policies.clone(),
            further: portions.iter().map(|steps| steps.len() as u64).sum(),
            steps,
        };
        let planned = portions.into_iter().map(|steps| EventKind::Planned { steps });
        let roles = (!self.signers.is_empty())
            .then(|| EventKind::RolesPinned { requesters: self.requesters.clone(), signers: self.signers.clone() });
        std::iter::once(started).chain(planned).chain(roles).chain(self.lock_taken()).collect()
    }
}

/// The most bytes of planned steps in one event, which has 1 MiB for everything.
const LARGEST_PORTION: usize = 256 << 10;

/// The steps in portions that one event can hold. A step that is larger by itself is a portion of its own.
fn portions(steps: impl Iterator<Item = PlannedStep>) -> Vec<Vec<PlannedStep>> {
    let (mut portions, mut left) = (Vec::<Vec<PlannedStep>>::new(), 0);
    for step in steps {
        let bytes = serde_json::to_vec(&step).map_or(LARGEST_PORTION, |text| text.len() + 1);
        match portions.last_mut() {
            Some(portion) if bytes <= left => {
                left -= bytes;
                portion.push(step);
            }
            _ => {
                left = LARGEST_PORTION.saturating_sub(bytes);
                portions.push(vec![step]);
            }
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use pipe_core::{
        digest::Digest,
        event::{Part, PluginIdentity},
        id::StepId,
        stage::Stage,
    };

    use super::*;

    fn step(number: usize, grant: usize) -> PlannedStep {
        PlannedStep {
            step: StepId::new(format!("step {number}")),
            part: Part::default(),
            stage: Stage::Verify,
            plugin: PluginIdentity { name: "std:verify".into(), version: "1".into(), digest: Digest::of(b"x") },
            reversible: false,
            grant: vec!["x".repeat(grant)],
            reveals: Vec::new(),
        }
    }

    #[test]
    fn steps_come_in_portions_that_fit_and_in_order() {
        assert!(portions(std::iter::empty()).is_empty());
        assert_eq!(portions((0..5).map(|number| step(number, 10))).len(), 1, "a pipeline as people write it");
        let all: Vec<PlannedStep> = (0..2_000).map(|number| step(number, 1_000)).collect();
        let made = portions(all.iter().cloned());
        assert!(made.len() > 4, "{}", made.len());
        for portion in &made {
            assert!(serde_json::to_vec(portion).unwrap().len() <= LARGEST_PORTION + 2);
        }
        assert_eq!(made.concat(), all);
        let sizes: Vec<usize> =
            portions([step(0, 1), step(1, LARGEST_PORTION), step(2, 1)].into_iter()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 1, 1], "one that is too large is too large by itself");
    }
}
