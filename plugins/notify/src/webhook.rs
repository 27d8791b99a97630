//! `kind = "webhook"`: a message to a server, in the form of Slack or as plain JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use pipe_sdk::http::{Request, Response, target};
use pipe_sdk::notify::News;
use pipe_sdk::units::Period;
use pipe_sdk::{Context, Failure, Finding, Status, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::text;

/// The longest wait between two attempts, whatever the server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What the server understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Form {
    /// `{"text": …}`, and the answer `ok`.
    Slack,
    /// An object with everything that is known, or with `fields`.
    #[default]
    Json,
}

/// Ten seconds unless something else is said.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
struct Timeout(Period);

impl Default for Timeout {
    fn default() -> Self {
        Self(Period(Duration::from_secs(10)))
    }
}

const fn three() -> u32 {
    3
}

/// Sends a message with `POST`. Needs `allow.http`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("if" = { "required": ["peer"] }))]
#[schemars(extend("then" = { "properties": { "url": false } }))]
#[schemars(extend("else" = { "required": ["url"], "properties": { "path": false } }))]
#[schemars(extend("dependentSchemas" = { "fields": { "properties": { "form": { "const": "json" } } } }))]
pub(crate) struct Webhook {
    /// Name of the channel in reports. Default: the peer.
    name: Option<String>,
    /// Peer of the pipeline file; it holds the secret part of the address. Either this or `url`.
    peer: Option<String>,
    /// Path at the peer. Default: `/`.
    #[schemars(regex(pattern = "^/"))]
    path: Option<String>,
    /// Address in the open. Either this or `peer`.
    #[schemars(regex(pattern = "^https?://"))]
    url: Option<String>,
    /// What the server understands.
    #[serde(default)]
    form: Form,
    /// The message. `{headline}`, `{event}`, `{status}`, `{pipeline}`, `{environment}`, `{run}` and `{step}` are filled
    /// in; `{{` is a brace.
    text: Option<String>,
    /// The object to send, with `form = "json"`, instead of everything that is known. Placeholders as in `text`.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// Headers to send. Never a secret; a peer has a login.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long to wait for the answer.
    #[serde(default)]
    timeout: Timeout,
    /// How often the message is sent again where the server is away or asks for a pause.
    #[serde(default = "three")]
    #[schemars(range(max = 10))]
    retries: u32,
}

impl Webhook {
    pub(crate) fn name(&self) -> String {
        let place = || self.peer.clone().or_else(|| self.url.clone()).unwrap_or_default();
        self.name.clone().unwrap_or_else(|| format!("webhook {}", place()))
    }

    pub(crate) fn validate(&self) -> Result<(), Failure> {
        self.target()?;
        if self.form == Form::Slack && !self.fields.is_empty() {
            return Err(Failure::settings("`fields` goes with `form = \"json\"`"));
        }
        self.text.iter().chain(self.fields.values()).try_for_each(|template| text::validate(template))
    }

    pub(crate) fn send(&self, context: &Context, news: &News) -> Result<Finding, Failure> {
        let body = self.body(context, news)?;
        let mut attempt = 0;
        loop {
            let result = self.request(context, news, &body)?.send();
            match next(self.form, result, attempt, self.retries, context.remaining()) {
                Next::Done(result) => return result,
                Next::Again(wait) => {
                    log::info(format!("{}: sent again in {}", self.name(), Period(wait)));
                    std::thread::sleep(wait);
                    attempt += 1;
                }
            }
        }
    }

    fn target(&self) -> Result<String, Failure> {
        target(self.peer.as_deref(), self.url.as_deref(), self.path.as_deref())
    }

    fn request(&self, context: &Context, news: &News, body: &Value) -> Result<Request, Failure> {
        let timeout = self.timeout.0.0.min(context.remaining());
        let mut request = Request::post(self.target()?).timeout(timeout).limit(64 << 10);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.header("idempotency-key", format!("{}-{}", context.idempotency_key, news.event)).json(body)
    }

    fn body(&self, context: &Context, news: &News) -> Result<Value, Failure> {
        let template = self.text.as_deref().unwrap_or(text::DEFAULT);
        if self.form == Form::Slack {
            return Ok(json!({ "text": text::render(template, context, news, slack_escape)? }));
        }
        if !self.fields.is_empty() {
            let field = |(key, template): (&String, &String)| {
                Ok((key.clone(), Value::from(text::render(template, context, news, text::plain)?)))
            };
            return Ok(Value::Object(self.fields.iter().map(field).collect::<Result<_, Failure>>()?));
        }
        let steps: Vec<Value> = news
            .steps
            .iter()
            .map(|step| {
                json!({
                    "step": step.step, "stage": step.stage, "status": step.status, "message": step.message,
                    "duration_ms": step.duration_ms,
                })
            })
            .collect();
        Ok(json!({
            "event": news.event, "status": text::status(&news.event), "headline": news.headline,
            "text": text::render(template, context, news, text::plain)?,
            "pipeline": context.pipeline, "environment": context.environment, "run": context.run_id, "steps": steps,
        }))
    }
}

/// Slack reads `&`, `<` and `>` as markup.
fn slack_escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What follows from an answer.
enum Next {
    Done(Result<Finding, Failure>),
    Again(Duration),
}

fn next(form: Form, result: Result<Response, Failure>, attempt: u32, retries: u32, remaining: Duration) -> Next {
    let mut wait = Duration::from_secs(1 << attempt.min(5));
    let result = match result {
        Ok(response) if response.is_success() => return Next::Done(Ok(accepted(form, &response))),
        Ok(response) => {
            if let Some(seconds) = response.header("retry-after").and_then(|value| value.trim().parse().ok()) {
                wait = Duration::from_secs(seconds);
            }
            response.success().map(|response| accepted(form, &response))
        }
        Err(failure) => Err(failure),
    };
    let wait = wait.min(LONGEST_WAIT);
    // Leaves a second for the request itself.
    let time = wait + Duration::from_secs(1) < remaining;
    match &result {
        Err(failure) if failure.retryable && attempt < retries && time => Next::Again(wait),
        _ => Next::Done(result),
    }
}

fn accepted(form: Form, response: &Response) -> Finding {
    let answer = response.excerpt(100);
    let finding = if form == Form::Slack && answer != "ok" {
        Finding::new(Status::Fail, format!("{} answered {answer:?} instead of \"ok\"", response.request))
    } else {
        Finding::pass(format!("{} answered {}", response.request, response.status))
    };
    finding.with_observed(response.status).with_expected(if form == Form::Slack { "2xx and \"ok\"" } else { "2xx" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::{context, news};

    fn webhook(settings: Value) -> Webhook {
        let webhook: Webhook = serde_json::from_value(settings).expect("settings");
        webhook.validate().expect("settings make sense");
        webhook
    }

    fn response(status: u16, retry_after: Option<&str>, body: &str) -> Result<Response, Failure> {
        let headers = retry_after.map(|value| ("retry-after".to_owned(), value.to_owned())).into_iter().collect();
        let request = "POST slack:/".to_owned();
        Ok(Response { request, status, headers, body: body.into(), elapsed: Duration::ZERO })
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn slack_gets_its_text_escaped() {
        let settings = json!({ "peer": "slack", "form": "slack", "text": "<https://runs.example|{run}>: {headline}" });
        let body = webhook(settings).body(&context(), &news("failed", "a < b & \"c\"")).expect("a body");
        assert_eq!(body, json!({ "text": "<https://runs.example|20261123020512-abcdef>: a &lt; b &amp; \"c\"" }));
    }

    #[test]
    fn json_holds_what_is_known_or_what_is_asked_for() {
        let body = webhook(json!({ "peer": "status" })).body(&context(), &news("rolled-back", "why")).expect("a body");
        assert_eq!(
            (&body["event"], &body["status"], &body["run"]),
            (&json!("rolled-back"), &json!("rolled back"), &json!("20261123020512-abcdef"))
        );
        let settings = json!({ "peer": "status", "fields": { "incident": "{pipeline}: {headline}" } });
        let body = webhook(settings).body(&context(), &news("failed", "why")).expect("a body");
        assert_eq!(body, json!({ "incident": "hms: why" }));
    }

    #[test]
    fn a_pause_is_kept_but_not_for_ever() {
        let wait = |result, attempt, remaining| match next(Form::Slack, result, attempt, 3, remaining) {
            Next::Again(wait) => Some(wait.as_secs()),
            Next::Done(_) => None,
        };
        assert_eq!(wait(response(429, Some("7"), ""), 0, MINUTE), Some(7));
        assert_eq!(wait(response(429, Some("3600"), ""), 0, MINUTE), Some(30));
        assert_eq!(wait(response(429, Some("20"), ""), 0, Duration::from_secs(10)), None);
        assert_eq!(wait(response(503, None, ""), 2, MINUTE), Some(4));
        assert_eq!(wait(response(503, None, ""), 3, MINUTE), None);
        assert_eq!(wait(response(404, None, "no_service"), 0, MINUTE), None);
        assert_eq!(wait(Err(Failure::unavailable("away")), 0, MINUTE), Some(1));
        assert_eq!(wait(Err(Failure::denied("not granted")), 0, MINUTE), None);
    }

    #[test]
    fn slack_says_ok() {
        let finding = |form, body| match next(form, response(200, None, body), 0, 3, MINUTE) {
            Next::Done(result) => result.expect("an answer").status,
            Next::Again(_) => panic!("it was accepted"),
        };
        assert_eq!(finding(Form::Slack, "ok"), Status::Pass);
        assert_eq!(finding(Form::Slack, "<html>"), Status::Fail);
        assert_eq!(finding(Form::Json, ""), Status::Pass);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for settings in [
            json!({ "peer": "a", "text": "{nothing}" }),
            json!({ "peer": "a", "form": "slack", "fields": { "a": "b" } }),
            json!({}),
        ] {
            let webhook: Webhook = serde_json::from_value(settings.clone()).expect("settings");
            assert!(webhook.validate().is_err(), "{settings}");
        }
    }
}
