//! `waves` and `guard` of a step, and `[watch]`.

use std::time::Duration;

use pipe_core::{
    diagnostic::Diagnostic,
    event::{Breach, Share},
};

use crate::{
    document::name,
    fields::{self, Fields, Located},
    keys,
    node::{Entry, Node, Value},
    reference::without_references,
    report::Report,
};

/// The longest time that a wave holds.
const LONGEST_HOLD: Duration = Duration::from_secs(7 * 86_400);
/// The longest time between two rounds of checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);
/// The longest time that a deployment is watched.
const LONGEST_WATCH: Duration = Duration::from_secs(90 * 86_400);
/// All of the traffic.
const ALL: u32 = 10_000;
const MOST_WAVES: usize = 100;
const MOST_CHECKS: usize = 32;

/// One wave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaveSpec {
    /// Hundredths of a per cent.
    pub(crate) weight: u32,
    pub(crate) hold: Duration,
}

/// Checks by name, and how often.
#[derive(Clone, Debug)]
pub(crate) struct GuardSpec {
    pub(crate) checks: Vec<CheckSpec>,
    pub(crate) every: Duration,
}

/// A check, and what follows when it is not met.
#[derive(Clone, Debug)]
pub(crate) struct CheckSpec {
    pub(crate) check: Located<String>,
    pub(crate) breach: Breach,
}

/// `[watch]`.
#[derive(Clone, Debug)]
pub(crate) struct WatchSpec {
    pub(crate) lasts: Duration,
    pub(crate) guard: GuardSpec,
}

/// `waves` of a step: weights that grow, up to everything.
pub(super) fn waves(report: &Report, fields: &Fields<'_>) -> Vec<WaveSpec> {
    let Some(entry) = fields.get("waves") else { return Vec::new() };
    let nodes = fields::array(report, &entry.node);
    if matches!(&entry.node.value, Value::Array(items) if items.is_empty()) {
        let hint = "`waves = [{ weight = \"10%\", hold = \"300s\" }, { weight = \"100%\", hold = \"300s\" }]`";
        report.advise("bad-value", "there is no wave", entry.node.span.clone(), hint);
    }
    if let Some(node) = nodes.get(MOST_WAVES) {
        report.error("too-large", format!("there are more than {MOST_WAVES} waves"), node.span.clone(), "");
        return Vec::new();
    }
    let mut waves: Vec<WaveSpec> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(fields) = Fields::of(report, node, keys::WAVE) else { continue };
        let hold = fields.duration("hold", LONGEST_HOLD).unwrap_or_default();
        let Some(weight) = fields.needs("weight", "`weight = \"10%\"`: the share after this wave") else { continue };
        let Some(share) = share(report, &weight.node) else { continue };
        if let Some(before) = waves.last()
            && share <= before.weight
        {
            let message = format!("the share does not grow: {} after {}", Share(share), Share(before.weight));
            report.error("bad-value", message, weight.node.span.clone(), "");
        }
        if index + 1 == nodes.len() && share != ALL {
            let hint = "end with `{ weight = \"100%\" }`: what a step has released is everything";
            let message = format!("the last wave leaves the release at {}", Share(share));
            report.advise("bad-value", message, weight.node.span.clone(), hint);
        }
        waves.push(WaveSpec { weight: share, hold });
    }
    waves
}

/// A share with its unit: more than nothing, at most everything, in whole hundredths of a per cent.
fn share(report: &Report, node: &Node) -> Option<u32> {
    let text = match &node.value {
        Value::Integer(number) => {
            let hint = format!("`\"{number}%\"`");
            report.advise("bad-unit", format!("`{number}` has no unit"), node.span.clone(), hint);
            return None;
        }
        _ => fields::string(report, node)?,
    };
    match pipe_core::units::parse_percentage(&text.value) {
        Err(error) => {
            report.advise("bad-unit", error.to_string(), text.span, "a number and `%`: `\"10%\"`");
            None
        }
        Ok(part) => {
            let hundredths = part * f64::from(ALL);
            let whole = (1..=ALL).find(|whole| (f64::from(*whole) - hundredths).abs() < 1e-6);
            if whole.is_none() {
                let message = format!("`{}` is not a share from 0.01% to 100%", name::shortened(&text.value));
                report.error("bad-value", message, text.span, "");
            }
            whole
        }
    }
}

/// `guard` of a step.
pub(super) fn guard(report: &Report, fields: &Fields<'_>) -> Option<GuardSpec> {
    let entry = fields.get("guard")?;
    if fields.get("waves").is_none() {
        fields.exclude_without("guard", "waves");
    }
    read(report, &Fields::of(report, &entry.node, keys::GUARD)?)
}

/// `[watch]` of the file.
pub(super) fn watch(report: &Report, file: &Fields<'_>) -> Option<WatchSpec> {
    let entry = file.get("watch")?;
    let fields = Fields::of(report, &entry.node, keys::WATCH)?;
    fields.needs("for", "`for = \"24h\"`: how long the deployment is watched");
    let lasts = fields.duration("for", LONGEST_WATCH);
    let guard = read(report, &fields);
    Some(WatchSpec { lasts: lasts?, guard: guard? })
}

fn read(report: &Report, fields: &Fields<'_>) -> Option<GuardSpec> {
    fields.needs("every", "`every = \"10s\"`: how often the checks are made");
    let every = fields.duration("every", LONGEST_PAUSE);
    let usual = breach(report, fields.get("breach")).unwrap_or(Breach::Rollback);
    let list = fields.needs("checks", "`checks = [\"…\"]`: names of `[[check]]` entries")?;
    let checks = checks(report, &list.node, usual);
    Some(GuardSpec { checks: checks?, every: every? })
}

fn checks(report: &Report, node: &Node, usual: Breach) -> Option<Vec<CheckSpec>> {
    let nodes = fields::array(report, node);
    if matches!(&node.value, Value::Array(items) if items.is_empty()) {
        report.error("bad-value", "a guard without a check", node.span.clone(), "");
    }
    if let Some(node) = nodes.get(MOST_CHECKS) {
        report.error("too-large", format!("there are more than {MOST_CHECKS} checks"), node.span.clone(), "");
        return None;
    }
    let mut checks: Vec<CheckSpec> = Vec::new();
    for node in nodes {
        let (name, breach) = match &node.value {
            Value::Table(_) => {
                let Some(fields) = Fields::of(report, node, keys::GUARDED) else { continue };
                let own = breach(report, fields.get("breach")).unwrap_or(usual);
                (fields.required("check", "`check = \"…\"`: one of the `[[check]]` entries"), own)
            }
            _ => (fields::string(report, node), usual),
        };
        let Some(check) = name.and_then(|text| without_references(report, text)) else { continue };
        match checks.iter().find(|known| known.check.value == check.value) {
            Some(first) => report.push(
                Diagnostic::error("duplicate-name", format!("the check `{}` stands twice", check.value))
                    .at(report.file(), check.span.clone(), "")
                    .at(report.file(), first.check.span.clone(), "the first"),
            ),
            None => checks.push(CheckSpec { check, breach }),
        }
    }
    (!checks.is_empty()).then_some(checks)
}

fn breach(report: &Report, entry: Option<&Entry>) -> Option<Breach> {
    let text = fields::string(report, &entry?.node)?;
    let known = text.value.parse().ok();
    if known.is_none() {
        let message = format!("`breach` cannot be `{}`", name::shortened(&text.value));
        report.unknown("bad-value", message, &text.value, Breach::ALL.map(Breach::word), text.span);
    }
    known
}
