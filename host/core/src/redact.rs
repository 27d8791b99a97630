//! The one redactor: masks the values of secrets in everything that leaves the process.

use std::{
    borrow::Cow,
    ops::Range,
    sync::{Arc, RwLock},
};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};

/// What stands where a secret stood.
pub const MASK: &str = "[secret]";

/// The shortest value that may be a secret, in bytes. A shorter one would mask half of every text.
pub const MINIMUM_SECRET_BYTES: usize = 8;

/// A secret that the redactor cannot mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` has fewer than {MINIMUM_SECRET_BYTES} bytes")]
pub struct TooShort {
    /// Name of the secret.
    pub name: String,
}

#[derive(Default)]
struct Registered {
    /// Sorted.
    needles: Vec<String>,
    longest: usize,
    automaton: Option<AhoCorasick>,
}

/// Masks the values that were registered, plain and in the forms in which they travel: base64 at any alignment, base64url,
/// percent-encoding, hexadecimal, and JSON string escapes.
///
/// Clones share their registrations. Works on the text before it is encoded further.
#[derive(Clone, Default)]
pub struct Redactor {
    registered: Arc<RwLock<Registered>>,
}

impl Redactor {
    /// Registers a secret. Every line of a value of several lines counts by itself too, if it is long enough.
    ///
    /// # Errors
    ///
    /// The value is shorter than [`MINIMUM_SECRET_BYTES`].
    pub fn register(&self, name: &str, value: &SecretString) -> Result<(), TooShort> {
        let value = value.expose_secret();
        if value.trim().len() < MINIMUM_SECRET_BYTES {
            return Err(TooShort { name: name.to_owned() });
        }
        let mut registered = self.registered.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for text in std::iter::once(value.trim()).chain(value.lines().map(str::trim)) {
            if text.len() >= MINIMUM_SECRET_BYTES {
                registered.needles.extend(forms(text));
            }
        }
        registered.needles.sort_unstable();
        registered.needles.dedup();
        registered.longest = registered.needles.iter().map(String::len).max().unwrap_or(0);
        // Building fails only beyond 2^31 needles.
        registered.automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&registered.needles).ok();
        Ok(())
    }

    /// `text` with every secret masked.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let registered = self.registered.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &registered.automaton {
            Some(automaton) if automaton.is_match(text) => {
                let mut masked = String::with_capacity(text.len());
                automaton.replace_all_with(text, &mut masked, |_, _, out| {
                    out.push_str(MASK);
                    true
                });
                Cow::Owned(masked)
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// `bytes` with every secret masked. What is not UTF-8 is kept.
    #[must_use]
    pub fn redact_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let registered = self.registered.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &registered.automaton {
            Some(automaton) if automaton.is_match(bytes) => {
                let mut masked = Vec::with_capacity(bytes.len());
                automaton.replace_all_with_bytes(bytes, &mut masked, |_, _, out| {
                    out.extend_from_slice(MASK.as_bytes());
                    true
                });
                Cow::Owned(masked)
            }
            _ => Cow::Borrowed(bytes),
        }
    }

    /// Where secrets stand in `bytes`, in the order in which they begin. Unlike in [`Self::redact`] they may overlap: a
    /// secret that begins inside another one is found too.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let registered = self.registered.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut found = Vec::new();
        if let Some(automaton) = &registered.automaton {
            let mut from = 0;
            while let Some(one) = automaton.find(aho_corasick::Input::new(bytes).range(from..)) {
                found.push(one.range());
                from = one.start() + 1;
            }
        }
        found
    }

    /// Masks every secret in `bytes` with as many `*` as it has bytes, so that lengths and offsets stay what they are.
    pub fn mask(&self, bytes: &mut [u8]) {
        for range in self.find(bytes) {
            bytes[range].fill(b'*');
        }
    }

    /// How many bytes at the end of `bytes` may be the beginning of a secret that goes on in what follows: the part of a
    /// stream that must be held back.
    #[must_use]
    pub fn undecided(&self, bytes: &[u8]) -> usize {
        let registered = self.registered.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let longest = registered.longest.saturating_sub(1).min(bytes.len());
        let begins_secret = |tail: &[u8]| {
            let at = registered.needles.partition_point(|needle| needle.as_bytes() < tail);
            registered
                .needles
                .get(at)
                .is_some_and(|needle| needle.len() > tail.len() && needle.as_bytes().starts_with(tail))
                || registered.needles.get(at + 1).is_some_and(|needle| needle.as_bytes().starts_with(tail))
        };
        (1..=longest).rev().find(|length| begins_secret(&bytes[bytes.len() - length..])).unwrap_or(0)
    }

    /// `value` with every secret masked in its string leaves and keys.
    #[must_use]
    pub fn redact_json(&self, value: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(text) => Value::String(self.redact(&text).into_owned()),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.redact_json(item)).collect()),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(key, item)| (self.redact(&key).into_owned(), self.redact_json(item)))
                    .collect(),
            ),
            other => other,
        }
    }

    /// Length of the longest form of any secret, in bytes: how much of a stream must be held back so that no secret
    /// slips through between two chunks.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.registered.read().unwrap_or_else(std::sync::PoisonError::into_inner).longest
    }
}

/// Every form in which a secret may stand in a text.
fn forms(value: &str) -> Vec<String> {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let bytes = value.as_bytes();
    let mut forms = vec![
        value.to_owned(),
        hex::encode(bytes),
        hex::encode_upper(bytes),
        wholly_percent_encoded(&hex::encode(bytes)),
        wholly_percent_encoded(&hex::encode_upper(bytes)),
        json_escaped(value),
    ];
    for kept in KEPT_BY_ENCODERS {
        for lower in [false, true] {
            let encoded = percent_encoded(bytes, lower, kept);
            // Forms of web pages write a space as `+`.
            forms.push(encoded.replace("%20", "+"));
            forms.push(encoded);
        }
    }
    let escaped = json_escaped(value);
    forms.push(escaped.replace('/', "\\/"));
    let ascii = json_in_ascii(&escaped);
    forms.push(ascii.replace('/', "\\/"));
    forms.push(ascii);
    for (apostrophe, quote) in [("&#39;", "&quot;"), ("&#x27;", "&#34;"), ("'", "&quot;"), ("'", "\"")] {
        forms.push(in_html(value, apostrophe, quote));
    }
    for offset in 0..3 {
        forms.push(base64_at(offset, bytes, &STANDARD_NO_PAD));
        forms.push(base64_at(offset, bytes, &URL_SAFE_NO_PAD));
    }
    forms.retain(|form| form.len() >= MINIMUM_SECRET_BYTES);
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// The characters of a base64 text that depend on `bytes` alone where they begin `offset` bytes into a group of three.
fn base64_at(offset: usize, bytes: &[u8], engine: &base64::engine::GeneralPurpose) -> String {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(bytes);
    let encoded = engine.encode(&padded);
    let start = [0, 2, 3][offset];
    let end = padded.len() / 3 * 4 + [0, 1, 2][padded.len() % 3];
    encoded.get(start..end).unwrap_or_default().to_owned()
}

/// Percent-encoding of every byte, given in hexadecimal: nobody has to leave the unreserved ones alone.
fn wholly_percent_encoded(hex: &str) -> String {
    let mut encoded = String::with_capacity(hex.len() / 2 * 3);
    for (at, digit) in hex.chars().enumerate() {
        if at % 2 == 0 {
            encoded.push('%');
        }
        encoded.push(digit);
    }
    encoded
}

/// What encoders leave as it is, beside letters and digits: RFC 3986, JavaScript's `encodeURIComponent`, forms of web pages,
/// and paths and queries, in which more may stand.
const KEPT_BY_ENCODERS: [&[u8]; 6] =
    [b"-._~", b"-._~!'()*", b"-._*", b"-._~!$&'()*+,;=:@/", b"-._~/", b"-._~!$&'()*+,;=:@/?"];

/// Percent-encoding of everything but letters, digits and what is `kept`.
fn percent_encoded(bytes: &[u8], lower: bool, kept: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            text.push(char::from(byte));
        } else if lower {
            text.push_str(&format!("%{byte:02x}"));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A string of JSON with every character beyond ASCII as `\uXXXX`.
fn json_in_ascii(escaped: &str) -> String {
    let mut text = String::new();
    for c in escaped.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}

/// As it stands in a page of HTML.
fn in_html(value: &str, apostrophe: &str, quote: &str) -> String {
    let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    value.replace('\'', apostrophe).replace('"', quote)
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoder_is_known() {
        let redactor = redactor("p@ss w!rd/a+b&c<d'ä");
        for form in [
            "p%40ss%20w!rd%2Fa%2Bb%26c%3Cd'%C3%A4",
            "p%40ss+w%21rd%2Fa%2Bb%26c%3Cd%27%C3%A4",
            "p%40ss%20w%21rd/a%2Bb%26c%3Cd%27%C3%A4",
            r"p@ss w!rd\/a+b&c<d'\u00e4",
            "p@ss w!rd/a+b&c<d'\\u00e4",
            "p@ss w!rd/a+b&amp;c&lt;d&#39;ä",
            "p@ss w!rd/a+b&amp;c&lt;d&#x27;ä",
        ] {
            assert_eq!(redactor.redact(form), MASK, "{form}");
        }
    }

    fn redactor(value: &str) -> Redactor {
        let redactor = Redactor::default();
        redactor.register("db", &SecretString::from(value)).expect("long enough");
        redactor
    }

    #[test]
    fn every_form_is_masked() {
        let value = "p@ss w0rd/\"ä\"";
        let redactor = redactor(value);
        let standard = base64::engine::general_purpose::STANDARD;
        for text in [
            value.to_owned(),
            hex::encode(value),
            hex::encode_upper(value),
            percent_encoded(value.as_bytes(), true, KEPT_BY_ENCODERS[0]),
            serde_json::Value::from(value).to_string(),
            standard.encode(value),
            standard.encode(format!("u:{value}")),
            standard.encode(format!("us:{value}:")),
            standard.encode(format!("use:{value}")),
        ] {
            let masked = redactor.redact(&text);
            assert!(masked.contains(MASK), "{text} stayed {masked}");
        }
    }

    #[test]
    fn other_text_is_borrowed() {
        assert!(matches!(redactor("correct horse").redact("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_of_a_key_file_are_masked_alone() {
        let redactor = redactor("# comment line\nAGE-SECRET-KEY-1QQQQ\n");
        assert_eq!(redactor.redact("key AGE-SECRET-KEY-1QQQQ!"), "key [secret]!");
    }

    #[test]
    fn masking_keeps_every_length() {
        let value = "p@ss w0rd/\"ä\"";
        let redactor = redactor(value);
        for text in
            [value.to_owned(), hex::encode(value), percent_encoded(value.as_bytes(), false, KEPT_BY_ENCODERS[0])]
        {
            let whole = format!("a {text} b {text}");
            let mut masked = whole.clone().into_bytes();
            redactor.mask(&mut masked);
            assert_eq!(masked.len(), whole.len());
            let stars = "*".repeat(text.len());
            assert_eq!(String::from_utf8(masked).expect("ASCII"), format!("a {stars} b {stars}"));
        }
    }

    #[test]
    fn secrets_that_overlap_are_both_masked() {
        let redactor = redactor("abcdefgh12");
        redactor.register("other", &SecretString::from("gh12ijklmn")).expect("long enough");
        let mut text = b"xabcdefgh12ijklmnx".to_vec();
        redactor.mask(&mut text);
        assert_eq!(text, b"x****************x");
    }

    #[test]
    fn what_may_go_on_is_undecided() {
        let redactor = redactor("hunter2hunter2");
        redactor.register("longer", &SecretString::from("hunter2hunter2!")).expect("long enough");
        for (text, held) in [
            ("", 0),
            ("abc", 0),
            ("abc h", 1),
            ("hunter", 6),
            ("hunter2h", 8),
            ("hunter2hunter", 13),
            ("hunter2hunter2", 14),
            ("hunter2hunter2!", 0),
            ("hunter2hunter2x", 0),
            ("xhunter2hunter2hunter2h", 8),
        ] {
            assert_eq!(redactor.undecided(text.as_bytes()), held, "{text}");
        }
        assert_eq!(Redactor::default().undecided(b"hunter2"), 0);
    }

    #[test]
    fn short_secrets_are_refused() {
        let refused = Redactor::default().register("pin", &SecretString::from("1234567"));
        assert_eq!(refused, Err(TooShort { name: "pin".into() }));
    }

    #[test]
    fn json_is_masked_in_leaves_and_keys() {
        let masked =
            redactor("hunter2hunter2").redact_json(serde_json::json!({"hunter2hunter2": ["x hunter2hunter2"]}));
        assert_eq!(masked, serde_json::json!({"[secret]": ["x [secret]"]}));
    }
}
