//! A certificate as a server shows it, in words. Whatever stands in it was chosen by somebody else: text is cut and cleaned.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::FromDer as _,
    public_key::PublicKey,
    x509::{SubjectPublicKeyInfo, X509Name},
};

/// The most names of a certificate that are told.
const MOST_NAMES: usize = 500;

/// The longest text that is told, in characters.
const LONGEST_TEXT: usize = 300;

/// What stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it is for: `CN=api.example`.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Host names and addresses that it covers. At most 500.
    pub names: Vec<String>,
    /// When it begins, in milliseconds since 1970.
    pub not_before_unix_ms: i64,
    /// When it ends, in milliseconds since 1970.
    pub not_after_unix_ms: i64,
    /// Serial number, in lower-case hexadecimal digits.
    pub serial: String,
    /// sha256 of the whole certificate, in lower-case hexadecimal digits.
    pub sha256_fingerprint: String,
    /// Kind and size of its key: `RSA 2048`, `EC P-256`, `Ed25519`.
    pub key_type: String,
}

impl CertificateFacts {
    /// Reads a certificate. Nothing where it is none.
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            names: names(&certificate),
            not_before_unix_ms: certificate.validity().not_before.timestamp().saturating_mul(1000),
            not_after_unix_ms: certificate.validity().not_after.timestamp().saturating_mul(1000),
            serial: plain(&hex::encode(certificate.raw_serial())),
            sha256_fingerprint: hex::encode(Sha256::digest(der)),
            key_type: key_type(certificate.public_key()),
        })
    }
}

fn name(name: &X509Name<'_>) -> String {
    plain(&name.to_string())
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(host) => Some(plain(host)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from);
            let address = v4.or_else(|| <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from));
            address.map(|address| address.to_string())
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(shown).take(MOST_NAMES).collect()
}

fn key_type(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(point)) => match point.key_size() {
            0 => "EC".to_owned(),
            bits => format!("EC P-{bits}"),
        },
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ if key.algorithm.algorithm.to_id_string() == "1.3.101.112" => "Ed25519".to_owned(),
        _ => plain(&key.algorithm.algorithm.to_id_string()),
    }
}

/// One line of bounded length.
fn plain(text: &str) -> String {
    text.chars().map(|c| if pipe_core::text::is_unprintable(c) { ' ' } else { c }).take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn what_stands_in_a_certificate_is_told() {
        let mut params = CertificateParams::new(["api.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, "api\u{1b}[2J\nforged");
        params.serial_number = Some(SerialNumber::from(vec![0x0a, 0xff]));
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2090, 1, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let facts = CertificateFacts::of(certificate.der()).unwrap();
        assert_eq!(facts.subject, "CN=api [2J forged");
        assert_eq!(facts.issuer, facts.subject);
        assert_eq!(facts.names, ["api.example", "10.0.0.1"]);
        assert_eq!((facts.not_before_unix_ms, facts.not_after_unix_ms), (1_577_836_800_000, 3_786_912_000_000));
        assert_eq!((facts.serial.as_str(), facts.key_type.as_str()), ("0aff", "EC P-256"));
        assert_eq!(facts.sha256_fingerprint.len(), 64);
    }

    #[test]
    fn what_is_no_certificate_is_nothing() {
        assert_eq!(CertificateFacts::of(&CertificateDer::from(vec![0x30, 0x80, 1, 2, 3])), None);
    }
}
