//! One `[[step]]` becomes its calls: one, or one for each entry of a set.

use std::{cell::RefCell, collections::BTreeMap, path::Path, time::Duration};

use pipe_core::{diagnostic::Diagnostic, id::StepId, limits::Limits, stage::Stage};

use crate::{
    check::{Called, Size, plugin_file, watching::guarded},
    document::{Body, Call, Document, Sections, StepSpec},
    fields::Located,
    grant::Granter,
    pipeline::{PeerSpec, PluginSource, Retry, Step, Wave},
    report::meant,
    reveal::Sources,
    scope::{Each, Scope},
    settings::{Binder, Order},
};

/// For a step that says nothing, where `[defaults]` says nothing either.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The same for notifications: nobody waits long to be told.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(60);
/// And for checks that a guard makes over and over.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Retry = Retry { attempts: 1, backoff: Duration::from_secs(1) };

/// Calls of one pipeline.
const MAXIMUM_STEPS: usize = 100_000;
/// Settings and rules of one pipeline, in bytes.
const MAXIMUM_BYTES: usize = 64 << 20;

/// What every step is read with.
pub(super) struct Expander<'a> {
    pub(super) document: &'a Document,
    pub(super) sections: &'a Sections,
    pub(super) scope: Scope<'a>,
    pub(super) base: &'a Path,
    pub(super) peers: &'a BTreeMap<String, PeerSpec>,
    pub(super) peer_names: &'a [&'a str],
    pub(super) secrets: &'a Sources,
    pub(super) order: &'a Order<'a>,
    pub(super) size: RefCell<Size>,
    pub(super) called: RefCell<Called>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Step,
    Notification,
    /// A check that a guard makes.
    Check,
}

impl Expander<'_> {
    /// The calls of a step that stands at `place`.
    pub(super) fn steps(&self, spec: &StepSpec, place: usize, kind: Kind) -> Vec<Step> {
        let Some((call, check)) = self.call(spec) else { return Vec::new() };
        let Some(plugin) = self.plugin(call) else { return Vec::new() };
        let one = |each: Option<Each<'_>>| {
            let scope = Scope { each, ..self.scope };
            let granter = Granter {
                scope,
                base: self.base,
                peers: self.peers,
                peer_names: self.peer_names,
                secrets: self.secrets,
                order: self.order,
                before: place,
            };
            let notification = kind == Kind::Notification;
            let mut binder = Binder { scope, order: self.order, before: place, notification, weight: 0 };
            let (grant, rules) = granter.grant(&call.allow);
            let settings = binder.bind(&call.with)?;
            let defaults = &self.document.defaults;
            let own = spec.timeout.or(check.and_then(|check| check.timeout));
            let timeout = match kind {
                // What the file gives every step is too long for something that is made every few seconds.
                Kind::Check => own.unwrap_or(CHECK_TIMEOUT),
                Kind::Notification => own.or(defaults.timeout).unwrap_or(NOTIFICATION_TIMEOUT),
                Kind::Step => own.or(defaults.timeout).unwrap_or(TIMEOUT),
            };
            let of_check = |limits| check.map_or(limits, |check| check.limits.over(limits));
            let limits = spec.limits.over(of_check(self.document.limits.over(Limits::default())));
            let usual_retry = defaults.retry.filter(|_| kind != Kind::Check);
            let retry = spec.retry.or(check.and_then(|check| check.retry)).or(usual_retry);
            self.grown(spec, binder.weight + call.allow.weight())?;
            Some(Step {
                id: StepId { name: spec.name.value.clone(), instance: each.map(|each| each.key.to_owned()) },
                stage: call.stage,
                plugin: plugin.clone(),
                timeout,
                retry: retry.unwrap_or(RETRY),
                repetition: spec.repetition,
                irreversible: spec.irreversible,
                in_flight: spec.in_flight,
                waves: spec.waves.iter().map(|wave| Wave { weight: wave.weight, hold: wave.hold }).collect(),
                guard: spec.guard.as_ref().map(guarded),
                without_backup: spec.without_backup.clone(),
                backup_max_age: spec.backup_max_age,
                limits,
                grant,
                rules,
                settings,
                span: spec.name.span.clone(),
                plugin_span: call.plugin.span.clone(),
            })
        };
        let Some(set) = &spec.for_each else { return one(None).into_iter().collect() };
        let Some((_, entries)) = self.sections.sets.get(&set.value) else {
            let known = self.sections.sets.keys().map(String::as_str);
            let message = format!("there is no set `{}`", set.value);
            self.scope.report.unknown("unknown-set", message, &set.value, known, set.span.clone());
            return Vec::new();
        };
        let each = entries.0.iter().map(|(key, value)| Each { set: &set.value, key, value });
        each.map_while(|each| one(Some(each))).collect()
    }

    /// What a step calls, and the check that it names.
    fn call<'s>(&'s self, spec: &'s StepSpec) -> Option<(&'s Call, Option<&'s StepSpec>)> {
        let name = match &spec.body {
            Body::Call(call) => return Some((call, None)),
            Body::Check(name) => name,
        };
        let checks = &self.document.checks;
        let Some(check) = checks.iter().find(|check| check.name.value == name.value) else {
            let known = checks.iter().map(|check| check.name.value.as_str());
            let message = format!("there is no check `{}`", name.value);
            self.scope.report.unknown("unknown-check", message, &name.value, known, name.span.clone());
            return None;
        };
        self.called.borrow_mut().checks.insert(name.value.clone());
        match &check.body {
            Body::Call(call) => Some((call, Some(check))),
            Body::Check(_) => None,
        }
    }

    /// The plugin of a call, as [`Pipeline::plugins`](crate::Pipeline::plugins) knows it.
    fn plugin(&self, call: &Call) -> Option<String> {
        let standard = format!("std:{}", call.stage);
        let Located { value: Some(name), span } = &call.plugin else {
            self.called.borrow_mut().plugins.insert(standard.clone(), PluginSource::Standard(call.stage));
            return Some(standard);
        };
        let report = self.scope.report;
        let source = match name.strip_prefix("std:") {
            Some(word) => match word.parse() {
                Ok(stage) if stage != call.stage => {
                    let message = format!("`{name}` is a plugin for the stage {stage}, and this calls {}", call.stage);
                    report.advise(
                        "wrong-stage",
                        message,
                        span.clone(),
                        format!("leave `plugin` out, or write `{standard}`"),
                    );
                    return None;
                }
                Ok(stage) => Some(PluginSource::Standard(stage)),
                Err(_) => None,
            },
            None => plugin_file(self.document, self.base, name),
        };
        let Some(source) = source else {
            let standard = Stage::ALL.map(|stage| format!("std:{stage}"));
            let known: Vec<&str> = self.document.plugins.keys().chain(&standard).map(String::as_str).collect();
            let message = format!("there is no plugin `{}`", crate::document::shortened(name));
            let diagnostic = Diagnostic::error("unknown-plugin", message).at(report.file(), span.clone(), "");
            report.push(meant(name, &known).into_iter().fold(diagnostic, Diagnostic::hint));
            return None;
        };
        self.called.borrow_mut().plugins.insert(name.clone(), source);
        Some(name.clone())
    }

    /// Counts one more call; nothing once there are too many.
    fn grown(&self, spec: &StepSpec, bytes: usize) -> Option<()> {
        let mut size = self.size.borrow_mut();
        size.steps += 1;
        size.bytes += bytes;
        let too_large = if size.steps > MAXIMUM_STEPS {
            format!("the pipeline has more than {MAXIMUM_STEPS} steps, counted with every repetition")
        } else if size.bytes > MAXIMUM_BYTES {
            format!(
                "the settings of all steps have more than {} MiB, counted with every repetition",
                MAXIMUM_BYTES >> 20
            )
        } else {
            return Some(());
        };
        let span = spec.for_each.as_ref().map_or_else(|| spec.name.span.clone(), |set| set.span.clone());
        self.scope.report.error("too-large", too_large, span, "");
        None
    }
}
