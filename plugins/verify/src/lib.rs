//! Standard plugin of pipe: the verify stage. Looks at what was released, as its users would.

mod roundtrip;

use pipe_checks::file::FileCheck;
use pipe_checks::http::HttpCheck;
use pipe_checks::prometheus::PrometheusQuery;
use pipe_checks::run;
use pipe_checks::sql::SqlCheck;
use pipe_checks::tcp::TcpCheck;
use pipe_checks::tls::TlsCheck;
use pipe_sdk::schema::{Entries, Listed};
use pipe_sdk::verify::{Report, Verify};
use pipe_sdk::{Context, Description, Failure, Plugin, Word};
use schemars::JsonSchema;
use serde::Deserialize;

/// A check: what to look at, and what is expected of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Check {
    /// A request to a server.
    Http(HttpCheck),
    /// A question to Prometheus.
    PrometheusQuery(PrometheusQuery),
    /// A connection to a port.
    Tcp(TcpCheck),
    /// A TLS handshake: certificates and version.
    Tls(TlsCheck),
    /// A query to a database.
    Sql(SqlCheck),
    /// A file or a directory.
    File(FileCheck),
    /// A record that is written, found and removed again.
    AuditRoundtrip(roundtrip::AuditRoundtrip),
}

impl Listed for Check {
    const WORD: &'static str = "check";
}

impl Check {
    fn as_check(&self) -> &dyn pipe_checks::Check {
        match self {
            Self::Http(check) => check,
            Self::PrometheusQuery(check) => check,
            Self::Tcp(check) => check,
            Self::Tls(check) => check,
            Self::Sql(check) => check,
            Self::File(check) => check,
            Self::AuditRoundtrip(check) => check,
        }
    }
}

struct Standard;

impl Plugin for Standard {
    type Settings = Entries<Check>;

    fn describe() -> Description {
        Description::new(
            "verify",
            env!("CARGO_PKG_VERSION"),
            "Looks at servers, databases, files and audit records after a release.",
        )
        .asks(Word::Http, "METHOD PEER:PATH", "for checks of kind http; GET unless `method` says otherwise")
        .asks(Word::Http, "POST PEER:/api/v1/query", "for checks of kind prometheus-query")
        .asks(Word::Tcp, "HOST:PORT", "for checks of kind tcp")
        .asks(Word::Tls, "PEER or HOST:PORT", "for checks of kind tls")
        .asks(Word::Sql, "read PEER", "for checks of kind sql")
        .asks(Word::Sql, "write PEER", "for checks of kind audit-roundtrip with a `peer`")
        .asks(Word::Read, "the path", "for checks of kind file")
        .asks(Word::Write, "the path", "for checks of kind audit-roundtrip with a `path`")
    }
}

impl Verify for Standard {
    fn probe(context: &Context, settings: Entries<Check>) -> Result<Report, Failure> {
        let checks = settings.into_vec();
        let checks: Vec<&dyn pipe_checks::Check> = checks.iter().map(Check::as_check).collect();
        Ok(Report { findings: run(context, &checks)?, ..Report::default() })
    }
}

pipe_sdk::export_verify!(Standard);

#[cfg(test)]
mod tests {
    use pipe_sdk::schema;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_schema_asks_for_all_of_a_roundtrip() {
        let schema: Value = serde_json::from_str(&schema::of::<Entries<Check>>()).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let statements = json!({
            "kind": "audit-roundtrip", "peer": "main", "insert": "insert into audit values ($1)",
            "select": "select 1 from audit where marker = $1", "delete": "delete from audit where marker = $1",
        });
        let mut all = statements.clone();
        all["delete"] = json!("delete from audit");
        let mut half = statements.clone();
        half.as_object_mut().expect("an object").remove("delete");
        let mut both = statements.clone();
        both["path"] = json!("/var/log/audit.log");
        for (with, valid) in [
            (statements, true),
            (json!({ "kind": "audit-roundtrip", "path": "/var/log/audit.log" }), true),
            (
                json!({ "check": [{ "kind": "http", "peer": "api" }, { "kind": "file", "path": "a", "contains": "b" }] }),
                true,
            ),
            (all, false),
            (half, false),
            (both, false),
            (json!({ "kind": "audit-roundtrip" }), false),
        ] {
            assert_eq!(validator.is_valid(&with), valid, "{with}");
        }
    }
}
