//! The migrate stage: changes the shape of the data, and takes it back.

mod apply;
mod database;
mod directory;
mod identifier;
mod plan;
mod preview;
mod report;
mod schema_verify;
mod settings;
#[cfg(test)]
mod sqlite;
mod table;
mod text;
mod trust;
mod undo;
mod version;

use pipe_sdk::{
    Context, Description, Failure, Plugin, Receipt, Word,
    migrate::{BackupArtifact, Migrate as MigrateStage, Report},
    preview::Preview,
    schema::Entries,
    undo::{Report as UndoReport, Undo},
};

use database::Pipe;
use settings::Step;

struct Migrate;

impl Plugin for Migrate {
    type Settings = Entries<Step>;

    fn describe() -> Description {
        let version = env!("CARGO_PKG_VERSION");
        Description::new("migrate", version, "Changes the shape of a database, and takes it back.")
            .asks(Word::Sql, "write <peer>", "`sql-files`: applies the files and keeps the version table")
            .asks(Word::Read, "<directory>", "`sql-files`: the files")
            .asks(Word::Sql, "read <peer>", "`schema-verify`: looks at tables and columns")
    }
}

impl MigrateStage for Migrate {
    fn apply(context: &Context, settings: Self::Settings, _: Vec<BackupArtifact>) -> Result<Report, Failure> {
        report::run(context, &settings.into_vec(), &Pipe)
    }
}

impl Undo for Migrate {
    fn undo(context: &Context, _: Self::Settings, receipts: Vec<Receipt>) -> Result<UndoReport, Failure> {
        let receipts = receipts.iter().map(Receipt::json).collect::<Result<Vec<_>, _>>()?;
        undo::undo(context, &receipts, &Pipe)
    }
}

impl Preview for Migrate {
    fn preview(context: &Context, settings: Self::Settings) -> Result<Vec<String>, Failure> {
        preview::preview(context, &settings.into_vec(), &Pipe)
    }
}

pipe_sdk::export_migrate!(Migrate, undo, preview);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Whether settings are accepted: by the host, which knows the schema, and by the plugin, which knows its types.
    fn both(settings: Value) -> bool {
        let schema: Value = serde_json::from_str(&pipe_sdk::schema::of::<<Migrate as Plugin>::Settings>()).unwrap();
        let by_host = jsonschema::validator_for(&schema).unwrap().is_valid(&settings);
        let by_plugin = serde_json::from_value::<<Migrate as Plugin>::Settings>(settings.clone()).is_ok();
        assert_eq!(by_host, by_plugin, "schema and type disagree on {settings}");
        by_host
    }

    #[test]
    fn schema_and_types_agree() {
        for settings in [
            json!({ "kind": "sql-files", "peer": "main", "directory": "m" }),
            json!({ "kind": "sql-files", "peer": "main", "directory": "m", "table": "ops.versions", "target": "007",
                    "transaction": "all", "lock_timeout": "2s", "out_of_order": true, "require_down": false }),
            json!({ "step": [
                { "kind": "sql-files", "peer": "main", "directory": "m" },
                { "kind": "schema-verify", "peer": "main", "tables": ["a"], "columns": { "a": ["b"] },
                  "query": [{ "name": "n", "sql": "SELECT 1", "expect": 1 }, { "sql": "SELECT 1", "expect": "1" }] },
            ] }),
        ] {
            assert!(both(settings.clone()), "{settings}");
        }
        for settings in [
            json!({}),
            json!({ "kind": "sql-files", "peer": "main" }),
            json!({ "kind": "sql-files", "peer": "main", "directory": "m", "lock_timeout": 10 }),
            json!({ "kind": "sql-files", "peer": "main", "directory": "m", "transaction": "none" }),
            json!({ "kind": "sql-files", "peer": "main", "directory": "m", "tables": ["a"] }),
            json!({ "kind": "schema-verify", "peer": "main", "query": [{ "sql": "SELECT 1" }] }),
            json!({ "kind": "schema-verify", "peer": "main", "query": [{ "sql": "SELECT 1", "expect": [1] }] }),
            json!({ "step": [{ "kind": "sql-files" }] }),
        ] {
            assert!(!both(settings.clone()), "{settings}");
        }
    }
}
