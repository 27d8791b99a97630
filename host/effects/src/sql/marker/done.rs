//! What a statement was answered, as a marker keeps it.

use serde::{Deserialize, Serialize};

use super::super::{SqlRows, SqlValue};

/// The most bytes of a statement's rows that are kept, in JSON.
const MOST_KEPT_BYTES: usize = 8 * 1024;

/// A statement that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Done {
    /// What tells it from others.
    print: String,
    /// Rows that it changed.
    affected: u64,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Returned::is_nothing")]
    returned: Returned,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Returned {
    #[default]
    Nothing,
    Rows {
        columns: Vec<String>,
        rows: Vec<Vec<SqlValue>>,
    },
    /// More than is kept.
    TooMuch,
}

impl Returned {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

impl Done {
    pub(in super::super) fn new(print: String, answer: &SqlRows) -> Self {
        let returned = if answer.columns.is_empty() {
            Returned::Nothing
        } else {
            let rows = Returned::Rows { columns: answer.columns.clone(), rows: answer.rows.clone() };
            if is_small(&answer.rows) && comes_back(&rows) { rows } else { Returned::TooMuch }
        };
        Self { print, affected: answer.affected, returned }
    }

    /// Of a marker. None where it was too large to be kept.
    pub(super) fn parse(statements: &str) -> Vec<Self> {
        serde_json::from_str(statements).unwrap_or_default()
    }

    pub(super) fn print(&self) -> &str {
        &self.print
    }

    /// The answer, if it was kept.
    pub(super) fn answer(&self) -> Option<SqlRows> {
        let (columns, rows) = match &self.returned {
            Returned::Nothing => Default::default(),
            Returned::Rows { columns, rows } => (columns.clone(), rows.clone()),
            Returned::TooMuch => return None,
        };
        Some(SqlRows { columns, rows, affected: self.affected })
    }
}

fn is_small(rows: &[Vec<SqlValue>]) -> bool {
    rows.iter().flatten().map(SqlValue::size).sum::<usize>() <= MOST_KEPT_BYTES
}

/// Whether it is the same after it was written and read: not so with numbers that are none.
fn comes_back(returned: &Returned) -> bool {
    serde_json::to_string(returned).is_ok_and(|text| {
        text.len() <= MOST_KEPT_BYTES && serde_json::from_str::<Returned>(&text).is_ok_and(|back| back == *returned)
    })
}

/// A value as bytes, so that no two are alike.
pub(super) fn encode(value: &SqlValue, bytes: &mut Vec<u8>) {
    let mut put = |tag: u8, content: &[u8]| {
        bytes.push(tag);
        bytes.extend((content.len() as u64).to_be_bytes());
        bytes.extend(content);
    };
    match value {
        SqlValue::Null => put(0, &[]),
        SqlValue::Boolean(truth) => put(1, &[u8::from(*truth)]),
        SqlValue::Integer(integer) => put(2, &integer.to_be_bytes()),
        SqlValue::Float(float) => put(3, &float.to_bits().to_be_bytes()),
        SqlValue::Text(text) => put(4, text.as_bytes()),
        SqlValue::Bytes(content) => put(5, content),
    }
}
