//! Whether a private key belongs to a certificate: the public half that its file holds is compared, nothing is signed.

use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey;

use super::blocks;

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// `[1]` of an `ECPrivateKey`: the public key.
const EC_PUBLIC: u8 = 0xa1;
const BITS: u8 = 0x03;

/// Why the key does not belong to the certificate; nothing where it does.
pub(super) fn mismatch(pem: &[u8], certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let blocks = blocks(pem).unwrap_or_default();
    let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")) else {
        return Some("the key file holds no private key");
    };
    if block.label == "ENCRYPTED PRIVATE KEY" {
        return Some("the private key is encrypted, so it cannot be compared");
    }
    let Some(public) = public_half(&block.label, &block.contents) else {
        return Some("the private key is neither RSA nor an EC key with its public half, so it cannot be compared");
    };
    let same = match (public, certificate.public_key().parsed()) {
        (Public::Rsa(modulus), Ok(PublicKey::RSA(key))) => unsigned(modulus) == unsigned(key.modulus),
        (Public::Ec(point), Ok(PublicKey::EC(key))) => point == key.data(),
        _ => false,
    };
    (!same).then_some("the private key belongs to another certificate")
}

enum Public<'k> {
    /// The modulus.
    Rsa(&'k [u8]),
    /// The point.
    Ec(&'k [u8]),
}

fn public_half<'k>(label: &str, der: &'k [u8]) -> Option<Public<'k>> {
    match label {
        "RSA PRIVATE KEY" => rsa(der),
        "EC PRIVATE KEY" => ec(der),
        // PKCS#8: version, algorithm, and one of the two above in an octet string.
        _ => {
            let (body, _) = value(der, SEQUENCE)?;
            let (_, rest) = value(body, INTEGER)?;
            let (_, rest) = value(rest, SEQUENCE)?;
            let (inner, _) = value(rest, OCTETS)?;
            ec(inner).or_else(|| rsa(inner))
        }
    }
}

/// `RSAPrivateKey`: version, modulus, …
fn rsa(der: &[u8]) -> Option<Public<'_>> {
    let (body, _) = value(der, SEQUENCE)?;
    let (_, rest) = value(body, INTEGER)?;
    value(rest, INTEGER).map(|(modulus, _)| Public::Rsa(modulus))
}

/// `ECPrivateKey`: version, private key, curve (optional), public key (optional).
fn ec(der: &[u8]) -> Option<Public<'_>> {
    let (body, _) = value(der, SEQUENCE)?;
    let (_, rest) = value(body, INTEGER)?;
    let (_, mut rest) = value(rest, OCTETS)?;
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        if tag == EC_PUBLIC {
            // The first byte of a bit string counts its unused bits.
            return value(content, BITS).and_then(|(bits, _)| bits.get(1..)).map(Public::Ec);
        }
        rest = after;
    }
    None
}

/// A number without the zeros before it.
fn unsigned(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

/// The content of the first element, which must have this tag, and what follows it.
fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// Tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        let bytes = rest.get(..count).filter(|bytes| (1..=4).contains(&bytes.len()))?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = &rest[count..];
    }
    Some((tag, rest.get(..length)?, &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_end_where_they_say() {
        assert_eq!(element(&[2, 1, 7, 9]), Some((2, [7].as_slice(), [9].as_slice())));
        assert_eq!(element(&[4, 0x82, 0, 2, 7, 8]), Some((4, [7, 8].as_slice(), [].as_slice())));
        for broken in
            [[].as_slice(), &[2], &[2, 5, 1], &[2, 0x80], &[2, 0x85, 0, 0, 0, 0, 1, 1], &[2, 0x84, 255, 255, 255, 255]]
        {
            assert_eq!(element(broken), None, "{broken:?}");
        }
    }
}
