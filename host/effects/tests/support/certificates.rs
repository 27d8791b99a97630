//! Certificate authorities and servers' certificates for tests.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::{Path, PathBuf};

use pipe_effects::world::ClientIdentity;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// For `names`, until the end of 2090 unless it has `expired`.
    pub(crate) fn issue(&self, names: &[&str], expired: bool) -> Certificate {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(if expired { 2021 } else { 2090 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate { chain, key: key.serialize_pem() }
    }

    /// A certificate for the client `name`.
    pub(crate) fn issue_client(&self, name: &str) -> Certificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate { chain, key: key.serialize_pem() }
    }

    /// Writes the authority's certificate where a peer's `ca` can find it.
    pub(crate) fn write(&self, directory: &Path) -> PathBuf {
        let file = directory.join("ca.pem");
        std::fs::write(&file, &self.pem).unwrap();
        file
    }
}

impl Certificate {
    /// Writes the certificate where a peer's `client_cert` can find it. The key is the secret `key`.
    pub(crate) fn write(&self, directory: &Path) -> ClientIdentity {
        let file = directory.join("client.pem");
        std::fs::write(&file, &self.chain).unwrap();
        ClientIdentity { certificate: file, key: "key".to_owned() }
    }
}
