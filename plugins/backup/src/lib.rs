//! The backup stage: saves what the deployment could destroy, and reads it back.

mod command;
mod preview;
mod settings;
mod take;

use pipe_sdk::{
    Context, Description, Failure, Plugin, Word,
    backup::{Backup as BackupStage, Report},
    preview::Preview,
    schema::Entries,
};

use settings::Item;

struct Backup;

impl Plugin for Backup {
    type Settings = Entries<Item>;

    fn describe() -> Description {
        let version = env!("CARGO_PKG_VERSION");
        Description::new("backup", version, "Saves what a deployment could destroy, and reads it back.")
            .asks(Word::Artifacts, "write", "always: the backups")
            .asks(Word::Secrets, "<encrypt> to artifacts", "the key of what is encrypted")
            .asks(Word::Read, "<directory>", "`archive`: the directory that is stored")
            .asks(Word::Exec, "<program> <arguments>", "`pg-dump`: pg_dump, logged in by the grant's peer")
            .asks(Word::Exec, "<verifier> --file=/dev/null", "`pg-dump` with verify = \"read\": reads the dump back")
            .asks(Word::Exec, "<verifier> <verify.restore.arguments>", "`pg-dump` with verify.restore: restores it")
    }
}

impl BackupStage for Backup {
    fn take(_: &Context, settings: Self::Settings) -> Result<Report, Failure> {
        take::take(&settings.into_vec(), &take::Pipe)
    }
}

impl Preview for Backup {
    fn preview(_: &Context, settings: Self::Settings) -> Result<Vec<String>, Failure> {
        preview::preview(&settings.into_vec())
    }
}

pipe_sdk::export_backup!(Backup, preview);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Whether settings are accepted: by the host, which knows the schema, and by the plugin, which knows its types.
    fn both(settings: Value) -> bool {
        let schema: Value = serde_json::from_str(&pipe_sdk::schema::of::<<Backup as Plugin>::Settings>()).unwrap();
        let by_host = jsonschema::validator_for(&schema).unwrap().is_valid(&settings);
        let by_plugin = serde_json::from_value::<<Backup as Plugin>::Settings>(settings.clone()).is_ok();
        assert_eq!(by_host, by_plugin, "schema and type disagree on {settings}");
        by_host
    }

    #[test]
    fn schema_and_types_agree() {
        for settings in [
            json!({ "kind": "archive", "directory": "/d", "encrypt": "backup" }),
            json!({ "kind": "pg-dump", "peer": "main", "encrypt": false, "verify": "read" }),
            json!({ "item": [
                { "kind": "archive", "directory": "/d", "encrypt": false, "name": "d.tar", "verify": "listing" },
                { "kind": "pg-dump", "peer": "main", "encrypt": "b", "program": "/usr/bin/pg_dump", "arguments": ["-Fc"],
                  "verify": { "restore": { "arguments": ["--dbname=scratch"] } } },
            ] }),
        ] {
            assert!(both(settings.clone()), "{settings}");
        }
        for settings in [
            json!({}),
            json!({ "kind": "archive", "directory": "/d" }),
            json!({ "kind": "archive", "directory": "/d", "encrypt": true }),
            json!({ "kind": "archive", "directory": "/d", "encrypt": "" }),
            json!({ "kind": "archive", "directory": "/d", "encrypt": false, "peer": "main" }),
            json!({ "kind": "pg-dump", "peer": "main", "encrypt": false, "verify": "list" }),
            json!({ "kind": "pg-dumpall", "peer": "main", "encrypt": false }),
            json!({ "item": [] }),
        ] {
            assert!(!both(settings.clone()), "{settings}");
        }
    }
}
