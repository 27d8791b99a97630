//! A strict stand-in for Slack's incoming webhooks. It accepts what Slack accepts, and nothing else.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

use crate::https::{Https, Request, Response};

/// A workspace with one webhook.
pub(crate) struct SlackStandIn {
    server: Https,
    said: Arc<Mutex<Vec<Value>>>,
    talkative: Arc<AtomicBool>,
}

impl SlackStandIn {
    /// `secret` is the path of the webhook, without its first slash.
    pub(crate) fn start(secret: &str) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let talkative = Arc::new(AtomicBool::new(false));
        let (path, messages, tells) = (format!("/{secret}"), Arc::clone(&said), Arc::clone(&talkative));
        let server = Https::start(move |request| {
            if tells.load(Ordering::Relaxed) {
                // As badly behaved as a server can be.
                return answer(500, format!("cannot deliver to {}", request.path));
            }
            match message(request, &path) {
                Ok(message) => {
                    messages.lock().unwrap().push(message);
                    answer(200, "ok".to_owned())
                }
                Err((status, why)) => answer(status, why.to_owned()),
            }
        });
        Self { server, said, talkative }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// Everything that was said since the last time somebody asked.
    pub(crate) fn said(&self) -> Vec<Value> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }

    /// From now on every request fails, and the answer repeats the secret path.
    pub(crate) fn fail_and_tell(&self) {
        self.talkative.store(true, Ordering::Relaxed);
    }
}

fn message(request: &Request, path: &str) -> Result<Value, (u16, &'static str)> {
    if request.path != path {
        return Err((404, "no_service"));
    }
    if request.method != "POST" {
        return Err((405, "method_not_allowed"));
    }
    if !request.content_type.starts_with("application/json") {
        return Err((400, "invalid_payload"));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| (400, "invalid_payload"))?;
    match body.get("text").and_then(Value::as_str) {
        Some(text) if !text.is_empty() && body.as_object().is_some_and(|fields| fields.len() == 1) => Ok(body),
        Some(_) => Err((400, "invalid_arguments")),
        None => Err((400, "no_text")),
    }
}

fn answer(status: u16, text: String) -> Response {
    hyper::Response::builder().status(status).header("content-type", "text/html").body(text.into()).unwrap()
}
