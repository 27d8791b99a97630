//! The message itself, as RFC 5322 has it: headers, text, and HTML beside it.

use lettre::message::{
    Mailbox, MultiPart, SinglePart,
    header::{HeaderName, HeaderValue},
};
use pipe_capability::mail::MailRequest;
use pipe_core::redact::Redactor;

use super::Message;
use crate::error::{EffectError, ErrorKind};

/// A message that can be sent.
pub(super) struct Letter {
    /// Its `Message-ID`, with its brackets.
    pub(super) id: String,
    /// All of it, with `\r\n` behind each line. ASCII.
    pub(super) bytes: Vec<u8>,
}

impl Letter {
    /// Writes a message whose addresses have been read as `asked`. `Message-ID` and `Date` are the host's.
    pub(super) fn write(message: &Message, asked: &MailRequest, redactor: &Redactor) -> Result<Self, EffectError> {
        let id = format!("<{}@{}>", random()?, asked.from().domain());
        let mut builder = lettre::Message::builder().from(mailbox(asked.from().as_str())?);
        for address in &message.to {
            builder = builder.to(mailbox(address)?);
        }
        for address in &message.cc {
            builder = builder.cc(mailbox(address)?);
        }
        // Nobody's holiday should answer a pipeline (RFC 3834).
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let builder = builder
            .subject(redactor.redact(&message.subject))
            .message_id(Some(id.clone()))
            .date_now()
            .raw_header(automatic);
        let text = lines(&redactor.redact(&message.text));
        let letter = match &message.html {
            None => builder.singlepart(SinglePart::plain(text)),
            Some(html) => {
                let html = lines(&redactor.redact(html));
                builder.multipart(MultiPart::alternative_plain_html(text, html))
            }
        };
        Ok(Self { id, bytes: letter.map_err(|error| malformed(&error.to_string()))?.formatted() })
    }
}

fn mailbox(address: &str) -> Result<Mailbox, EffectError> {
    let address = address.parse().map_err(|_| malformed(&format!("`{address}` is not an address")))?;
    Ok(Mailbox::new(None, address))
}

fn malformed(what: &str) -> EffectError {
    EffectError::new(ErrorKind::Invalid, format!("the message cannot be written: {what}"))
}

/// Text in which `\n` alone ends a line, and nothing else but a tab controls anything.
fn lines(text: &str) -> String {
    let plain = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c };
    text.replace("\r\n", "\n").replace('\r', "\n").chars().map(plain).collect()
}

/// 128 bits that nobody can foresee, in hexadecimal.
fn random() -> Result<String, EffectError> {
    let mut bytes = [0; 16];
    let filled = rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| EffectError::new(ErrorKind::Failed, "this machine gives no random numbers"))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(subject: &str, text: &str, html: Option<&str>) -> String {
        let message = Message {
            from: "deploy@hospital.example".to_owned(),
            to: vec!["ops@hospital.example".to_owned(), "o'brien@hospital.example".to_owned()],
            cc: vec!["it@hospital.example".to_owned()],
            subject: subject.to_owned(),
            text: text.to_owned(),
            html: html.map(str::to_owned),
        };
        let everybody = message.to.iter().chain(&message.cc).map(String::as_str);
        let asked = MailRequest::parse("smtp", &message.from, everybody).unwrap();
        let redactor = Redactor::default();
        redactor.register("db", &"correct horse battery".to_owned().into()).unwrap();
        let letter = Letter::write(&message, &asked, &redactor).unwrap();
        let text = String::from_utf8(letter.bytes).unwrap();
        assert!(text.is_ascii() && text.contains(&format!("Message-ID: {}\r\n", letter.id)), "{text}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
        text
    }

    #[test]
    fn a_letter_has_its_headers() {
        let text = letter("Deployed 1.4.0", "It is live.\n.\nBye", None);
        for line in [
            "From: deploy@hospital.example\r\n",
            "To: ops@hospital.example, o'brien@hospital.example\r\n",
            "Cc: it@hospital.example\r\n",
            "Subject: Deployed 1.4.0\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "\r\n\r\nIt is live.\r\n.\r\nBye",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.lines().any(|line| line.starts_with("Date: ") && line.ends_with(" +0000")), "{text}");
        assert!(!letter("a", "b", None).contains(text.lines().find(|line| line.starts_with("Message-ID")).unwrap()));
    }

    #[test]
    fn every_language_fits() {
        let text =
            letter(&"Rückfall auf Größe ".repeat(20), &format!("Grüße\n{}", "lang ".repeat(1000)), Some("<b>ä</b>"));
        assert!(text.contains("multipart/alternative") && text.contains("text/html"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 998), "{text}");
    }

    #[test]
    fn lines_end_in_one_way_and_secrets_stay_here() {
        let text = letter("key correct horse battery", "a\rb\r\nc\n\u{0}d correct horse battery", None);
        assert!(text.contains("\r\n\r\na\r\nb\r\nc\r\n d [secret]"), "{text}");
        assert!(text.contains("Subject: key [secret]\r\n"), "{text}");
    }
}
