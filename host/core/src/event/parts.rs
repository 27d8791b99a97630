//! What events are made of.

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, id::StepId, stage::Stage};

/// A file that the run was given, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// As the pipeline file names it: `std:backup`, or a name of `[plugins]`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Its content.
    pub digest: Digest,
}

/// What a planned call is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The deployment.
    #[default]
    Deployment,
    /// The rollback: it runs where something is undone.
    Rollback,
    /// The notifications.
    Notification,
    /// What guards and the watch look at.
    Check,
}

impl Part {
    /// Whether it is what most calls are a part of.
    const fn is_usual(&self) -> bool {
        matches!(self, Self::Deployment)
    }
}

/// A step as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Identity.
    pub step: StepId,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Part::is_usual")]
    pub part: Part,
    /// Stage.
    pub stage: Stage,
    /// Plugin.
    pub plugin: PluginIdentity,
    /// Whether it can be undone.
    pub reversible: bool,
    /// The grant: lines of the pipeline file.
    pub grant: Vec<String>,
    /// Names of the secrets whose plaintext the plugin gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reveals: Vec<String>,
}

/// An artifact as it was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// sha256 of the stored file.
    pub digest: Digest,
    /// Name for people.
    pub name: String,
    /// Path on the host.
    pub location: String,
    /// Size of the stored file, in bytes.
    pub bytes: u64,
    /// Size of the content, in bytes.
    pub content_bytes: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// sha256 of the content, before compression and encryption.
    pub content_digest: Digest,
}

/// What a verifier saw of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The artifact.
    pub digest: Digest,
    /// How.
    pub method: String,
    /// Content that was read, in bytes.
    pub content_bytes: u64,
    /// Entries or lines.
    pub entries: u64,
    /// Whether something was made of the whole of it: the host handed it to a program that restores, which took all of it and
    /// ended well, or unpacked it itself. What was made is not looked into.
    #[serde(default, skip_serializing_if = "is_no")]
    pub restored: bool,
}

/// What is left out of the record where it is so.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_no(said: &bool) -> bool {
    !*said
}

/// A use of a capability.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The word: `http`.
    pub word: String,
    /// What was touched: `GET k8s:/version`. Masked where the grant does not fix it.
    pub subject: String,
    /// The granted line that allowed it.
    pub rule: String,
    /// Whether it could change something outside.
    pub effect: bool,
    /// Keyed hash of the whole text, where the subject leaves something of it out: see
    /// [`ProofKey`](crate::proof::ProofKey). Of `sql` the statement, of `http` the query, of `exec` the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Digest>,
    /// For a program, which is native code: what confines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The word: `http`.
    pub word: String,
    /// What was asked for.
    pub subject: String,
    /// Why it was refused.
    pub reason: String,
    /// The line that would allow it, or nothing where no line would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// For the operator who looks closely.
    Info,
    /// For every operator.
    Warning,
    /// For every operator, at once.
    Error,
}
