//! Receipts and outputs lie sealed beside the record: whoever has the database alone cannot read them, and none of them opens in
//! the place of another.
//!
//! A sealed value is a nonce of 24 random bytes and what XChaCha20-Poly1305 makes of the value. The events name the sha256 of the
//! whole, so that every check of the record works without the key, and nobody can guess a value and compare.

use std::{fmt, path::Path};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use pipe_core::{
    digest::Digest,
    id::{RunId, StepId},
    proof::ProofKey,
};
use rusqlite::{Connection, OptionalExtension as _};

use crate::{JournalError, error::Fault, key};

/// Size of a nonce, in bytes.
const NONCE: usize = 24;

/// What a sealed value is and whose: it opens as nothing else.
#[derive(Clone, Copy)]
pub(crate) struct Label<'l> {
    /// `receipt` or `output`.
    pub(crate) what: &'static str,
    pub(crate) run: &'l RunId,
    /// The step, as the `step` column names it.
    pub(crate) step: &'l str,
    pub(crate) key: &'l str,
}

impl Label<'_> {
    /// Every part with its length before it, so that no two labels have the same bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        for part in [self.what, self.run.as_str(), self.step, self.key] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// A step as labels and columns name it: JSON, since `a[b]` may be an instance or a name.
pub(crate) fn step_text(step: &StepId) -> Result<String, JournalError> {
    serde_json::to_string(step).map_err(|error| JournalError::Encoding(error.to_string()))
}

/// Seals and opens, with the key of a state directory.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    /// Tells this key from another, and says nothing about it.
    id: Digest,
}

impl Sealer {
    /// The key of a state directory, whose journal says which one it is. `known` is what [`known`] found there: where that is
    /// nothing, no value was sealed yet, and a key is made.
    pub(crate) fn make(state_dir: &Path, known: Option<Digest>) -> Result<Self, JournalError> {
        if known.is_none() {
            key::make(state_dir, key::SEAL).map(|key| Self::new(&key))
        } else {
            Self::find(state_dir, known)
        }
    }

    /// The key of a state directory. Nothing is made.
    pub(crate) fn find(state_dir: &Path, known: Option<Digest>) -> Result<Self, JournalError> {
        let path = || state_dir.join(key::SEAL);
        let key = key::find(state_dir, key::SEAL).map_err(|error| match error {
            JournalError::NoKey { path } => JournalError::Sealed { path, detail: "it is not there".to_owned() },
            other => other,
        })?;
        let sealer = Self::new(&key);
        match known {
            Some(known) if known != sealer.id => {
                Err(JournalError::Sealed { path: path(), detail: "it is not the key of this journal".to_owned() })
            }
            _ => Ok(sealer),
        }
    }

    fn new(key: &key::Bytes) -> Self {
        let master = ProofKey::new(key);
        let cipher = XChaCha20Poly1305::new(master.of("seal", b"values").as_bytes().into());
        Self { cipher, id: master.of("seal", b"identity") }
    }

    pub(crate) const fn id(&self) -> Digest {
        self.id
    }

    pub(crate) fn seal(&self, label: Label<'_>, value: &[u8]) -> Result<Vec<u8>, JournalError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| JournalError::Encoding(format!("no randomness: {error}")))?;
        let payload = Payload { msg: value, aad: &label.bytes() };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| JournalError::Encoding(format!("the {} cannot be sealed", label.what)))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Nothing where the key is another one, or the value was sealed under another label.
    pub(crate) fn open(&self, label: Label<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        self.cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &label.bytes() }).ok()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Which key the values of a journal are sealed with. Nothing where there are none.
pub(crate) fn known(connection: &Connection) -> Result<Option<Digest>, Fault> {
    let id: Option<[u8; 32]> = connection.query_row("SELECT key FROM seal", [], |row| row.get(0)).optional()?;
    Ok(id.map(Digest::from_bytes))
}

/// What opens the values of a journal.
pub(crate) fn opener(connection: &Connection, state_dir: &Path) -> Result<Sealer, Fault> {
    Ok(Sealer::find(state_dir, known(connection)?)?)
}

/// Writes down which key it is, with the first value that is sealed with it. There is one for a journal.
pub(crate) fn note(connection: &Connection, state_dir: &Path, id: Digest) -> Result<(), Fault> {
    connection.prepare_cached("INSERT OR IGNORE INTO seal (one, key) VALUES (1, ?1)")?.execute([id.as_bytes()])?;
    if known(connection)? == Some(id) {
        return Ok(());
    }
    let detail = "it is not the key of this journal".to_owned();
    Err(JournalError::Sealed { path: state_dir.join(key::SEAL), detail }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&zeroize::Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_value_opens_under_its_own_label_alone() {
        let (run, other): (RunId, RunId) =
            ("20261123021500-9f3c1a".parse().expect("a run"), "20261123021500-9f3c1b".parse().expect("a run"));
        let label = Label { what: "receipt", run: &run, step: "\"a\"", key: "k" };
        let sealed = sealer(1).seal(label, b"the old weights").expect("seals");
        assert!(!sealed.windows(8).any(|part| part == b"the old "), "in clear");
        assert_eq!(sealer(1).open(label, &sealed).as_deref(), Some(&b"the old weights"[..]));
        for wrong in [
            Label { what: "output", ..label },
            Label { run: &other, ..label },
            Label { step: "\"b\"", ..label },
            Label { key: "l", ..label },
            Label { step: "\"a\"k", key: "", ..label },
        ] {
            assert_eq!(sealer(1).open(wrong, &sealed), None);
        }
        assert_eq!(sealer(2).open(label, &sealed), None, "another key");
        for cut in [0, 10, NONCE, sealed.len() - 1] {
            assert_eq!(sealer(1).open(label, &sealed[..cut]), None, "cut at {cut}");
        }
        let again = sealer(1).seal(label, b"the old weights").expect("seals");
        assert_ne!(again, sealed, "the same value twice shows nothing");
    }

    #[test]
    fn keys_have_names_of_their_own() {
        assert_eq!(sealer(1).id(), sealer(1).id());
        assert_ne!(sealer(1).id(), sealer(2).id());
        assert_eq!(format!("{:?}", sealer(1)), "Sealer(…)");
    }
}
