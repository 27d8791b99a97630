//! Values into PostgreSQL: in their text form, which the server reads for every type it has. Only bytes go as they are.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::super::SqlValue;
use crate::error::{EffectError, ErrorKind};

/// A parameter on its way.
#[derive(Debug)]
pub(super) struct Parameter(pub(super) SqlValue);

/// Refuses parameters that the statement does not have or the server cannot read.
pub(super) fn check(wanted: &[Type], given: &[SqlValue]) -> Result<(), EffectError> {
    let invalid = |what: String| Err(EffectError::new(ErrorKind::Invalid, what));
    if wanted.len() != given.len() {
        return invalid(format!("the statement has {} parameters, and {} were given", wanted.len(), given.len()));
    }
    for (number, (ty, value)) in (1..).zip(wanted.iter().zip(given)) {
        match value {
            SqlValue::Bytes(_) if *base(ty) != Type::BYTEA => {
                return invalid(format!("parameter ${number} is bytes, and the statement wants {}", ty.name()));
            }
            SqlValue::Text(text) if text.contains('\0') => {
                return invalid(format!("parameter ${number} holds a NUL, which PostgreSQL cannot store in text"));
            }
            SqlValue::Text(_) if *base(ty) == Type::BYTEA => {
                return invalid(format!("parameter ${number} is text, and the statement wants bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The type under a domain.
fn base(ty: &Type) -> &Type {
    match ty.kind() {
        Kind::Domain(inner) => base(inner),
        _ => ty,
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.0 {
            SqlValue::Null => return Ok(IsNull::Yes),
            SqlValue::Boolean(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            SqlValue::Integer(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
            SqlValue::Float(float) => out.extend_from_slice(format!("{float:?}").as_bytes()),
            SqlValue::Text(text) => out.extend_from_slice(text.as_bytes()),
            SqlValue::Bytes(bytes) => out.extend_from_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if matches!(self.0, SqlValue::Bytes(_)) { Format::Binary } else { Format::Text }
    }

    to_sql_checked!();
}
