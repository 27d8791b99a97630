//! What a transaction did and was answered lies sealed in its marker: whoever may read the table, or a copy of it, learns nothing
//! of the rows that a statement returned. And it says of itself where it belongs, so that a copy elsewhere is known for one.
//!
//! `base64(nonce ‖ XChaCha20-Poly1305(place ‖ statements))`. Key, place and nonce are proofs of the record's key under words of
//! their own. The nonce is made of what is sealed, place included, so it never serves for two texts and needs no randomness.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce, aead::Aead as _};
use pipe_core::proof::ProofKey;

/// Size of a nonce, in bytes.
const NONCE: usize = 24;

/// Size of the proof of a place, in bytes.
const PLACE: usize = 32;

/// What comes out of a seal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// What was sealed for this place.
    Here(String),
    /// A host has sealed it for another place.
    Elsewhere,
    /// No host with this key has sealed it.
    Not,
}

/// Seals `statements` for a place. Empty where that cannot be done, which opens nowhere.
pub(super) fn seal(key: &ProofKey, place: &[&str], statements: &str) -> String {
    let text = [&proof(key, place)[..], statements.as_bytes()].concat();
    let nonce = key.of("sql-marker-nonce", &text);
    let nonce = &nonce.as_bytes()[..NONCE];
    let sealed = cipher(key).encrypt(XNonce::from_slice(nonce), &text[..]);
    sealed.map(|sealed| STANDARD.encode([nonce, &sealed[..]].concat())).unwrap_or_default()
}

/// Opens what was sealed for a place.
pub(super) fn open(key: &ProofKey, place: &[&str], sealed: &str) -> Opened {
    let opened = || {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let text = cipher(key).decrypt(XNonce::from_slice(nonce), sealed).ok()?;
        let (at, statements) = text.split_at_checked(PLACE)?;
        Some((at == proof(key, place), String::from_utf8(statements.to_vec()).ok()?))
    };
    match opened() {
        Some((true, statements)) => Opened::Here(statements),
        Some((false, _)) => Opened::Elsewhere,
        None => Opened::Not,
    }
}

fn cipher(key: &ProofKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.of("sql-marker-rows", b"").as_bytes().into())
}

/// Every part with its length before it, so that no two places are alike.
fn proof(key: &ProofKey, place: &[&str]) -> [u8; PLACE] {
    let mut bytes = Vec::with_capacity(128);
    for part in place {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    *key.of("sql-marker-place", &bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_where_it_belongs_and_tells_nothing_elsewhere() {
        let (key, other) = (ProofKey::new(&[7; 32]), ProofKey::new(&[8; 32]));
        let sealed = seal(&key, &["run", "step"], "Jane Doe");
        assert!(
            !sealed.contains("Jane") && !String::from_utf8_lossy(&STANDARD.decode(&sealed).unwrap()).contains("Jane")
        );
        assert_eq!(open(&key, &["run", "step"], &sealed), Opened::Here("Jane Doe".to_owned()));
        for place in [&["run", "other"][..], &["runs", "tep"], &["run"]] {
            assert_eq!(open(&key, place, &sealed), Opened::Elsewhere, "{place:?}");
        }
        assert_eq!(open(&other, &["run", "step"], &sealed), Opened::Not);
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        bytes[30] ^= 1;
        for broken in ["", "Jane Doe", "AAAA", &STANDARD.encode(&bytes), &STANDARD.encode([0; 100])] {
            assert_eq!(open(&key, &["run", "step"], broken), Opened::Not, "{broken}");
        }
        assert_ne!(sealed, seal(&key, &["run", "other"], "Jane Doe"), "the same text elsewhere can be recognised");
    }
}
