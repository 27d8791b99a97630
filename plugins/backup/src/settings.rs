//! What stands under `with`.

use std::borrow::Cow;

use pipe_sdk::schema::Listed;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// One thing to save. Every artifact is read back to its end before the step succeeds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Item {
    /// Stores a directory as a tar archive.
    Archive(Archive),
    /// Stores what `pg_dump` writes.
    PgDump(PgDump),
}

impl Listed for Item {
    const WORD: &'static str = "item";
}

/// `kind = "archive"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archive {
    /// Directory to store. Needs `allow.read` for it. Symbolic links are stored as links and not followed.
    pub(crate) directory: String,
    /// Name of the artifact, without an ending. The last part of the directory where it is left out.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"))]
    pub(crate) name: Option<String>,
    /// Name of the secret that encrypts it, or `false` to store it in the clear.
    pub(crate) encrypt: Encrypt,
    /// How it is read back.
    #[serde(default)]
    pub(crate) verify: VerifyArchive,
}

/// How an archive is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-pipe-restores" = true))]
pub(crate) enum VerifyArchive {
    /// Decrypts it, decompresses it and lists it to the end.
    #[default]
    Listing,
}

/// `kind = "pg-dump"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PgDump {
    /// Database, for the artifact's name and the report. Which database is dumped is decided by `peer` in `allow.exec`:
    /// name the same one.
    pub(crate) peer: String,
    /// Name of the artifact. The peer and `.dump` where it is left out.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"))]
    pub(crate) name: Option<String>,
    /// Program that dumps, as in `allow.exec`: a name or an absolute path.
    #[serde(default = "pg_dump")]
    pub(crate) program: String,
    /// Its arguments, exactly as `allow.exec` grants them. The dump must go to standard output, in a format that
    /// `pg_restore` reads (custom or tar).
    #[serde(default = "dump_arguments")]
    pub(crate) arguments: Vec<String>,
    /// Name of the secret that encrypts it, or `false` to store it in the clear.
    pub(crate) encrypt: Encrypt,
    /// Program that reads the dump back, as in `allow.exec`: a name or an absolute path.
    #[serde(default = "pg_restore")]
    pub(crate) verifier: String,
    /// How it is read back.
    #[serde(default)]
    pub(crate) verify: VerifyDump,
}

fn pg_dump() -> String {
    "pg_dump".to_owned()
}

fn dump_arguments() -> Vec<String> {
    vec!["--format=custom".to_owned(), "--no-password".to_owned()]
}

fn pg_restore() -> String {
    "pg_restore".to_owned()
}

/// How a dump is read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
// For policies that ask for restored backups: see `settings-schema` in the contract.
#[schemars(extend("x-pipe-restores" = true))]
pub(crate) enum VerifyDump {
    /// `pg_restore --file=/dev/null`: reads and unpacks every byte of the dump and throws the SQL away. Proves that the
    /// dump is whole, not that a database can be made of it.
    #[default]
    Read,
    /// Restores it into a scratch database, which is the only proof that it can be restored. For policies with
    /// `restored_backup_before_migrate`.
    Restore(Restore),
}

/// Restores a dump into a scratch database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    /// Arguments of the verifier, exactly as `allow.exec` grants them: `["--exit-on-error", "--no-owner",
    /// "--dbname=hms_scratch"]`. What is in that database may be lost. Where it is used again for the next run, add
    /// `--clean` and `--if-exists`.
    #[schemars(length(min = 1))]
    pub(crate) arguments: Vec<String>,
}

/// Whether an artifact is encrypted, and with what. There is no default: to store patients' data in the clear must be
/// written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encrypt {
    /// With this secret. Needs `allow.secrets = [{ name = "…", to = "artifacts" }]`.
    With(String),
    /// `false`.
    Never,
}

impl Encrypt {
    /// The secret, where there is one.
    pub(crate) fn secret(&self) -> Option<&str> {
        match self {
            Self::With(secret) => Some(secret),
            Self::Never => None,
        }
    }
}

impl<'de> Deserialize<'de> for Encrypt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(secret) if !secret.is_empty() => Ok(Self::With(secret)),
            serde_json::Value::Bool(false) => Ok(Self::Never),
            _ => Err(de::Error::custom("encrypt is the name of a secret, or false")),
        }
    }
}

impl JsonSchema for Encrypt {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Encrypt")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Two keywords rather than `anyOf`, whose errors say less: `minLength` and `const` each look at their own type.
        json_schema!({
            "type": ["string", "boolean"], "minLength": 1, "not": { "const": true },
            // For policies that ask for encrypted backups: see `settings-schema` in the contract.
            "x-pipe-encrypts": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use pipe_sdk::schema::Entries;

    use super::*;

    fn items(text: &str) -> Result<Vec<Item>, serde_json::Error> {
        serde_json::from_str::<Entries<Item>>(text).map(Entries::into_vec)
    }

    #[test]
    fn encryption_has_no_default() {
        assert!(items(r#"{"kind":"archive","directory":"/d"}"#).unwrap_err().to_string().contains("`encrypt`"));
        for wrong in ["true", "\"\"", "0", "[]"] {
            let text = format!(r#"{{"kind":"archive","directory":"/d","encrypt":{wrong}}}"#);
            assert!(items(&text).unwrap_err().to_string().contains("name of a secret, or false"), "{wrong}");
        }
        let plain = items(r#"{"kind":"archive","directory":"/d","encrypt":false}"#).unwrap();
        assert!(matches!(&plain[0], Item::Archive(archive) if archive.encrypt == Encrypt::Never));
    }

    #[test]
    fn defaults_of_a_dump() {
        let dump = items(r#"{"kind":"pg-dump","peer":"main","encrypt":"backup"}"#).unwrap();
        let [Item::PgDump(dump)] = dump.as_slice() else { panic!("a dump") };
        assert_eq!((dump.program.as_str(), dump.verifier.as_str()), ("pg_dump", "pg_restore"));
        assert_eq!(dump.arguments, ["--format=custom", "--no-password"]);
        assert_eq!((dump.encrypt.secret(), &dump.verify), (Some("backup"), &VerifyDump::Read));
    }

    #[test]
    fn verification_is_read_or_restore() {
        let verify = |text: &str| {
            items(&format!(r#"{{"item":[{{"kind":"pg-dump","peer":"main","encrypt":false,"verify":{text}}}]}}"#))
        };
        assert!(verify(r#""read""#).is_ok());
        assert!(verify(r#"{"restore":{"arguments":["--dbname=x"]}}"#).is_ok());
        for wrong in [r#""list""#, r#""restore""#, r#"{"restore":{}}"#, "false"] {
            assert!(verify(wrong).is_err(), "{wrong}");
        }
    }
}
