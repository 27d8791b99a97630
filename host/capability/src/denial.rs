//! How a decision says no.

use std::borrow::Cow;

use pipe_core::{event::Refusal, redact::Redactor};

use crate::{line::is_unprintable, word::Word};

/// The longest subject or reason that is shown, in characters.
const LONGEST_SHOWN: usize = 400;

/// The longest subject that is kept, in bytes.
const LONGEST_KEPT: usize = 64 * 1024;

/// The longest hint that is given, in bytes. A longer one helps nobody.
const LONGEST_HINT: usize = 16 * 1024;

/// Something that the grant does not cover. Displayed as one line of bounded length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word} {}: {}", shown(subject), shown(reason))]
pub struct Denial {
    /// The word that would have to cover it.
    pub word: Word,
    /// What was asked for: `GET k8s:/version`. As the guest said it: pass it through [`Self::to_refusal`] or `Display`.
    pub subject: String,
    /// Why not. Lower-case fragment.
    pub reason: String,
    /// The line of the step that would allow it; nothing where no line would.
    pub hint: Option<String>,
}

impl Denial {
    /// A denial that no line would lift.
    #[must_use]
    pub fn new(word: Word, subject: &str, reason: impl Into<String>) -> Self {
        let subject = subject[..subject.floor_char_boundary(LONGEST_KEPT)].to_owned();
        Self { word, subject, reason: reason.into(), hint: None }
    }

    /// Adds the line that would allow it, unless there is none or it is too long to be of use.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.filter(|line| line.len() <= LONGEST_HINT);
        self
    }

    /// As it is written down: secrets masked, without control characters, of bounded length.
    ///
    /// What was asked for with a secret in it has no hint: a secret does not belong in the pipeline file, and the escapes of
    /// a pattern would hide it from the redactor.
    #[must_use]
    pub fn to_refusal(&self, redactor: &Redactor) -> Refusal {
        // Masked before it is cut: half a secret would not be found.
        let subject = redactor.redact(&self.subject);
        let hint = self.hint.as_deref().filter(|_| matches!(subject, Cow::Borrowed(_)));
        Refusal {
            word: self.word.as_str().to_owned(),
            subject: shown(&subject),
            reason: shown(&redactor.redact(&self.reason)),
            hint: hint.map(|hint| redactor.redact(hint).into_owned()),
        }
    }
}

/// `text` as one line that no terminal acts upon, cut where it is long.
fn shown(text: &str) -> String {
    let mut line = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST_SHOWN {
            line.push('…');
            break;
        }
        if is_unprintable(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_one_short_line() {
        let denial = Denial::new(Word::Env, "A\u{1b}[2J\nB", "no rule\rnames it");
        assert_eq!(denial.to_string(), "env A\\u{1b}[2J\\nB: no rule\\rnames it");
        let long = Denial::new(Word::Env, &"ä".repeat(99_999), "x".repeat(9000));
        assert_eq!(long.to_string().chars().count(), 2 * (LONGEST_SHOWN + 1) + "env : ".len());
        assert_eq!(long.subject.len(), LONGEST_KEPT);
    }

    #[test]
    fn a_long_hint_is_dropped() {
        let denial = Denial::new(Word::Env, "A", "no rule names it");
        assert_eq!(denial.clone().with_hint(Some("x".repeat(LONGEST_HINT + 1))).hint, None);
        assert!(denial.with_hint(Some("x".repeat(LONGEST_HINT))).hint.is_some());
    }

    #[test]
    fn a_refusal_holds_no_secret() {
        let redactor = Redactor::default();
        redactor.register("db", &"hunter2*hunter2".to_owned().into()).unwrap();
        let denial = Denial::new(Word::Exec, "curl hunter2*hunter2", "not `hunter2*hunter2`")
            .with_hint(Some("allow.exec = [{ program = \"curl\", argv = ['hunter2\\*hunter2'] }]".to_owned()));
        let refusal = denial.to_refusal(&redactor);
        assert_eq!((&*refusal.word, &*refusal.subject, &*refusal.reason), ("exec", "curl [secret]", "not `[secret]`"));
        assert_eq!(refusal.hint, None);
        assert_eq!(denial.to_refusal(&Redactor::default()).hint, denial.hint);
    }

    #[test]
    fn a_secret_is_masked_before_the_subject_is_cut() {
        let redactor = Redactor::default();
        redactor.register("db", &"correct horse battery".to_owned().into()).unwrap();
        let subject = format!("{}correct horse battery", "x".repeat(LONGEST_SHOWN - 9));
        let refusal = Denial::new(Word::Exec, &subject, "").to_refusal(&redactor);
        assert!(refusal.subject.ends_with("[secret]"), "{}", refusal.subject);
    }
}
