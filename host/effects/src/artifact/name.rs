//! Names of artifacts, as parts of file names.

use crate::error::{EffectError, ErrorKind};

/// The longest name, in bytes. Digest and endings come on top.
const LONGEST: usize = 128;

/// `name` with every character replaced that could mean something to a shell, a path or a terminal.
///
/// # Errors
///
/// Nothing is left of it.
pub(super) fn checked(name: &str) -> Result<String, EffectError> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.trim().trim_start_matches('.').chars().map(safe).take(LONGEST).collect();
    if name.is_empty() {
        return Err(EffectError::new(ErrorKind::Invalid, "the artifact has no name"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_component() {
        for (given, kept) in [
            ("database.dump", "database.dump"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a b\n\u{1b}[2J", "a_b___2J"),
            ("Bäckup", "B_ckup"),
            (".hidden", "hidden"),
            (&"x".repeat(500), &"x".repeat(128)),
        ] {
            assert_eq!(checked(given).unwrap(), kept);
        }
        assert!(checked("").is_err());
        assert!(checked("..").is_err());
    }
}
