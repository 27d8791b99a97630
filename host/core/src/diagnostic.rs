//! Errors about files that people write: what is wrong, where, and what would be right.
//!
//! Rendering is the command line's business.

use std::{ops::Range, path::PathBuf, sync::Arc};

/// A file that a diagnostic points into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As the operator named it.
    pub path: PathBuf,
    /// Its whole text.
    pub text: String,
}

impl SourceFile {
    /// Line and column of a byte offset, both from 1. The column counts characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look. Nothing stops.
    Warning,
    /// Nothing starts before this is mended.
    Error,
}

/// A place in a file, with a few words beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte offsets into its text.
    pub span: Range<usize>,
    /// What to say there. May be empty.
    pub text: String,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable word for programs: `unknown-key`.
    pub code: &'static str,
    /// Lower-case fragment: what is wrong.
    pub message: String,
    /// Where. The first is the place itself, the others explain it.
    pub labels: Vec<Label>,
    /// What would be right. Never part of the message.
    pub hints: Vec<String>,
}

impl Diagnostic {
    /// An error with no place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), labels: Vec::new(), hints: Vec::new() }
    }

    /// A warning with no place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, file: &Arc<SourceFile>, span: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label { file: Arc::clone(file), span, text: text.into() });
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let file = SourceFile { path: "a.toml".into(), text: "ä = 1\nb = 2\n".into() };
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position(3), (1, 3));
        assert_eq!(file.position(7), (2, 1));
        assert_eq!(file.position(999), (3, 1));
    }
}
