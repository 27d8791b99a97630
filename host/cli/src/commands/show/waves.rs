//! Waves and the watch, in the words of every format of the report.

use pipe_core::event::{Breach, WatchEnd};
use pipe_runner::report::{Breached, Report, Seen, StepReport, Tally, WatchReport, WaveReport};

use super::told::{Tone, clock, moment};
use crate::{printer::count, reporter::took};

/// What is worth a line below a release in waves.
pub(super) fn waves(report: &Report, step: &StepReport) -> Vec<(Tone, String)> {
    step.waves.iter().flat_map(|wave| one(report, wave)).collect()
}

/// `wave 1 of 3 (10%): released 02:15:00, held for 2m, ended 02:17:00; "errors" met 9 times`, and what was not met.
fn one(report: &Report, wave: &WaveReport) -> Vec<(Tone, String)> {
    let mut parts = vec![match wave.released {
        Some(at) => format!("released {}", clock(report, at)),
        None => format!("begun {}, and never released", clock(report, wave.started)),
    }];
    if let Some(ms) = wave.hold_ms {
        let held = if wave.ended.is_some() { "held for" } else { "to be held for" };
        let again = if wave.holds > 1 {
            format!(", which began {}", count(wave.holds as usize, "time"))
        } else {
            String::new()
        };
        parts.push(format!("{held} {}{again}", took(ms)));
    }
    parts.extend(wave.ended.map(|at| format!("done {}", clock(report, at))));
    let tone = if wave.released.is_some() { Tone::Quiet } else { Tone::Careful };
    let mut notes = vec![(tone, format!("{}: {}{}", wave.wave, parts.join(", "), tallies(&wave.seen)))];
    notes.extend(wave.seen.breaches.iter().map(|breached| breach(report, breached)));
    notes
}

/// The watch: how it stands, what every check said, and what was not met.
pub(super) fn watch(report: &Report, watch: &WatchReport) -> Vec<(Tone, String)> {
    let opened = clock(report, watch.opened);
    let mut notes = vec![match (&watch.end, watch.ended) {
        (Some(WatchEnd::Passed), Some(at)) => {
            (Tone::Good, format!("from {opened} to {}: its time is over", clock(report, at)))
        }
        (Some(WatchEnd::Superseded { by }), Some(at)) => {
            (Tone::Quiet, format!("from {opened} to {}: run {by} took its place", clock(report, at)))
        }
        _ => (Tone::Careful, format!("from {opened}, to be watched until {}: not over", moment(watch.until))),
    }];
    if watch.seen.checks.is_empty() {
        notes.push((Tone::Careful, "nobody has looked: `pipe watch` makes the checks".to_owned()));
    }
    for tally in &watch.seen.checks {
        let tone = if tally.not_met > 0 { Tone::Careful } else { Tone::Quiet };
        notes.push((tone, format!("{}; at last: {}", said(tally), tally.last)));
    }
    notes.extend(watch.seen.breaches.iter().map(|breached| breach(report, breached)));
    notes
}

fn tallies(seen: &Seen) -> String {
    seen.checks.iter().map(|tally| format!("; {}", said(tally))).collect()
}

/// `"errors" met 9 times, not met once`.
fn said(tally: &Tally) -> String {
    let parts = [("met", tally.met), ("met with a warning", tally.warned), ("not met", tally.not_met)];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, often)| *often > 0)
        .map(|(what, often)| format!("{what} {}", times(often)))
        .collect();
    format!("\"{}\" {}", tally.check, parts.join(", "))
}

fn times(often: u64) -> String {
    if often == 1 { "once".to_owned() } else { format!("{often} times") }
}

fn breach(report: &Report, breached: &Breached) -> (Tone, String) {
    let (tone, follows) = match breached.breach {
        Breach::Warn => (Tone::Careful, "which was gone past"),
        Breach::Ask => (Tone::Careful, "and somebody was asked"),
        Breach::Rollback => (Tone::Bad, "and what was started was undone"),
    };
    (tone, format!("not met {}, {follows}: {}", clock(report, breached.at), breached.message))
}
