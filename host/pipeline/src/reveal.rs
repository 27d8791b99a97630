//! Where secrets come from, and the grants that would show a guest the source of one.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use pipe_capability::{env, path::PathRule, reveal::RevealRule};
use pipe_core::diagnostic::Diagnostic;

use crate::{
    document::{Named, SourceSpec},
    pipeline::SecretSource,
    place,
    report::Report,
    scope::{Place, Scope},
};

/// The secrets of a file, with the places where they are declared.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<String, Declared>);

struct Declared {
    span: Range<usize>,
    /// Nothing where it is not sound; that has been reported.
    source: Option<SecretSource>,
    /// The file, after every link.
    real: Option<PathBuf>,
}

impl Sources {
    /// Resolves where secrets come from. One whose source is not sound is reported, and known by name.
    pub(crate) fn read(scope: &Scope<'_>, base: &Path, secrets: &Named<SourceSpec>) -> Self {
        let read = |source: &SourceSpec| match source {
            SourceSpec::Env(template) => {
                let name = scope.fixed(template, Place::Plain)?;
                if !env::is_name(&name) {
                    let hint = "letters, digits and `_`, not beginning with a digit";
                    let message = format!("`{}` is not the name of a variable", crate::document::shortened(&name));
                    scope.report.advise("bad-value", message, template.span.clone(), hint);
                    return None;
                }
                Some(SecretSource::Env(name))
            }
            SourceSpec::File(template) => {
                let path = scope.fixed(template, Place::Path)?;
                if path.is_empty() || path.contains('\0') {
                    scope.report.error("bad-value", "this is no path", template.span.clone(), "");
                    return None;
                }
                Some(SecretSource::File(place::resolve(base, &path)))
            }
        };
        let declared = secrets.iter().map(|(name, (span, source))| {
            let source = read(source);
            let real = match &source {
                Some(SecretSource::File(file)) => Some(place::real(file)),
                _ => None,
            };
            (name.clone(), Declared { span: span.clone(), source, real })
        });
        Self(declared.collect())
    }

    /// Where each is declared.
    pub(crate) fn spans(&self) -> BTreeMap<String, Range<usize>> {
        self.0.iter().map(|(name, declared)| (name.clone(), declared.span.clone())).collect()
    }

    pub(crate) fn into_sources(self) -> BTreeMap<String, SecretSource> {
        self.0.into_iter().filter_map(|(name, declared)| Some((name, declared.source?))).collect()
    }

    /// Reports a name that no secret has.
    pub(crate) fn declared(&self, report: &Report, name: &str, span: &Range<usize>) -> Option<()> {
        if self.0.contains_key(name) {
            return Some(());
        }
        let known = self.0.keys().map(String::as_str);
        report.unknown("unknown-secret", format!("`[secrets]` does not declare `{name}`"), name, known, span.clone());
        None
    }

    /// Reports a variable that holds a secret.
    pub(crate) fn refuse_variable(
        &self,
        report: &Report,
        revealed: &[RevealRule],
        variable: &str,
        span: &Range<usize>,
    ) -> Option<()> {
        let shows = |declared: &Declared| matches!(&declared.source, Some(SecretSource::Env(name)) if name == variable);
        self.refuse(report, revealed, span, shows)
    }

    /// Reports a directory that holds the file of a secret, by its name, by where it leads on this machine, or
    /// under another name of the same file.
    pub(crate) fn refuse_path(
        &self,
        report: &Report,
        revealed: &[RevealRule],
        rule: &PathRule,
        span: &Range<usize>,
    ) -> Option<()> {
        if !self.0.values().any(|declared| declared.real.is_some()) {
            return Some(());
        }
        let holder = place::real(&rule.resolved);
        let shows = |declared: &Declared| {
            let named = matches!(&declared.source, Some(SecretSource::File(file)) if file.starts_with(&rule.resolved));
            let real = declared.real.as_ref();
            named || real.is_some_and(|file| file.starts_with(&holder) || place::holds_another_name(&holder, file))
        };
        self.refuse(report, revealed, span, shows)
    }

    /// Warns that a guest will know a secret: from then on nobody else decides where it goes.
    pub(crate) fn warn_of(&self, report: &Report, name: &str, span: &Range<usize>) {
        report.push(
            Diagnostic::warning("plaintext-secret", format!("the plugin gets the plaintext of the secret `{name}`"))
                .at(report.file(), span.clone(), "")
                .hint("where the host can use it, the plugin need not know it: `allow.secrets`, a peer's login"),
        );
    }

    fn refuse(
        &self,
        report: &Report,
        revealed: &[RevealRule],
        span: &Range<usize>,
        shows: impl Fn(&Declared) -> bool,
    ) -> Option<()> {
        let hidden = |name: &str| revealed.iter().all(|rule| rule.name() != name);
        let mut shown = self.0.iter().filter(|(name, declared)| hidden(name) && shows(declared));
        let Some((name, declared)) = shown.next() else { return Some(()) };
        report.push(
            Diagnostic::error("reveals-secret", format!("this would show the plugin the secret `{name}`"))
                .at(report.file(), span.clone(), "")
                .at(report.file(), declared.span.clone(), "it comes from there")
                .hint("let the host use it (`allow.secrets`, a peer's login), or keep it elsewhere")
                .hint(format!("if the plugin must know it: `allow.reveal = [\"{name}\"]`")),
        );
        None
    }
}
