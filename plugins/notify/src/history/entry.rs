//! One entry, in either format.

use pipe_sdk::Failure;
use pipe_sdk::calendar::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// An entry of a few lines for every end of a run.
    Markdown,
    /// One JSON object a line for every event.
    Jsonl,
}

/// What is known of one event. Texts that come from outside are one line each.
pub(super) struct Entry<'e> {
    pub(super) time: Moment,
    pub(super) event: &'e str,
    pub(super) run: &'e str,
    pub(super) step: &'e str,
    pub(super) pipeline: &'e str,
    pub(super) environment: &'e str,
    pub(super) deployment: String,
    pub(super) version: String,
    pub(super) reason: String,
}

#[derive(Serialize)]
struct Line<'e> {
    time: String,
    run: &'e str,
    event: &'e str,
    step: &'e str,
    pipeline: &'e str,
    environment: &'e str,
    deployment: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'e str,
    status: &'e str,
    reason: &'e str,
}

impl Entry<'_> {
    /// The entry as it is appended; nothing where the event has none.
    pub(super) fn write(&self, format: Format) -> Result<Option<String>, Failure> {
        match format {
            Format::Markdown => Ok(self.outcome().map(|outcome| self.markdown(outcome))),
            Format::Jsonl => self.json_line().map(Some),
        }
    }

    /// Whether the file holds it already: an earlier call for the same run and event has written it.
    pub(super) fn is_in(&self, format: Format, file: &str) -> bool {
        match format {
            Format::Markdown => self.is_in_markdown(file),
            Format::Jsonl => file.lines().any(|line| self.is_json_line(line)),
        }
    }

    /// How the runbook calls the end of a run. A step of its own stands where everything before it went well.
    fn outcome(&self) -> Option<&'static str> {
        match self.event {
            "succeeded" | "step" => Some("Successful"),
            "rolled-back" => Some("Rolled Back"),
            "failed" => Some("Failed"),
            "rollback-failed" => Some("Rollback Failed"),
            _ => None,
        }
    }

    fn markdown(&self, outcome: &str) -> String {
        let (deployment, date, version) = (&self.deployment, self.time.to_unix_date(), &self.version);
        let reason = if outcome == "Successful" { String::new() } else { format!("  Reason: {}\n", self.reason) };
        format!("- Deployment ID: {deployment}\n  Date: {date}\n  Version: {version}\n  Status: {outcome}\n{reason}\n")
    }

    fn is_in_markdown(&self, file: &str) -> bool {
        let mut inside = false;
        for line in file.lines() {
            if let Some(deployment) = line.strip_prefix("- Deployment ID: ") {
                inside = deployment == self.deployment;
            } else if inside && line.strip_prefix("  Status: ") == self.outcome() {
                return true;
            }
        }
        false
    }

    fn json_line(&self) -> Result<String, Failure> {
        let line = Line {
            time: self.time.to_rfc3339(),
            run: self.run,
            event: self.event,
            step: self.step,
            pipeline: self.pipeline,
            environment: self.environment,
            deployment: &self.deployment,
            version: &self.version,
            status: text::status(self.event),
            reason: &self.reason,
        };
        let text = serde_json::to_string(&line).map_err(|error| Failure::other(format!("history entry: {error}")))?;
        Ok(format!("{text}\n"))
    }

    fn is_json_line(&self, line: &str) -> bool {
        let Ok(known) = serde_json::from_str::<Value>(line) else { return false };
        // A pipeline may tell the same file of the same event at two steps.
        known["run"] == self.run && known["event"] == self.event && known["step"] == self.step
    }
}
