//! Values into SQLite and out of it.

use rusqlite::{
    Statement,
    types::{Value, ValueRef},
};

use super::super::SqlValue;
use crate::error::{EffectError, ErrorKind};

/// Binds parameters. `$2` means the second one wherever it stands; SQLite alone would take it for a name.
pub(super) fn bind(statement: &mut Statement<'_>, parameters: &[SqlValue]) -> Result<(), EffectError> {
    let mut numbers = Vec::new();
    for index in 1..=statement.parameter_count() {
        let number = match statement.parameter_name(index) {
            None => index,
            Some(name) => {
                name.strip_prefix(['$', '?']).and_then(|digits| digits.parse().ok()).filter(|n| *n > 0).ok_or_else(
                    || {
                        EffectError::new(
                            ErrorKind::Invalid,
                            "a parameter has a name: parameters are written $1, $2 and so on",
                        )
                    },
                )?
            }
        };
        numbers.push((index, number));
    }
    let wanted = numbers.iter().map(|(_, number)| *number).max().unwrap_or(0);
    if wanted != parameters.len() {
        let given = parameters.len();
        let what = format!("the statement has {wanted} parameters, and {given} were given");
        return Err(EffectError::new(ErrorKind::Invalid, what));
    }
    for (index, number) in numbers {
        let value = match &parameters[number - 1] {
            SqlValue::Null => Value::Null,
            SqlValue::Boolean(truth) => Value::Integer(i64::from(*truth)),
            SqlValue::Integer(integer) => Value::Integer(*integer),
            SqlValue::Float(float) => Value::Real(*float),
            SqlValue::Text(text) => Value::Text(text.clone()),
            SqlValue::Bytes(bytes) => Value::Blob(bytes.clone()),
        };
        statement
            .raw_bind_parameter(index, value)
            .map_err(|error| EffectError::new(ErrorKind::Invalid, format!("parameter ${number}: {error}")))?;
    }
    Ok(())
}

/// A value as the guest sees it. Text that is not UTF-8 comes as bytes.
pub(super) fn decoded(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(integer) => SqlValue::Integer(integer),
        ValueRef::Real(float) => SqlValue::Float(float),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => SqlValue::Text(text.to_owned()),
            Err(_) => SqlValue::Bytes(text.to_vec()),
        },
        ValueRef::Blob(bytes) => SqlValue::Bytes(bytes.to_vec()),
    }
}
