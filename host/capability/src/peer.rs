//! Names of peers.
//!
//! A guest addresses a peer as the host `NAME.peer`, and host names are lower case: so are the names.

use crate::rule::RuleError;

/// What a guest puts behind a peer's name to address it.
pub const SUFFIX: &str = ".peer";

/// Whether `name` can be the name of a peer: lower-case letters, digits, `-` and `_`, at most 63, none but a letter or digit
/// at either end.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

/// Refuses what cannot be the name of a peer. The span counts in `name`.
///
/// # Errors
///
/// `name` is not one of [`is_name`], or it is `artifacts`, which means the run's own artifacts.
pub fn check_name(name: &str) -> Result<(), RuleError> {
    if name == "artifacts" {
        return Err(RuleError::new("`artifacts` means the run's artifacts and cannot be a peer").at(0..name.len()));
    }
    if is_name(name) {
        return Ok(());
    }
    if name.is_empty() {
        return Err(RuleError::new("the name of a peer is missing"));
    }
    let error = RuleError::new(format!("`{name}` is not the name of a peer")).at(0..name.len());
    let lower = name.to_ascii_lowercase();
    Err(if is_name(&lower) {
        error.with_hint(format!("guests address a peer as a host, and hosts are lower case: `{lower}`"))
    } else {
        error.with_hint("lower-case letters, digits, `-` and `_`, with a letter or digit at either end")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["k8s", "main", "a", "hms-db_2", &"x".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a-", "a.b", "a b", "Main", "ä", "a/b", "a:b", "*", "artifacts", &"x".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("Main").unwrap_err().hint.is_some_and(|hint| hint.contains("`main`")));
    }
}
