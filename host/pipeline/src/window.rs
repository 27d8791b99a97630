//! When the phases of a pipeline are due, and until when they may begin: arithmetic, without a clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use pipe_core::phase::Phase;

/// The window of a deployment, and the phases around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it opens: `t`.
    pub start: Timestamp,
    /// For how long after that the steps of `t` may begin.
    pub duration: Duration,
    /// How long after its moment another phase may still begin; nothing means until the moment of the next one.
    pub late: Option<Duration>,
    /// How old the results of earlier phases may be when `t` begins.
    pub max_age: Option<Duration>,
    /// The phases of steps and gates, by name. What is not named here is of `t`.
    pub phases: BTreeMap<String, Phase>,
}

impl Window {
    /// The phase of a step or gate.
    #[must_use]
    pub fn phase(&self, name: &str) -> Phase {
        self.phases.get(name).copied().unwrap_or_default()
    }

    /// Every phase, `t` among them, in order.
    #[must_use]
    pub fn all(&self) -> BTreeSet<Phase> {
        self.phases.values().copied().chain([Phase::T]).collect()
    }

    /// When a phase is due: not before.
    #[must_use]
    pub fn due(&self, phase: Phase) -> Timestamp {
        phase.moment(self.start)
    }

    /// Until when a phase may begin. Nothing where it is never too late: for the last, where the file does not say.
    #[must_use]
    pub fn until(&self, phase: Phase) -> Option<Timestamp> {
        let after = |allowed| self.due(phase).checked_add(allowed).unwrap_or(Timestamp::MAX);
        if phase == Phase::T {
            return Some(after(self.duration));
        }
        match self.late {
            Some(late) => Some(after(late)),
            None => self.all().into_iter().find(|next| *next > phase).map(|next| self.due(next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_may_begin_from_its_moment_until_the_next_ones() {
        let phase = |text: &str| text.parse::<Phase>().unwrap();
        let mut window = Window {
            start: "2026-11-28T22:00:00Z".parse().unwrap(),
            duration: Duration::from_secs(4 * 3_600),
            late: None,
            max_age: None,
            phases: ["t-24h", "t-1h", "t+1h", "t+24h"].map(|text| (text.to_owned(), phase(text))).into(),
        };
        let shown = |window: &Window| {
            window
                .all()
                .into_iter()
                .map(|phase| {
                    let until = window.until(phase).map_or_else(|| "always".to_owned(), |until| until.to_string());
                    format!("{phase}: {} {until}", window.due(phase))
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&window),
            [
                "t-24h: 2026-11-27T22:00:00Z 2026-11-28T21:00:00Z",
                "t-1h: 2026-11-28T21:00:00Z 2026-11-28T22:00:00Z",
                "t: 2026-11-28T22:00:00Z 2026-11-29T02:00:00Z",
                "t+1h: 2026-11-28T23:00:00Z 2026-11-29T22:00:00Z",
                "t+24h: 2026-11-29T22:00:00Z always",
            ]
        );
        window.late = Some(Duration::from_secs(600));
        assert_eq!(
            shown(&window),
            [
                "t-24h: 2026-11-27T22:00:00Z 2026-11-27T22:10:00Z",
                "t-1h: 2026-11-28T21:00:00Z 2026-11-28T21:10:00Z",
                "t: 2026-11-28T22:00:00Z 2026-11-29T02:00:00Z",
                "t+1h: 2026-11-28T23:00:00Z 2026-11-28T23:10:00Z",
                "t+24h: 2026-11-29T22:00:00Z 2026-11-29T22:10:00Z",
            ]
        );
        assert_eq!(window.phase("anything else"), Phase::T);
    }
}
