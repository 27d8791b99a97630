//! The one spelling of a signature. `ssh-key` reads more than `ssh-keygen` does, lengths that claim more than there is among it,
//! and writes those of ECDSA security keys as nobody reads them: so the bytes are written here, as OpenSSH's PROTOCOL.sshsig and
//! PROTOCOL.u2f say.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ssh_key::{PublicKey, SshSig};

use super::SECURITY_KEY_TRAILER;

/// Whether `pem`, in which this signature was found, spells it so. How it is broken into lines does not count.
pub(super) fn is_spelled(signature: &SshSig, pem: &str) -> bool {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).flat_map(str::split_whitespace).collect();
    spelled(signature).is_some_and(|bytes| STANDARD.encode(bytes) == body)
}

fn spelled(signature: &SshSig) -> Option<Vec<u8>> {
    let key = PublicKey::new(signature.public_key().clone(), "").to_bytes().ok()?;
    let (algorithm, bytes) = (signature.algorithm(), signature.signature_bytes());
    let trailer = if algorithm.as_str().starts_with("sk-") { SECURITY_KEY_TRAILER } else { 0 };
    let (bytes, trailer) = bytes.split_at_checked(bytes.len().checked_sub(trailer)?)?;
    let made = [&string(algorithm.as_str().as_bytes())?, &string(bytes)?[..], trailer].concat();
    let parts = [
        string(&key)?,
        string(signature.namespace().as_bytes())?,
        string(signature.reserved())?,
        string(signature.hash_alg().as_str().as_bytes())?,
        string(&made)?,
    ];
    Some([b"SSHSIG", &SshSig::VERSION.to_be_bytes()[..], &parts.concat()].concat())
}

/// As SSH writes a string: its length, and then itself.
fn string(bytes: &[u8]) -> Option<Vec<u8>> {
    Some([&u32::try_from(bytes.len()).ok()?.to_be_bytes()[..], bytes].concat())
}
