//! `[[step]]`, `[[check]]`, `[[rollback]]`, `[[notify]]` and `[defaults]`.

use std::{ops::Range, time::Duration};

use pipe_core::{
    diagnostic::Diagnostic,
    event::InFlight,
    limits::{Limit, Limits},
    phase::Phase,
    stage::Stage,
};

use crate::{
    document::{
        allow::{self, AllowSpec},
        backup,
        gate::{self, GateSpec, Standing},
        name,
        wave::{self, GuardSpec, WaveSpec},
        window,
        with::With,
    },
    fields::{self, Fields, Located},
    keys,
    node::{Entry, Node, Value},
    pipeline::{NotifyEvent, OnFailure, Repetition, Retry, Waiver},
    reference::without_references,
    report::Report,
};

/// The longest time a step may be given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);
/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(86_400);
const MOST_ATTEMPTS: u32 = 100;
/// Each instance that runs may take the memory of a call.
const MOST_AT_ONCE: i64 = 32;
/// Between two attempts, where `retry` does not say.
const USUAL_BACKOFF: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct StepSpec {
    /// Its place among the tables of its kind in the file.
    pub(crate) at: usize,
    pub(crate) name: Located<String>,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) for_each: Option<Located<String>>,
    pub(crate) repetition: Repetition,
    pub(crate) irreversible: bool,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) waves: Vec<WaveSpec>,
    pub(crate) guard: Option<GuardSpec>,
    pub(crate) without_backup: Option<Waiver>,
    pub(crate) backup_max_age: Option<Duration>,
    pub(crate) limits: LimitSpec,
    /// Of `[[step]]` alone.
    pub(crate) phase: Option<Located<Phase>>,
}

/// The limits that a table names, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitSpec(Vec<(Limit, u64)>);

impl LimitSpec {
    /// `limits` with what this one says in its place.
    pub(crate) fn over(&self, limits: Limits) -> Limits {
        self.0.iter().fold(limits, |limits, (limit, amount)| limits.with(*limit, *amount))
    }
}

/// What a step calls.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Call(Box<Call>),
    /// A `[[check]]`, by name.
    Check(Located<String>),
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) stage: Stage,
    /// Where `plugin` stands, or whatever decides it.
    pub(crate) plugin: Located<Option<String>>,
    pub(crate) allow: AllowSpec,
    pub(crate) with: With,
}

#[derive(Clone, Debug)]
pub(crate) enum RollbackSpec {
    Undo { step: Located<String>, continue_on_failure: bool, gate: Option<GateSpec> },
    Run(StepSpec),
    Gate(GateSpec),
}

#[derive(Clone, Debug)]
pub(crate) struct NotifySpec {
    pub(crate) on: Vec<NotifyEvent>,
    pub(crate) step: StepSpec,
}

/// What a step gets that does not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
}

pub(super) fn defaults(report: &Report, file: &Fields<'_>) -> Defaults {
    let fields = file.get("defaults").and_then(|entry| Fields::of(report, &entry.node, keys::DEFAULTS));
    fields.map_or_else(Defaults::default, |fields| Defaults {
        timeout: fields.duration("timeout", LONGEST_TIMEOUT),
        retry: retry(report, &fields),
    })
}

/// `[limits]` of the file, or `limits` of a step.
pub(super) fn limits(report: &Report, fields: &Fields<'_>) -> LimitSpec {
    let table = fields.get("limits").and_then(|entry| Fields::of(report, &entry.node, keys::LIMITS));
    let Some(table) = table else { return LimitSpec::default() };
    let amounts = Limit::ALL.into_iter().filter_map(|limit| Some((limit, table.limit(limit)?)));
    LimitSpec(amounts.collect())
}

/// The calls, and the gates between them.
pub(super) fn steps(report: &Report, nodes: &[Node]) -> (Vec<StepSpec>, Vec<GateSpec>) {
    let (mut steps, mut gates) = (Vec::new(), Vec::new());
    for (at, node) in nodes.iter().enumerate() {
        let Some(fields) = Fields::of(report, node, keys::STEP) else { continue };
        if fields.get("gate").is_some() {
            let gate = gate_step(report, &fields, Standing::Step);
            gates.extend(gate.map(|gate| GateSpec { at, before: steps.len(), ..gate }));
        } else {
            fields.exclude_without("checklist", "gate");
            steps.extend(step(report, &fields).map(|step| StepSpec { at, ..step }));
        }
    }
    (steps, gates)
}

/// An entry that waits for people and calls nothing.
fn gate_step(report: &Report, fields: &Fields<'_>, standing: Standing) -> Option<GateSpec> {
    let of_calls: Vec<&str> =
        keys::ROLLBACK.iter().copied().filter(|key| !matches!(*key, "name" | "gate" | "checklist" | "undo")).collect();
    fields.exclude("gate", &of_calls);
    fields.exclude("gate", &["irreversible", "waves", "guard"]);
    gate::read(report, fields, own_name(report, fields), standing)
}

pub(super) fn checks(report: &Report, nodes: &[Node]) -> Vec<StepSpec> {
    let checks = nodes.iter().enumerate().filter_map(|(at, node)| {
        let fields = Fields::of(report, node, keys::CHECK)?;
        let name = own_name(report, &fields);
        let body = call(report, &fields, Some(Stage::Verify), fields.span.clone());
        let check = finish(report, &fields, name, body.map(|call| Body::Call(Box::new(call))))?;
        Some(StepSpec { at, ..check })
    });
    checks.collect()
}

pub(super) fn rollback(report: &Report, nodes: &[Node]) -> Vec<RollbackSpec> {
    let mut undone: Vec<Located<String>> = Vec::new();
    let mut entries = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let Some(fields) = Fields::of(report, node, keys::ROLLBACK) else { continue };
        if fields.get("gate").is_none() {
            fields.exclude_without("checklist", "gate");
        }
        if fields.get("undo").is_none() {
            fields.exclude_without("continue", "undo");
            if fields.get("gate").is_some() {
                entries.extend(gate_step(report, &fields, Standing::Rollback).map(RollbackSpec::Gate));
            } else {
                entries.extend(step(report, &fields).map(|step| RollbackSpec::Run(StepSpec { at, ..step })));
            }
            continue;
        }
        let of_undo = ["undo", "continue", "gate", "checklist"];
        let own: Vec<&str> = keys::ROLLBACK.iter().copied().filter(|key| !of_undo.contains(key)).collect();
        fields.exclude("undo", &own);
        let continue_on_failure = fields.boolean("continue").unwrap_or(false);
        let Some(step) = fields.string("undo") else { continue };
        match undone.iter().find(|known| known.value == step.value) {
            Some(first) => report.push(
                Diagnostic::error("duplicate-name", format!("the step `{}` is undone twice", step.value))
                    .at(report.file(), step.span.clone(), "")
                    .at(report.file(), first.span.clone(), "the first"),
            ),
            None => undone.push(step.clone()),
        }
        // Known by what it stands before: there is one for each step at most.
        let name = Located { value: format!("undo {}", step.value), span: step.span.clone() };
        let gate = gate::read(report, &fields, Some(name), Standing::Rollback);
        entries.push(RollbackSpec::Undo { step, continue_on_failure, gate });
    }
    entries
}

pub(super) fn notifications(report: &Report, nodes: &[Node]) -> Vec<NotifySpec> {
    let notifications = nodes.iter().enumerate().filter_map(|(index, node)| {
        let fields = Fields::of(report, node, keys::NOTIFY)?;
        let name = match fields.get("name") {
            Some(_) => own_name(report, &fields),
            None => Some(Located { value: format!("notify {}", index + 1), span: fields.span.clone() }),
        };
        let on = fields.needs("on", "`on = [\"succeeded\", \"failed\"]`").and_then(|entry| events(report, entry));
        let body = call(report, &fields, Some(Stage::Notify), fields.span.clone());
        let step = finish(report, &fields, name, body.map(|call| Body::Call(Box::new(call))));
        Some(NotifySpec { on: on?, step: StepSpec { at: index, ..step? } })
    });
    notifications.collect()
}

fn events(report: &Report, entry: &Entry) -> Option<Vec<NotifyEvent>> {
    let nodes = fields::array(report, &entry.node);
    if matches!(&entry.node.value, Value::Array(items) if items.is_empty()) {
        report.error("bad-value", "a notification about nothing", entry.node.span.clone(), "");
    }
    let mut events = Vec::new();
    for node in nodes {
        let Some(word) = fields::string(report, node) else { continue };
        match NotifyEvent::ALL.into_iter().find(|event| event.word() == word.value) {
            Some(event) if events.contains(&event) => {
                report.error("duplicate-name", format!("`{event}` stands twice"), word.span, "");
            }
            Some(event) => events.push(event),
            None => {
                let known = NotifyEvent::ALL.map(NotifyEvent::word);
                let message = format!("nothing is called `{}`", name::shortened(&word.value));
                report.unknown("unknown-event", message, &word.value, known, word.span);
            }
        }
    }
    (!events.is_empty()).then_some(events)
}

fn own_name(report: &Report, fields: &Fields<'_>) -> Option<Located<String>> {
    let name = fields.required("name", "`name = \"…\"`")?;
    name::step(report, name)
}

/// A step that names a check, or says itself what it calls.
fn step(report: &Report, fields: &Fields<'_>) -> Option<StepSpec> {
    fields.exclude("check", &["stage", "plugin", "allow", "with", "waves"]);
    let check = fields.string("check").and_then(|text| without_references(report, text));
    let name = match &check {
        Some(check) if fields.get("name").is_none() => Some(check.clone()),
        _ => own_name(report, fields),
    };
    let body = match check {
        Some(check) => Some(Body::Check(check)),
        None if fields.get("check").is_some() => None,
        None => {
            let stage = fields.required("stage", "`stage = \"…\"`, or `check = \"…\"` to run one of the checks");
            let span = stage.as_ref().map_or_else(|| fields.span.clone(), |stage| stage.span.clone());
            let stage = stage.and_then(|word| {
                let stage = word.value.parse().ok();
                if stage.is_none() {
                    let message = format!("unknown stage `{}`", name::shortened(&word.value));
                    report.unknown("unknown-stage", message, &word.value, Stage::ALL.map(Stage::word), word.span);
                }
                stage
            });
            if let (Some(entry), Some(stage)) = (fields.get("waves"), stage.filter(|stage| *stage != Stage::Release)) {
                let message = format!("only a release has waves, and this calls {stage}");
                report.error("conflict", message, entry.key_span.clone(), "");
            }
            call(report, fields, stage, span).map(|call| Body::Call(Box::new(call)))
        }
    };
    finish(report, fields, name, body)
}

/// Reads the rest even where the stage is not known, so that its errors are reported too.
fn call(report: &Report, fields: &Fields<'_>, stage: Option<Stage>, decided_at: Range<usize>) -> Option<Call> {
    let plugin = match fields.string("plugin") {
        Some(text) => Located { value: Some(text.value), span: text.span },
        None => Located { value: None, span: decided_at },
    };
    let allow = match fields.get("allow") {
        Some(entry) => allow::read(report, &entry.node),
        None => Some(AllowSpec::default()),
    };
    let with = match fields.get("with") {
        Some(entry) => With::read(report, &entry.node),
        None => Some(With::empty(fields.span.clone())),
    };
    Some(Call { stage: stage?, plugin, allow: allow?, with: with? })
}

/// What every call may say. Read even where its name or body is not sound, so that its errors are reported too.
fn finish(report: &Report, fields: &Fields<'_>, name: Option<Located<String>>, body: Option<Body>) -> Option<StepSpec> {
    let for_each = fields.get("for_each").and_then(|entry| {
        let inner = Fields::of(report, &entry.node, keys::FOR_EACH)?;
        let set = inner.required("in", "`for_each = { in = \"…\" }`: one of `[sets]`");
        Some((set?, repetition(report, &inner)))
    });
    let (for_each, repetition) = for_each.unzip();
    let timeout = fields.duration("timeout", LONGEST_TIMEOUT);
    let retry = retry(report, fields);
    let irreversible = fields.boolean("irreversible").unwrap_or(false);
    let in_flight = in_flight(report, fields);
    let without_backup = backup::without_backup(report, fields, body.as_ref());
    let backup_max_age = backup::max_age(report, fields, body.as_ref());
    let (waves, guard) = (wave::waves(report, fields), wave::guard(report, fields));
    let limits = limits(report, fields);
    Some(StepSpec {
        at: 0,
        name: name?,
        body: body?,
        timeout,
        retry,
        for_each,
        repetition: repetition.unwrap_or_default(),
        irreversible,
        in_flight,
        without_backup,
        backup_max_age,
        waves,
        guard,
        limits,
        phase: window::phase(report, fields),
    })
}

fn repetition(report: &Report, for_each: &Fields<'_>) -> Repetition {
    let mut repetition = Repetition::default();
    if let Some(entry) = for_each.get("at_once") {
        match entry.node.value {
            Value::Integer(number) if (1..=MOST_AT_ONCE).contains(&number) => {
                repetition.at_once = usize::try_from(number).unwrap_or(1);
            }
            _ => {
                let message = format!("`at_once` is a whole number from 1 to {MOST_AT_ONCE}");
                report.error("bad-value", message, entry.node.span.clone(), "");
            }
        }
    }
    if let Some(text) = for_each.string("on_failure") {
        match OnFailure::ALL.into_iter().find(|known| known.word() == text.value) {
            Some(known) => repetition.on_failure = known,
            None => {
                let message = format!("`on_failure` cannot be `{}`", name::shortened(&text.value));
                let known = OnFailure::ALL.map(OnFailure::word);
                report.unknown("bad-value", message, &text.value, known, text.span);
            }
        }
    }
    repetition
}

fn in_flight(report: &Report, fields: &Fields<'_>) -> Option<InFlight> {
    let text = fields.string("in_flight")?;
    let known = text.value.parse().ok();
    if known.is_none() {
        let message = format!("`in_flight` cannot be `{}`", name::shortened(&text.value));
        report.unknown("bad-value", message, &text.value, InFlight::ALL.map(InFlight::word), text.span);
    }
    known
}

fn retry(report: &Report, fields: &Fields<'_>) -> Option<Retry> {
    let entry = fields.get("retry")?;
    let inner = Fields::of(report, &entry.node, keys::RETRY)?;
    let backoff = inner.duration("backoff", LONGEST_BACKOFF).unwrap_or(USUAL_BACKOFF);
    let node = &inner.needs("attempts", "`attempts = 3`: how often it is tried in all")?.node;
    let attempts = match node.value {
        Value::Integer(number) => u32::try_from(number).ok().filter(|number| (1..=MOST_ATTEMPTS).contains(number)),
        _ => None,
    };
    if attempts.is_none() {
        let message = format!("`attempts` is a whole number from 1 to {MOST_ATTEMPTS}");
        report.error("bad-value", message, node.span.clone(), "");
    }
    Some(Retry { attempts: attempts?, backoff })
}
