//! What stands under `with`.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use pipe_sdk::{schema::Listed, units::Period};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

/// One change of a database, or one look at it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Applies the SQL files that a database does not have yet, each together with its row in the version table, so that
    /// it takes effect once. Undo runs their down files.
    SqlFiles(SqlFiles),
    /// Looks whether tables and columns are there, and asks the database questions with one answer. Changes nothing.
    SchemaVerify(SchemaVerify),
}

impl Listed for Step {
    const WORD: &'static str = "step";
}

/// `kind = "sql-files"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlFiles {
    /// Database. Needs `allow.sql = ["write PEER"]`.
    pub(crate) peer: String,
    /// Directory with `NNN_name.up.sql` and, where a migration can be taken back, `NNN_name.down.sql`. Versions are the
    /// digits in front: unique, ordered as numbers, gaps allowed. Needs `allow.read` for it.
    pub(crate) directory: String,
    /// Table that remembers what is applied: `table` or `schema.table`. Made where it is missing.
    #[serde(default = "version_table")]
    #[schemars(regex(pattern = r"^([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*$"))]
    pub(crate) table: String,
    /// Last version to apply, as digits. Without it, all. Never goes back: that is what undo is for.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]{1,18}$"))]
    pub(crate) target: Option<String>,
    /// What is applied together.
    #[serde(default)]
    pub(crate) transaction: Together,
    /// How long PostgreSQL waits for a lock, and so how long others may have to queue behind the migration. SQLite: the
    /// peer's own busy timeout counts instead.
    #[serde(default = "ten_seconds")]
    pub(crate) lock_timeout: Period,
    /// Applies a version that is lower than the current one, too. Else that is a conflict.
    #[serde(default)]
    pub(crate) out_of_order: bool,
    /// Refuses, before anything is touched, to apply a migration without a down file.
    #[serde(default = "yes")]
    pub(crate) require_down: bool,
}

fn version_table() -> String {
    "pipe_migrations".to_owned()
}

fn ten_seconds() -> Period {
    Period(Duration::from_secs(10))
}

fn yes() -> bool {
    true
}

/// What is applied together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Together {
    /// One transaction for each file.
    #[default]
    Each,
    /// One transaction for all of them: all or none.
    All,
}

/// `kind = "schema-verify"`. At least one of `tables`, `columns` and `query`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaVerify {
    /// Database. Needs `allow.sql = ["read PEER"]`.
    pub(crate) peer: String,
    /// Tables that must be there: `table` (as the database itself would find it) or `schema.table`.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// Columns that must be there, by table.
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, Vec<String>>,
    /// Questions with one answer.
    #[serde(default)]
    pub(crate) query: Vec<Query>,
}

/// A question with one answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// Name in the report. The statement itself where it is left out.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// One statement that reads, with one row of one column as its result. No row is a failure.
    pub(crate) sql: String,
    /// What the answer must be.
    pub(crate) expect: Answer,
}

/// An answer: text, number or truth value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer(pub(crate) Value);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => Ok(Self(value)),
            _ => Err(de::Error::custom("an answer is text, a number or a truth value")),
        }
    }
}

impl JsonSchema for Answer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Answer")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

#[cfg(test)]
mod tests {
    use pipe_sdk::schema::Entries;

    use super::*;

    #[test]
    fn defaults_are_the_safe_ones() {
        let text = r#"{"kind":"sql-files","peer":"main","directory":"m"}"#;
        let steps = serde_json::from_str::<Entries<Step>>(text).unwrap().into_vec();
        let [Step::SqlFiles(files)] = steps.as_slice() else { panic!("sql-files") };
        assert_eq!((files.table.as_str(), files.transaction), ("pipe_migrations", Together::Each));
        assert_eq!(files.lock_timeout.0, Duration::from_secs(10));
        assert!(files.require_down && !files.out_of_order && files.target.is_none());
    }

    #[test]
    fn several_steps_and_misspelt_words() {
        let text = r#"{"step":[{"kind":"schema-verify","peer":"main","tables":["a"],
            "query":[{"sql":"SELECT 1","expect":1},{"sql":"x","expect":"y"},{"sql":"x","expect":true}]}]}"#;
        assert_eq!(serde_json::from_str::<Entries<Step>>(text).unwrap().into_vec().len(), 1);
        for wrong in [
            r#"{"kind":"sql-files","peer":"main","directory":"m","lock_timeout":10}"#,
            r#"{"kind":"sql-files","peer":"main","directory":"m","require-down":false}"#,
            r#"{"kind":"schema-verify","peer":"main","query":[{"sql":"x","expect":null}]}"#,
        ] {
            assert!(serde_json::from_str::<Entries<Step>>(wrong).is_err(), "{wrong}");
        }
    }
}
