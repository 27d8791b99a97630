//! Values out of PostgreSQL, from their binary form.

use std::{error::Error, net::IpAddr};

use tokio_postgres::{
    Row,
    types::{FromSql, Kind, Type},
};

use super::{super::SqlValue, number::numeric, time};
use crate::error::{EffectError, ErrorKind};

/// The most dimensions of an array that PostgreSQL has.
const MOST_DIMENSIONS: usize = 6;

/// The values of a row.
pub(super) fn row(row: &Row) -> Result<Vec<SqlValue>, EffectError> {
    row.columns()
        .iter()
        .enumerate()
        .map(|(at, column)| match row.try_get::<_, Option<Raw<'_>>>(at) {
            Ok(None) => Ok(SqlValue::Null),
            Ok(Some(Raw(raw))) => decoded(column.type_(), raw).ok_or_else(|| unknown(column.name(), column.type_())),
            Err(_) => Err(unknown(column.name(), column.type_())),
        })
        .collect()
}

fn unknown(column: &str, ty: &Type) -> EffectError {
    let what = format!("the column `{column}` has the type {}, which cannot be told", ty.name());
    EffectError::new(ErrorKind::Invalid, what).with_hint("cast it in the statement: `::text`")
}

/// The bytes of a value, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Nothing where the type has no form here, or the bytes are not of the type.
fn decoded(ty: &Type, raw: &[u8]) -> Option<SqlValue> {
    use SqlValue::{Boolean, Bytes, Float, Integer, Null, Text};
    Some(match *ty {
        Type::BOOL => Boolean(*raw.first()? != 0),
        Type::INT2 => Integer(i16::from_be_bytes(raw.try_into().ok()?).into()),
        Type::INT4 => Integer(i32::from_be_bytes(raw.try_into().ok()?).into()),
        Type::INT8 => Integer(long(raw)?),
        Type::OID | Type::XID | Type::CID => Integer(u32::from_be_bytes(raw.try_into().ok()?).into()),
        Type::FLOAT4 => Float(f32::from_be_bytes(raw.try_into().ok()?).into()),
        Type::FLOAT8 => Float(f64::from_be_bytes(raw.try_into().ok()?)),
        Type::BYTEA => Bytes(raw.to_vec()),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON | Type::XML => text(raw)?,
        Type::JSONB | Type::JSONPATH => text(raw.strip_prefix(&[1])?)?,
        Type::CHAR => text(raw.strip_suffix(&[0]).unwrap_or(raw))?,
        Type::NUMERIC => Text(numeric(raw)?),
        Type::UUID => Text(uuid(raw)?),
        Type::TIMESTAMP => Text(time::timestamp(long(raw)?, "")),
        Type::TIMESTAMPTZ => Text(time::timestamp(long(raw)?, "Z")),
        Type::DATE => Text(time::date(i32::from_be_bytes(raw.try_into().ok()?))),
        Type::TIME => Text(time::time(long(raw)?)),
        Type::TIMETZ => {
            Text(time::time_with_zone(long(raw.get(..8)?)?, i32::from_be_bytes(raw.get(8..)?.try_into().ok()?)))
        }
        Type::INTERVAL => Text(interval(raw)?),
        Type::INET | Type::CIDR => Text(network(raw)?),
        Type::MACADDR | Type::MACADDR8 => Text(raw.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")),
        Type::BIT | Type::VARBIT => Text(bits(raw)?),
        Type::PG_LSN => {
            let at = u64::from_be_bytes(raw.try_into().ok()?);
            Text(format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff))
        }
        Type::XID8 => Text(u64::from_be_bytes(raw.try_into().ok()?).to_string()),
        Type::VOID => Null,
        _ => match ty.kind() {
            Kind::Domain(inner) => decoded(inner, raw)?,
            Kind::Enum(_) => text(raw)?,
            Kind::Array(member) => Text(array(member, raw)?),
            _ if ty.name() == "citext" => text(raw)?,
            _ => return None,
        },
    })
}

fn text(raw: &[u8]) -> Option<SqlValue> {
    std::str::from_utf8(raw).ok().map(|text| SqlValue::Text(text.to_owned()))
}

fn long(raw: &[u8]) -> Option<i64> {
    raw.try_into().ok().map(i64::from_be_bytes)
}

fn int(raw: &[u8], at: usize) -> Option<i32> {
    raw.get(at..at + 4)?.try_into().ok().map(i32::from_be_bytes)
}

fn uuid(raw: &[u8]) -> Option<String> {
    let digits = hex::encode(<[u8; 16]>::try_from(raw).ok()?);
    Some([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

fn interval(raw: &[u8]) -> Option<String> {
    (raw.len() == 16).then_some(())?;
    Some(time::interval(long(raw.get(..8)?)?, int(raw, 8)?, int(raw, 12)?))
}

fn network(raw: &[u8]) -> Option<String> {
    let [family, prefix, is_cidr, length, address @ ..] = raw else { return None };
    let (address, whole): (IpAddr, u8) = match (family, length) {
        (2, 4) => (<[u8; 4]>::try_from(address).ok()?.into(), 32),
        (3, 16) => (<[u8; 16]>::try_from(address).ok()?.into(), 128),
        _ => return None,
    };
    Some(if *is_cidr == 0 && *prefix == whole { address.to_string() } else { format!("{address}/{prefix}") })
}

fn bits(raw: &[u8]) -> Option<String> {
    let count = usize::try_from(int(raw, 0)?).ok()?;
    let bytes = raw.get(4..).filter(|bytes| bytes.len() == count.div_ceil(8))?;
    Some((0..count).map(|at| if bytes[at / 8] >> (7 - at % 8) & 1 == 1 { '1' } else { '0' }).collect())
}

/// An array in PostgreSQL's own text form: `{1,2,NULL}`.
fn array(member: &Type, raw: &[u8]) -> Option<String> {
    let dimensions = usize::try_from(int(raw, 0)?).ok().filter(|count| *count <= MOST_DIMENSIONS)?;
    if dimensions == 0 {
        return Some("{}".to_owned());
    }
    let mut lengths = Vec::new();
    let mut bounds = String::new();
    for dimension in 0..dimensions {
        let at = 12 + 8 * dimension;
        let (length, lower) = (int(raw, at)?, int(raw, at + 4)?);
        lengths.push(usize::try_from(length).ok()?);
        bounds.push_str(&format!("[{lower}:{}]", i64::from(lower) + i64::from(length) - 1));
    }
    let elements = lengths.iter().try_fold(1_usize, |all, length| all.checked_mul(*length))?;
    if elements == 0 {
        return Some("{}".to_owned());
    }
    // An element takes four bytes at least.
    if elements > raw.len() / 4 {
        return None;
    }
    let starts_at_one = (0..dimensions).all(|dimension| int(raw, 16 + 8 * dimension) == Some(1));
    let mut out = if starts_at_one { String::new() } else { format!("{bounds}=") };
    let mut rest = raw.get(12 + 8 * dimensions..)?;
    let mut open = 0;
    for element in 0..elements {
        if element > 0 {
            out.push(',');
        }
        // How many braces open here: one for each dimension that begins anew.
        let mut inner = 1;
        for length in lengths.iter().rev() {
            inner *= length;
            if element % inner == 0 {
                out.push('{');
                open += 1;
            }
        }
        rest = push_element(member, rest, &mut out)?;
        let mut inner = 1;
        for length in lengths.iter().rev() {
            inner *= length;
            if (element + 1) % inner == 0 {
                out.push('}');
                open -= 1;
            }
        }
    }
    (open == 0 && rest.is_empty()).then_some(out)
}

/// Appends one element, and gives what is left of the bytes.
fn push_element<'r>(member: &Type, raw: &'r [u8], out: &mut String) -> Option<&'r [u8]> {
    let rest = raw.get(4..)?;
    let Ok(length) = usize::try_from(int(raw, 0)?) else {
        out.push_str("NULL");
        return Some(rest);
    };
    let text = match decoded(member, rest.get(..length)?)? {
        SqlValue::Null => String::new(),
        SqlValue::Boolean(truth) => if truth { "t" } else { "f" }.to_owned(),
        SqlValue::Integer(integer) => integer.to_string(),
        SqlValue::Float(float) => float.to_string(),
        SqlValue::Text(text) => text,
        SqlValue::Bytes(bytes) => format!("\\x{}", hex::encode(bytes)),
    };
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '{' | '}' | '"' | '\\' | ',');
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && text.chars().all(is_plain) {
        out.push_str(&text);
    } else {
        out.push('"');
        text.chars().for_each(|c| {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        });
        out.push('"');
    }
    rest.get(length..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn simple_values() {
        for (ty, raw, value) in [
            (Type::BOOL, &[1][..], SqlValue::Boolean(true)),
            (Type::INT2, &[0xff, 0xff], SqlValue::Integer(-1)),
            (Type::JSONB, b"\x01{}", SqlValue::Text("{}".to_owned())),
            (Type::CHAR, &[0], SqlValue::Text(String::new())),
            (Type::INET, &[2, 32, 0, 4, 10, 0, 0, 1], SqlValue::Text("10.0.0.1".to_owned())),
            (Type::CIDR, &[2, 8, 1, 4, 10, 0, 0, 0], SqlValue::Text("10.0.0.0/8".to_owned())),
            (Type::VARBIT, &[0, 0, 0, 9, 0xa0, 0x80], SqlValue::Text("101000001".to_owned())),
            (Type::PG_LSN, &[0, 0, 0, 1, 0, 0, 0, 255], SqlValue::Text("1/FF".to_owned())),
            (Type::VOID, &[], SqlValue::Null),
        ] {
            assert_eq!(decoded(&ty, raw), Some(value), "{ty}");
        }
        assert_eq!(decoded(&Type::MONEY, &[0; 8]), None);
        assert_eq!(decoded(&Type::INT4, &[0; 3]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_of_a_server_panic(raw in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..64)) {
            for oid in 1..5000 {
                if let Some(ty) = Type::from_oid(oid) {
                    decoded(&ty, &raw);
                }
            }
        }
    }
}
