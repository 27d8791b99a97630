//! `kind = "certificate-file"`: a certificate (and what follows it) in a PEM file.

mod key;
mod names;

use pipe_checks::{Check, Options, check_settings};
use pipe_sdk::calendar::Moment;
use pipe_sdk::{Context, Failure, Finding, files};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;

const DAY: i64 = 86_400;
/// Largest file that is read.
const LIMIT: u64 = 1 << 20;

const fn thirty() -> u32 {
    30
}

check_settings! {
    /// Looks at the certificates in a file: that all of them are valid, and for how long. Needs `allow.read`.
    pub struct CertificateFile {
        /// Path of a PEM file, as in the grant. The first certificate in it is the server's own.
        #[schemars(length(min = 1))]
        pub path: String,
        /// More than so many days must be left of every certificate in the file.
        #[serde(default = "thirty")]
        pub min_days: u32,
        /// Host names and IP addresses that the first certificate must cover.
        #[serde(default)]
        pub names: Vec<String>,
        /// Path of a PEM file with the private key that must belong to the first certificate (RSA or EC).
        pub key: Option<String>,
    }
}

/// What is known of the file.
struct Judgement {
    unmet: Vec<String>,
    /// The earliest end of all certificates.
    not_after: Moment,
    days_left: i64,
}

impl CertificateFile {
    fn judge(&self, pem: &[u8], key: Option<&[u8]>, now: Moment) -> Result<Judgement, Failure> {
        let blocks = blocks(pem).map_err(|why| Failure::unmet(format!("{}: {why}", self.path)))?;
        let mut unmet = Vec::new();
        let mut not_after = i64::MAX;
        let mut first = true;
        for block in blocks.iter().filter(|block| block.label == "CERTIFICATE") {
            let certificate = parse(&block.contents).map_err(|why| Failure::unmet(format!("{}: {why}", self.path)))?;
            if first {
                unmet.extend(names::uncovered(&certificate, &self.names).map(|name| format!("does not cover {name}")));
                if let Some(key) = key {
                    unmet.extend(key::mismatch(key, &certificate).map(str::to_owned));
                }
                first = false;
            }
            let validity = certificate.validity();
            let begins = Moment { unix_seconds: validity.not_before.timestamp() };
            if now < begins {
                unmet.push(format!("{} is valid from {} only", certificate.subject(), begins.to_rfc3339()));
            }
            let end = validity.not_after.timestamp();
            // Strictly more than `min_days`.
            if end - now.unix_seconds <= i64::from(self.min_days) * DAY {
                let subject = certificate.subject();
                unmet.push(format!("{subject} ends {}", Moment { unix_seconds: end }.to_rfc3339()));
            }
            not_after = not_after.min(end);
        }
        if first {
            return Err(Failure::unmet(format!("{} holds no certificate", self.path)));
        }
        let days_left = (not_after - now.unix_seconds).div_euclid(DAY);
        Ok(Judgement { unmet, not_after: Moment { unix_seconds: not_after }, days_left })
    }
}

/// Every block of a PEM file.
fn blocks(pem: &[u8]) -> Result<Vec<Pem>, String> {
    Pem::iter_from_buffer(pem).collect::<Result<_, _>>().map_err(|error| format!("no PEM: {error}"))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("no certificate: {error}"))
}

impl Check for CertificateFile {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("certificate {}", self.path.rsplit('/').next().unwrap_or(&self.path))
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        let pem = files::read(&self.path, LIMIT)?;
        let key = self.key.as_ref().map(|path| files::read(path, LIMIT)).transpose()?;
        let judgement = self.judge(&pem, key.as_deref(), Moment::now())?;
        let until = format!("valid until {}, {} days left", judgement.not_after.to_rfc3339(), judgement.days_left);
        let finding = if judgement.unmet.is_empty() {
            Finding::pass(until)
        } else {
            Finding::fail(format!("{}; {until}", judgement.unmet.join("; ")))
        };
        let expected = format!("more than {} days", self.min_days);
        Ok(finding.with_observed(format!("{} days", judgement.days_left)).with_expected(expected))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const RSA: &[u8] = include_bytes!("../fixtures/rsa.pem");
    const EC: &[u8] = include_bytes!("../fixtures/ec.pem");
    /// When the certificate of `rsa.pem` ends.
    const END: i64 = 2_110_762_256;

    fn judge(settings: Value, pem: &[u8], key: Option<&[u8]>, now: i64) -> Result<Judgement, Failure> {
        let mut settings = settings;
        settings["path"] = json!("/etc/ssl/api.crt");
        let check: CertificateFile = serde_json::from_value(settings).expect("settings");
        check.judge(pem, key, Moment { unix_seconds: now })
    }

    fn unmet(settings: Value, pem: &[u8], key: Option<&[u8]>, now: i64) -> Vec<String> {
        judge(settings, pem, key, now).expect("certificates").unmet
    }

    #[test]
    fn more_than_thirty_days_must_be_left() {
        assert_eq!(unmet(json!({}), RSA, None, END - 30 * DAY - 1), Vec::<String>::new());
        assert_eq!(unmet(json!({}), RSA, None, END - 30 * DAY), ["CN=medical-api ends 2036-11-20T02:50:56Z"]);
        assert_eq!(unmet(json!({ "min_days": 29 }), RSA, None, END - 30 * DAY), Vec::<String>::new());
        assert_eq!(judge(json!({}), RSA, None, END + 1).expect("a certificate").days_left, -1);
        assert!(unmet(json!({}), RSA, None, 0)[0].contains("is valid from 2026-11-23T02:50:56Z only"));
    }

    #[test]
    fn every_certificate_of_the_file_counts() {
        let chain = [RSA, EC].concat();
        let end_of_ec = 2_054_602_388;
        let judgement = judge(json!({}), &chain, None, end_of_ec).expect("certificates");
        assert!(judgement.unmet[0].starts_with("CN=ec ends "), "{:?}", judgement.unmet);
        assert!(judgement.not_after.unix_seconds < END);
    }

    #[test]
    fn names_must_be_covered() {
        let names = json!({ "names": ["medical-api.example", "A.clinic.example", "10.1.2.3"] });
        assert_eq!(unmet(names, RSA, None, END - 99 * DAY), Vec::<String>::new());
        let names = json!({ "names": ["clinic.example", "a.b.clinic.example", "10.1.2.4", "medical-api"] });
        let unmet = unmet(names, RSA, None, END - 99 * DAY);
        assert_eq!(unmet.len(), 4, "{unmet:?}");
        assert_eq!(unmet[0], "does not cover clinic.example");
    }

    #[test]
    fn a_key_belongs_to_its_certificate_alone() {
        let rsa: &[u8] = include_bytes!("../fixtures/rsa.key");
        let rsa_pkcs1: &[u8] = include_bytes!("../fixtures/rsa.pkcs1.key");
        let ec: &[u8] = include_bytes!("../fixtures/ec.key");
        let ec_sec1: &[u8] = include_bytes!("../fixtures/ec.sec1.key");
        let now = 1_800_000_000;
        for (key, pem) in [(rsa, RSA), (rsa_pkcs1, RSA), (ec, EC), (ec_sec1, EC)] {
            assert_eq!(unmet(json!({}), pem, Some(key), now), Vec::<String>::new());
        }
        for (key, pem) in [(rsa, EC), (ec, RSA)] {
            assert_eq!(unmet(json!({}), pem, Some(key), now), ["the private key belongs to another certificate"]);
        }
        assert_eq!(unmet(json!({}), RSA, Some(RSA), now), ["the key file holds no private key"]);
    }

    #[test]
    fn what_is_no_certificate_fails() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in [b"".as_slice(), b"hello", broken, include_bytes!("../fixtures/ec.key")] {
            assert!(judge(json!({}), pem, None, 0).is_err());
        }
    }
}
