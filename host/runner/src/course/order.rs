//! The order of a run, from its pipeline.

use pipe_pipeline::{Gate, Pipeline, RollbackEntry, Step};

use crate::course::{Back, Barrier, Course, Leg};

/// What of a pipeline decides the order.
pub(crate) fn course_of(pipeline: &Pipeline, reversible: impl Fn(&Step) -> bool) -> Course {
    let leg = |step: &Step| Leg {
        step: step.id.clone(),
        stage: step.stage,
        reversible: reversible(step),
        in_flight: step.in_flight,
        attempts: step.retry.attempts,
        waves: u32::try_from(step.waves.len()).unwrap_or(u32::MAX),
        repetition: step.repetition,
    };
    let barrier =
        |gate: &Gate| Barrier { gate: gate.id.clone(), on_expiry: gate.on_expiry, if_started: gate.if_started.clone() };
    let back = |entry: &RollbackEntry| match entry {
        RollbackEntry::Undo { step, continue_on_failure, gate, .. } => Back::Undo {
            step: step.clone(),
            continue_on_failure: *continue_on_failure,
            gate: gate.as_ref().map(barrier),
        },
        RollbackEntry::Run(step) => Back::Run(leg(step)),
        RollbackEntry::Gate(gate) => Back::Gate(barrier(gate)),
    };
    let rollback = pipeline.rollback.as_ref().map(|list| list.iter().map(back).collect());
    let gates = pipeline.gates.iter().map(|standing| (standing.before, barrier(&standing.gate))).collect();
    Course { steps: pipeline.steps.iter().map(leg).collect(), gates, rollback, window: pipeline.window.clone() }
}
