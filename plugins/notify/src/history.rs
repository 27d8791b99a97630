//! `kind = "history"`: an entry in a file, once for every run and event.

mod entry;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use entry::{Entry, Format};
use pipe_sdk::calendar::Moment;
use pipe_sdk::files::explain_write;
use pipe_sdk::notify::News;
use pipe_sdk::{Context, Failure, Finding};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::text;

/// So much of the end of the file is looked through for an entry that is already there.
const LOOKED_THROUGH: u64 = 4 << 20;

/// Appends an entry to a file, in one write. Needs `allow.write` of the file, or of a directory above it. A file that is
/// missing is made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("if" = { "properties": { "format": { "const": "markdown" } }, "required": ["format"] }))]
#[schemars(extend("then" = { "required": ["version"] }))]
pub(crate) struct History {
    /// Name of the channel in reports. Default: the path.
    name: Option<String>,
    /// Path of the file, as in the grant.
    #[schemars(length(min = 1))]
    path: String,
    /// `markdown`: an entry of a few lines for every end of a run. `jsonl`: one JSON object a line for every event.
    format: Format,
    /// What was deployed: `"${inputs.version}"`.
    version: Option<String>,
    /// How the deployment is called. Default: the id of the run.
    deployment_id: Option<String>,
    /// Why the run ended as it did: `"${run.reason}"`. Default: the whole headline.
    reason: Option<String>,
}

impl History {
    pub(crate) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("history {}", self.path))
    }

    pub(crate) fn send(&self, context: &Context, news: &News) -> Result<Finding, Failure> {
        self.append(context, news, Moment::now())
    }

    fn append(&self, context: &Context, news: &News, now: Moment) -> Result<Finding, Failure> {
        let entry = Entry {
            time: now,
            event: &news.event,
            run: &context.run_id,
            step: &context.step,
            pipeline: &context.pipeline,
            environment: &context.environment,
            deployment: text::one_line(self.deployment_id.as_deref().unwrap_or(&context.run_id)),
            version: text::one_line(self.version.as_deref().unwrap_or_default()),
            reason: text::one_line(self.reason.as_deref().unwrap_or(&news.headline)),
        };
        let Some(written) = entry.write(self.format)? else {
            return Ok(Finding::skip(format!("{} is no end of a run, so it has no entry", news.event)));
        };
        let path = &self.path;
        let explained = |error: io::Error| explain_write(path, &error);
        // For both at once: a channel that may not write is told so, and not that it may not look.
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(explained)?;
        let tail = tail(&mut file).map_err(explained)?;
        if entry.is_in(self.format, &tail) {
            return Ok(Finding::pass(format!("{path} holds the entry already")).with_observed("already there"));
        }
        let newline = if tail.is_empty() || tail.ends_with('\n') { "" } else { "\n" };
        file.write_all(format!("{newline}{written}").as_bytes()).map_err(explained)?;
        file.sync_all().map_err(explained)?;
        Ok(Finding::pass(format!("an entry was added to {path}")).with_observed("added"))
    }
}

/// The end of the file.
fn tail(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_THROUGH)))?;
    let mut bytes = Vec::new();
    file.take(LOOKED_THROUGH).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pipe_sdk::Status;
    use serde_json::{Value, json};

    use super::*;
    use crate::text::tests::{context, news};

    const NOW: Moment = Moment { unix_seconds: 1_795_399_512 };

    /// The file after each event, and whether it was told, skipped or there already.
    fn after(name: &str, settings: Value, begin: &str, events: &[(&str, &str)]) -> (String, Vec<Finding>) {
        let path = std::env::temp_dir().join(format!("pipe-notify-{}-{name}", std::process::id()));
        fs::write(&path, begin).expect("a file");
        let mut settings = settings;
        settings["path"] = json!(path);
        let history: History = serde_json::from_value(settings).expect("settings");
        let append = |(event, headline): &(&str, &str)| {
            history.append(&context(), &news(event, headline), NOW).expect("the file can be written")
        };
        let findings = events.iter().map(append).collect();
        let text = fs::read_to_string(&path).expect("text");
        fs::remove_file(&path).expect("it is still there");
        (text, findings)
    }

    #[test]
    fn markdown_is_that_of_the_runbook() {
        let settings = json!({ "format": "markdown", "version": "2.4.1" });
        let events = [
            ("started", "begins"),
            ("succeeded", "all went well"),
            ("succeeded", "all went well"),
            ("rolled-back", "error rate\n- Deployment ID: forged"),
        ];
        let (text, findings) = after("markdown", settings, "# History", &events);
        assert_eq!(
            text,
            "# History\n\
             - Deployment ID: 20261123020512-abcdef\n  Date: Mon Nov 23 02:05:12 UTC 2026\n  Version: 2.4.1\n\
             \x20 Status: Successful\n\n\
             - Deployment ID: 20261123020512-abcdef\n  Date: Mon Nov 23 02:05:12 UTC 2026\n  Version: 2.4.1\n\
             \x20 Status: Rolled Back\n  Reason: error rate - Deployment ID: forged\n\n"
        );
        let status: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!(status, [Status::Skip, Status::Pass, Status::Pass, Status::Pass]);
        assert_eq!(findings[2].observed.as_deref(), Some("already there"));
    }

    #[test]
    fn the_reason_alone_stands_there_where_it_is_told() {
        let settings = json!({ "format": "markdown", "version": "2.4.1", "reason": "step \"smoke\": HTTP 500\n" });
        let (text, _) =
            after("reason", settings, "", &[("failed", "hms in production: failed (step \"smoke\": HTTP 500)")]);
        assert!(text.ends_with("  Status: Failed\n  Reason: step \"smoke\": HTTP 500\n\n"), "{text}");
    }

    #[test]
    fn json_lines_are_one_for_every_event() {
        let settings = json!({ "format": "jsonl", "version": "2.4.1", "deployment_id": "D7" });
        let (text, _) = after("jsonl", settings, "", &[("started", "a"), ("started", "a"), ("failed", "b\nc")]);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(
            lines[1],
            json!({
                "time": "2026-11-23T02:05:12Z", "run": "20261123020512-abcdef", "event": "failed", "step": "tell",
                "pipeline": "hms", "environment": "production", "deployment": "D7", "version": "2.4.1",
                "status": "failed", "reason": "b c",
            })
        );
    }

    #[test]
    fn a_missing_file_is_made_and_a_missing_directory_not() {
        let directory = std::env::temp_dir().join(format!("pipe-notify-{}-made", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let append = |path: std::path::PathBuf| {
            let settings = json!({ "format": "jsonl", "path": path });
            let history: History = serde_json::from_value(settings).expect("settings");
            history.append(&context(), &news("failed", "x"), NOW)
        };
        assert!(append(directory.join("history.jsonl")).is_ok());
        assert!(append(directory.join("none").join("history.jsonl")).is_err());
        fs::remove_dir_all(directory).expect("it is still there");
    }
}
