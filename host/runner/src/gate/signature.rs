//! Signatures as `ssh-keygen -Y` makes and checks them. The formats are `ssh-key`'s, the arithmetic is ring's, which checks TLS
//! here too.

mod spelling;

use pipe_core::digest::Digest;
use ring::{
    rand::SystemRandom,
    signature::{self as crypto, EcdsaKeyPair, Ed25519KeyPair, UnparsedPublicKey},
};
use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, Signature, SshSig,
    private::{EcdsaKeypair, KeypairData},
    public::{EcdsaPublicKey, KeyData},
};

use self::spelling::is_spelled;

/// What the signatures are for: one made for anything else does not hold.
pub const NAMESPACE: &str = "pipe-approval@v1";

/// Longest signature that is looked at, in bytes.
pub const MAXIMUM_SIGNATURE: usize = 16 << 10;

/// Behind the signature of a security key: what it did, and how often it has.
const SECURITY_KEY_TRAILER: usize = 5;
/// Somebody touched it.
const TOUCHED: u8 = 1;

/// A signature that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Not what `ssh-keygen -Y sign` writes.
    #[error("this is no SSH signature: {0}")]
    Unreadable(String),
    /// Made for something else.
    #[error("the signature was made for `{0}`, not for `{NAMESPACE}`")]
    Namespace(String),
    /// Not over this text, or not by this key.
    #[error("the signature does not hold for this text")]
    Forged,
    /// A security key signed by itself.
    #[error("the security key signed without being touched")]
    Untouched,
    /// A key that we do not check.
    #[error("{0} keys cannot sign approvals")]
    Unsupported(String),
}

/// A key that cannot sign here. The hint says what can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The file is not a private key.
    #[error("this is no private key of OpenSSH: {0}")]
    Unreadable(String),
    /// It asks for a passphrase.
    #[error("the key is protected by a passphrase")]
    Encrypted,
    /// Only `ssh-keygen` signs with it.
    #[error("pipe does not sign with {0} keys itself")]
    Unsupported(String),
    /// The key is damaged, or the system gives no random numbers.
    #[error("the key does not sign")]
    Failed,
}

/// A signature that was read, not yet checked.
#[derive(Clone, Debug)]
pub(super) struct Signed(SshSig);

impl Signed {
    /// Reads `-----BEGIN SSH SIGNATURE-----`.
    ///
    /// # Errors
    ///
    /// It is none, or one for another purpose.
    pub(super) fn read(text: &str) -> Result<Self, BadSignature> {
        if text.len() > MAXIMUM_SIGNATURE {
            return Err(BadSignature::Unreadable("it is too long".to_owned()));
        }
        let signature = SshSig::from_pem(text).map_err(|error| BadSignature::Unreadable(error.to_string()))?;
        // Other versions too: the crate lets older ones pass, and `ssh-keygen` does not.
        if !is_spelled(&signature, text) {
            return Err(BadSignature::Unreadable("it is not spelled as `ssh-keygen` spells it".to_owned()));
        }
        if signature.namespace() != NAMESPACE {
            return Err(BadSignature::Namespace(shown(signature.namespace())));
        }
        Ok(Self(signature))
    }

    /// The key that is said to have signed.
    #[must_use]
    pub(super) fn key(&self) -> &KeyData {
        self.0.public_key()
    }

    /// Whether the key signed `text`, and did so as it should.
    ///
    /// # Errors
    ///
    /// It did not.
    pub(super) fn check(&self, text: &str) -> Result<(), BadSignature> {
        let message = SshSig::signed_data(NAMESPACE, self.0.hash_alg(), text.as_bytes());
        let message = message.map_err(|error| BadSignature::Unreadable(error.to_string()))?;
        if !self.0.reserved().is_empty() {
            return Err(BadSignature::Unreadable("it holds what this version does not know".to_owned()));
        }
        verify(self.0.public_key(), &message, self.0.signature())
    }
}

/// The key that a signature says it was made with, where that much can be read.
#[must_use]
pub fn signing_key(signature: &str) -> Option<String> {
    SshSig::from_pem(signature).ok().map(|signature| fingerprint(signature.public_key()))
}

/// The key as `ssh-keygen -l` prints it.
#[must_use]
pub fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Why a key can never be used here, if so.
pub(super) fn unsuitable(key: &KeyData) -> Option<String> {
    match key {
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => None,
        KeyData::Ecdsa(EcdsaPublicKey::NistP256(_) | EcdsaPublicKey::NistP384(_)) => None,
        KeyData::Rsa(rsa) => {
            let bits = rsa.n.as_positive_bytes().map_or(0, |bytes| bytes.len() * 8);
            (!(2048..=8192).contains(&bits)).then(|| format!("an RSA key has 2048 to 8192 bits, and this one {bits}"))
        }
        other => Some(format!("{} keys cannot sign approvals", other.algorithm())),
    }
}

fn verify(key: &KeyData, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    let algorithm = signature.algorithm();
    let bytes = signature.as_bytes();
    match (key, &algorithm) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => holds(&crypto::ED25519, &key.0, message, bytes),
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == *curve => {
            let (verifier, width): (&'static crypto::EcdsaVerificationAlgorithm, _) = match curve {
                EcdsaCurve::NistP256 => (&crypto::ECDSA_P256_SHA256_FIXED, 32),
                EcdsaCurve::NistP384 => (&crypto::ECDSA_P384_SHA384_FIXED, 48),
                EcdsaCurve::NistP521 => return Err(BadSignature::Unsupported(key.algorithm().to_string())),
            };
            holds(verifier, key.as_sec1_bytes(), message, &fixed(bytes, width).ok_or(BadSignature::Forged)?)
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let verifier = match hash {
                HashAlg::Sha256 => &crypto::RSA_PKCS1_2048_8192_SHA256,
                HashAlg::Sha512 => &crypto::RSA_PKCS1_2048_8192_SHA512,
                _ => return Err(BadSignature::Unsupported(algorithm.to_string())),
            };
            let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else {
                return Err(BadSignature::Forged);
            };
            crypto::RsaPublicKeyComponents { n, e }.verify(verifier, message, bytes).map_err(|_| BadSignature::Forged)
        }
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (signature, message) = by_security_key(key.application(), message, bytes)?;
            holds(&crypto::ED25519, &key.public_key().0, &message, signature)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (signature, message) = by_security_key(key.application(), message, bytes)?;
            let signature = fixed(signature, 32).ok_or(BadSignature::Forged)?;
            holds(&crypto::ECDSA_P256_SHA256_FIXED, key.ec_point().as_bytes(), &message, &signature)
        }
        // A signature of another kind than its key says nothing.
        _ if unsuitable(key).is_none() => Err(BadSignature::Forged),
        _ => Err(BadSignature::Unsupported(key.algorithm().to_string())),
    }
}

fn holds(
    verifier: &'static dyn crypto::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(verifier, key).verify(message, signature).map_err(|_| BadSignature::Forged)
}

/// What a security key signs, and its signature: the application, what it did and the message, hashed.
fn by_security_key<'s>(
    application: &str,
    message: &[u8],
    signature: &'s [u8],
) -> Result<(&'s [u8], Vec<u8>), BadSignature> {
    let at = signature.len().checked_sub(SECURITY_KEY_TRAILER).ok_or(BadSignature::Forged)?;
    let (signature, trailer) = signature.split_at(at);
    if trailer.first().is_none_or(|flags| flags & TOUCHED == 0) {
        return Err(BadSignature::Untouched);
    }
    let (application, message) = (Digest::of(application.as_bytes()), Digest::of(message));
    Ok((signature, [application.as_bytes(), trailer, message.as_bytes()].concat()))
}

/// Two numbers as SSH writes them, as two of a fixed width.
fn fixed(mut bytes: &[u8], width: usize) -> Option<Vec<u8>> {
    let mut numbers = Vec::with_capacity(width * 2);
    for _ in 0..2 {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        numbers.resize(numbers.len() + width.checked_sub(number.len())?, 0);
        numbers.extend_from_slice(number);
        bytes = rest;
    }
    bytes.is_empty().then_some(numbers)
}

/// Signs a text, and returns what `ssh-keygen -Y sign -n pipe-approval@v1` would have written.
///
/// # Errors
///
/// The key is none, asks for a passphrase, or is of a kind that only `ssh-keygen` signs with.
pub fn sign(key: &PrivateKey, text: &str) -> Result<String, CannotSign> {
    let algorithm = key.algorithm();
    if key.is_encrypted() {
        return Err(CannotSign::Encrypted);
    }
    let message = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, text.as_bytes()).map_err(|_| CannotSign::Failed)?;
    let bytes = match key.key_data() {
        KeypairData::Ed25519(pair) => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&pair.private.to_bytes(), &pair.public.0);
            pair.map_err(|_| CannotSign::Failed)?.sign(&message).as_ref().to_vec()
        }
        KeypairData::Ecdsa(pair) => ecdsa(pair, &message)?,
        _ => return Err(CannotSign::Unsupported(algorithm.to_string())),
    };
    let signature = Signature::new(algorithm, bytes).map_err(|_| CannotSign::Failed)?;
    let public = key.public_key().key_data().clone();
    let signature = SshSig::new(public, NAMESPACE, HashAlg::Sha512, signature).map_err(|_| CannotSign::Failed)?;
    signature.to_pem(LineEnding::LF).map_err(|_| CannotSign::Failed)
}

fn ecdsa(pair: &EcdsaKeypair, message: &[u8]) -> Result<Vec<u8>, CannotSign> {
    let algorithm = match pair {
        EcdsaKeypair::NistP256 { .. } => &crypto::ECDSA_P256_SHA256_FIXED_SIGNING,
        EcdsaKeypair::NistP384 { .. } => &crypto::ECDSA_P384_SHA384_FIXED_SIGNING,
        EcdsaKeypair::NistP521 { .. } => return Err(CannotSign::Unsupported(pair.algorithm().to_string())),
    };
    let random = SystemRandom::new();
    let (private, public) = (pair.private_key_bytes(), pair.public_key_bytes());
    let signer = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random);
    let signer = signer.map_err(|_| CannotSign::Failed)?;
    let signature = signer.sign(&random, message).map_err(|_| CannotSign::Failed)?;
    let numbers = signature.as_ref();
    let number = |number: &[u8]| {
        let leading = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[leading..];
        // The highest bit would be a sign.
        let sign: &[u8] = if number.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
        let length = u32::try_from(sign.len() + number.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes(), sign, number].concat()
    };
    let (r, s) = numbers.split_at(numbers.len() / 2);
    Ok([number(r), number(s)].concat())
}

/// Reads a private key of OpenSSH.
///
/// # Errors
///
/// It is none. One with a passphrase is read; it does not [`sign`].
pub fn private_key(text: &str) -> Result<PrivateKey, CannotSign> {
    PrivateKey::from_openssh(text).map_err(|error| CannotSign::Unreadable(error.to_string()))
}

/// A name from a file as a message can bear it.
fn shown(name: &str) -> String {
    name.chars().take(60).filter(|c| !pipe_core::text::is_unprintable(*c)).collect()
}

#[cfg(test)]
mod security_keys;
