//! `tcp`: connections, by host and port.

use std::fmt;

use ipnet::IpNet;

use crate::{
    address::{self, AddressRefused},
    endpoint::{self, Endpoint},
    line,
    rule::{InToml, RuleError},
};

/// A host and port that may be connected to: `"db.prod:5432"`, or `{ rule = "db.prod:5432", addresses = ["10.0.0.0/8"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRule {
    text: String,
    endpoint: Endpoint,
    /// Networks whose private or special addresses the host may have.
    pub addresses: Vec<IpNet>,
}

impl TcpRule {
    /// Reads `host:port`.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::parse`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Ok(Self { text: text.to_owned(), endpoint: Endpoint::parse(text)?, addresses: Vec::new() })
    }

    /// The rule with `addresses`, as a table of the pipeline file has them.
    #[must_use]
    pub fn with_addresses(self, addresses: Vec<IpNet>) -> Self {
        Self { addresses, ..self }
    }

    /// Where the connections go.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether everything that `other` covers is covered here.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && address::includes(&self.addresses, &other.addresses)
    }

    /// The rule that covers this endpoint and no other. `refused` is an address that the host has and no name grants.
    pub(crate) fn narrowest(endpoint: &Endpoint, refused: Option<&AddressRefused>) -> Self {
        let addresses = refused.into_iter().map(AddressRefused::network).collect();
        Self { text: endpoint.to_string(), endpoint: endpoint.clone(), addresses }
    }

    /// The same with one address more.
    pub(crate) fn wider(&self, refused: &AddressRefused) -> Self {
        let mut wider = self.clone();
        wider.addresses.push(refused.network());
        wider
    }
}

impl fmt::Display for TcpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() { f.write_str(&self.text) } else { f.write_str(&self.in_toml()) }
    }
}

impl InToml for TcpRule {
    fn in_toml(&self) -> String {
        endpoint::in_toml(&self.text, &self.addresses)
    }
}

/// A rule for a port that is not known: what a lookup alone can be told. Whoever connects learns the port.
pub(crate) fn with_unknown_port(host: &url::Host) -> String {
    line::text(&format!("{host}:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_printed_as_written() {
        let rule = TcpRule::parse("DB.prod.:5432").unwrap();
        assert_eq!(rule.to_string(), "DB.prod.:5432");
        assert_eq!(rule.in_toml(), "\"DB.prod.:5432\"");
        assert_eq!(rule.endpoint().to_string(), "db.prod:5432");
        let table = rule.with_addresses(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        assert_eq!(table.to_string(), r#"{ rule = "DB.prod.:5432", addresses = ["10.0.0.0/8", "fd00::/8"] }"#);
    }
}
