//! Standard plugin of pipe: the precheck stage. Looks before anything is touched.

mod certificate;
mod disk;
mod environment;

use pipe_checks::file::FileCheck;
use pipe_checks::http::HttpCheck;
use pipe_checks::run;
use pipe_checks::sql::SqlCheck;
use pipe_checks::tcp::TcpCheck;
use pipe_checks::tls::TlsCheck;
use pipe_sdk::precheck::{Precheck, Report};
use pipe_sdk::schema::{Entries, Listed};
use pipe_sdk::{Context, Description, Failure, Plugin, Word};
use schemars::JsonSchema;
use serde::Deserialize;

/// A check: what to look at, and what is expected of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Check {
    /// Variables that must be set.
    EnvRequired(environment::EnvRequired),
    /// Variables that must have certain values.
    EnvValues(environment::EnvValues),
    /// A file or a directory.
    File(FileCheck),
    /// A certificate in a file.
    CertificateFile(certificate::CertificateFile),
    /// Free space.
    DiskFree(disk::DiskFree),
    /// A query to a database.
    Sql(SqlCheck),
    /// A request to a server.
    Http(HttpCheck),
    /// A connection to a port.
    Tcp(TcpCheck),
    /// A TLS handshake: certificates and version.
    Tls(TlsCheck),
}

impl Listed for Check {
    const WORD: &'static str = "check";
}

impl Check {
    fn as_check(&self) -> &dyn pipe_checks::Check {
        match self {
            Self::EnvRequired(check) => check,
            Self::EnvValues(check) => check,
            Self::File(check) => check,
            Self::CertificateFile(check) => check,
            Self::DiskFree(check) => check,
            Self::Sql(check) => check,
            Self::Http(check) => check,
            Self::Tcp(check) => check,
            Self::Tls(check) => check,
        }
    }
}

struct Standard;

impl Plugin for Standard {
    type Settings = Entries<Check>;

    fn describe() -> Description {
        Description::new(
            "precheck",
            env!("CARGO_PKG_VERSION"),
            "Looks at variables, files, certificates, disks, databases and servers before anything is touched.",
        )
        .asks(Word::Env, "the names", "for checks of kind env-required and env-values")
        .asks(Word::Read, "the path", "for checks of kind file and certificate-file")
        .asks(Word::Disk, "the path", "for checks of kind disk-free")
        .asks(Word::Sql, "read PEER", "for checks of kind sql")
        .asks(Word::Http, "METHOD PEER:PATH", "for checks of kind http; GET unless `method` says otherwise")
        .asks(Word::Tcp, "HOST:PORT", "for checks of kind tcp")
        .asks(Word::Tls, "PEER or HOST:PORT", "for checks of kind tls")
    }
}

impl Precheck for Standard {
    fn check(context: &Context, settings: Entries<Check>) -> Result<Report, Failure> {
        let checks = settings.into_vec();
        let checks: Vec<&dyn pipe_checks::Check> = checks.iter().map(Check::as_check).collect();
        Ok(Report { findings: run(context, &checks)?, ..Report::default() })
    }
}

pipe_sdk::export_precheck!(Standard);

#[cfg(test)]
mod tests {
    use pipe_sdk::schema;
    use serde_json::{Value, json};

    use super::*;

    /// Where the schema finds something wrong in `with`. Empty when it finds nothing.
    fn errors(with: &Value) -> Vec<String> {
        let schema: Value = serde_json::from_str(&schema::of::<Entries<Check>>()).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let mut errors: Vec<String> =
            validator.iter_errors(with).map(|error| format!("{}: {error}", error.instance_path())).collect();
        errors.sort();
        errors
    }

    #[test]
    fn the_schema_takes_what_the_settings_take() {
        let cert =
            json!({ "kind": "certificate-file", "path": "a.crt", "names": ["a"], "key": "a.key", "min_days": 14 });
        let entries = [
            json!({ "kind": "env-required", "names": ["A"], "min_length": 8, "forbid_values": ["changeme"] }),
            json!({ "kind": "env-values", "values": { "A": true, "B": { "min": 2555 }, "C": "require" } }),
            json!({ "kind": "file", "path": "database/rollback", "type": "directory", "max_mode": "0750" }),
            cert,
            json!({ "kind": "disk-free", "path": "/var", "min": "100GB", "severity": "warning" }),
            json!({ "kind": "sql", "peer": "main", "min_version": "14.0", "retries": 3, "interval": "2s" }),
            json!({ "kind": "sql", "peer": "main", "query": "select 1", "expect": 1, "name": "one" }),
            json!({ "kind": "http", "peer": "k8s", "path": "/version", "json": { "$.major": { "min": 1 } } }),
            json!({ "kind": "http", "url": "https://a.example/", "status": [200, 204], "max_latency": "2s" }),
            json!({ "kind": "tcp", "host": "db.example", "port": 5432, "timeout": "3s", "retries": 2 }),
            json!({ "kind": "tls", "peer": "api", "min_days": 14, "names": ["a.example"], "min_version": "1.3" }),
            json!({ "kind": "tls", "endpoint": "lb.example:443", "trusted": false }),
        ];
        for entry in &entries {
            assert_eq!(errors(entry), Vec::<String>::new(), "{entry}");
            serde_json::from_value::<Entries<Check>>(entry.clone()).expect("settings");
        }
        assert_eq!(errors(&json!({ "check": entries })), Vec::<String>::new());
        assert!(schema::of::<Entries<Check>>().len() < 64 << 10);
    }

    #[test]
    fn an_error_of_the_schema_leads_to_its_word() {
        for (with, path, words) in [
            (json!({}), "", "\"kind\" is a required property"),
            (json!({ "check": [] }), "/check", "less than 1 item"),
            (json!({ "check": [{ "kind": "htp" }] }), "/check/0/kind", "\"htp\" is not one of"),
            (json!({ "check": [{ "kind": "file", "path": "a", "pth": 1 }] }), "/check/0", "'pth' was unexpected"),
            (json!({ "kind": "disk-free", "path": "/", "min": 100 }), "/min", "is not of type \"string\""),
            (json!({ "kind": "disk-free", "path": "/", "min": "100" }), "/min", "does not match"),
            (json!({ "kind": "disk-free", "path": "/" }), "", "\"min\" is a required property"),
            (json!({ "kind": "sql", "peer": "main" }), "", "\"min_version\" is a required property"),
            (json!({ "kind": "sql", "peer": "main", "query": "select 1" }), "", "anyOf"),
            (json!({ "kind": "http" }), "", "\"url\" is a required property"),
            (json!({ "kind": "http", "peer": "a", "url": "https://b" }), "/url", "False schema"),
            (json!({ "kind": "http", "peer": "a", "method": "get" }), "/method", "is not one of"),
            (
                json!({ "kind": "http", "peer": "a", "json": { "$.a": { "mim": 1 } } }),
                "/json/$.a",
                "'mim' was unexpected",
            ),
            (json!({ "kind": "tcp", "host": "db" }), "", "\"port\" is a required property"),
            (json!({ "kind": "tcp", "host": "db", "port": 0 }), "/port", "less than the minimum"),
            (json!({ "kind": "tls" }), "", "\"endpoint\" is a required property"),
            (json!({ "kind": "tls", "peer": "a", "endpoint": "b:443" }), "/endpoint", "False schema"),
            (json!({ "kind": "tls", "endpoint": "b.example" }), "/endpoint", "does not match"),
            (json!({ "kind": "tls", "peer": "a", "min_version": "1.1" }), "/min_version", "is not one of"),
            (json!({ "kind": "env-values", "values": {} }), "/values", "less than 1 property"),
            (json!({ "kind": "env-required", "names": [] }), "/names", "less than 1 item"),
        ] {
            let errors = errors(&with);
            assert_eq!(errors.len(), 1, "{with}: {errors:#?}");
            let (at, what) = errors[0].split_once(": ").expect("a path");
            assert!(at == path && what.contains(words), "{with}: {errors:#?}");
        }
    }
}
