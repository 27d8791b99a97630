//! Which names a certificate covers.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The names that a certificate does not cover. Only its subject alternative names count, as in every client today.
pub(super) fn uncovered<'n>(
    certificate: &X509Certificate<'_>,
    names: &'n [String],
) -> impl Iterator<Item = &'n String> {
    let alternatives = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(alternative).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    names.iter().filter(move |name| !alternatives.iter().any(|alternative| alternative.covers(name)))
}

enum Alternative {
    Host(String),
    Address(IpAddr),
}

fn alternative(name: &GeneralName<'_>) -> Option<Alternative> {
    match name {
        GeneralName::DNSName(host) => Some(Alternative::Host(host.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from);
            v4.or_else(|| <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from)).map(Alternative::Address)
        }
        _ => None,
    }
}

impl Alternative {
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Address(address) => name.parse() == Ok(*address),
            Self::Host(host) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                match host.strip_prefix("*.") {
                    // A star stands for one whole label.
                    Some(rest) => {
                        name.split_once('.').is_some_and(|(label, parent)| !label.is_empty() && parent == rest)
                    }
                    None => *host == name,
                }
            }
        }
    }
}
