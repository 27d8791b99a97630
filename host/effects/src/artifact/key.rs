//! Secrets that hold age identities, in the format of age's own files: comments and `AGE-SECRET-KEY-1…` lines.

use age::x25519::{Identity, Recipient};
use secrecy::ExposeSecret as _;

use crate::{
    error::{EffectError, ErrorKind},
    world::Secrets,
};

/// The identities of granted secrets.
#[derive(Clone, Default)]
pub(super) struct Keys {
    slots: Vec<(String, String)>,
    identities: Vec<Identity>,
}

impl Keys {
    /// Adds the identities in `secret`, which `slot` grants.
    pub(super) fn add(&mut self, secret: &str, slot: String, secrets: &Secrets) -> Result<(), EffectError> {
        let invalid = |message: String| EffectError::new(ErrorKind::Invalid, message);
        let value = secrets.get(secret).ok_or_else(|| invalid(format!("the secret `{secret}` is not declared")))?;
        let identities = parse(value.expose_secret()).ok_or_else(|| {
            invalid(format!("the secret `{secret}` is not an age identity"))
                .with_hint("make one with `age-keygen`: a line that begins with AGE-SECRET-KEY-1")
        })?;
        self.identities.extend(identities);
        self.slots.push((secret.to_owned(), slot));
        Ok(())
    }

    /// Whether `secret` holds an age identity at all.
    pub(super) fn could_be(secret: &str, secrets: &Secrets) -> bool {
        secrets.get(secret).is_some_and(|value| parse(value.expose_secret()).is_some())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// The secrets, each with the grant's line.
    pub(super) fn slots(&self) -> impl Iterator<Item = (&str, &str)> {
        self.slots.iter().map(|(secret, slot)| (secret.as_str(), slot.as_str()))
    }

    /// Who can read what is encrypted with them.
    pub(super) fn recipients(&self) -> Vec<Recipient> {
        self.identities.iter().map(Identity::to_public).collect()
    }

    /// What decrypts.
    pub(super) fn identities(&self) -> &[Identity] {
        &self.identities
    }
}

/// The identities in `text`. Nothing where there is none, or something else beside them.
fn parse(text: &str) -> Option<Vec<Identity>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Vec<Identity> = lines.map(|line| line.parse().ok()).collect::<Option<_>>()?;
    (!identities.is_empty()).then_some(identities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_age_keygen_is_read() {
        let identity = Identity::generate();
        let key = identity.to_string();
        let file =
            format!("# created: 2026-11-23\n# public key: {}\n{}\r\n\n", identity.to_public(), key.expose_secret());
        let parsed = parse(&file).unwrap();
        assert_eq!(parsed[0].to_public().to_string(), identity.to_public().to_string());
        assert!(parse("# only a comment\n").is_none());
        assert!(parse(&format!("{}\nhunter2\n", key.expose_secret())).is_none());
    }
}
