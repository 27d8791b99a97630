//! Client certificates: what a peer's `client_cert` and `client_key` say, read and held against each other.

use std::path::Path;

use rustls::{
    Error, InconsistentKeys,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{certificates_in, provider};
use crate::{
    error::{EffectError, ErrorKind},
    world::{ClientIdentity, Secrets},
};

/// Whether a client certificate can be used: its file is there, its key is one, and the two belong together.
///
/// Reads a file. For a check before the run.
///
/// # Errors
///
/// What is wrong. Nothing of the key is in it.
pub fn check_identity(identity: &ClientIdentity, secrets: &Secrets) -> Result<(), EffectError> {
    certified(identity, key(identity, secrets)?).map(|_| ())
}

/// The key's PEM.
pub(super) fn key(identity: &ClientIdentity, secrets: &Secrets) -> Result<SecretString, EffectError> {
    secrets.get(&identity.key).cloned().ok_or_else(|| {
        let name = &identity.key;
        EffectError::new(ErrorKind::Invalid, format!("the pipeline file has no secret `{name}`"))
            .with_hint(format!("declare it in `[secrets]`: `{name}.file = \"…\"`"))
    })
}

/// Certificate and key as rustls takes them.
pub(super) fn certified(identity: &ClientIdentity, pem: SecretString) -> Result<CertifiedKey, EffectError> {
    let ClientIdentity { certificate, key: secret } = identity;
    let chain = certificates_in(certificate).map_err(|what| unreadable(certificate, &what))?;
    if chain.is_empty() {
        return Err(unreadable(certificate, "it holds no certificate")
            .with_hint("it must hold `-----BEGIN CERTIFICATE-----`, the client's own first"));
    }
    let pem = pem.expose_secret();
    let no_key = |what: &str, hint: &str| {
        EffectError::new(ErrorKind::Invalid, format!("the secret `{secret}` {what}")).with_hint(hint)
    };
    if pem.contains("ENCRYPTED") {
        return Err(no_key("is a private key under a passphrase", "keep it without one, readable by this user alone"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| no_key("is not a private key in PEM", "it must hold `-----BEGIN PRIVATE KEY-----`"))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => no_key(
            &format!("is not the key of the certificate in {}", certificate.display()),
            "the first certificate of the file must be the one that the key was made for",
        ),
        // What rustls says of a key may quote it.
        Error::General(_) => no_key("is a private key of an unknown kind", "RSA, ECDSA P-256 or P-384, or Ed25519"),
        other => unreadable(certificate, &other.to_string()),
    })
}

fn unreadable(file: &Path, what: &str) -> EffectError {
    let shown = file.display();
    EffectError::new(ErrorKind::Unavailable, format!("cannot read the client certificate in {shown}: {what}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn certificate_and_key_belong_together() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("us.pem");
        let ((certificate, key), (_, other)) = (made(), made());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----".to_owned();
        for (pem, value, problem) in [
            (Some(&certificate), Some(&key), None),
            (Some(&certificate), Some(&other), Some("the secret `key` is not the key of the certificate in ")),
            (Some(&certificate), Some(&certificate), Some("the secret `key` is not a private key in PEM")),
            (Some(&certificate), Some(&encrypted), Some("the secret `key` is a private key under a passphrase")),
            (Some(&certificate), None, Some("the pipeline file has no secret `key`")),
            (Some(&key), Some(&key), Some("us.pem: it holds no certificate")),
            (None, Some(&key), Some("us.pem: No such file")),
        ] {
            let _ = std::fs::remove_file(&file);
            if let Some(pem) = pem {
                std::fs::write(&file, pem).unwrap();
            }
            let mut secrets = Secrets::default();
            secrets.0.extend(value.map(|value| ("key".to_owned(), value.clone().into())));
            let identity = ClientIdentity { certificate: file.clone(), key: "key".to_owned() };
            match (check_identity(&identity, &secrets), problem) {
                (Ok(()), None) => {}
                (Err(error), Some(problem)) => {
                    assert!(error.message.contains(problem), "{error}");
                    let secret = value.into_iter().flat_map(|value| value.lines()).nth(1);
                    assert!(secret.is_none_or(|line| !error.message.contains(line)), "{error}");
                }
                (result, problem) => panic!("{result:?}, expected {problem:?}"),
            }
        }
    }
}
