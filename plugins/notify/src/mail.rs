//! `kind = "mail"`: a message to people, through a mail server.

use std::time::Duration;

use pipe_sdk::mail::{self, Message};
use pipe_sdk::notify::News;
use pipe_sdk::units::Period;
use pipe_sdk::{Context, Error, ErrorKind, Failure, Finding, log};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::text;

/// What a subject says where the settings do not say it.
const SUBJECT: &str = "{pipeline} ({environment}) {status}";

/// The longest subject, in bytes: what is longer is cut.
const LONGEST_SUBJECT: usize = 250;

const fn three() -> u32 {
    3
}

/// Sends a message. Needs `allow.mail`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// Name of the channel in reports. Default: the peer.
    name: Option<String>,
    /// Peer of the pipeline file whose `url` is `smtp://…` or `smtps://…`.
    #[schemars(length(min = 1))]
    peer: String,
    /// Address of the sender.
    #[schemars(regex(pattern = "^[^@ ]+@[^@ ]+$"))]
    from: String,
    /// Addresses of those who are told.
    #[schemars(length(min = 1, max = 100), inner(regex(pattern = "^[^@ ]+@[^@ ]+$")))]
    to: Vec<String>,
    /// Addresses of those who get a copy.
    #[serde(default)]
    #[schemars(length(max = 99), inner(regex(pattern = "^[^@ ]+@[^@ ]+$")))]
    cc: Vec<String>,
    /// The subject. Placeholders as in `text`.
    subject: Option<String>,
    /// The message. `{headline}`, `{event}`, `{status}`, `{pipeline}`, `{environment}`, `{run}` and `{step}` are filled
    /// in; `{{` is a brace.
    text: Option<String>,
    /// How often the message is sent again where the server is away or asks for a pause.
    #[serde(default = "three")]
    #[schemars(range(max = 10))]
    retries: u32,
}

impl Mail {
    pub(crate) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("mail {}", self.peer))
    }

    pub(crate) fn validate(&self) -> Result<(), Failure> {
        self.subject.iter().chain(&self.text).try_for_each(|template| text::validate(template))
    }

    pub(crate) fn send(&self, context: &Context, news: &News) -> Result<Finding, Failure> {
        let message = self.message(context, news)?;
        let mut attempt = 0;
        loop {
            match mail::send(&self.peer, &message) {
                Ok(posted) => {
                    return Ok(
                        Finding::pass(format!("{} took {}", self.peer, posted.message_id)).with_observed(posted.answer)
                    );
                }
                Err(error) => match again(&error, attempt, self.retries, context.remaining()) {
                    None => return Err(error.into()),
                    Some(wait) => {
                        log::info(format!("{}: sent again in {}", self.name(), Period(wait)));
                        std::thread::sleep(wait);
                        attempt += 1;
                    }
                },
            }
        }
    }

    fn message(&self, context: &Context, news: &News) -> Result<Message, Failure> {
        let subject = text::render(self.subject.as_deref().unwrap_or(SUBJECT), context, news, text::plain)?;
        let mut subject = text::one_line(&subject);
        subject.truncate(subject.floor_char_boundary(LONGEST_SUBJECT));
        let text = text::render(self.text.as_deref().unwrap_or(text::DEFAULT), context, news, text::plain)?;
        let message = Message::new(&self.from, &self.to, subject, text);
        Ok(Message { cc: self.cc.clone(), ..message })
    }
}

/// How long to wait before the message is sent again, where that makes sense. Nobody is told twice because nobody knows
/// whether they were told once.
fn again(error: &Error, attempt: u32, retries: u32, remaining: Duration) -> Option<Duration> {
    let wait = Duration::from_secs(1 << attempt.min(5));
    // Leaves a second for the message itself.
    let time = wait + Duration::from_secs(1) < remaining;
    (error.kind == ErrorKind::Unavailable && attempt < retries && time).then_some(wait)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::text::tests::{context, news};

    fn mail(more: Value) -> Mail {
        let mut settings = json!({ "peer": "smtp", "from": "deploy@hospital.example", "to": ["ops@hospital.example"] });
        for (key, value) in more.as_object().expect("an object") {
            settings[key] = value.clone();
        }
        serde_json::from_value(settings).expect("settings")
    }

    #[test]
    fn a_message_says_what_happened_or_what_it_is_told_to() {
        let message =
            mail(json!({})).message(&context(), &news("rolled-back", "error rate 3% > 1%")).expect("a message");
        assert_eq!(
            (message.from.as_str(), message.to.as_slice()),
            ("deploy@hospital.example", &["ops@hospital.example".to_owned()][..])
        );
        assert_eq!(message.subject, "hms (production) rolled back");
        assert_eq!(message.text, "hms (production) rolled back: error rate 3% > 1%\nrun 20261123020512-abcdef");

        let own = json!({ "subject": "{event}: {headline}", "text": "see {run}", "cc": ["it@hospital.example"] });
        let message =
            mail(own).message(&context(), &news("failed", "one\r\nBcc: all@hospital.example")).expect("a message");
        assert_eq!(message.subject, "failed: one Bcc: all@hospital.example");
        assert_eq!((message.text.as_str(), message.cc.len()), ("see 20261123020512-abcdef", 1));
        let long = mail(json!({ "subject": "{headline}" })).message(&context(), &news("failed", &"ä".repeat(999)));
        assert_eq!(long.expect("a message").subject.len(), LONGEST_SUBJECT);
    }

    #[test]
    fn it_is_sent_again_only_where_nobody_has_it() {
        let error = |kind| Error { kind, message: String::new(), hint: None, code: None };
        let wait = |kind, attempt, remaining| again(&error(kind), attempt, 3, Duration::from_secs(remaining));
        assert_eq!(wait(ErrorKind::Unavailable, 0, 60), Some(Duration::from_secs(1)));
        assert_eq!(wait(ErrorKind::Unavailable, 2, 60), Some(Duration::from_secs(4)));
        assert_eq!(wait(ErrorKind::Unavailable, 3, 60), None);
        assert_eq!(wait(ErrorKind::Unavailable, 2, 5), None);
        for kind in [ErrorKind::TimedOut, ErrorKind::Failed, ErrorKind::Denied, ErrorKind::Limit, ErrorKind::Invalid] {
            assert_eq!(wait(kind, 0, 60), None);
        }
    }

    #[test]
    fn placeholders_that_there_are_not_are_refused() {
        assert!(mail(json!({})).validate().is_ok());
        for wrong in [json!({ "text": "{nothing}" }), json!({ "subject": "{" })] {
            assert!(mail(wrong.clone()).validate().is_err(), "{wrong}");
        }
    }
}
