//! Standard plugin of pipe: the notify stage. Tells people and systems.

mod history;
mod mail;
mod text;
mod webhook;

use pipe_sdk::notify::{News, Notify, Report};
use pipe_sdk::schema::{Entries, Listed};
use pipe_sdk::{Context, Description, Failure, FailureKind, Finding, Plugin, Status, Word};
use schemars::JsonSchema;
use serde::Deserialize;

/// A channel: who is told, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Channel {
    /// A message to a server.
    Webhook(webhook::Webhook),
    /// A message to people.
    Mail(mail::Mail),
    /// An entry in a file.
    History(history::History),
}

impl Listed for Channel {
    const WORD: &'static str = "channel";
}

impl Channel {
    fn name(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.name(),
            Self::Mail(mail) => mail.name(),
            Self::History(history) => history.name(),
        }
    }

    fn validate(&self) -> Result<(), Failure> {
        match self {
            Self::Webhook(webhook) => webhook.validate(),
            Self::Mail(mail) => mail.validate(),
            Self::History(_) => Ok(()),
        }
    }

    fn send(&self, context: &Context, news: &News) -> Result<Finding, Failure> {
        match self {
            Self::Webhook(webhook) => webhook.send(context, news),
            Self::Mail(mail) => mail.send(context, news),
            Self::History(history) => history.send(context, news),
        }
    }
}

struct Standard;

impl Plugin for Standard {
    type Settings = Entries<Channel>;

    fn describe() -> Description {
        Description::new(
            "notify",
            env!("CARGO_PKG_VERSION"),
            "Sends messages to servers and people, and keeps a history of deployments.",
        )
        .asks(Word::Http, "POST PEER:PATH", "for channels of kind webhook")
        .asks(Word::Mail, "{ peer = PEER, from = FROM, to = [TO] }", "for channels of kind mail")
        .asks(Word::Write, "the path", "for channels of kind history")
    }
}

impl Notify for Standard {
    fn send(context: &Context, settings: Entries<Channel>, news: News) -> Result<Report, Failure> {
        let channels = settings.into_vec();
        for channel in &channels {
            channel.validate().map_err(|failure| failure.within(channel.name()))?;
        }
        report(&channels, Channel::name, |channel| channel.send(context, &news))
    }
}

/// Tells every channel, whatever happens at another. It is a failure only where nobody could be told: the call may then
/// be made again without telling anyone twice.
fn report<C>(
    channels: &[C],
    name: impl Fn(&C) -> String,
    send: impl Fn(&C) -> Result<Finding, Failure>,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut first: Option<Failure> = None;
    for channel in channels {
        let name = name(channel);
        let mut failure = None;
        let finding = Finding::check(&name, || send(channel).inspect_err(|error| failure = Some(error.clone())));
        if finding.status == Status::Pass {
            report.delivered.push(name.clone());
        }
        if finding.status == Status::Fail && first.is_none() {
            let unmet = || Failure::new(FailureKind::Unmet, finding.message.clone());
            first = Some(failure.unwrap_or_else(unmet).within(&name));
        }
        report.findings.push(finding);
    }
    match first {
        Some(failure) if report.delivered.is_empty() => Err(failure.with_findings(report.findings)),
        _ => Ok(report),
    }
}

pipe_sdk::export_notify!(Standard);

#[cfg(test)]
mod tests {
    use pipe_sdk::schema;
    use serde_json::{Value, json};

    use super::*;

    fn told(channels: &[&str]) -> Result<Report, Failure> {
        let name = |channel: &&str| (*channel).to_owned();
        report(channels, name, |channel| match *channel {
            "up" => Ok(Finding::pass("told")),
            "idle" => Ok(Finding::skip("nothing to tell")),
            "denied" => Err(Failure::denied("not granted")),
            _ => Err(Failure::unavailable("away")),
        })
    }

    #[test]
    fn one_channel_does_not_stop_another() {
        let report = told(&["down", "up", "idle"]).expect("one was told");
        assert_eq!(report.delivered, ["up"]);
        assert_eq!(report.findings.len(), 3);
        assert!(told(&["idle"]).is_ok());
        assert!(told(&["idle", "down"]).is_err());
        let failure = told(&["denied", "down"]).expect_err("nobody was told");
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Denied, "denied: not granted"));
        assert_eq!(failure.findings.len(), 2);
    }

    #[test]
    fn the_schema_takes_what_the_settings_take() {
        let schema: Value = serde_json::from_str(&schema::of::<Entries<Channel>>()).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let slack = json!({ "kind": "webhook", "peer": "slack", "form": "slack", "text": "HMS {status}" });
        let history = json!({ "kind": "history", "path": "docs/history.md", "format": "markdown", "version": "1.2.3" });
        let mail =
            json!({ "kind": "mail", "peer": "smtp", "from": "a@x", "to": ["b@x", "c@y"], "subject": "{status}" });
        for (with, valid) in [
            (mail.clone(), true),
            (json!({ "channel": [slack.clone(), mail] }), true),
            (json!({ "kind": "mail", "peer": "smtp", "from": "a@x", "to": [] }), false),
            (json!({ "kind": "mail", "peer": "smtp", "from": "a@x", "to": ["Ops <b@x>"] }), false),
            (json!({ "kind": "mail", "peer": "smtp", "from": "a", "to": ["b@x"] }), false),
            (json!({ "kind": "mail", "peer": "smtp", "to": ["b@x"] }), false),
            (slack.clone(), true),
            (history.clone(), true),
            (json!({ "channel": [slack, history] }), true),
            (json!({ "kind": "webhook", "url": "https://status.example/", "fields": { "a": "{event}" } }), true),
            (json!({ "kind": "history", "path": "h.jsonl", "format": "jsonl" }), true),
            (json!({ "kind": "history", "path": "h.md", "format": "markdown" }), false),
            (json!({ "kind": "webhook" }), false),
            (json!({ "kind": "webhook", "peer": "slack", "form": "slack", "fields": { "a": "b" } }), false),
            (json!({ "channel": [] }), false),
            (json!({ "check": [] }), false),
        ] {
            assert_eq!(validator.is_valid(&with), valid, "{with}");
            assert!(serde_json::from_value::<Entries<Channel>>(with.clone()).is_ok() || !valid, "{with}");
        }
    }
}
