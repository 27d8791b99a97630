//! The file, read: every shape is right and every reference is well-formed, but nothing is looked up yet.

mod allow;
mod backup;
mod gate;
mod name;
mod overlay;
mod retention;
mod sections;
mod step;
mod wave;
mod window;
mod with;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use pipe_core::diagnostic::{Diagnostic, SourceFile};

pub use self::retention::Retention;
pub(crate) use self::{
    allow::{AllowSpec, ExecSpec, HostSpec, MailSpec, SlotSpec, port},
    gate::{GateSpec, ItemSpec},
    name::shortened,
    overlay::nodes as environment_nodes,
    sections::{
        InputSpec, MAXIMUM_INPUT, Named, PeerFields, PluginSpec, RoleSpec, Sections, SourceSpec, digest, pattern,
    },
    step::{Body, Call, Defaults, LimitSpec, NotifySpec, RollbackSpec, StepSpec},
    wave::{GuardSpec, WatchSpec},
    window::WindowSpec,
    with::{MAXIMUM_STRING, With, WithValue},
};
use crate::{
    fields::{self, Fields, Located},
    keys, lint,
    node::{self, Table},
    pipeline::{OnInterrupt, PluginSource},
    reference::without_references,
    report::Report,
};

/// Each has its own copy of what it may change.
const MAXIMUM_ENVIRONMENTS: usize = 32;

/// A pipeline file that is sound in itself. [`check`](crate::check()) makes a pipeline of it.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) name: String,
    pub(crate) environments: Vec<Located<String>>,
    pub(crate) state: Option<Located<String>>,
    /// What an environment may change, with its overlay applied. Under no name where the file has no environments.
    pub(crate) sections: BTreeMap<Option<String>, Sections>,
    pub(crate) plugins: Named<PluginSpec>,
    pub(crate) defaults: Defaults,
    pub(crate) limits: LimitSpec,
    pub(crate) on_interrupt: OnInterrupt,
    pub(crate) retention: Option<Retention>,
    pub(crate) window: Option<WindowSpec>,
    /// The peer that keeps who drives, over several hosts.
    pub(crate) lock: Option<Located<String>>,
    pub(crate) steps: Vec<StepSpec>,
    /// Between the steps, in order.
    pub(crate) gates: Vec<GateSpec>,
    pub(crate) checks: Vec<StepSpec>,
    pub(crate) rollback: Option<Vec<RollbackSpec>>,
    pub(crate) notifications: Vec<NotifySpec>,
    pub(crate) watch: Option<WatchSpec>,
}

impl Document {
    /// `name` of the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `environments` of the file, in order. Empty where it has none.
    pub fn environments(&self) -> impl Iterator<Item = &str> {
        self.environments.iter().map(|environment| environment.value.as_str())
    }

    /// `state` of the file: a directory, resolved against the file's own.
    #[must_use]
    pub fn state(&self) -> Option<std::path::PathBuf> {
        self.state.as_ref().map(|state| crate::place::resolve(&self.base(), &state.value))
    }

    /// `[retention]` of the file.
    #[must_use]
    pub const fn retention(&self) -> Option<Retention> {
        self.retention
    }

    /// Whether several hosts agree on who drives its runs, in a database.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.lock.is_some()
    }

    /// The directory that relative paths begin in: the one that holds the file. Absolute.
    #[must_use]
    pub fn base(&self) -> std::path::PathBuf {
        crate::place::base(&self.file.path)
    }

    /// Whether it declares an input of that name in an environment.
    #[must_use]
    pub fn has_input(&self, environment: Option<&str>, name: &str) -> bool {
        let sections = self.sections.get(&environment.map(str::to_owned));
        sections.is_some_and(|sections| sections.inputs.contains_key(name))
    }

    /// The plugins that its steps, checks and notifications call, as they name them.
    #[must_use]
    pub fn plugins(&self) -> BTreeMap<String, PluginSource> {
        let rollback = self.rollback.iter().flatten().filter_map(|entry| match entry {
            RollbackSpec::Run(step) => Some(step),
            RollbackSpec::Undo { .. } | RollbackSpec::Gate(_) => None,
        });
        let notifications = self.notifications.iter().map(|notification| &notification.step);
        let base = self.base();
        let plugin = |step: &StepSpec| {
            let Body::Call(call) = &step.body else { return None };
            let Some(name) = &call.plugin.value else {
                return Some((format!("std:{}", call.stage), PluginSource::Standard(call.stage)));
            };
            let source = match name.strip_prefix("std:") {
                Some(stage) => PluginSource::Standard(stage.parse().ok()?),
                None => crate::check::plugin_file(self, &base, name)?,
            };
            Some((name.clone(), source))
        };
        self.steps.iter().chain(&self.checks).chain(rollback).chain(notifications).filter_map(plugin).collect()
    }

    /// The guards of its steps, each with the step's place, and the one of its watch.
    pub(crate) fn guards(&self) -> impl Iterator<Item = (usize, &GuardSpec)> {
        let of_steps = self.steps.iter().enumerate().filter_map(|(place, step)| Some((place, step.guard.as_ref()?)));
        of_steps.chain(self.watch.iter().map(|watch| (self.steps.len(), &watch.guard)))
    }

    /// Whether a guard or the watch makes this check.
    pub(crate) fn guards_with(&self, check: &str) -> bool {
        self.guards().any(|(_, guard)| guard.checks.iter().any(|known| known.check.value == check))
    }

    /// Where the file says that a plugin is, for one of `[plugins]`.
    #[must_use]
    pub fn plugin_path(&self, name: &str) -> Option<&str> {
        self.plugins.get(name).map(|(_, spec)| spec.path.value.as_str())
    }

    /// The file itself.
    #[must_use]
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }
}

/// Reads a pipeline file.
///
/// # Errors
///
/// Everything that is wrong with it as far as one can tell without knowing the environment and the inputs: all at once, in
/// the order of the file.
pub fn parse(file: &Arc<SourceFile>) -> Result<Document, Vec<Diagnostic>> {
    let report = Report::new(file);
    let document = node::tree(&report).and_then(|root| read(&report, &root));
    match document {
        Some(document) if !report.has_errors() => Ok(document),
        _ => Err(report.into_diagnostics()),
    }
}

fn read(report: &Report, root: &Table) -> Option<Document> {
    lint::no_secrets(report, root);
    let fields = Fields::of_table(report, root, 0..0, keys::FILE);
    let name =
        fields.required("name", "`name = \"…\"` at the top of the file").and_then(|text| name::pipeline(report, text));
    let environments = environments(report, &fields);
    let state = fields.string("state").and_then(|text| without_references(report, text)).filter(|text| {
        let sound =
            !text.value.is_empty() && !text.value.contains('\0') && Path::new(&text.value).file_name().is_some();
        if !sound {
            report.error("bad-value", "`state` names no directory", text.span.clone(), "");
        }
        sound
    });
    let sections = overlay::sections(report, &fields, &environments);
    let plugins = sections::plugins(report, &fields);
    let defaults = step::defaults(report, &fields);
    let limits = step::limits(report, &fields);
    let on_interrupt = on_interrupt(report, &fields);
    let retention = retention::read(report, &fields);
    let lock = fields.get("lock").and_then(|entry| {
        let lock = Fields::of(report, &entry.node, keys::LOCK)?;
        without_references(report, lock.required("peer", "`lock = { peer = \"…\" }`: one of `[peers]`")?)
    });
    let (steps, gates) = step::steps(report, fields.array("step"));
    let checks = step::checks(report, fields.array("check"));
    let rollback = fields.get("rollback").map(|_| step::rollback(report, fields.array("rollback")));
    let notifications = step::notifications(report, fields.array("notify"));
    let window = window::read(report, &fields);
    window::in_order(report, fields.get("window").is_some(), &steps, &gates);
    let watch = wave::watch(report, &fields);
    name::no_duplicates(report, &steps, &gates, &checks, rollback.as_deref().unwrap_or_default(), &notifications);
    if steps.is_empty() && !report.has_errors() {
        let hint = "a step begins with `[[step]]`, `name = \"…\"` and `stage = \"…\"`";
        report.push(Diagnostic::error("missing-key", "there is no `[[step]]`").at(report.file(), 0..0, "").hint(hint));
    }
    Some(Document {
        file: Arc::clone(report.file()),
        name: name?.value,
        environments,
        state,
        sections,
        plugins,
        defaults,
        limits,
        on_interrupt,
        retention,
        window,
        lock,
        steps,
        gates,
        checks,
        rollback,
        notifications,
        watch,
    })
}

fn on_interrupt(report: &Report, fields: &Fields<'_>) -> OnInterrupt {
    let Some(text) = fields.string("on_interrupt") else { return OnInterrupt::default() };
    OnInterrupt::ALL.into_iter().find(|known| known.word() == text.value).unwrap_or_else(|| {
        let message = format!("`on_interrupt` cannot be `{}`", shortened(&text.value));
        let known = OnInterrupt::ALL.map(OnInterrupt::word);
        report.unknown("bad-value", message, &text.value, known, text.span.clone());
        OnInterrupt::default()
    })
}

fn environments(report: &Report, fields: &Fields<'_>) -> Vec<Located<String>> {
    let mut environments: Vec<Located<String>> = Vec::new();
    let nodes = fields.array("environments");
    if let Some(node) = nodes.get(MAXIMUM_ENVIRONMENTS) {
        let message = format!("there are more than {MAXIMUM_ENVIRONMENTS} environments");
        report.error("too-large", message, node.span.clone(), "");
        return environments;
    }
    for node in nodes {
        let Some(found) = fields::string(report, node).and_then(|text| name::environment(report, text)) else {
            continue;
        };
        match environments.iter().find(|known| known.value == found.value) {
            Some(first) => name::duplicate(report, "environment", &found, &first.span),
            None => environments.push(found),
        }
    }
    if let Some(entry) = fields.get("environments")
        && matches!(&entry.node.value, crate::node::Value::Array(items) if items.is_empty())
    {
        report.advise("bad-value", "no environment", entry.node.span.clone(), "name one, or leave the line out");
    }
    environments
}
