//! `kind = "tls"`: what a server shows in a handshake, and what is expected of it.

use pipe_sdk::calendar::Moment;
use pipe_sdk::tls::{self, Certificate, Facts, Version};
use pipe_sdk::{Context, ErrorKind, Failure, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Check, Options};

const DAY: i64 = 86_400;

/// What servers say to a client that offers only versions or ciphers that they do not take.
const REFUSALS: [&str; 3] = ["protocol_version", "handshake_failure", "insufficient_security"];

/// A version of TLS that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum MinVersion {
    /// TLS 1.2. Nothing older is ever spoken, so that every handshake is at least this.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3. The server must also refuse a client that offers TLS 1.2 alone.
    #[serde(rename = "1.3")]
    Tls13,
}

const fn thirty() -> u32 {
    30
}

const fn yes() -> bool {
    true
}

crate::check_settings! {
    /// Shakes hands with a server and looks at its certificates and its version of TLS. Needs `allow.tls`.
    #[schemars(extend("if" = { "required": ["peer"] }))]
    #[schemars(extend("then" = { "properties": { "endpoint": false } }))]
    #[schemars(extend("else" = { "required": ["endpoint"] }))]
    pub struct TlsCheck {
        /// Peer of the pipeline file; its `ca` is trusted. Either this or `endpoint`.
        pub peer: Option<String>,
        /// `host:port`. Either this or `peer`.
        #[schemars(regex(pattern = ":[0-9]+$"))]
        pub endpoint: Option<String>,
        /// More than so many days must be left of every certificate that the server sends.
        #[serde(default = "thirty")]
        pub min_days: u32,
        /// Host names and IP addresses that the server's own certificate must cover, beside the one that was asked.
        #[serde(default)]
        pub names: Vec<String>,
        /// Least version that the server takes.
        #[serde(default)]
        pub min_version: MinVersion,
        /// Whether the certificates must lead to an authority that is trusted, and be for the name that was asked.
        #[serde(default = "yes")]
        pub trusted: bool,
    }
}

/// What is known of a server.
struct Judgement {
    unmet: Vec<String>,
    /// The earliest end of all certificates.
    not_after: Moment,
    days_left: i64,
}

impl TlsCheck {
    fn server(&self) -> &str {
        self.peer.as_deref().or(self.endpoint.as_deref()).unwrap_or_default()
    }

    fn judge(&self, shown: &Facts, now: Moment) -> Result<Judgement, Failure> {
        let Some(own) = shown.chain.first() else {
            return Err(Failure::unmet("the server shows no certificate that can be read"));
        };
        let mut unmet = Vec::new();
        if self.trusted
            && let Err(why) = &shown.verified
        {
            unmet.push(why.clone());
        }
        unmet.extend(self.names.iter().filter(|name| !own.covers(name)).map(|name| format!("does not cover {name}")));
        let end = |certificate: &Certificate| certificate.not_after_unix_ms.div_euclid(1000);
        for certificate in &shown.chain {
            let (subject, end) = (&certificate.subject, Moment { unix_seconds: end(certificate) });
            if now.unix_seconds < certificate.not_before_unix_ms.div_euclid(1000) {
                unmet.push(format!("{subject} is not valid yet"));
            }
            // Strictly more than `min_days`.
            if end.unix_seconds - now.unix_seconds <= i64::from(self.min_days) * DAY {
                unmet.push(format!("{subject} ends {}", end.to_rfc3339()));
            }
        }
        if self.min_version == MinVersion::Tls13 && shown.protocol_version != "TLSv1.3" {
            unmet.push(format!("speaks {}, not TLSv1.3", shown.protocol_version));
        }
        let not_after = shown.chain.iter().map(end).min().unwrap_or_default();
        let days_left = (not_after - now.unix_seconds).div_euclid(DAY);
        Ok(Judgement { unmet, not_after: Moment { unix_seconds: not_after }, days_left })
    }

    /// Whether the server takes a client that offers nothing newer than TLS 1.2.
    fn takes_older(&self) -> Result<Option<String>, Failure> {
        match tls::handshake_at_most(self.server(), Version::Tls12) {
            Ok(shown) => Ok(Some(format!("still takes {}", shown.protocol_version))),
            Err(error) if error.code.as_deref().is_some_and(|code| REFUSALS.contains(&code)) => Ok(None),
            Err(error) if error.kind == ErrorKind::Unavailable => {
                Ok(Some(format!("whether it takes TLSv1.2 is not known: {}", error.message)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Check for TlsCheck {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("tls {}", self.server())
    }

    fn validate(&self) -> Result<(), Failure> {
        match (&self.peer, &self.endpoint) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err(Failure::settings("either `peer` or `endpoint`")),
        }
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        let shown = tls::handshake(self.server())?;
        let mut judgement = self.judge(&shown, Moment::now())?;
        if self.min_version == MinVersion::Tls13 && shown.protocol_version == "TLSv1.3" {
            judgement.unmet.extend(self.takes_older()?);
        }
        let Judgement { unmet, not_after, days_left } = judgement;
        let until =
            format!("{}, valid until {}, {days_left} days left", shown.protocol_version, not_after.to_rfc3339());
        let finding = if unmet.is_empty() {
            Finding::pass(until)
        } else {
            Finding::fail(format!("{}; {until}", unmet.join("; ")))
        };
        let expected = format!("more than {} days", self.min_days);
        Ok(finding.with_observed(format!("{days_left} days")).with_expected(expected))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn certificate(subject: &str, days: i64) -> Certificate {
        Certificate {
            subject: subject.into(),
            issuer: "CN=ca".into(),
            names: vec!["api.example".into()],
            not_before_unix_ms: (NOW - DAY) * 1000,
            not_after_unix_ms: (NOW + days * DAY) * 1000,
            serial: "01".into(),
            sha256_fingerprint: String::new(),
            key_type: "EC P-256".into(),
        }
    }

    fn shown(verified: Result<(), String>, version: &str, chain: Vec<Certificate>) -> Facts {
        let (protocol_version, cipher) = (version.to_owned(), String::new());
        Facts { protocol_version, cipher, chain, verified, asks_for_client_certificate: false }
    }

    fn check(more: Value) -> TlsCheck {
        let mut settings = json!({ "peer": "api" });
        settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(settings).expect("settings")
    }

    #[test]
    fn a_server_is_judged_by_what_it_shows() {
        let good = || shown(Ok(()), "TLSv1.3", vec![certificate("CN=api", 31), certificate("CN=ca", 900)]);
        for (settings, shown, unmet) in [
            (json!({}), good(), vec![]),
            (json!({ "min_days": 31 }), good(), vec!["CN=api ends 2027-02-15T08:00:00Z"]),
            (
                json!({ "min_days": 900 }),
                good(),
                vec!["CN=api ends 2027-02-15T08:00:00Z", "CN=ca ends 2029-07-03T08:00:00Z"],
            ),
            (json!({ "names": ["API.example", "db.example"] }), good(), vec!["does not cover db.example"]),
            (json!({ "min_version": "1.3" }), good(), vec![]),
            (
                json!({ "min_version": "1.3" }),
                shown(Ok(()), "TLSv1.2", vec![certificate("CN=api", 31)]),
                vec!["speaks TLSv1.2, not TLSv1.3"],
            ),
            (
                json!({}),
                shown(
                    Err("the certificate comes from an unknown authority".into()),
                    "TLSv1.3",
                    vec![certificate("CN=api", 31)],
                ),
                vec!["the certificate comes from an unknown authority"],
            ),
            (
                json!({ "trusted": false, "min_days": 0 }),
                shown(Err("unknown".into()), "TLSv1.3", vec![certificate("CN=api", 0)]),
                vec!["CN=api ends 2027-01-15T08:00:00Z"],
            ),
        ] {
            let judgement = check(settings.clone()).judge(&shown, Moment { unix_seconds: NOW }).expect("a certificate");
            assert_eq!(judgement.unmet, unmet, "{settings}");
        }
        assert!(check(json!({})).judge(&shown(Ok(()), "TLSv1.3", vec![]), Moment { unix_seconds: NOW }).is_err());
    }

    #[test]
    fn a_certificate_that_begins_later_is_none() {
        let early = shown(Ok(()), "TLSv1.3", vec![certificate("CN=api", 90)]);
        let judgement = check(json!({})).judge(&early, Moment { unix_seconds: NOW - 2 * DAY }).expect("a certificate");
        assert_eq!(judgement.unmet, ["CN=api is not valid yet"]);
        assert_eq!(judgement.days_left, 92);
    }

    #[test]
    fn either_a_peer_or_an_endpoint() {
        assert!(check(json!({})).validate().is_ok());
        assert!(check(json!({ "endpoint": "a.example:443" })).validate().is_err());
        let neither: TlsCheck = serde_json::from_value(json!({})).expect("settings");
        assert!(neither.validate().is_err());
    }
}
