//! `kind = "schema-verify"`: looks whether a database has the shape that the new version needs.

use pipe_sdk::{
    Error, Failure, Finding, fails,
    sql::{Access, Dialect, Rows, Value},
};

use crate::{
    database::{Database, Host},
    identifier::TableName,
    settings::{Answer, Query, SchemaVerify},
};

/// Looks at everything, and fails where anything is missing.
pub(crate) fn verify(settings: &SchemaVerify, host: &dyn Host) -> Result<Vec<Finding>, Failure> {
    let tables = names(&settings.tables)?;
    let columns: Vec<_> =
        settings.columns.iter().map(|(table, list)| Ok((name(table)?, list))).collect::<Result<_, Failure>>()?;
    if tables.is_empty() && columns.iter().all(|(_, list)| list.is_empty()) && settings.query.is_empty() {
        return Err(Failure::settings("schema-verify needs `tables`, `columns` or `query`: it would look at nothing"));
    }
    let database = host.open(&settings.peer, Access::Read)?;
    let database = &*database;
    let mut findings = Vec::new();
    for table in &tables {
        findings.push(Finding::check(format!("table {table}"), || {
            let there = table_exists(database, table)?;
            Ok(Finding::expect(there, if there { "is there" } else { "is missing" }))
        }));
    }
    for (table, list) in &columns {
        findings.push(Finding::check(format!("columns of {table}"), || look_at_columns(database, table, list)));
    }
    for query in &settings.query {
        let name = query.name.clone().unwrap_or_else(|| shortened(&query.sql));
        findings.push(Finding::check(name, || ask(database, query)));
    }
    match fails(&findings) {
        Some(message) => Err(Failure::unmet(message).with_findings(findings)),
        None => Ok(findings),
    }
}

fn name(text: &str) -> Result<TableName, Failure> {
    TableName::parse(text).ok_or_else(|| Failure::settings(format!("{text:?} is no plain name of a table")))
}

fn names(texts: &[String]) -> Result<Vec<TableName>, Failure> {
    texts.iter().map(|text| name(text)).collect()
}

/// The first line of a statement, where it has no name.
fn shortened(sql: &str) -> String {
    let line = sql.trim().lines().next().unwrap_or_default();
    if line.chars().count() <= 60 { line.to_owned() } else { line.chars().take(59).chain(['…']).collect() }
}

/// Looks into the catalogue rather than `information_schema`, which hides what the role may not touch: a missing right
/// would look like a missing table.
fn table_exists(database: &dyn Database, name: &TableName) -> Result<bool, Error> {
    let table = name.table.as_str().into();
    let rows = match (database.dialect(), &name.schema) {
        (Dialect::Postgresql, Some(schema)) => database.query(
            "SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'f') AND c.relname = $1::text AND n.nspname = $2::text",
            &[table, schema.as_str().into()],
        )?,
        (Dialect::Postgresql, None) => database.query(
            "SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p', 'f') AND c.relname = $1::text \
             AND pg_catalog.pg_table_is_visible(c.oid)",
            &[table],
        )?,
        (Dialect::Sqlite, schema) => {
            let main = schema.as_ref().is_none_or(|schema| schema.as_str() == "main");
            let statement = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1 COLLATE NOCASE";
            if main { database.query(statement, &[table])? } else { none() }
        }
    };
    Ok(!rows.rows.is_empty())
}

fn none() -> Rows {
    Rows { columns: Vec::new(), rows: Vec::new(), affected: 0 }
}

fn look_at_columns(database: &dyn Database, table: &TableName, wanted: &[String]) -> Result<Finding, Failure> {
    if !table_exists(database, table)? {
        return Ok(Finding::fail("the table is missing").with_expected(wanted.join(", ")));
    }
    let found = columns(database, table)?;
    let missing: Vec<_> = wanted.iter().filter(|column| !found.contains(column)).cloned().collect();
    let message = match missing.len() {
        0 => format!("all {} are there", wanted.len()),
        _ => format!("missing: {}", missing.join(", ")),
    };
    let finding = Finding::expect(missing.is_empty(), message);
    Ok(finding.with_observed(found.join(", ")).with_expected(wanted.join(", ")))
}

fn columns(database: &dyn Database, name: &TableName) -> Result<Vec<String>, Error> {
    let of = "SELECT a.attname::text FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid \
              JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
              WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND c.relname = $1::text";
    let table: Value = name.table.as_str().into();
    let rows = match (database.dialect(), &name.schema) {
        (Dialect::Postgresql, Some(schema)) => database
            .query(&format!("{of} AND n.nspname = $2::text ORDER BY a.attnum"), &[table, schema.as_str().into()])?,
        (Dialect::Postgresql, None) => {
            let statement = format!("{of} AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY a.attnum");
            database.query(&statement, &[table])?
        }
        // The names of the columns come with the result, and no pragma is needed, which a host may refuse.
        (Dialect::Sqlite, _) => {
            return Ok(database.query(&format!("SELECT * FROM {} LIMIT 0", name.quoted()), &[])?.columns);
        }
    };
    Ok(rows.rows.iter().filter_map(|row| row.first().and_then(Value::as_text)).collect())
}

fn ask(database: &dyn Database, query: &Query) -> Result<Finding, Failure> {
    let expected = shown(&query.expect);
    let rows = database.query(&query.sql, &[])?.rows;
    let finding = match rows.as_slice() {
        [] => Finding::fail("there is no answer: the statement returned no row"),
        [row] => match row.as_slice() {
            [value] => {
                let observed = value.as_text().unwrap_or_else(|| "NULL".to_owned());
                let met = answers(value, &query.expect);
                let message = if met { format!("is {observed}") } else { format!("is {observed}, not {expected}") };
                Finding::expect(met, message).with_observed(observed)
            }
            columns => Finding::fail(format!("there are {} columns, not one", columns.len())),
        },
        rows => Finding::fail(format!("there are {} rows, not one", rows.len())),
    };
    Ok(finding.with_expected(expected))
}

fn shown(answer: &Answer) -> String {
    answer.0.as_str().map_or_else(|| answer.0.to_string(), str::to_owned)
}

/// Whether a value is the answer. Numbers count as numbers, in whatever type the database gives them; SQLite has no truth
/// values but 0 and 1.
fn answers(value: &Value, answer: &Answer) -> bool {
    match &answer.0 {
        serde_json::Value::Bool(wanted) => match value {
            Value::Boolean(found) => found == wanted,
            Value::Integer(found) => *found == i64::from(*wanted),
            _ => false,
        },
        serde_json::Value::Number(wanted) => match (value.as_integer(), wanted.as_i64()) {
            (Some(found), Some(wanted)) => found == wanted,
            _ => value.as_number() == wanted.as_f64(),
        },
        serde_json::Value::String(wanted) => value.as_text().as_ref() == Some(wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sqlite::Sqlite;

    #[test]
    fn answers_of_every_type() {
        let is = |value: Value, answer: serde_json::Value| answers(&value, &Answer(answer));
        assert!(
            is(Value::Integer(5), json!(5)) && is(Value::Text("5".into()), json!(5)) && is(Value::Float(5.0), json!(5))
        );
        assert!(is(Value::Text("0.50".into()), json!(0.5)) && is(Value::Integer(5), json!("5")));
        assert!(is(Value::Boolean(true), json!(true)) && is(Value::Integer(0), json!(false)));
        assert!(!is(Value::Null, json!(0)) && !is(Value::Null, json!("")) && !is(Value::Text("x".into()), json!(0)));
        assert!(
            !is(Value::Integer(6), json!(5)) && !is(Value::Integer(2), json!(true)) && !is(Value::Null, json!(false))
        );
    }

    fn settings(value: serde_json::Value) -> SchemaVerify {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_schema_as_it_should_be() {
        let host = Sqlite::new("CREATE TABLE patients (id INTEGER, name TEXT); INSERT INTO patients VALUES (1, 'a')");
        let findings = verify(
            &settings(json!({
                "peer": "main", "tables": ["patients", "main.patients"], "columns": { "patients": ["id", "name"] },
                "query": [{ "sql": "SELECT count(*) FROM patients", "expect": 1 }],
            })),
            &host,
        )
        .unwrap();
        assert_eq!(findings.len(), 4);
    }

    #[test]
    fn whatever_is_missing_has_a_finding() {
        let host = Sqlite::new("CREATE TABLE patients (id INTEGER); CREATE VIEW seen AS SELECT 1 AS x");
        let failure = verify(
            &settings(json!({
                "peer": "main", "tables": ["patients", "seen", "other.patients"],
                "columns": { "patients": ["id", "name"], "visits": ["id"] },
                "query": [
                    { "name": "none", "sql": "SELECT id FROM patients", "expect": 1 },
                    { "name": "two", "sql": "SELECT 1, 2", "expect": 1 },
                    { "name": "wrong", "sql": "SELECT 1", "expect": 2 },
                    { "name": "error", "sql": "SELECT x FROM y", "expect": 2 },
                ],
            })),
            &host,
        )
        .unwrap_err();
        assert_eq!(failure.kind, pipe_sdk::FailureKind::Unmet);
        assert!(failure.message.starts_with("8 of 9 checks failed: table seen,"), "{}", failure.message);
        let messages: Vec<_> = failure.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages[..5], ["is there", "is missing", "is missing", "missing: name", "the table is missing"]);
        assert_eq!(messages[7], "is 1, not 2");
    }

    #[test]
    fn looking_at_nothing_is_an_error() {
        let host = Sqlite::new("");
        for nothing in [json!({ "peer": "main" }), json!({ "peer": "main", "columns": { "patients": [] } })] {
            let failure = verify(&settings(nothing), &host).unwrap_err();
            assert!(failure.message.contains("look at nothing"));
        }
        let failure = verify(&settings(json!({ "peer": "main", "tables": ["a b"] })), &host).unwrap_err();
        assert_eq!(failure.kind, pipe_sdk::FailureKind::Settings);
    }
}
