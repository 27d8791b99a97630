//! `gate` and `checklist`, of a step and of the rollback.

use std::time::Duration;

use pipe_core::{phase::Phase, text::is_unprintable};

use crate::{
    document::{name, window},
    fields::{self, Fields, Located},
    gate::OnExpiry,
    keys,
    node::{Node, Value},
    reference::without_references,
    report::Report,
};

/// The longest time a gate waits.
const LONGEST_WAIT: Duration = Duration::from_secs(28 * 86_400);
/// What a gate waits that does not say.
const USUAL_WAIT: Duration = Duration::from_secs(86_400);
/// More people than ever decide on one thing.
const LARGEST_QUORUM: u32 = 20;
/// Lines of one checklist.
const LONGEST_CHECKLIST: usize = 100;
/// Longest line of a checklist, in bytes.
const LONGEST_ITEM: usize = 200;

/// Where a gate stands: what can be done when nobody comes differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Step,
    Rollback,
}

#[derive(Clone, Debug)]
pub(crate) struct GateSpec {
    /// Its place among the tables of its kind in the file.
    pub(crate) at: usize,
    pub(crate) name: Located<String>,
    /// How many entries of `[[step]]` that call something stand above it; of no use in the rollback.
    pub(crate) before: usize,
    pub(crate) role: Located<String>,
    pub(crate) quorum: u32,
    pub(crate) expires: Duration,
    pub(crate) on_expiry: OnExpiry,
    pub(crate) if_started: Option<Located<String>>,
    pub(crate) checklist: Vec<ItemSpec>,
    /// Of a gate among the steps.
    pub(crate) phase: Option<Located<Phase>>,
}

#[derive(Clone, Debug)]
pub(crate) struct ItemSpec {
    pub(crate) item: String,
    /// The step that sees to it.
    pub(crate) step: Option<Located<String>>,
}

/// The gate that `gate` and `checklist` of a table say.
pub(super) fn read(
    report: &Report,
    fields: &Fields<'_>,
    name: Option<Located<String>>,
    standing: Standing,
) -> Option<GateSpec> {
    let entry = fields.get("gate")?;
    let checklist = checklist(report, fields);
    let gate = Fields::of(report, &entry.node, keys::GATE)?;
    let role = gate.required("role", "`gate = { role = \"…\" }`: one of `[roles]`");
    let quorum = quorum(report, &gate);
    let expires = match gate.get("expires") {
        Some(_) => gate.duration("expires", LONGEST_WAIT),
        None => Some(USUAL_WAIT),
    };
    let on_expiry = on_expiry(report, &gate, standing);
    let if_started = gate.string("if_started").and_then(|text| without_references(report, text));
    if let (Standing::Step, Some(entry)) = (standing, gate.get("if_started")) {
        let hint = "leave it out: a gate among the steps is always reached in order";
        report.advise("conflict", "`if_started` is for a gate of `[[rollback]]`", entry.key_span.clone(), hint);
    }
    let phase = window::phase(report, fields);
    let (quorum, expires, on_expiry) = (quorum?, expires?, on_expiry?);
    let (name, role) = (name?, role?);
    Some(GateSpec { at: 0, name, before: 0, role, quorum, expires, on_expiry, if_started, checklist, phase })
}

fn quorum(report: &Report, gate: &Fields<'_>) -> Option<u32> {
    let Some(entry) = gate.get("quorum") else { return Some(1) };
    let number = match entry.node.value {
        Value::Integer(number) => u32::try_from(number).ok().filter(|number| (1..=LARGEST_QUORUM).contains(number)),
        _ => None,
    };
    if number.is_none() {
        let message = format!("`quorum` is a whole number from 1 to {LARGEST_QUORUM}");
        report.advise("bad-value", message, entry.node.span.clone(), "so many different people must approve");
    }
    number
}

fn on_expiry(report: &Report, gate: &Fields<'_>, standing: Standing) -> Option<OnExpiry> {
    if gate.get("on_expiry").is_none() {
        return Some(OnExpiry::Stop);
    }
    let word = gate.string("on_expiry")?;
    let known: &[OnExpiry] = match standing {
        Standing::Step => &[OnExpiry::Rollback, OnExpiry::Stop],
        Standing::Rollback => &[OnExpiry::Stop, OnExpiry::Fail],
    };
    let found = known.iter().find(|known| known.word() == word.value).copied();
    if found.is_none() {
        let shown = name::shortened(&word.value);
        let (message, hint) = match (standing, word.value.as_str()) {
            (Standing::Step, "fail") => (
                "a gate among the steps cannot `fail` without undoing what was started".to_owned(),
                "`rollback` undoes it; `stop` waits for `pipe resume`, which opens the gate again",
            ),
            (Standing::Rollback, "rollback") => (
                "the rollback itself cannot be rolled back".to_owned(),
                "`stop` waits for `pipe resume`, which opens the gate again; `fail` gives the rollback up",
            ),
            (Standing::Step, _) => (format!("nothing is called `{shown}`"), "`rollback` or `stop`"),
            (Standing::Rollback, _) => (format!("nothing is called `{shown}`"), "`stop` or `fail`"),
        };
        report.advise("bad-value", message, word.span, hint);
    }
    found
}

fn checklist(report: &Report, fields: &Fields<'_>) -> Vec<ItemSpec> {
    let nodes = fields.array("checklist");
    if let Some(node) = nodes.get(LONGEST_CHECKLIST) {
        let message = format!("a checklist has more than {LONGEST_CHECKLIST} lines");
        report.error("too-large", message, node.span.clone(), "");
        return Vec::new();
    }
    let mut items: Vec<ItemSpec> = Vec::new();
    for node in nodes {
        let Some((text, step)) = item(report, node) else { continue };
        if items.iter().any(|known| known.item == text.value) {
            report.error("duplicate-name", "the same line stands twice", text.span, "");
            continue;
        }
        items.push(ItemSpec { item: text.value, step });
    }
    items
}

fn item(report: &Report, node: &Node) -> Option<(Located<String>, Option<Located<String>>)> {
    let (text, step) = match &node.value {
        Value::Table(_) => {
            let fields = Fields::of(report, node, keys::CHECKLIST_ITEM)?;
            let text = fields.required("item", "`item = \"…\"`: what is to be seen to");
            let step = fields.required("step", "`step = \"…\"`, or the item alone as a text");
            (text?, Some(step?))
        }
        _ => (fields::string(report, node)?, None),
    };
    let text = without_references(report, text)?;
    let sound = text.value.trim() == text.value
        && (1..=LONGEST_ITEM).contains(&text.value.len())
        && !text.value.contains(is_unprintable);
    if !sound {
        let hint = format!("one line of at most {LONGEST_ITEM} bytes, with no space at either end");
        report.advise("bad-value", "this cannot be a line of a checklist", text.span, hint);
        return None;
    }
    Some((text, step))
}
