//! A decision as text: what is signed, and read back only where it is spelled as we spell it.

use std::{fmt, fmt::Write as _};

use jiff::Timestamp;
use pipe_core::{digest::Digest, id::RunId, text::is_unprintable};

/// The first line of what is signed.
const HEAD: &str = "pipe-approval v1";

/// Longest reason or evidence, in bytes.
const LONGEST_REMARK: usize = 4 << 10;

/// Longest text that is looked at, in bytes.
pub const MAXIMUM_TEXT: usize = 64 << 10;

/// What somebody decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The run may go on.
    Approve,
    /// It may not.
    Reject,
}

impl Decision {
    /// The word in the text.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

/// What somebody says of one line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It was seen to, and this was seen.
    Attested(String),
    /// It need not be seen to, for this reason.
    Waived(String),
}

/// What is signed. Names everything that it is about, so that it holds for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The run.
    pub run: RunId,
    /// Name of its pipeline.
    pub pipeline: String,
    /// Its environment.
    pub environment: String,
    /// The gate.
    pub gate: String,
    /// The role that decides.
    pub role: String,
    /// Hash of the plan that is decided on.
    pub plan: Digest,
    /// Which opening of the gate.
    pub opening: String,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// What is said of the checklist.
    pub items: Vec<(String, Remark)>,
    /// When it was signed, as the signer says.
    pub signed_at: Timestamp,
}

/// Text that is not what is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnApproval {
    /// It does not begin as one.
    #[error("the text does not begin with `{HEAD}`")]
    Head,
    /// It has more bytes than anybody says.
    #[error("the text has more than {} KiB", MAXIMUM_TEXT >> 10)]
    TooLong,
    /// A line is not the one that stands there.
    #[error("the text has no line `{0}: …` where one belongs")]
    Line(&'static str),
    /// It says the same in another spelling.
    #[error("the text is not spelled as pipe spells it")]
    Spelling,
    /// A remark that cannot be one line.
    #[error("{0} is not one line of text, or has more than {LONGEST_REMARK} bytes")]
    Remark(&'static str),
}

impl Approval {
    /// The text.
    ///
    /// # Errors
    ///
    /// A reason or evidence is empty, too long, or holds characters that hide or move what stands around them.
    pub fn text(&self) -> Result<String, NotAnApproval> {
        remark("the reason", &self.reason)?;
        for (item, said) in &self.items {
            remark("a line of the checklist", item)?;
            match said {
                Remark::Attested(evidence) => remark("the evidence", evidence)?,
                Remark::Waived(reason) => remark("the reason of a waiver", reason)?,
            }
        }
        let text = self.to_string();
        if text.len() > MAXIMUM_TEXT { Err(NotAnApproval::TooLong) } else { Ok(text) }
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// It is not exactly as [`Approval::text`] would write it.
    pub fn read(text: &str) -> Result<Self, NotAnApproval> {
        if text.len() > MAXIMUM_TEXT {
            return Err(NotAnApproval::TooLong);
        }
        let mut lines =
            Lines(text.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix('\n')).ok_or(NotAnApproval::Head)?);
        let run = lines.parsed("run")?;
        let pipeline = lines.needs("pipeline")?.to_owned();
        let environment = lines.needs("environment")?.to_owned();
        let gate = lines.needs("gate")?.to_owned();
        let role = lines.needs("role")?.to_owned();
        let plan = lines.parsed("plan")?;
        let opening = lines.needs("opening")?.to_owned();
        let decision = match lines.needs("decision")? {
            "approve" => Decision::Approve,
            "reject" => Decision::Reject,
            _ => return Err(NotAnApproval::Line("decision")),
        };
        let reason = lines.needs("reason")?.to_owned();
        let mut items = Vec::new();
        while let Some(item) = lines.next("item") {
            let said = match (lines.next("attested"), lines.next("waived")) {
                (Some(evidence), None) => Remark::Attested(evidence.to_owned()),
                (None, Some(reason)) => Remark::Waived(reason.to_owned()),
                _ => return Err(NotAnApproval::Line("attested")),
            };
            items.push((item.to_owned(), said));
        }
        let signed_at = lines.parsed("signed-at")?;
        let approval =
            Self { run, pipeline, environment, gate, role, plan, opening, decision, reason, items, signed_at };
        // Nothing may stand in the text that we did not read.
        if approval.text()? == text { Ok(approval) } else { Err(NotAnApproval::Spelling) }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = String::new();
        for (item, said) in &self.items {
            let (word, said) = match said {
                Remark::Attested(evidence) => ("attested", evidence),
                Remark::Waived(reason) => ("waived", reason),
            };
            writeln!(items, "item: {item}\n{word}: {said}")?;
        }
        let Self { run, pipeline, environment, gate, role, plan, opening, reason, signed_at, .. } = self;
        let decision = self.decision.word();
        write!(
            f,
            "{HEAD}\nrun: {run}\npipeline: {pipeline}\nenvironment: {environment}\ngate: {gate}\nrole: {role}\nplan: {plan}\n\
             opening: {opening}\ndecision: {decision}\nreason: {reason}\n{items}signed-at: {signed_at}\n"
        )
    }
}

/// Whether a remark is one line that shows as it is.
fn remark(what: &'static str, text: &str) -> Result<(), NotAnApproval> {
    let sound = !text.trim().is_empty() && text.len() <= LONGEST_REMARK && !text.contains(is_unprintable);
    if sound { Ok(()) } else { Err(NotAnApproval::Remark(what)) }
}

/// The lines that are yet to be read.
struct Lines<'t>(&'t str);

impl<'t> Lines<'t> {
    /// The value of the next line, where it has this name.
    fn next(&mut self, name: &str) -> Option<&'t str> {
        let (value, rest) = self.0.strip_prefix(name)?.strip_prefix(": ")?.split_once('\n')?;
        self.0 = rest;
        Some(value)
    }

    fn needs(&mut self, name: &'static str) -> Result<&'t str, NotAnApproval> {
        self.next(name).ok_or(NotAnApproval::Line(name))
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &'static str) -> Result<T, NotAnApproval> {
        self.needs(name)?.parse().map_err(|_| NotAnApproval::Line(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn approval() -> Approval {
        Approval {
            run: "20261123021500-9f3c1a".parse().unwrap(),
            pipeline: "hms".to_owned(),
            environment: "production".to_owned(),
            gate: "manual verification".to_owned(),
            role: "clinical".to_owned(),
            plan: Digest::of(b"plan"),
            opening: "0195f2".to_owned(),
            decision: Decision::Approve,
            reason: "seen on blue".to_owned(),
            items: vec![
                ("it opens".to_owned(), Remark::Attested("https://blue: 200".to_owned())),
                ("dashboards".to_owned(), Remark::Waived("known outage of grafana".to_owned())),
            ],
            signed_at: "2026-11-23T02:20:00.123456Z".parse().unwrap(),
        }
    }

    #[test]
    fn it_reads_as_people_read_it() {
        let text = approval().text().unwrap();
        let plan = Digest::of(b"plan");
        assert_eq!(
            text,
            format!(
                "pipe-approval v1\nrun: 20261123021500-9f3c1a\npipeline: hms\nenvironment: production\n\
                 gate: manual verification\nrole: clinical\nplan: {plan}\nopening: 0195f2\ndecision: approve\n\
                 reason: seen on blue\nitem: it opens\nattested: https://blue: 200\nitem: dashboards\n\
                 waived: known outage of grafana\nsigned-at: 2026-11-23T02:20:00.123456Z\n"
            )
        );
        assert_eq!(Approval::read(&text), Ok(approval()));
    }

    #[test]
    fn a_text_has_one_spelling() {
        let text = approval().text().unwrap();
        for (from, to) in [
            ("pipe-approval v1", "pipe-approval v2"),
            ("\nrole: clinical", ""),
            ("decision: approve", "decision: Approve"),
            ("decision: approve", "decision: reject\ndecision: approve"),
            ("signed-at: 2026-11-23T02:20:00.123456Z", "signed-at: 2026-11-23T02:20:00.1234560Z"),
            ("signed-at: 2026-11-23T02:20:00.123456Z", "signed-at: 2026-11-23T03:20:00.123456+01:00"),
            ("reason: seen on blue", "reason: "),
            ("reason: seen", "reason: \u{202e}seen"),
            ("attested: https", "waved: https"),
            ("\nsigned-at", "\r\nsigned-at"),
            ("plan: ", "plan: sha256:"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert!(Approval::read(&changed).is_err(), "{changed}");
        }
        for changed in
            [format!("{text}\n"), format!("{text}x"), text.trim_end().to_owned(), String::new(), " ".repeat(70_000)]
        {
            assert!(Approval::read(&changed).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn a_remark_is_one_line() {
        for reason in ["", "  ", "a\nsigned-at: x", "a\u{7}", &"x".repeat(LONGEST_REMARK + 1)] {
            assert!(Approval { reason: reason.to_owned(), ..approval() }.text().is_err(), "{reason:?}");
            let items = vec![("it opens".to_owned(), Remark::Attested(reason.to_owned()))];
            assert!(Approval { items, ..approval() }.text().is_err(), "{reason:?}");
        }
    }

    proptest! {
        /// No value can be read as another line.
        #[test]
        fn what_is_written_is_read(reason in "[^\\p{C}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\u{ad}\u{61c}]{1,60}", evidence in "(signed-at: |item: |[a-z: ]){1,9}") {
            prop_assume!(!reason.trim().is_empty() && !evidence.trim().is_empty());
            let items = vec![("it opens".to_owned(), Remark::Waived(evidence))];
            let made = Approval { reason, items, ..approval() };
            prop_assert_eq!(Approval::read(&made.text().unwrap()), Ok(made));
        }

        #[test]
        fn whatever_is_read_is_spelled_so(text in "(pipe-approval v1\n)?(run: |gate: |item: |waived: |[a-z0-9\n])*") {
            if let Ok(approval) = Approval::read(&text) {
                prop_assert_eq!(approval.text().unwrap(), text);
            }
        }
    }
}
