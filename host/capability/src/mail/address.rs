//! Addresses of mail, as narrow as they can be and still be those that people have.

use std::fmt;

use crate::rule::RuleError;

/// The longest local part, in bytes (RFC 5321).
const LONGEST_LOCAL: usize = 64;

/// The longest domain, in bytes.
const LONGEST_DOMAIN: usize = 253;

/// An address: `ops@hospital.example`. The domain is in lower case, the local part as it was written.
///
/// **Nothing in it means anything but itself to any server**: no quotes, no comments, no route through another server
/// (`%`, `!`), no pipe or path of an alias, and nothing that ends a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// Reads an address, without a name beside it. The span counts in `text`.
    ///
    /// # Errors
    ///
    /// Anything but a local part of letters, digits and `. _ + - = ~ & # '`, an `@` and the name of a domain, all in ASCII.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let whole = 0..text.len();
        if text.contains(char::is_control) {
            return Err(RuleError::new("control characters in an address").at(whole));
        }
        if text.contains(['<', '>']) {
            return Err(RuleError::new(format!("`{text}` is more than an address"))
                .at(whole)
                .with_hint("the address alone: `ops@hospital.example`"));
        }
        let Some((local, domain)) = text.split_once('@') else {
            return Err(RuleError::new(format!("`{text}` is not an address"))
                .at(whole)
                .with_hint("as in `ops@hospital.example`"));
        };
        if !is_local(local) {
            return Err(RuleError::new(format!("`{local}` is not the local part of an address"))
                .at(0..local.len())
                .with_hint("letters, digits and `. _ + - = ~ & # '`, without quotes"));
        }
        check_domain(domain).map_err(|error| error.shifted(local.len() + 1))?;
        Ok(Self { text: format!("{local}@{}", domain.to_ascii_lowercase()), at: local.len() })
    }

    /// The whole of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_local(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-=~&#'".contains(&b);
    (1..=LONGEST_LOCAL).contains(&text.len())
        && text.bytes().all(is_plain)
        // A server may hand it to a program, for which it would be an option.
        && !text.starts_with(['-', '.'])
        && !text.ends_with('.')
        && !text.contains("..")
}

/// Refuses what is not the name of a domain. The span counts in `domain`.
pub(super) fn check_domain(domain: &str) -> Result<(), RuleError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // `10.0.0.1` is made of labels too.
    let is_number = domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if domain.len() <= LONGEST_DOMAIN && domain.split('.').all(is_label) && !is_number {
        return Ok(());
    }
    let error = RuleError::new(format!("`{domain}` is not the domain of an address")).at(0..domain.len());
    Err(if domain.is_ascii() { error } else { error.with_hint("in ASCII: `xn--…`") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_have_is_an_address() {
        for text in ["ops@hospital.example", "o'brien@x", "a.b+tag=1_2-3~4&5#6@a-b.c1.example", "A@xn--mnchen-3ya.de"] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(format!("{}@{}", address.local(), address.domain()), text);
        }
        assert_eq!(Address::parse("Ops@Hospital.Example").unwrap().as_str(), "Ops@hospital.example");
    }

    #[test]
    fn what_could_mean_something_else_is_none() {
        let long = format!("{}@x", "a".repeat(65));
        for text in [
            "",
            "@",
            "ops",
            "ops@",
            "@x",
            "a@b@c",
            "*@x",
            "o*s@x",
            "\"a b\"@x",
            "a b@x",
            "a@x ",
            "a@x\r\nRCPT TO:<b@y>",
            "a\n@x",
            "a\0@x",
            "ops@x>",
            "Ops <ops@x>",
            "a,b@x",
            "victim%elsewhere.example@x",
            "elsewhere!victim@x",
            "|sh@x",
            "/etc/passwd@x",
            ":include:f@x",
            "-oX@x",
            ".a@x",
            "a.@x",
            "a..b@x",
            "a@x.",
            "a@.x",
            "a@-x",
            "a@x-",
            "a@x_y",
            "a@10.0.0.1",
            "a@[10.0.0.1]",
            "a@münchen.de",
            "ä@x",
            "a(comment)@x",
            &long,
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.span.is_some_and(|span| text.get(span).is_some()), "{text:?}");
            assert!(!error.message.contains(char::is_control), "{text:?}");
        }
    }
}
