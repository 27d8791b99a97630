//! `secrets`: slots that the host fills where the guest cannot see them.

use std::fmt;

use crate::{
    line::Table,
    peer,
    rule::{InToml, RuleError},
};

/// Headers that frame a message or a connection: the host's own business.
const FRAMING: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a secret goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotTarget {
    /// Into the requests to the peer of this name.
    Peer(String),
    /// Into the encryption of artifacts, as an age identity.
    Artifacts,
}

impl SlotTarget {
    /// Reads `artifacts` or the name of a peer.
    ///
    /// # Errors
    ///
    /// A name that no peer can have.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text == "artifacts" {
            return Ok(Self::Artifacts);
        }
        peer::check_name(text).map(|()| Self::Peer(text.to_owned()))
    }
}

impl fmt::Display for SlotTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(name) => f.write_str(name),
            Self::Artifacts => f.write_str("artifacts"),
        }
    }
}

/// A secret and the one place it may go: `{ name = "k8s", to = "argocd", header = "Authorization", format = "Token {}" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSlot {
    /// Name of the secret.
    pub name: String,
    /// Where it goes.
    pub to: SlotTarget,
    /// The header that carries it. A peer has one, artifacts have none.
    pub header: Option<String>,
    /// What the header's value looks like, with `{}` for the secret. Nothing: the secret alone.
    pub format: Option<String>,
}

impl SecretSlot {
    /// A slot from the values of the table. Errors name the key in [`RuleError::field`].
    ///
    /// # Errors
    ///
    /// A name that no secret or peer can have; a header that is missing, malformed, not wanted or the host's own; a format
    /// that does not hold `{}` exactly once.
    pub fn new(name: &str, to: &str, header: Option<&str>, format: Option<&str>) -> Result<Self, RuleError> {
        check_name(name).map_err(|error| error.of("name"))?;
        let to = SlotTarget::parse(to).map_err(|error| error.of("to"))?;
        match (&to, header) {
            (SlotTarget::Peer(peer), None) => {
                return Err(RuleError::new(format!("a secret that goes to the peer `{peer}` needs a header"))
                    .with_hint("as in `header = \"Authorization\", format = \"Bearer {}\"`"));
            }
            (SlotTarget::Peer(_), Some(header)) => check_header(header).map_err(|error| error.of("header"))?,
            (SlotTarget::Artifacts, Some(_)) => {
                return Err(RuleError::new("artifacts have no headers").of("header"));
            }
            (SlotTarget::Artifacts, None) => {}
        }
        match (&to, format) {
            (SlotTarget::Artifacts, Some(_)) => {
                return Err(RuleError::new("a secret goes to artifacts as it is").of("format"));
            }
            (SlotTarget::Peer(_), Some(format)) => check_format(format).map_err(|error| error.of("format"))?,
            (_, None) => {}
        }
        Ok(Self { name: name.to_owned(), to, header: header.map(str::to_owned), format: format.map(str::to_owned) })
    }

    /// Whether it lets all happen that `other` does: the same secret to the same place in the same shape.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let header = |slot: &Self| slot.header.as_deref().map(str::to_ascii_lowercase);
        self.name == other.name
            && self.to == other.to
            && header(self) == header(other)
            && self.format.as_deref().unwrap_or("{}") == other.format.as_deref().unwrap_or("{}")
    }

    /// The value of the header, once the secret is in it.
    #[must_use]
    pub fn fill(&self, secret: &str) -> String {
        match &self.format {
            Some(format) => format.replacen("{}", secret, 1),
            None => secret.to_owned(),
        }
    }
}

/// Refuses what cannot be the name of a secret: letters, digits, `-` and `_`. The span counts in `name`.
///
/// # Errors
///
/// Nothing at all, or another character.
pub fn check_name(name: &str) -> Result<(), RuleError> {
    if name.is_empty() {
        return Err(RuleError::new("the name of the secret is missing"));
    }
    match name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')) {
        None => Ok(()),
        Some(at) => Err(RuleError::new(format!("`{name}` is not the name of a secret"))
            .at(at..name.len())
            .with_hint("letters, digits, `-` and `_`")),
    }
}

fn check_header(header: &str) -> Result<(), RuleError> {
    let whole = 0..header.len();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if header.is_empty() || header.len() > 256 || !header.bytes().all(is_token) {
        return Err(RuleError::new(format!("`{header}` is not the name of a header")).at(whole));
    }
    if FRAMING.iter().any(|name| name.eq_ignore_ascii_case(header)) {
        return Err(RuleError::new(format!("the header `{header}` is written by the host alone")).at(whole));
    }
    Ok(())
}

fn check_format(format: &str) -> Result<(), RuleError> {
    let whole = 0..format.len();
    if format.len() > 1024 || !format.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(RuleError::new("a header's value is printable ASCII").at(whole));
    }
    match format.matches("{}").count() {
        1 => Ok(()),
        0 => Err(RuleError::new("the format has no place for the secret").at(whole).with_hint("as in `Bearer {}`")),
        _ => Err(RuleError::new("the format has more than one place for the secret").at(whole)),
    }
}

impl fmt::Display for SecretSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = Table::default()
            .text("name", &self.name)
            .text("to", &self.to.to_string())
            .optional("header", self.header.as_deref())
            .optional("format", self.format.as_deref());
        f.write_str(&table.finish())
    }
}

impl InToml for SecretSlot {
    fn in_toml(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots() {
        for (name, to, header, format, shown) in [
            ("backup", "artifacts", None, None, r#"{ name = "backup", to = "artifacts" }"#),
            ("t_1", "argocd", Some("X-Token"), None, r#"{ name = "t_1", to = "argocd", header = "X-Token" }"#),
            (
                "t",
                "argocd",
                Some("authorization"),
                Some("Token \"{}\""),
                r#"{ name = "t", to = "argocd", header = "authorization", format = 'Token "{}"' }"#,
            ),
        ] {
            assert_eq!(SecretSlot::new(name, to, header, format).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, to, header, format, field) in [
            ("", "argocd", Some("x"), None, Some("name")),
            ("a.b", "argocd", Some("x"), None, Some("name")),
            ("a", "Argo", Some("x"), None, Some("to")),
            ("a", "", Some("x"), None, Some("to")),
            ("a", "argocd", None, None, None),
            ("a", "artifacts", Some("x"), None, Some("header")),
            ("a", "artifacts", None, Some("{}"), Some("format")),
            ("a", "argocd", Some(""), None, Some("header")),
            ("a", "argocd", Some("x: y\r\nz"), None, Some("header")),
            ("a", "argocd", Some("Host"), None, Some("header")),
            ("a", "argocd", Some("content-length"), None, Some("header")),
            ("a", "argocd", Some("Transfer-Encoding"), None, Some("header")),
            ("a", "argocd", Some("connection"), None, Some("header")),
            ("a", "argocd", Some("x"), Some("Bearer"), Some("format")),
            ("a", "argocd", Some("x"), Some("{} {}"), Some("format")),
            ("a", "argocd", Some("x"), Some("{}\r\nx: y"), Some("format")),
        ] {
            let error = SecretSlot::new(name, to, header, format).unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
    }

    #[test]
    fn a_format_is_filled_once() {
        let slot = SecretSlot::new("t", "argocd", Some("x"), Some("Token {}")).unwrap();
        assert_eq!(slot.fill("a{}b"), "Token a{}b");
        assert_eq!(SecretSlot { format: None, ..slot }.fill("s"), "s");
    }
}
