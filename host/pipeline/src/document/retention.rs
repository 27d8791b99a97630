//! `[retention]`: how long what runs stored is kept.

use std::time::Duration;

use crate::{fields::Fields, keys, report::Report};

/// Nobody keeps anything for longer.
const LONGEST: Duration = Duration::from_secs(200 * 366 * 86_400);

/// What a day is.
const DAY: Duration = Duration::from_secs(86_400);

/// How long artifacts are kept. Nothing is removed by itself: `pipe prune` does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// They stay for at least so long.
    pub artifacts: Duration,
    /// Of every step, the verified ones of so many newest runs stay, whatever their age. At least 1.
    pub keep_min: u64,
}

pub(super) fn read(report: &Report, file: &Fields<'_>) -> Option<Retention> {
    let fields = Fields::of(report, &file.get("retention")?.node, keys::RETENTION)?;
    let keep_min = match fields.get("keep_min") {
        None => 1,
        Some(entry) => {
            let number = fields.count("keep_min")?;
            if number == 0 {
                let hint = "at least 1: the last verified backup is never removed";
                report.advise("bad-value", "`keep_min` cannot be 0", entry.node.span.clone(), hint);
            }
            number
        }
    };
    fields.needs("artifacts", "`artifacts = \"90d\"`")?;
    let artifacts = fields.duration("artifacts", LONGEST)?;
    if artifacts < DAY
        && let Some(entry) = fields.get("artifacts")
    {
        let hint = "at least a day: a deployment may have to be undone on the next morning";
        report.advise("bad-value", "artifacts are kept for less than a day", entry.node.span.clone(), hint);
    }
    Some(Retention { artifacts, keep_min })
}
