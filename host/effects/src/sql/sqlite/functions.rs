//! Functions of SQLite that may take the square of their arguments' length, in ours that take no more than their length.
//!
//! SQLite looks at a cancellation between instructions, and a call of a function is one of them: `instr` over some megabytes
//! would outlast every deadline by minutes. What has no such twin here is refused by the authorizer.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use memchr::memmem::Finder;
use rusqlite::{
    Connection, Error, Result, ffi,
    functions::{Context, FunctionFlags},
    types::{Value, ValueRef},
};

use super::MOST_VALUE_BYTES;

/// What has no twin here: `json_patch` looks every key of one object up in the other.
pub(super) const UNBOUNDED: [&str; 2] = ["json_patch", "jsonb_patch"];

/// Takes the place of SQLite's own.
pub(super) fn replace_slow_ones(connection: &Connection) -> Result<()> {
    // Innocuous: they may stand in views, triggers and indexes, as their originals may.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let arguments = Arguments::default();
    let own = arguments.clone();
    connection.create_scalar_function("instr", 2, flags, move |context| instr(&own, context))?;
    let own = arguments.clone();
    connection.create_scalar_function("replace", 3, flags, move |context| replace(&own, context))?;
    let own = arguments.clone();
    connection.create_scalar_function("unhex", 2, flags, move |context| unhex(&own, context))?;
    for (name, left, right) in [("trim", true, true), ("ltrim", true, false), ("rtrim", false, true)] {
        let own = arguments.clone();
        connection.create_scalar_function(name, 2, flags, move |context| trim(&own, context, left, right))?;
    }
    Ok(())
}

/// Reads arguments as texts, as SQLite itself writes them: a database of nobody's, opened when it is needed first, makes texts of
/// numbers.
#[derive(Clone, Default)]
struct Arguments(Arc<Mutex<Option<Connection>>>);

impl Arguments {
    /// The bytes of an argument, or nothing where it is NULL.
    fn bytes<'c>(&self, context: &'c Context<'_>, at: usize) -> Result<Option<Cow<'c, [u8]>>> {
        Ok(Some(match context.get_raw(at) {
            ValueRef::Null => return Ok(None),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cow::Borrowed(bytes),
            ValueRef::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
            ValueRef::Real(number) => Cow::Owned(self.written(number)?.into_bytes()),
        }))
    }

    fn written(&self, number: f64) -> Result<String> {
        let mut helper = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match helper.take() {
            Some(connection) => connection,
            None => Connection::open_in_memory()?,
        };
        helper.insert(connection).query_row("SELECT CAST(?1 AS TEXT)", [number], |row| row.get(0))
    }

    /// The same as a text.
    fn text<'c>(&self, context: &'c Context<'_>, at: usize) -> Result<Option<Cow<'c, str>>> {
        let no_text = |_| Error::UserFunctionError("an argument holds bytes that are no text".into());
        Ok(match self.bytes(context, at)? {
            None => None,
            Some(Cow::Borrowed(bytes)) => Some(Cow::Borrowed(std::str::from_utf8(bytes).map_err(no_text)?)),
            Some(Cow::Owned(bytes)) => {
                Some(Cow::Owned(String::from_utf8(bytes).map_err(|error| no_text(error.utf8_error()))?))
            }
        })
    }
}

/// Place of the first occurrence from 1, in characters, or in bytes where both are BLOBs; 0 where there is none.
fn instr(arguments: &Arguments, context: &Context<'_>) -> Result<Value> {
    let is_blob = |at| matches!(context.get_raw(at), ValueRef::Blob(_));
    let (Some(text), Some(part)) = (arguments.bytes(context, 0)?, arguments.bytes(context, 1)?) else {
        return Ok(Value::Null);
    };
    let is_inside = |byte: u8| byte & 0xc0 == 0x80;
    let bytes = is_blob(0) && is_blob(1);
    // Within a character no occurrence begins, but for the first byte, whatever it is.
    let found = match part.first() {
        Some(&first) if !bytes && is_inside(first) => text.starts_with(&part).then_some(0),
        _ => Finder::new(&*part).find(&text),
    };
    let place = found.map_or(0, |at| match bytes {
        true => at + 1,
        false => 1 + text.iter().take(at + 1).skip(1).filter(|byte| !is_inside(**byte)).count(),
    });
    Ok(Value::Integer(i64::try_from(place).unwrap_or(i64::MAX)))
}

/// Every occurrence, from the left.
fn replace(arguments: &Arguments, context: &Context<'_>) -> Result<Value> {
    let Some(text) = arguments.bytes(context, 0)? else { return Ok(Value::Null) };
    let Some(part) = arguments.bytes(context, 1)? else { return Ok(Value::Null) };
    if part.first().is_none_or(|first| *first == 0) {
        return text_of(text.into_owned());
    }
    let Some(other) = arguments.bytes(context, 2)? else { return Ok(Value::Null) };
    let most = usize::try_from(MOST_VALUE_BYTES).unwrap_or_default();
    let (mut replaced, mut from) = (Vec::with_capacity(text.len()), 0);
    let finder = Finder::new(&*part);
    while let Some(at) = finder.find(&text[from..]) {
        replaced.extend_from_slice(&text[from..from + at]);
        replaced.extend_from_slice(&other);
        if replaced.len() > most {
            return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None));
        }
        from += at + part.len();
    }
    replaced.extend_from_slice(&text[from..]);
    text_of(replaced)
}

fn text_of(bytes: Vec<u8>) -> Result<Value> {
    let no_text = |_| Error::UserFunctionError("the result holds bytes that are no text".into());
    String::from_utf8(bytes).map(Value::Text).map_err(no_text)
}

fn trim(arguments: &Arguments, context: &Context<'_>, left: bool, right: bool) -> Result<Value> {
    let (Some(text), Some(set)) = (arguments.text(context, 0)?, arguments.text(context, 1)?) else {
        return Ok(Value::Null);
    };
    let set: HashSet<char> = before_nul(&set).chars().collect();
    let mut rest = &*text;
    if left {
        rest = rest.trim_start_matches(|c| set.contains(&c));
    }
    if right {
        rest = rest.trim_end_matches(|c| set.contains(&c));
    }
    Ok(Value::Text(rest.to_owned()))
}

/// As far as SQLite reads a text of C.
fn before_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// Bytes out of pairs of digits, between which the characters of the second argument may stand.
fn unhex(arguments: &Arguments, context: &Context<'_>) -> Result<Value> {
    let (Some(text), Some(between)) = (arguments.text(context, 0)?, arguments.text(context, 1)?) else {
        return Ok(Value::Null);
    };
    let between: HashSet<char> = between.chars().collect();
    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut bytes, mut characters) = (Vec::with_capacity(text.len() / 2), before_nul(&text).chars());
    while let Some(c) = characters.next() {
        match digit(c) {
            Some(high) => match characters.next().and_then(digit) {
                Some(low) => bytes.push(high << 4 | low),
                None => return Ok(Value::Null),
            },
            None if between.contains(&c) => {}
            None => return Ok(Value::Null),
        }
    }
    Ok(Value::Blob(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both make of an expression: SQLite's own functions, and ours.
    fn both(expression: &str) -> [Result<Value>; 2] {
        let (theirs, ours) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        replace_slow_ones(&ours).unwrap();
        [theirs, ours].map(|connection| connection.query_row(&format!("SELECT {expression}"), (), |row| row.get(0)))
    }

    #[track_caller]
    fn agree(expression: &str) {
        let [theirs, ours] = both(expression);
        assert_eq!(ours.unwrap(), theirs.unwrap(), "{expression}");
    }

    #[test]
    fn ours_say_what_sqlites_own_say() {
        let values = [
            "''",
            "'a'",
            "'ab'",
            "'aab'",
            "'äöü'",
            "'ö'",
            "'x€y'",
            "'€'",
            "'4'",
            "NULL",
            "42",
            "-1.5",
            "1e21",
            "0.1",
            "x'c3a4'",
            "x'a4'",
            "x''",
            "'AbCd'",
            "'ab cd'",
            "' '",
            "'  a b  '",
            "'a' || char(0) || 'b'",
            "char(0)",
        ];
        for one in values {
            for two in values {
                agree(&format!("instr({one}, {two})"));
                agree(&format!("typeof(instr({one}, {two}))"));
                for other in ["'-'", "''", "NULL", "7"] {
                    // Halves of characters make texts that are none, which ours does not make.
                    if ![one, two].iter().any(|value| value.contains("x'")) {
                        agree(&format!("replace({one}, {two}, {other})"));
                        agree(&format!("typeof(replace({one}, {two}, {other}))"));
                    }
                }
                if ![one, two].contains(&"x'a4'") {
                    for name in ["trim", "ltrim", "rtrim", "unhex"] {
                        agree(&format!("{name}({one}, {two})"));
                    }
                }
            }
        }
        for expression in ["replace(x'6162', 'b', 'c')", "replace(x'6162', '', 'c')", "replace(x'6162', '', NULL)"] {
            agree(expression);
            agree(&format!("typeof({expression})"));
        }
        agree("trim('  x ')");
        agree("unhex('ABcd')");
    }

    #[test]
    fn what_is_too_large_or_no_text_is_an_error() {
        let [_, ours] = both("length(replace(hex(zeroblob(3000000)), '0', '0123456789'))");
        assert!(ours.unwrap_err().to_string().contains("too big"));
        for expression in ["replace('ä', x'a4', 'x')", "trim(x'ff', 'x')"] {
            let [_, ours] = both(expression);
            assert!(ours.unwrap_err().to_string().contains("no text"), "{expression}");
        }
    }
}
