//! How far the gates of a run have come.

use pipe_core::event::{EventKind, GateEnd};

use super::RunState;

/// How far a gate has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStanding {
    /// Who decides.
    pub role: String,
    /// How it ended; nothing while it waits.
    pub ended: Option<GateEnd>,
    /// What was said where it was rejected.
    pub rejection: Option<String>,
    /// [`RunState::resumed`] when it ended.
    pub ended_in: u32,
    /// A plugin was replaced since: what was decided on is not what would be done now.
    pub stale: bool,
}

impl RunState {
    pub(super) fn apply_of_gates(&mut self, event: &EventKind) {
        match event {
            EventKind::GateOpened { step, role, .. } => {
                let opened =
                    GateStanding { role: role.clone(), ended: None, rejection: None, ended_in: 0, stale: false };
                self.gates.insert(step.clone(), opened);
            }
            EventKind::GateClosed { step, how, why, .. } => {
                let resumed = self.resumed;
                if let Some(gate) = self.gates.get_mut(step) {
                    (gate.ended, gate.ended_in) = (Some(*how), resumed);
                    gate.rejection.clone_from(why);
                }
            }
            EventKind::PluginReplaced { .. } => self.gates.values_mut().for_each(|gate| gate.stale = true),
            _ => {}
        }
    }

    /// Nobody is asked any more whether something may be done that will not be.
    pub(super) fn withdraw_gates(&mut self) {
        self.gates.retain(|_, gate| gate.ended.is_some());
    }
}
