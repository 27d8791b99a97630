//! Collects what is wrong, once each, and not without end.

use std::{cell::RefCell, ops::Range, sync::Arc};

use pipe_core::diagnostic::{Diagnostic, Severity, SourceFile};

use crate::closest::closest;

/// More than anybody reads at once.
const MAXIMUM_DIAGNOSTICS: usize = 100;

/// What has been found wrong with a file so far.
pub(crate) struct Report {
    file: Arc<SourceFile>,
    found: RefCell<Vec<Diagnostic>>,
}

impl Report {
    pub(crate) fn new(file: &Arc<SourceFile>) -> Self {
        Self { file: Arc::clone(file), found: RefCell::default() }
    }

    pub(crate) fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// The text of the file at `span`.
    pub(crate) fn source(&self, span: &Range<usize>) -> &str {
        self.file.text.get(span.clone()).unwrap_or_default()
    }

    /// Adds `diagnostic` unless the same stands there already: overlays and repeated steps read the same lines again.
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        if self.is_full(diagnostic.severity) {
            return;
        }
        let same = |known: &Diagnostic| {
            known.code == diagnostic.code
                && known.message == diagnostic.message
                && known.labels.first().map(|label| &label.span) == diagnostic.labels.first().map(|label| &label.span)
        };
        let mut found = self.found.borrow_mut();
        if !found.iter().any(same) {
            found.push(diagnostic);
        }
    }

    /// Errors and warnings are counted apart: an error is never dropped for the sake of warnings.
    fn is_full(&self, severity: Severity) -> bool {
        self.found.borrow().iter().filter(|known| known.severity == severity).count() >= MAXIMUM_DIAGNOSTICS
    }

    /// Adds an error at `span`.
    pub(crate) fn error(&self, code: &'static str, message: impl Into<String>, span: Range<usize>, label: &str) {
        self.push(Diagnostic::error(code, message).at(&self.file, span, label));
    }

    /// Adds an error at `span`, with advice.
    pub(crate) fn advise(
        &self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        hint: impl Into<String>,
    ) {
        self.push(Diagnostic::error(code, message).at(&self.file, span, "").hint(hint));
    }

    /// Adds an error about a name that says nothing known, with the nearest one that does.
    pub(crate) fn unknown<'c>(
        &self,
        code: &'static str,
        message: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'c str>,
        span: Range<usize>,
    ) {
        // Looking for the nearest is not cheap.
        if self.is_full(Severity::Error) {
            return;
        }
        let known: Vec<&str> = known.into_iter().collect();
        let diagnostic = Diagnostic::error(code, message).at(&self.file, span, "");
        self.push(match meant(name, &known) {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Everything found, in the order of the file.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
        found
    }
}

/// Advice for a name that is not among `known`: the nearest of them, or all if they are few.
pub(crate) fn meant(name: &str, known: &[&str]) -> Option<String> {
    match closest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if !known.is_empty() && known.len() <= 12 => {
            let verb = if known.len() == 1 { "is" } else { "are" };
            Some(format!(
                "there {verb} {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ))
        }
        None => None,
    }
}
