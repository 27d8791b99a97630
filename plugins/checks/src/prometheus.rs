//! `kind = "prometheus-query"`: a question to Prometheus, and the bounds of its answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pipe_sdk::http::{Request, Response, peer};
use pipe_sdk::{Context, Failure, Finding, files};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bound::Bound;
use crate::http::Timeout;
use crate::{Check, Options, run, short};

/// The largest query, in bytes.
const MAX_EXPR: u64 = 64 << 10;
/// Series that are named in a message.
const NAMED: usize = 3;

/// What no data means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoData {
    /// The check is not met.
    #[default]
    Fail,
    /// The check is met: where a series is there only once something has gone wrong.
    Pass,
}

crate::check_settings! {
    /// Asks Prometheus, or whatever speaks its HTTP API, and holds the answer against bounds. Needs `allow.http` for
    /// `POST PEER:/api/v1/query`. Every series of the answer must be within them; no series, and a value that is no number
    /// or infinite, is no data.
    #[schemars(extend("oneOf" = [{ "required": ["expr"] }, { "required": ["expr_file"] }]))]
    #[schemars(extend("anyOf" = [{ "required": ["max"] }, { "required": ["min"] }]))]
    pub struct PrometheusQuery {
        /// Peer of the pipeline file.
        pub peer: String,
        /// Path of the query at the peer.
        #[serde(default = "usual_path")]
        #[schemars(regex(pattern = "^/"))]
        pub path: String,
        /// The query, in PromQL. Either this or `expr_file`.
        #[schemars(length(min = 1))]
        pub expr: Option<String>,
        /// File that holds the query. Needs `allow.read`. Either this or `expr`.
        #[schemars(length(min = 1))]
        pub expr_file: Option<String>,
        /// The greatest value that is well. With `%` the query gives a part of one, with a unit of time seconds, with one
        /// of size bytes.
        pub max: Option<Bound>,
        /// The least value that is well.
        pub min: Option<Bound>,
        /// What no data means.
        #[serde(default)]
        pub no_data: NoData,
        /// How long to wait for the answer.
        #[serde(default)]
        pub timeout: Timeout,
    }
}

fn usual_path() -> String {
    "/api/v1/query".to_owned()
}

/// The answer of the HTTP API.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

impl PrometheusQuery {
    fn query(&self) -> Result<String, Failure> {
        let text = match (&self.expr, &self.expr_file) {
            (Some(expr), None) => expr.clone(),
            (None, Some(file)) => files::read_text(file, MAX_EXPR)?,
            _ => return Err(Failure::settings("a query is either `expr` or `expr_file`")),
        };
        if text.trim().is_empty() {
            return Err(Failure::settings("the query is empty"));
        }
        Ok(text.trim().to_owned())
    }

    fn ask(&self, context: &Context, query: &str) -> Result<Response, Failure> {
        let request = Request::post(peer(&self.peer, &self.path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("query={}", encoded(query)));
        request.timeout(run::patience(context, self.timeout.0.0)).send()
    }

    /// What the answer says of the bounds.
    fn judge(&self, response: &Response) -> Result<Finding, Failure> {
        let answer: Answer = match serde_json::from_slice(&response.body) {
            Ok(answer) => answer,
            Err(_) => {
                let excerpt = response.excerpt(200);
                return Err(Failure::unavailable(format!("answered {} and no result: {excerpt}", response.status)));
            }
        };
        if answer.status != "success" || !response.is_success() {
            let error = answer.error.unwrap_or_else(|| answer.status.clone());
            // A query that cannot be read is a mistake in the file; everything else may be over soon.
            let failure = if response.status == 400 { Failure::settings } else { Failure::unavailable };
            return Err(failure(format!("answered {}: {}", response.status, short(&error))));
        }
        let series = answer.data.map_or_else(|| Ok(Vec::new()), |data| data.series())?;
        Ok(self.held(&series))
    }

    fn held(&self, series: &[(String, f64)]) -> Finding {
        let (data, empty): (Vec<_>, Vec<_>) = series.iter().partition(|(_, value)| value.is_finite());
        let wanted = self.wanted();
        if data.is_empty() || !empty.is_empty() {
            let what = match empty.first() {
                Some((name, value)) => format!("no data: {name}{value} is no measurement"),
                None => "no data: the query finds no series".to_owned(),
            };
            if self.no_data == NoData::Fail {
                return Finding::fail(what).with_observed("no data").with_expected(wanted);
            }
            if data.is_empty() {
                return Finding::pass(format!("{what}, which is well")).with_observed("no data").with_expected(wanted);
            }
        }
        let beyond: Vec<String> = data.iter().filter_map(|(name, value)| self.beyond(name, *value)).collect();
        let shown = |value: f64| self.max.or(self.min).map_or_else(String::new, |bound| bound.like(value).to_string());
        let observed: Vec<String> =
            data.iter().take(NAMED).map(|(name, value)| format!("{name}{}", shown(*value))).collect();
        let observed = observed.join(", ");
        let finding = if beyond.is_empty() {
            Finding::pass(format!("{observed}{}, as wanted", more(data.len())))
        } else {
            let named: Vec<&str> = beyond.iter().take(NAMED).map(String::as_str).collect();
            Finding::fail(format!("{}{}", named.join("; "), more(beyond.len())))
        };
        finding.with_observed(observed).with_expected(wanted)
    }

    fn beyond(&self, name: &str, value: f64) -> Option<String> {
        let above = self.max.filter(|max| value > max.value).map(|max| (max, "above"));
        let (bound, side) = above.or_else(|| self.min.filter(|min| value < min.value).map(|min| (min, "below")))?;
        Some(format!("{name}{} is {side} {bound}", bound.like(value)))
    }

    fn wanted(&self) -> String {
        let most = self.max.map(|max| format!("at most {max}"));
        let least = self.min.map(|min| format!("at least {min}"));
        least.into_iter().chain(most).collect::<Vec<_>>().join(" and ")
    }
}

fn more(count: usize) -> String {
    if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() }
}

impl Data {
    /// Each series with its labels, as a prefix of its value.
    fn series(self) -> Result<Vec<(String, f64)>, Failure> {
        let odd = |error: serde_json::Error| Failure::unavailable(format!("the result has an odd form: {error}"));
        match self.result_type.as_str() {
            "scalar" => {
                let (_, value): (f64, String) = serde_json::from_value(self.result).map_err(odd)?;
                Ok(vec![(String::new(), number(&value))])
            }
            "vector" => {
                let series: Vec<Series> = serde_json::from_value(self.result).map_err(odd)?;
                let one = |series: Series| {
                    let value = series.value.map_or(f64::NAN, |(_, value)| number(&value));
                    (labels(&series.metric), value)
                };
                Ok(series.into_iter().map(one).collect())
            }
            other => Err(Failure::settings(format!("the query gives a {}, not one value a series", short(other)))),
        }
    }
}

/// What is written in another way than a number is none.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// `{job="api"} `, or nothing where there are no labels.
fn labels(metric: &BTreeMap<String, String>) -> String {
    if metric.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}} ", short(&labels.join(",")))
}

/// As a value of a form.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

impl Check for PrometheusQuery {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("prometheus {}", self.expr_file.as_deref().unwrap_or(&self.peer))
    }

    fn validate(&self) -> Result<(), Failure> {
        match (self.min, self.max) {
            (None, None) => Err(Failure::settings("a query needs `max` or `min`: nothing would be wrong otherwise")),
            (Some(min), Some(max)) if !min.same_unit(max) || min.value > max.value => {
                Err(Failure::settings("`min` must be less than `max`, and have its unit"))
            }
            _ if self.expr.is_some() == self.expr_file.is_some() => {
                Err(Failure::settings("a query is either `expr` or `expr_file`"))
            }
            _ => Ok(()),
        }
    }

    fn look(&self, context: &Context) -> Result<Finding, Failure> {
        let query = self.query()?;
        let response = self.ask(context, &query)?;
        self.judge(&response).map_err(|failure| failure.within(&response.request))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pipe_sdk::Status;
    use serde_json::json;

    use super::*;

    fn check(settings: Value) -> PrometheusQuery {
        let mut all = json!({ "peer": "prom", "expr": "up" });
        all.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        serde_json::from_value(all).expect("settings")
    }

    fn response(status: u16, body: &str) -> Response {
        let request = "POST prom:/api/v1/query".into();
        Response { request, status, headers: Vec::new(), body: body.into(), elapsed: Duration::ZERO }
    }

    fn vector(values: &[&str]) -> Response {
        let result: Vec<Value> = values
            .iter()
            .enumerate()
            .map(|(index, value)| json!({ "metric": { "pod": format!("p{index}") }, "value": [1.5, value] }))
            .collect();
        let data = json!({ "resultType": "vector", "result": result });
        response(200, &json!({ "status": "success", "data": data }).to_string())
    }

    fn judged(settings: Value, values: &[&str]) -> (Status, String) {
        let finding = check(settings).judge(&vector(values)).expect("a finding");
        (finding.status, finding.message)
    }

    #[test]
    fn every_series_is_held_against_the_bounds() {
        let one = json!({ "max": "1%" });
        assert_eq!(
            judged(one.clone(), &["0.004", "0.01"]),
            (Status::Pass, "{pod=\"p0\"} 0.4%, {pod=\"p1\"} 1%, as wanted".into())
        );
        assert_eq!(judged(one, &["0.004", "0.042"]), (Status::Fail, "{pod=\"p1\"} 4.2% is above 1%".into()));
        assert_eq!(judged(json!({ "min": 2 }), &["1"]), (Status::Fail, "{pod=\"p0\"} 1 is below 2".into()));
        let many = judged(json!({ "max": "10s" }), &["30", "31", "32", "33", "34"]);
        assert!(many.1.starts_with("{pod=\"p0\"} 30s is above 10s; ") && many.1.ends_with(" and 2 more"), "{}", many.1);
    }

    #[test]
    fn no_data_is_no_measurement_within_any_bounds() {
        for values in [&[][..], &["NaN"], &["+Inf"], &["-Inf"], &["0.001", "NaN"], &["half"]] {
            let (status, message) = judged(json!({ "max": "1%" }), values);
            assert_eq!(status, Status::Fail, "{values:?}");
            assert!(message.starts_with("no data"), "{message}");
        }
        assert_eq!(judged(json!({ "max": "1%", "no_data": "pass" }), &[]).0, Status::Pass);
        assert_eq!(judged(json!({ "max": "1%", "no_data": "pass" }), &["NaN"]).0, Status::Pass);
        assert_eq!(judged(json!({ "max": "1%", "no_data": "pass" }), &["NaN", "0.5"]).0, Status::Fail);
    }

    #[test]
    fn an_answer_that_is_none_is_never_met() {
        let check = check(json!({ "max": "1%" }));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}"#;
        assert_eq!(check.judge(&response(200, scalar)).expect("a finding").message, "50% is above 1%");
        for (status, body, words) in [
            (200, "<html>", "and no result"),
            (400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "answered 400: parse error"),
            (503, r#"{"status":"error","error":"query timed out"}"#, "answered 503: query timed out"),
            (503, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}"#, "answered 503"),
            (200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, "gives a matrix"),
            (200, r#"{"status":"success","data":{"resultType":"vector","result":{"a":1}}}"#, "odd form"),
        ] {
            let failure = check.judge(&response(status, body)).expect_err(body);
            assert!(failure.message.contains(words), "{}", failure.message);
        }
        let nothing = check.judge(&response(200, r#"{"status":"success"}"#)).expect("a finding");
        assert_eq!(nothing.status, Status::Fail);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for settings in [json!({}), json!({ "min": "2%", "max": "1%" }), json!({ "min": "1s", "max": "1%" })] {
            assert!(check(settings.clone()).validate().is_err(), "{settings}");
        }
        let both = json!({ "max": 1, "expr_file": "a" });
        assert!(check(both).validate().is_err());
        assert!(check(json!({ "min": "1%", "max": "2%" })).validate().is_ok());
    }

    #[test]
    fn a_query_survives_the_form() {
        assert_eq!(encoded("rate(a{b=\"c d\"}[5m]) + é"), "rate%28a%7Bb%3D%22c%20d%22%7D%5B5m%5D%29%20%2B%20%C3%A9");
    }
}
