//! Names of tables and columns, as far as they may come from settings.

use std::fmt;

/// What PostgreSQL keeps of a name, in bytes. More would be cut off without a word.
const MAX_BYTES: usize = 63;

/// A name that is safe to stand in a statement once it is quoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identifier(String);

impl Identifier {
    /// Letters, digits and `_`, not beginning with a digit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && !first.is_ascii_digit() && text.len() <= MAX_BYTES).then(|| Self(text.to_owned()))
    }

    /// Accepts what a database itself said, whatever it holds. Quoting makes it safe; a zero byte cannot be quoted.
    pub(crate) fn from_database(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| Self(text.to_owned()))
    }

    /// As it stands in the catalogue.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in a statement.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table, with its schema where one is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TableName {
    /// `audit` of `audit.log`.
    pub(crate) schema: Option<Identifier>,
    /// `log`.
    pub(crate) table: Identifier,
}

impl TableName {
    /// Reads `table` or `schema.table`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once('.') {
            Some((schema, table)) => {
                Some(Self { schema: Some(Identifier::parse(schema)?), table: Identifier::parse(table)? })
            }
            None => Some(Self { schema: None, table: Identifier::parse(text)? }),
        }
    }

    /// As it stands in a statement.
    pub(crate) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", schema.quoted(), self.table.quoted()),
            None => self.table.quoted(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => self.table.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_with_and_without_schema() {
        let parsed = |text: &str| TableName::parse(text).map(|name| (name.to_string(), name.quoted()));
        assert_eq!(parsed("patients"), Some(("patients".to_owned(), "\"patients\"".to_owned())));
        assert_eq!(parsed("audit.Log_2"), Some(("audit.Log_2".to_owned(), "\"audit\".\"Log_2\"".to_owned())));
    }

    #[test]
    fn anything_else_is_no_name() {
        let long = "a".repeat(64);
        for text in ["", ".", "a.", ".a", "a.b.c", "1a", "a b", "a\"b", "a;drop table b", "a-b", "pä", long.as_str()] {
            assert_eq!(TableName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn quoting_doubles_quotes() {
        let name = Identifier::from_database("o\"dd name").map(|name| name.quoted());
        assert_eq!(name.as_deref(), Some("\"o\"\"dd name\""));
        assert_eq!(Identifier::from_database("a\0b"), None);
    }
}
