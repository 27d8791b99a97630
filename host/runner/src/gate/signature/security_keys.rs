//! Security keys. There is none on a build machine, so that the tests do its part: what is signed and written is the format
//! of OpenSSH (PROTOCOL.u2f), and `ssh-keygen -Y verify` is asked whether that is so.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, SHA512, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use ssh_key::PublicKey;

use super::{BadSignature, NAMESPACE, Signed};

const APPLICATION: &str = "ssh:";
const TEXT: &str = "pipe-approval v1\n";

/// A key that a test holds in the place of a device.
enum Device {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A number as SSH writes it: without zeros in front, and with one where the highest bit would be a sign.
fn number(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let sign: &[u8] = if bytes.get(start).is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    string(&[sign, &bytes[start..]].concat())
}

impl Device {
    fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
    }

    fn ecdsa() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap())
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Self::Ecdsa(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn public(&self) -> Vec<u8> {
        let key = match self {
            Self::Ed25519(pair) => string(pair.public_key().as_ref()),
            Self::Ecdsa(pair) => [string(b"nistp256"), string(pair.public_key().as_ref())].concat(),
        };
        [string(self.algorithm().as_bytes()), key, string(APPLICATION.as_bytes())].concat()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                let (r, s) = signature.as_ref().split_at(32);
                [number(r), number(s)].concat()
            }
        }
    }

    /// The signature of a text, as `ssh-keygen -Y sign` writes it. `flags` say whether the device was touched.
    fn signature(&self, text: &str, flags: u8) -> String {
        let (namespace, hash) = (string(NAMESPACE.as_bytes()), string(b"sha512"));
        let hashed = string(digest(&SHA512, text.as_bytes()).as_ref());
        let message = [b"SSHSIG", &namespace[..], &string(b""), &hash, &hashed].concat();
        let did = [&[flags][..], &41_u32.to_be_bytes()].concat();
        let signed =
            [digest(&SHA256, APPLICATION.as_bytes()).as_ref(), &did, digest(&SHA256, &message).as_ref()].concat();
        let made = [string(self.algorithm().as_bytes()), string(&self.sign(&signed)), did].concat();
        let whole = [
            b"SSHSIG",
            &1_u32.to_be_bytes()[..],
            &string(&self.public()),
            &namespace,
            &string(b""),
            &hash,
            &string(&made),
        ]
        .concat();
        let encoded = STANDARD.encode(whole);
        let lines: Vec<&str> = encoded.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
    }

    fn line(&self) -> String {
        PublicKey::from_bytes(&self.public()).unwrap().to_openssh().unwrap()
    }
}

/// What `ssh-keygen` says of a signature.
fn ssh_keygen(device: &Device, signature: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (signers, proof) = (folder.path().join("signers"), folder.path().join("proof"));
    fs::write(&signers, format!("anna@x {}\n", device.line())).unwrap();
    fs::write(&proof, signature).unwrap();
    let mut verify = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "anna@x", "-n", NAMESPACE, "-f"])
        .arg(&signers)
        .arg("-s")
        .arg(&proof)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    verify.stdin.take().unwrap().write_all(TEXT.as_bytes()).unwrap();
    verify.wait().unwrap().success()
}

fn checked(signature: &str, text: &str) -> Result<(), BadSignature> {
    Signed::read(signature)?.check(text)
}

#[test]
fn a_touched_key_signs() {
    for device in [Device::ed25519(), Device::ecdsa()] {
        let signature = device.signature(TEXT, 1);
        assert!(ssh_keygen(&device, &signature), "{}", device.algorithm());
        assert_eq!(checked(&signature, TEXT), Ok(()), "{}", device.algorithm());
        assert_eq!(checked(&signature, "pipe-approval v2\n"), Err(BadSignature::Forged));
    }
}

#[test]
fn one_that_nobody_touched_does_not() {
    for device in [Device::ed25519(), Device::ecdsa()] {
        // `ssh-keygen -Y verify` lets it pass.
        let signature = device.signature(TEXT, 0);
        assert_eq!(checked(&signature, TEXT), Err(BadSignature::Untouched), "{}", device.algorithm());
    }
}

#[test]
fn every_key_of_many_is_read() {
    // Numbers have zeros in front once in some hundreds.
    for _ in 0..600 {
        let device = Device::ecdsa();
        assert_eq!(checked(&device.signature(TEXT, 1), TEXT), Ok(()));
    }
}
