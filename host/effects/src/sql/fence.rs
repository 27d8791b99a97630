//! Which statements may run at all, before any server sees them.
//!
//! This is the outer fence. The inner one is the server's: a read-only transaction and the login's own rights for PostgreSQL,
//! a read-only open and the authorizer for SQLite.

use super::{
    Dialect,
    marker::MARKER_TABLE,
    postgres::ownership::OWNERSHIP_TABLE,
    statement::{Statement, single, split},
    token::Token,
};

/// A statement that may not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// The statement is none.
    Invalid(String),
    /// It needs write access.
    NeedsWrite(String),
    /// No access allows it.
    Forbidden(String),
}

/// Begins, ends or divides a transaction.
const CONTROL: [&str; 8] = ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"];

/// Lets only statements pass that read.
pub(crate) fn read(text: &str, dialect: Dialect) -> Result<(), Fence> {
    let statement = one(text, dialect)?;
    let leading = statement.leading();
    let reads = match dialect {
        Dialect::Postgresql => ["SELECT", "WITH", "VALUES", "TABLE", "SHOW"].as_slice(),
        // The authorizer knows which pragmas read.
        Dialect::Sqlite => ["SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA"].as_slice(),
    };
    match leading.split_first() {
        Some((first, _)) if reads.iter().any(|keyword| first.is(keyword)) => {}
        Some((first, rest)) if first.is("EXPLAIN") => explain(rest)?,
        _ => return Err(Fence::NeedsWrite(format!("{} does not only read", named(&statement)))),
    }
    hosts(&statement)?;
    match dialect {
        Dialect::Postgresql => reaching(&statement),
        Dialect::Sqlite => Ok(()),
    }
}

/// Keeps guests away from the markers. The outer fence: a text that a statement puts together gets past it at PostgreSQL,
/// where the seals of the markers are the inner one. SQLite's is the authorizer.
fn hosts(statement: &Statement<'_>) -> Result<(), Fence> {
    let tables = [MARKER_TABLE, OWNERSHIP_TABLE];
    let is_markers = |name: &str| tables.iter().any(|table| name.to_ascii_lowercase().contains(table));
    // Other escapes than the usual ones are not looked into.
    let unusual = statement.names().any(|name| name == "uescape");
    let could_be = |name: String| {
        is_markers(&name) || (is_escaped(&name) && (unusual || unescaped(&name).is_none_or(|plain| is_markers(&plain))))
    };
    // SQLite takes a string for a name, and asks its authorizer about the old one alone where a table is renamed.
    let renamed = || statement.strings().any(|string| is_markers(&string));
    let renames = statement.leading().first().is_some_and(|first| first.is("ALTER"));
    if statement.names().any(could_be) || (renames && renamed()) {
        return Err(Fence::Forbidden(format!(
            "`{MARKER_TABLE}` and `{OWNERSHIP_TABLE}` are the host's: they say what a step has committed, and who drives a run"
        )));
    }
    Ok(())
}

fn is_escaped(name: &str) -> bool {
    name.starts_with("U&") || name.starts_with("u&")
}

/// The name behind `U&"\0061"`. Nothing where it cannot be told: the escapes may be other ones.
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    while let Some(part) = parts.next() {
        // A backslash that stands for itself.
        if part.is_empty() {
            plain.push('\\');
            plain.push_str(parts.next().unwrap_or_default());
            continue;
        }
        let (digits, length) = part.strip_prefix('+').map_or((part, 4), |digits| (digits, 6));
        let code = u32::from_str_radix(digits.get(..length)?, 16).ok()?;
        plain.push(char::from_u32(code)?);
        plain.push_str(digits.get(length..)?);
    }
    Some(plain)
}

/// Functions of PostgreSQL that do more than read although no transaction keeps them from it, and those that run a text, in
/// which such a function could hide. A name that begins with one of these counts as well: `dblink_exec`.
const REACHING: [(&str, &str); 14] = [
    ("pg_terminate_backend", "ends sessions of others"),
    ("pg_cancel_backend", "ends statements of others"),
    ("dblink", "connects to other servers"),
    ("query_to_xml", "runs a text as a statement"),
    ("cursor_to_xml", "runs a text as a statement"),
    ("crosstab", "runs a text as a statement"),
    ("connectby", "runs a text as a statement"),
    ("xpath_table", "runs a text as a statement"),
    ("pg_create_", "makes what no rollback takes back"),
    ("pg_drop_", "removes what no rollback brings back"),
    ("pg_stat_reset", "forgets what the server has counted"),
    ("ts_stat", "runs a text as a statement"),
    ("ts_rewrite", "runs a text as a statement"),
    ("pg_logical_emit_message", "writes a message into the log of changes"),
];

/// The outer half of a fence whose inner half is the login's rights: a function of somebody's own may do the same.
fn reaching(statement: &Statement<'_>) -> Result<(), Fence> {
    for name in statement.names() {
        if is_escaped(&name) {
            return Err(Fence::NeedsWrite("a name with escapes could be that of any function".to_owned()));
        }
        if let Some((function, does)) = REACHING.iter().find(|(function, _)| name.starts_with(function)) {
            return Err(Fence::NeedsWrite(format!("`{function}` {does}")));
        }
    }
    Ok(())
}

/// Lets one statement pass that does not touch the transaction or the files of the server.
pub(crate) fn write(text: &str, dialect: Dialect) -> Result<(), Fence> {
    harmless(&one(text, dialect)?, dialect)
}

/// Lets a script pass whose statements all may run. Says how many there are.
pub(crate) fn script(text: &str, dialect: Dialect) -> Result<usize, Fence> {
    no_nul(text)?;
    let statements: Vec<_> = split(text, dialect).into_iter().filter(|statement| !statement.is_blank()).collect();
    for statement in &statements {
        harmless(statement, dialect)?;
        // PostgreSQL says so itself, and lets `$1` stand in the body of a function.
        if dialect == Dialect::Sqlite && statement.has_parameters() {
            return Err(Fence::Invalid("a script takes no parameters".to_owned()));
        }
    }
    Ok(statements.len())
}

fn one(text: &str, dialect: Dialect) -> Result<Statement<'_>, Fence> {
    no_nul(text)?;
    single(text, dialect).ok_or_else(|| Fence::Invalid("a query is one statement, no more and no less".to_owned()))
}

fn no_nul(text: &str) -> Result<(), Fence> {
    if text.contains('\0') { Err(Fence::Invalid("the statement holds a NUL".to_owned())) } else { Ok(()) }
}

fn harmless(statement: &Statement<'_>, dialect: Dialect) -> Result<(), Fence> {
    hosts(statement)?;
    let leading = statement.leading();
    let is = |at: usize, keyword| leading.get(at).is_some_and(|token: &Token<'_>| token.is(keyword));
    if CONTROL.iter().any(|keyword| is(0, keyword)) || (is(0, "PREPARE") && is(1, "TRANSACTION")) {
        let advice = "transactions begin and end by begin, commit and rollback of the connection";
        return Err(Fence::Forbidden(format!("{} is transaction control: {advice}", named(statement))));
    }
    if is(0, "COPY") {
        let reason = "COPY reaches files and programs of the server, or needs a channel that does not exist here";
        return Err(Fence::Forbidden(reason.to_owned()));
    }
    if dialect == Dialect::Sqlite && ["ATTACH", "DETACH", "VACUUM"].iter().any(|keyword| is(0, keyword)) {
        return Err(Fence::Forbidden(format!("{} reaches other files", named(statement))));
    }
    Ok(())
}

/// `EXPLAIN` only reads, unless `ANALYZE` makes it run what it explains.
fn explain(rest: &[Token<'_>]) -> Result<(), Fence> {
    let mut rest = rest;
    let mut analyzes = false;
    let is_analyze = |token: &Token<'_>| token.is("ANALYZE") || token.is("ANALYSE");
    if rest.first().is_some_and(|token| token.text == "(") {
        // Either options, or a statement in parentheses.
        let close = rest.iter().position(|token| token.text == ")").unwrap_or(rest.len());
        if !rest.get(1).is_some_and(|token| token.text == "(" || EXPLAINED.iter().any(|verb| token.is(verb))) {
            analyzes = rest[..close].iter().any(is_analyze);
            rest = rest.get(close + 1..).unwrap_or_default();
        }
    }
    while let Some((first, others)) = rest.split_first() {
        match first {
            token if is_analyze(token) => analyzes = true,
            token if token.is("VERBOSE") || token.text == "(" => {}
            token if READ_EXPLAINED.iter().any(|verb| token.is(verb)) => return Ok(()),
            token if !analyzes && EXPLAINED.iter().any(|verb| token.is(verb)) => return Ok(()),
            _ => break,
        }
        rest = others;
    }
    Err(Fence::NeedsWrite("this EXPLAIN does not only read".to_owned()))
}

/// What `EXPLAIN` may explain and run.
const READ_EXPLAINED: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];

/// What `EXPLAIN` may explain where it does not run it.
const EXPLAINED: [&str; 8] = ["SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"];

/// The first keyword, for a message; cut, since a guest may write anything there.
fn named(statement: &Statement<'_>) -> String {
    let leading = statement.leading();
    let first = leading.first().map_or("", |token| token.text);
    if first.len() <= 24 && first.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        first.to_ascii_uppercase()
    } else {
        "the statement".to_owned()
    }
}

#[cfg(test)]
mod tests;
