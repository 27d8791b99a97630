//! `kind = "http"`: a request, and what is expected of its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use pipe_sdk::http::{Method, Request, Response, target};
use pipe_sdk::units::Period;
use pipe_sdk::{Context, Failure, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::expectation::Seen;
use crate::{Check, Expectation, Options, run, short};

/// Methods that change nothing, and `POST` for interfaces that are asked with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckMethod {
    /// Reads.
    #[default]
    Get,
    /// Reads the head only.
    Head,
    /// Sends.
    Post,
}

/// What the whole exchange may take: ten seconds unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Timeout(pub Period);

impl Default for Timeout {
    fn default() -> Self {
        Self(Period(Duration::from_secs(10)))
    }
}

fn ok() -> Vec<u16> {
    vec![200]
}

crate::check_settings! {
    /// Sends a request and looks at the answer. Needs `allow.http`.
    #[schemars(extend("if" = { "required": ["peer"] }))]
    #[schemars(extend("then" = { "properties": { "url": false } }))]
    #[schemars(extend("else" = { "required": ["url"], "properties": { "path": false } }))]
    pub struct HttpCheck {
        /// Peer of the pipeline file. Either this or `url`.
        pub peer: Option<String>,
        /// Path and query at the peer. Default: `/`.
        #[schemars(regex(pattern = "^/"))]
        pub path: Option<String>,
        /// Address in the open, for servers that need no login. Either this or `peer`.
        #[schemars(regex(pattern = "^https?://"))]
        pub url: Option<String>,
        /// Method.
        #[serde(default)]
        pub method: CheckMethod,
        /// Headers to send. Never a secret; a peer has a login.
        #[serde(default)]
        pub request_headers: BTreeMap<String, String>,
        /// Body to send with `POST`. JSON, unless `request_headers` names another `content-type`.
        pub request_body: Option<String>,
        /// Status codes that are expected.
        #[serde(default = "ok")]
        #[schemars(length(min = 1), inner(range(min = 100, max = 599)))]
        pub status: Vec<u16>,
        /// Values that are expected in the JSON of the answer, by JSONPath: `{ "$.status" = "healthy" }`. Every value
        /// that the path finds must be as expected, and there must be one.
        #[serde(default)]
        pub json: BTreeMap<String, Expectation>,
        /// Headers that are expected in the answer: `{ Strict-Transport-Security = { contains = "31536000" } }`.
        #[serde(default)]
        pub headers: BTreeMap<String, Expectation>,
        /// Text that is expected in the body of the answer.
        #[schemars(length(min = 1))]
        pub body_contains: Option<String>,
        /// What the answer may take at most.
        pub max_latency: Option<Period>,
        /// How long to wait for the answer.
        #[serde(default)]
        pub timeout: Timeout,
    }
}

impl HttpCheck {
    fn target(&self) -> Result<String, Failure> {
        target(self.peer.as_deref(), self.url.as_deref(), self.path.as_deref())
    }

    fn request(&self, context: &Context) -> Result<Request, Failure> {
        let method = match self.method {
            CheckMethod::Get => Method::Get,
            CheckMethod::Head => Method::Head,
            CheckMethod::Post => Method::Post,
        };
        let mut request = Request::new(method, self.target()?).timeout(run::patience(context, self.timeout.0.0));
        for (name, value) in &self.request_headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.request_body {
            if !self.request_headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body.as_bytes());
        }
        Ok(request)
    }

    /// What the answer is not, in words. Empty when it is as expected.
    fn unmet(&self, response: &Response) -> Result<Vec<String>, Failure> {
        let mut unmet = Vec::new();
        if !self.status.contains(&response.status) {
            unmet.push(format!("status {} instead of {}", response.status, list(&self.status)));
        }
        if let Some(most) = self.max_latency
            && response.elapsed > most.0
        {
            unmet.push(format!("answered after {} ms, later than {most}", response.elapsed.as_millis()));
        }
        for (name, expectation) in &self.headers {
            let seen = response.header(name);
            if !expectation.is_met(seen.map(Seen::Text)) {
                unmet.push(match seen {
                    Some(value) => format!("header {name} is {:?}, expected {expectation}", short(value)),
                    None => format!("header {name} is missing, expected {expectation}"),
                });
            }
        }
        if let Some(part) = &self.body_contains
            && !response.text().contains(part)
        {
            unmet.push(format!("the body does not hold {part:?}"));
        }
        if !self.json.is_empty() {
            self.unmet_json(response, &mut unmet)?;
        }
        Ok(unmet)
    }

    fn unmet_json(&self, response: &Response, unmet: &mut Vec<String>) -> Result<(), Failure> {
        let document = match serde_json::from_slice::<Value>(&response.body) {
            Ok(document) => document,
            Err(error) => {
                unmet.push(format!("the body is no JSON: {error}"));
                return Ok(());
            }
        };
        for (path, expectation) in &self.json {
            let found = parse(path)?.query(&document).all();
            if found.is_empty() {
                if !expectation.is_met(None) {
                    unmet.push(format!("{path} finds nothing, expected {expectation}"));
                }
            } else if let Some(value) = found.into_iter().find(|value| !expectation.is_met(Some(Seen::Typed(value)))) {
                unmet.push(format!("{path} is {}, expected {expectation}", short(&value.to_string())));
            }
        }
        Ok(())
    }
}

fn parse(path: &str) -> Result<JsonPath, Failure> {
    JsonPath::parse(path).map_err(|error| Failure::settings(format!("`{path}` is no JSONPath: {error}")))
}

fn list(status: &[u16]) -> String {
    status.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

impl Check for HttpCheck {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        let place = match (&self.peer, &self.url) {
            (Some(peer), _) => format!("{peer}:{}", self.path.as_deref().unwrap_or("/")),
            (None, url) => url.clone().unwrap_or_default(),
        };
        format!("http {}", place.split('?').next().unwrap_or_default())
    }

    fn validate(&self) -> Result<(), Failure> {
        self.target()?;
        self.json.keys().try_for_each(|path| parse(path).map(drop))?;
        if self.status.is_empty() {
            return Err(Failure::settings("`status` needs at least one code"));
        }
        let no_body = self.method == CheckMethod::Head;
        if no_body && (self.body_contains.is_some() || !self.json.is_empty()) {
            return Err(Failure::settings("the answer to HEAD has no body to look at"));
        }
        if self.request_body.is_some() && self.method != CheckMethod::Post {
            return Err(Failure::settings("`request_body` goes with `method = \"POST\"`"));
        }
        Ok(())
    }

    fn look(&self, context: &Context) -> Result<Finding, Failure> {
        let response = self.request(context)?.send()?;
        let unmet = self.unmet(&response)?;
        let milliseconds = response.elapsed.as_millis();
        let seen = format!("{} after {milliseconds} ms", response.status);
        let finding = if unmet.is_empty() {
            Finding::pass(format!("{} answered {seen}", response.request))
        } else {
            Finding::fail(format!("{}: {}", response.request, unmet.join("; ")))
        };
        Ok(finding.with_observed(seen).with_expected(list(&self.status)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value) -> HttpCheck {
        serde_json::from_value(value).expect("settings")
    }

    fn response(status: u16, body: &str, milliseconds: u64) -> Response {
        Response {
            request: "GET api:/health".into(),
            status,
            headers: vec![("x-frame-options".into(), "DENY".into())],
            body: body.into(),
            elapsed: Duration::from_millis(milliseconds),
        }
    }

    fn unmet(settings: Value, response: &Response) -> Vec<String> {
        let check = check(settings);
        check.validate().expect("settings make sense");
        check.unmet(response).expect("the paths are paths")
    }

    #[test]
    fn an_answer_is_held_against_every_expectation() {
        let healthy = response(200, r#"{"status":"healthy","checks":[{"up":true},{"up":true}]}"#, 20);
        let settings = json!({
            "peer": "api", "path": "/health", "json": { "$.status": "healthy", "$.checks[*].up": true },
            "headers": { "X-Frame-Options": "DENY" }, "max_latency": "2s", "body_contains": "healthy",
        });
        assert_eq!(unmet(settings.clone(), &healthy), Vec::<String>::new());
        let sick = response(503, r#"{"status":"down","checks":[{"up":true},{"up":false}]}"#, 2001);
        assert_eq!(
            unmet(settings, &sick),
            [
                "status 503 instead of 200",
                "answered after 2001 ms, later than 2s",
                "the body does not hold \"healthy\"",
                "$.checks[*].up is false, expected true",
                "$.status is \"down\", expected \"healthy\"",
            ]
        );
    }

    #[test]
    fn no_data_fails() {
        let settings = json!({ "url": "https://a/", "json": { "$.missing": { "max": 1 } }, "headers": { "X": { "present": true } } });
        let empty = response(200, "{}", 1);
        assert_eq!(
            unmet(settings.clone(), &empty),
            ["header X is missing, expected present", "$.missing finds nothing, expected at most 1"]
        );
        assert!(unmet(settings, &response(200, "<html>", 1))[1].starts_with("the body is no JSON"));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for settings in [
            json!({ "status": [200] }),
            json!({ "peer": "a", "url": "https://b" }),
            json!({ "peer": "a", "json": { "status": "x" } }),
            json!({ "peer": "a", "method": "HEAD", "body_contains": "x" }),
            json!({ "peer": "a", "request_body": "{}" }),
            json!({ "peer": "a", "status": [] }),
        ] {
            assert!(check(settings.clone()).validate().is_err(), "{settings}");
        }
        assert!(serde_json::from_value::<HttpCheck>(json!({ "peer": "a", "timeout": 10 })).is_err());
    }
}
