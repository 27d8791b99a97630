//! An audit as data: what every format of the report is written from.

use std::{collections::BTreeMap, ops::Range, path::PathBuf, time::Duration};

use jiff::Timestamp;
use pipe_capability::audit::{Check, Severity};
use pipe_core::{
    diagnostic::SourceFile,
    digest::Digest,
    id::{RunId, StepId},
    stage::Stage,
    units::format_duration,
};
use pipe_pipeline::Policy;
use serde::{Serialize, Serializer};

use crate::plan::{PlannedGate, Role};

/// Format of an audit as JSON. Names are never changed, only added to.
pub const AUDIT_SCHEMA: &str = "pipe.audit-report/v1";

/// What every plugin of a pipeline may do, can do and did do.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// Format: [`AUDIT_SCHEMA`].
    pub schema: &'static str,
    /// Pipeline.
    pub pipeline: String,
    /// Environment.
    pub environment: String,
    /// The pipeline file, as it was named.
    pub file: PathBuf,
    /// Its content.
    pub file_digest: Digest,
    /// Inputs.
    pub inputs: BTreeMap<String, String>,
    /// When it was audited.
    pub made: Timestamp,
    /// Version of `pipe`.
    pub pipe_version: String,
    /// How many findings of each severity.
    pub counts: Counts,
    /// What the deployment may touch, over all calls.
    pub reach: Vec<Reach>,
    /// Words of `allow` that no call has a rule of.
    pub not_granted: Vec<&'static str>,
    /// One row for each call, in the order of the file.
    pub calls: Vec<AuditedCall>,
    /// The peers that the calls may reach.
    pub peers: Vec<AuditedPeer>,
    /// Where people decide, and who they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<AuditedGate>,
    /// The policies that it was held against.
    pub policies: Vec<AuditedPolicy>,
    /// The runs that say what was used; nothing where there is no finished run, and where the record is not to be trusted.
    pub record: Option<RunsLookedAt>,
    /// Why the record of earlier runs is not to be trusted, or cannot be read.
    pub record_problem: Option<String>,
    /// What is worth a look, the worst first.
    pub findings: Vec<Finding>,
    /// The questions that were asked.
    pub checks: Vec<CheckText>,
}

/// How many findings of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Should not be deployed as it is.
    pub errors: usize,
    /// Wants a look, and an answer.
    pub warnings: usize,
    /// Good to know.
    pub notes: usize,
}

/// A kind of thing, and what of it the deployment may touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// `network`, `databases`, `files`, `programs`, `secrets`, `variables`, `artifacts`.
    pub area: &'static str,
    /// In the order of the file.
    pub things: Vec<Reached>,
}

/// One thing that the deployment may touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Host, database, path, program, name.
    pub what: String,
    /// Where that is, for a peer: its address.
    pub address: Option<String>,
    /// In which ways: `GET /health`, `write`.
    pub how: Vec<String>,
    /// What wants a second look: `may change`, `native code`, `plaintext`.
    pub flag: Option<&'static str>,
    /// The steps that may, by name.
    pub steps: Vec<String>,
}

/// A place in the pipeline file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Last line.
    pub end_line: usize,
    /// The column after the last character.
    pub end_column: usize,
}

impl Place {
    pub(crate) fn of(file: &SourceFile, span: &Range<usize>) -> Self {
        let (line, column) = file.position(span.start);
        let (end_line, end_column) = file.position(span.end.max(span.start));
        Self { line, column, end_line, end_column }
    }
}

/// One call of a plugin.
#[derive(Clone, Debug, Serialize)]
pub struct AuditedCall {
    /// What it is for.
    pub role: Role,
    /// The step.
    #[serde(serialize_with = "as_text")]
    pub step: StepId,
    /// Its stage.
    pub stage: Stage,
    /// Where it stands.
    pub place: Place,
    /// Its plugin.
    pub plugin: AuditedPlugin,
    /// Whether it is undone when a later step fails.
    pub reversible: bool,
    /// What it was granted, in the order of the words.
    pub rules: Vec<AuditedRule>,
    /// What the runs that were looked at say of it; nothing where there is none.
    pub record: Option<CallUse>,
    /// Findings about the call or its plugin, as places in [`Audit::findings`].
    pub findings: Vec<usize>,
}

/// A wait for people, and those who can end it.
#[derive(Clone, Debug, Serialize)]
pub struct AuditedGate {
    /// What is planned.
    #[serde(flatten)]
    pub planned: PlannedGate,
    /// The keys that can decide.
    pub signers: Vec<AuditedSigner>,
}

impl AuditedGate {
    /// In a line: how many people of which role, until when, and what then.
    #[must_use]
    pub fn summary(&self) -> String {
        let planned = &self.planned;
        let people = if planned.quorum == 1 { "one person".to_owned() } else { format!("{} people", planned.quorum) };
        let wait = format_duration(Duration::from_millis(planned.expires_ms));
        let started = planned.if_started.iter().map(|step| format!(" if \"{step}\" was started")).collect::<String>();
        let list = match planned.checklist.len() {
            0 => String::new(),
            lines => format!(", checklist of {lines}"),
        };
        format!("{people} of {}{started}{list}; after {wait}: {}", planned.role, planned.on_expiry)
    }
}

/// A key that can decide at a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditedSigner {
    /// Whose.
    pub principal: String,
    /// Its fingerprint.
    pub key: String,
    /// Until when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_before: Option<Timestamp>,
}

/// A plugin, as far as its binary and its vendor tell.
#[derive(Clone, Debug, Serialize)]
pub struct AuditedPlugin {
    /// As the pipeline file names it.
    pub name: String,
    /// The name that it gives itself. Vendor text.
    pub title: String,
    /// Its version. Vendor text.
    pub version: String,
    /// What it says that it does. Vendor text.
    pub summary: String,
    /// Its content.
    pub sha256: Digest,
    /// Whether it is inside `pipe`.
    pub standard: bool,
    /// Whether the pipeline file says what its content must be.
    pub pinned: bool,
    /// The contract that it was built for.
    pub contract: String,
    /// Whether it can undo.
    pub undo: bool,
    /// Whether it can say what it would do.
    pub preview: bool,
    /// What its binary imports.
    pub imports: Vec<Import>,
    /// What it says that it will ask for. Vendor text; it grants nothing.
    pub requests: Vec<Asked>,
}

/// An interface that a binary imports.
#[derive(Clone, Debug, Serialize)]
pub struct Import {
    /// `pipe:host/sql@0.1.0`.
    pub name: String,
    /// The word of `allow` that it is good for; nothing for one that every plugin has.
    pub word: Option<&'static str>,
}

/// Something that a plugin says it will ask for.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// A word of `allow`, if it is one.
    pub word: String,
    /// What.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// One rule of a grant.
#[derive(Clone, Debug, Serialize)]
pub struct AuditedRule {
    /// The word.
    pub word: String,
    /// The rule as it stands in the word's array, with references resolved.
    pub rule: String,
    /// Where it stands.
    pub place: Place,
    /// Whether every policy allows it; nothing where there is no policy.
    pub within_policy: Option<bool>,
    /// When it was last used; nothing where it was not.
    pub last_use: Option<LastUse>,
    /// Findings about it, as places in [`Audit::findings`].
    pub findings: Vec<usize>,
}

/// A policy above the pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct AuditedPolicy {
    /// Its file, as it was named.
    pub file: PathBuf,
    /// Its content.
    pub sha256: Digest,
}

impl AuditedPolicy {
    pub(crate) fn of(policy: &Policy) -> Self {
        Self { file: policy.file.path.clone(), sha256: policy.digest }
    }
}

/// The last use of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastUse {
    /// In which run.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// In how many of the runs that were looked at.
    pub runs: usize,
}

/// What the runs that were looked at say of a call.
#[derive(Clone, Debug, Serialize)]
pub struct CallUse {
    /// In how many it did what it was asked to.
    pub succeeded: usize,
    /// The last of those.
    pub last: Option<RunId>,
    /// How often something was refused.
    pub refused: usize,
}

/// A peer that a call may reach.
#[derive(Clone, Debug, Serialize)]
pub struct AuditedPeer {
    /// Its name.
    pub name: String,
    /// Its address, without a password.
    pub url: String,
    /// `verify-full`, `none`, or `a file`.
    pub tls: &'static str,
    /// The secrets that the host logs in with, by name.
    pub login: Vec<String>,
    /// Networks whose private or special addresses it may have.
    pub addresses: Vec<String>,
    /// Where it stands.
    pub place: Place,
    /// Findings about it, as places in [`Audit::findings`].
    pub findings: Vec<usize>,
}

/// The runs that were looked at.
#[derive(Clone, Debug, Serialize)]
pub struct RunsLookedAt {
    /// How many, all finished.
    pub runs: usize,
    /// The oldest.
    pub first: RunId,
    /// The newest.
    pub last: RunId,
    /// When the newest began.
    pub last_started: Timestamp,
}

/// Something that is worth a look.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The question: the `id` of one of [`Audit::checks`].
    pub check: &'static str,
    /// How much it matters.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// The calls that it is about: a repeated step is told once. None where it is about a peer that no call has, or about the
    /// record of earlier runs.
    pub steps: Vec<String>,
    /// The word, where it is about a rule.
    pub word: Option<String>,
    /// The rule.
    pub rule: Option<String>,
    /// The peer, where it is about one.
    pub peer: Option<String>,
    /// What was found.
    pub message: String,
    /// What would help.
    pub hint: Option<String>,
    /// Where.
    pub place: Place,
    /// The same for the same finding, wherever in the file it has moved to.
    pub fingerprint: String,
}

/// A question, for those who read an answer.
#[derive(Clone, Debug, Serialize)]
pub struct CheckText {
    /// Its name for programs.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it means, and what to do about it.
    pub help: &'static str,
    /// How much it matters, unless the case at hand is a worse or a better one.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
}

/// The questions of an audit, in the order in which they are explained.
#[must_use]
pub fn audit_checks() -> Vec<CheckText> {
    let text = |check: Check| CheckText {
        id: check.id(),
        title: check.title(),
        help: check.help(),
        severity: check.severity(),
    };
    Check::ALL.into_iter().map(text).collect()
}

fn as_text<S: Serializer>(step: &StepId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(step)
}

fn severity<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.word())
}
