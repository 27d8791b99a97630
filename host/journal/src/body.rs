//! An event as the text of a row: JSON, with every secret masked on the way.

use std::io;

use pipe_core::{event::EventKind, redact::Redactor};
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use crate::{JournalError, line::MAXIMUM_BODY};

/// The text of an event.
///
/// # Errors
///
/// It is longer than an exported line may be.
pub(crate) fn encode(kind: &EventKind, redactor: &Redactor) -> Result<String, JournalError> {
    let body = masked(kind, redactor).map_err(|error| JournalError::Encoding(error.to_string()))?;
    if body.len() > MAXIMUM_BODY {
        return Err(JournalError::TooLarge { what: kind.word(), bytes: body.len(), limit: MAXIMUM_BODY });
    }
    Ok(body)
}

/// What `Redactor::redact_json` would make of `value`, in one pass, without a tree, and with the fields in their own order.
fn masked(value: &impl Serialize, redactor: &Redactor) -> Result<String, serde_json::Error> {
    let mut out = Vec::with_capacity(256);
    let formatter = Masking { redactor, text: String::new(), escaped: false };
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter))?;
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}

/// Holds every string back until it is whole, and masks it before it is escaped.
struct Masking<'r> {
    redactor: &'r Redactor,
    text: String,
    escaped: bool,
}

impl Formatter for Masking<'_> {
    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.text.clear();
        self.escaped = false;
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, fragment: &str) -> io::Result<()> {
        self.text.push_str(fragment);
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, _: &mut W, escape: CharEscape) -> io::Result<()> {
        self.escaped = true;
        self.text.push(match escape {
            CharEscape::Quote => '"',
            CharEscape::ReverseSolidus => '\\',
            CharEscape::Solidus => '/',
            CharEscape::Backspace => '\u{8}',
            CharEscape::FormFeed => '\u{c}',
            CharEscape::LineFeed => '\n',
            CharEscape::CarriageReturn => '\r',
            CharEscape::Tab => '\t',
            CharEscape::AsciiControl(byte) => char::from(byte),
        });
        Ok(())
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let masked = self.redactor.redact(&self.text);
        if self.escaped {
            let quoted = serde_json::to_vec(&*masked)?;
            writer.write_all(quoted.get(1..).unwrap_or_default())
        } else {
            writer.write_all(masked.as_bytes())?;
            writer.write_all(b"\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use pipe_core::id::StepId;
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;

    fn redactor() -> Redactor {
        let redactor = Redactor::default();
        for value in ["hunter2hunter2", "p@ss\"w\\rd\n"] {
            redactor.register("db", &SecretString::from(value)).expect("long enough");
        }
        redactor
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[a-c\"\\\\\n\t\u{1}]{0,8}",
            ".{0,3}".prop_map(|around| format!("{around}hunter2hunter2{around}")),
            Just("a p@ss\"w\\rd b".to_owned()),
            Just(r#"twice p@ss\"w\\rd"#.to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn masks_exactly_what_the_redactor_masks_in_a_tree(value in any_json()) {
            let redactor = redactor();
            let text = masked(&value, &redactor).expect("serialises");
            // Two keys that are masked alike leave one field in a tree: read back, the last one wins in both.
            let read: Value = serde_json::from_str(&text).expect("is JSON");
            prop_assert_eq!(read, redactor.redact_json(value));
        }
    }

    #[test]
    fn without_secrets_the_text_is_that_of_serde_json() {
        let value = json!({"a": "quote \" slash \\ \u{1} \n ä", "b": [1, -2.5, null, true], "c": {}});
        let text = masked(&value, &Redactor::default()).expect("serialises");
        assert_eq!(text, value.to_string());
    }

    #[test]
    fn numbers_as_keys_stay_whole() {
        let value = std::collections::BTreeMap::from([(7, "seven")]);
        assert_eq!(masked(&value, &redactor()).expect("serialises"), r#"{"7":"seven"}"#);
    }

    #[test]
    fn an_event_is_refused_when_no_line_could_hold_it() {
        let kind = EventKind::CheckpointSaved {
            step: StepId::new("a"),
            key: "k".into(),
            digest: crate::chain::GENESIS,
            bytes: 0,
            summary: "x".repeat(MAXIMUM_BODY),
        };
        let refused = encode(&kind, &Redactor::default());
        assert!(matches!(refused, Err(JournalError::TooLarge { what: "checkpoint-saved", .. })), "{refused:?}");
    }
}
