//! Keyed hashes: what the record leaves out can be recognised and proven, and not guessed from the record alone.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::digest::Digest;

/// Size of a key, in bytes.
pub const KEY_BYTES: usize = 32;

/// The block of SHA-256, up to which HMAC fills a key with zeros.
const BLOCK_BYTES: usize = 64;

/// The key of a record. Whoever has it can tell whether a text that they know is the one behind an entry; whoever has the
/// record alone can only tell which entries are about the same text.
///
/// `proof = HMAC-SHA-256(key, word 0x00 text)` where `word` is the capability's, and `text` is
///
/// - of `sql` the statement from its first token to its last, without a semicolon at its end,
/// - of `http` the query as it was sent, without its question mark,
/// - of `exec` the arguments, each with a NUL behind it.
#[derive(Clone)]
pub struct ProofKey(Zeroizing<[u8; BLOCK_BYTES]>);

impl ProofKey {
    /// A key that was kept elsewhere. It should be random, and nobody else's.
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        block[..KEY_BYTES].copy_from_slice(key);
        Self(block)
    }

    /// The proof of a text that was used under `word`.
    #[must_use]
    pub fn of(&self, word: &str, text: &[u8]) -> Digest {
        let mut mac = Hmac::<Sha256>::new((&*self.0).into());
        for part in [word.as_bytes(), b"\0", text] {
            mac.update(part);
        }
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program:
    /// `printf 'sql\0SELECT 1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07`.
    #[test]
    fn a_proof_never_changes() {
        let proof = ProofKey::new(&[7; KEY_BYTES]).of("sql", b"SELECT 1");
        assert_eq!(proof.to_string(), "fac21d63199d6d200f82567996711010f22016b33da6e9d85b640622e6b7b2e3");
    }

    #[test]
    fn word_text_and_key_all_count() {
        let (key, other) = (ProofKey::new(&[7; KEY_BYTES]), ProofKey::new(&[8; KEY_BYTES]));
        let proof = key.of("sql", b"SELECT 1");
        assert_eq!(key.of("sql", b"SELECT 1"), proof);
        for different in [key.of("sql", b"SELECT 2"), key.of("http", b"SELECT 1"), other.of("sql", b"SELECT 1")] {
            assert_ne!(different, proof);
        }
        assert_eq!(format!("{key:?}"), "ProofKey(…)");
    }
}
