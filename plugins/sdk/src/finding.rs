//! What was looked at.

use std::time::{Duration, Instant};

use crate::{Failure, Finding, Status};

impl Finding {
    /// A finding without a name; [`Finding::check`] gives it one.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { name: String::new(), status, message: message.into(), observed: None, expected: None, duration_ms: 0 }
    }

    /// The observation meets the expectation.
    pub fn pass(message: impl Into<String>) -> Self {
        Self::new(Status::Pass, message)
    }

    /// The observation does not meet the expectation, and that is worth a warning only.
    pub fn warn(message: impl Into<String>) -> Self {
        Self::new(Status::Warn, message)
    }

    /// The observation does not meet the expectation, or there is none.
    pub fn fail(message: impl Into<String>) -> Self {
        Self::new(Status::Fail, message)
    }

    /// The check did not apply.
    pub fn skip(message: impl Into<String>) -> Self {
        Self::new(Status::Skip, message)
    }

    /// `pass` where the expectation is met, else `fail`.
    pub fn expect(met: bool, message: impl Into<String>) -> Self {
        Self::new(if met { Status::Pass } else { Status::Fail }, message)
    }

    /// Makes a check, measures how long it took, and names what it found. What kept it from looking is a `fail`.
    pub fn check(name: impl Into<String>, look: impl FnOnce() -> Result<Self, Failure>) -> Self {
        let started = Instant::now();
        let finding = look().unwrap_or_else(|failure| Self::fail(failure.message));
        finding.named(name).took(started.elapsed())
    }

    /// Short name, as an operator would say it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What was seen, for programs.
    #[must_use]
    pub fn with_observed(mut self, observed: impl ToString) -> Self {
        self.observed = Some(observed.to_string());
        self
    }

    /// What was wanted, for programs.
    #[must_use]
    pub fn with_expected(mut self, expected: impl ToString) -> Self {
        self.expected = Some(expected.to_string());
        self
    }

    /// How long it took.
    #[must_use]
    pub fn took(mut self, duration: Duration) -> Self {
        self.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

/// The findings that fail, for a message: `2 of 5 checks failed: certificate a.crt, disk /var`; nothing where none does.
#[must_use]
pub fn fails(findings: &[Finding]) -> Option<String> {
    let names: Vec<&str> =
        findings.iter().filter(|finding| finding.status == Status::Fail).map(|finding| finding.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("{} of {} checks failed: {}", names.len(), findings.len(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kept_a_check_from_looking_fails_it() {
        let finding = Finding::check("peer", || Err(Failure::unavailable("connection refused")));
        assert_eq!((finding.status, finding.name.as_str()), (Status::Fail, "peer"));
        assert_eq!(finding.message, "connection refused");
        assert_eq!(fails(&[finding, Finding::pass("fine")]).as_deref(), Some("1 of 2 checks failed: peer"));
    }
}
