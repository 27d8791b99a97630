//! `kind = "sql"`: a query, and what is expected of its rows; or the least version of the database.

use pipe_sdk::sql::{Connection, Dialect, Rows, RowsExt as _, Value as SqlValue};
use pipe_sdk::{Context, Failure, Finding};
use serde_json::Value;

use crate::expectation::Seen;
use crate::{Check, Expectation, Options, short};

crate::check_settings! {
    /// Runs a query in a read-only transaction and looks at its rows, or at the version of the database. Needs
    /// `allow.sql = ["read PEER"]`.
    #[schemars(extend("if" = { "required": ["query"] }))]
    #[schemars(extend("then" = { "anyOf": [
        { "required": ["expect"] }, { "required": ["min"] }, { "required": ["max"] },
        { "required": ["min_rows"] }, { "required": ["max_rows"] },
    ] }))]
    #[schemars(extend("else" = { "required": ["min_version"], "properties": {
        "expect": false, "min": false, "max": false, "min_rows": false, "max_rows": false,
    } }))]
    pub struct SqlCheck {
        /// Peer of the pipeline file.
        pub peer: String,
        /// One statement that reads. Its first column in its first row is what `expect`, `min` and `max` look at.
        #[schemars(length(min = 1))]
        pub query: Option<String>,
        /// What the value is expected to be.
        pub expect: Option<Expectation>,
        /// The value is a number, at least this.
        pub min: Option<f64>,
        /// The value is a number, at most this.
        pub max: Option<f64>,
        /// At least so many rows.
        pub min_rows: Option<u64>,
        /// At most so many rows.
        pub max_rows: Option<u64>,
        /// Least version of the database: `"14.0"`.
        #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)*$"))]
        pub min_version: Option<String>,
    }
}

impl SqlCheck {
    fn looks_at_value(&self) -> bool {
        self.expect.is_some() || self.min.is_some() || self.max.is_some()
    }

    fn looks_at_rows(&self) -> bool {
        self.looks_at_value() || self.min_rows.is_some() || self.max_rows.is_some()
    }

    /// What the rows are not, in words.
    fn unmet(&self, rows: &Rows) -> Vec<String> {
        let mut unmet = Vec::new();
        let count = rows.rows.len() as u64;
        unmet.extend(self.min_rows.filter(|min| count < *min).map(|min| format!("{count} rows, fewer than {min}")));
        unmet.extend(self.max_rows.filter(|max| count > *max).map(|max| format!("{count} rows, more than {max}")));
        if self.looks_at_value() {
            unmet.extend(self.unmet_value(rows.scalar()));
        }
        unmet
    }

    fn unmet_value(&self, scalar: Option<&SqlValue>) -> Vec<String> {
        let Some((text, typed)) = scalar.and_then(value) else {
            return vec!["the query returned no value".to_owned()];
        };
        let mut unmet = Vec::new();
        if let Some(expect) = &self.expect {
            let met = match &typed {
                Some(typed) => expect.is_met(Some(Seen::Typed(typed))),
                None => expect.is_met(Some(Seen::Text(&text))),
            };
            if !met {
                unmet.push(format!("{} instead of {expect}", short(&text)));
            }
        }
        let text = short(&text);
        let number = scalar.and_then(SqlValue::as_number);
        if let Some(min) = self.min
            && number.is_none_or(|number| number < min || number.is_nan())
        {
            unmet.push(format!("{text} is not at least {min}"));
        }
        if let Some(max) = self.max
            && number.is_none_or(|number| number > max || number.is_nan())
        {
            unmet.push(format!("{text} is not at most {max}"));
        }
        unmet
    }
}

/// A value as text, and with its type where it has one. Text has none: every type without a case of its own (numeric,
/// timestamp) arrives as text.
fn value(value: &SqlValue) -> Option<(String, Option<Value>)> {
    let typed = match value {
        SqlValue::Boolean(value) => Some(Value::from(*value)),
        SqlValue::Integer(value) => Some(Value::from(*value)),
        SqlValue::Float(value) => Some(Value::from(*value)),
        SqlValue::Null | SqlValue::Text(_) | SqlValue::Bytes(_) => None,
    };
    Some((value.as_text()?, typed))
}

/// The version of the database, and as numbers that compare.
fn version(connection: &Connection) -> Result<(String, Vec<u64>), Failure> {
    let statement = match connection.dialect() {
        Dialect::Postgresql => "SHOW server_version_num",
        Dialect::Sqlite => "SELECT sqlite_version()",
    };
    let rows = connection.query(statement, &[])?;
    let text = rows.scalar().and_then(SqlValue::as_text).unwrap_or_default();
    let numbers = match connection.dialect() {
        Dialect::Postgresql => text.trim().parse().map(postgres_version).map_err(|_| ()),
        Dialect::Sqlite => numbers(&text).ok_or(()),
    };
    let numbers = numbers.map_err(|()| Failure::unmet(format!("the database says no version: {text:?}")))?;
    Ok((numbers.iter().map(u64::to_string).collect::<Vec<_>>().join("."), numbers))
}

/// 150018 is 15.18; before version 10, 90605 is 9.6.5.
fn postgres_version(number: u64) -> Vec<u64> {
    if number >= 100_000 {
        vec![number / 10_000, number % 10_000]
    } else {
        vec![number / 10_000, number / 100 % 100, number % 100]
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.trim().split('.').map(|part| part.parse().ok()).collect()
}

/// Whether a version is at least another; what is not said is 0.
fn at_least(version: &[u64], least: &[u64]) -> bool {
    let part = |numbers: &[u64], index| numbers.get(index).copied().unwrap_or(0);
    let length = version.len().max(least.len());
    let (version, least): (Vec<u64>, Vec<u64>) = (0..length).map(|i| (part(version, i), part(least, i))).unzip();
    version >= least
}

impl Check for SqlCheck {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("sql {}", self.peer)
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.query.is_some() != self.looks_at_rows() {
            return Err(Failure::settings("a `query` and an expectation go together"));
        }
        if self.query.is_none() && self.min_version.is_none() {
            return Err(Failure::settings("needs a `query` with an expectation, or `min_version`"));
        }
        match self.min_version.as_deref().map(numbers) {
            Some(None) => Err(Failure::settings("`min_version` is no version, such as \"14.0\"")),
            _ => Ok(()),
        }
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        let connection = Connection::read(&self.peer)?;
        let (mut seen, mut unmet) = (Vec::new(), Vec::new());
        if let Some(least) = &self.min_version {
            let (text, version) = version(&connection)?;
            if !at_least(&version, &numbers(least).unwrap_or_default()) {
                unmet.push(format!("version {text} is older than {least}"));
            }
            seen.push(format!("version {text}"));
        }
        if let Some(query) = &self.query {
            let rows = connection.query(query, &[])?;
            unmet.extend(self.unmet(&rows));
            let scalar = rows.scalar().filter(|_| self.looks_at_value()).and_then(value).map(|(text, _)| short(&text));
            seen.push(scalar.unwrap_or_else(|| format!("{} rows", rows.rows.len())));
        }
        let seen = seen.join(", ");
        let finding = if unmet.is_empty() {
            Finding::pass(format!("{} returned {seen}", self.peer))
        } else {
            Finding::fail(format!("{}: {}", self.peer, unmet.join("; ")))
        };
        Ok(finding.with_observed(seen).with_expected(self.expected()))
    }
}

impl SqlCheck {
    /// What is expected, for programs.
    fn expected(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.min_version.as_ref().map(|least| format!("version {least}")));
        parts.extend(self.expect.as_ref().map(ToString::to_string));
        parts.extend(self.min.map(|min| format!("at least {min}")));
        parts.extend(self.max.map(|max| format!("at most {max}")));
        parts.extend(self.min_rows.map(|min| format!("at least {min} rows")));
        parts.extend(self.max_rows.map(|max| format!("at most {max} rows")));
        parts.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value) -> SqlCheck {
        serde_json::from_value(value).expect("settings")
    }

    fn rows(values: Vec<SqlValue>) -> Rows {
        Rows { columns: vec!["a".into()], rows: values.into_iter().map(|value| vec![value]).collect(), affected: 0 }
    }

    #[test]
    fn a_value_is_held_against_the_expectation() {
        for (settings, value, met) in [
            (json!({ "expect": 3 }), SqlValue::Integer(3), true),
            (json!({ "expect": 3 }), SqlValue::Text("3".into()), true),
            (json!({ "expect": "on" }), SqlValue::Text("off".into()), false),
            (json!({ "expect": true }), SqlValue::Boolean(true), true),
            (json!({ "min": 3 }), SqlValue::Text("2.5".into()), false),
            (json!({ "min": 3 }), SqlValue::Float(f64::NAN), false),
            (json!({ "max": 0.8 }), SqlValue::Text("0.79".into()), true),
            (json!({ "max": 1 }), SqlValue::Null, false),
            (json!({ "max": 1 }), SqlValue::Text("none".into()), false),
            (json!({ "min_rows": 1 }), SqlValue::Null, true),
            (json!({ "max_rows": 0 }), SqlValue::Integer(1), false),
        ] {
            let mut settings = settings;
            settings["peer"] = json!("main");
            settings["query"] = json!("select 1");
            let unmet = check(settings.clone()).unmet(&rows(vec![value]));
            assert_eq!(unmet.is_empty(), met, "{settings}: {unmet:?}");
        }
    }

    #[test]
    fn no_row_is_no_value() {
        let unmet = check(json!({ "peer": "main", "query": "select 1", "max": 5 })).unmet(&rows(Vec::new()));
        assert_eq!(unmet, ["the query returned no value"]);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(postgres_version(150_018), [15, 18]);
        assert_eq!(postgres_version(90_605), [9, 6, 5]);
        for (version, least, met) in
            [("15.18", "14.0", true), ("14.0", "14", true), ("9.6.24", "14.0", false), ("3.45.1", "3.45.2", false)]
        {
            let parse = |text| numbers(text).expect(text);
            assert_eq!(at_least(&parse(version), &parse(least)), met, "{version} {least}");
        }
    }

    #[test]
    fn a_check_without_an_expectation_is_refused() {
        for settings in [
            json!({ "peer": "main" }),
            json!({ "peer": "main", "query": "select 1" }),
            json!({ "peer": "main", "query": "select 1", "min_version": "14" }),
            json!({ "peer": "main", "expect": 1 }),
            json!({ "peer": "main", "min_version": "fourteen" }),
        ] {
            assert!(check(settings.clone()).validate().is_err(), "{settings}");
        }
    }
}
