//! What is wrong with a rule as it was written.

use std::ops::Range;

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// Lower-case fragment: what is wrong.
    pub message: String,
    /// What would be right. Never part of the message.
    pub hint: Option<String>,
    /// Bytes of the rule's text that are wrong; nothing where it is the rule as a whole.
    pub span: Option<Range<usize>>,
    /// For a rule that is a table: the key whose value is wrong. The span then counts in that value.
    pub field: Option<&'static str>,
}

impl RuleError {
    /// An error about a rule as a whole.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, span: None, field: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which bytes of the text are wrong.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// Says which key of a table is wrong.
    #[must_use]
    pub fn of(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// The same error, where its text begins `by` bytes into a longer one.
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        self.span = self.span.map(|span| span.start + by..span.end + by);
        self
    }
}

/// How a rule stands in an array of the pipeline file: a quoted text, or an inline table.
pub(crate) trait InToml {
    /// The value, quoted.
    fn in_toml(&self) -> String;
}

/// The longest text of a rule, in bytes.
pub(crate) const LONGEST_RULE: usize = 4096;

/// Refuses a rule that is empty or too long.
pub(crate) fn check_text(text: &str) -> Result<(), RuleError> {
    if text.is_empty() {
        return Err(RuleError::new("the rule is empty"));
    }
    if text.len() > LONGEST_RULE {
        return Err(RuleError::new(format!("the rule is longer than {LONGEST_RULE} bytes")));
    }
    Ok(())
}
