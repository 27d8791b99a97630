//! One spelling for each path.
//!
//! A server may decode a path once more than we do, merge slashes, or cut parameters off. What could then name another
//! place than the one that was matched is refused, so that the path which was matched is the path which is meant.

use crate::rule::RuleError;

/// Adds a character that stands for itself: as it is where a path may hold it so, else percent-encoded.
pub(super) fn push(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c) {
        out.push(c);
    } else {
        let mut bytes = [0; 4];
        c.encode_utf8(&mut bytes).bytes().for_each(|byte| push_encoded(out, byte));
    }
}

/// Adds the percent-encoded byte that `text` begins with: decoded where it is unreserved, else with capital digits. Every
/// encoding takes three bytes of `text`.
///
/// # Errors
///
/// What follows `%` is not two hexadecimal digits, or it stands for `/`, `\`, `.` or a control character.
pub(super) fn push_decoded(out: &mut String, text: &str) -> Result<(), RuleError> {
    let Some(byte) = encoded_byte(text.as_bytes()) else {
        let end = text.char_indices().nth(3).map_or(text.len(), |(at, _)| at);
        return Err(RuleError::new("`%` is not followed by two hexadecimal digits").at(0..end));
    };
    if let Some(what) = never_encoded(byte) {
        return Err(RuleError::new(format!("`{}` encodes {what}", &text[..3])).at(0..3));
    }
    if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
        out.push(char::from(byte));
    } else {
        push_encoded(out, byte);
    }
    Ok(())
}

/// Adds a byte of a query. Nothing is decoded, and what a request line cannot hold is encoded.
pub(super) fn push_query(out: &mut String, c: char) {
    if "/?%[]".contains(c) { out.push(c) } else { push(out, c) }
}

fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The byte that a text beginning with `%XX` encodes.
fn encoded_byte(text: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    match *text {
        [b'%', high, low, ..] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    }
}

fn never_encoded(byte: u8) -> Option<&'static str> {
    match byte {
        b'/' => Some("a slash"),
        b'\\' => Some("a backslash"),
        b'.' => Some("a dot"),
        0..=31 | 127 => Some("a control character"),
        _ => None,
    }
}

/// Whether a text may begin after `before` in a path of one spelling, and not within an encoded byte.
pub(super) fn is_boundary(before: &str) -> bool {
    let mut last = before.bytes().rev();
    last.next() != Some(b'%') && last.next() != Some(b'%')
}

/// Refuses a whole segment, in its one spelling, that some server would take for another one.
pub(super) fn check_segment(segment: &str) -> Result<(), &'static str> {
    check_piece(segment)?;
    // `..;x` is `..` where parameters are cut off, and `.. ` where spaces are.
    let name = segment.split([';']).next().unwrap_or_default();
    let name = name.split("%3B").next().unwrap_or_default();
    let name = name.trim_start_matches("%20").trim_end_matches("%20").replace("%20", "");
    if !name.is_empty() && name.bytes().all(|b| b == b'.') {
        return Err("a dot segment");
    }
    Ok(())
}

/// Refuses a part of a segment, in its one spelling: what is encoded twice, what is not UTF-8, what looks like a separator.
pub(super) fn check_piece(piece: &str) -> Result<(), &'static str> {
    let bytes = piece.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let Some(byte) = encoded_byte(&bytes[at..]) else {
            decoded.push(bytes[at]);
            at += 1;
            continue;
        };
        if byte == b'%' && encoded_again(&bytes[at + 3..]) {
            return Err("a separator, a dot or a control character that is encoded twice");
        }
        decoded.push(byte);
        at += 3;
    }
    let text = String::from_utf8(decoded).map_err(|_| "bytes that are not UTF-8")?;
    // Their compatibility forms are `.`, `..`, `/` and `\`.
    if text.contains(['\u{2024}', '\u{2025}', '\u{fe52}', '\u{fe68}', '\u{ff0e}', '\u{ff0f}', '\u{ff3c}']) {
        return Err("a character that some servers take for a separator or a dot");
    }
    if text.contains(char::is_control) {
        return Err("a control character");
    }
    Ok(())
}

/// Whether the digits after an encoded `%` go on to encode what may not be encoded, however many times.
fn encoded_again(mut digits: &[u8]) -> bool {
    while let [b'2', b'5', rest @ ..] = digits {
        digits = rest;
    }
    match *digits {
        [high, low, ..] => encoded_byte(&[b'%', high, low]).and_then(never_encoded).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_characters_have_one_spelling() {
        for (c, spelling) in [
            ('a', "a"),
            ('~', "~"),
            ('*', "*"),
            (' ', "%20"),
            ('%', "%25"),
            ('?', "%3F"),
            ('ä', "%C3%A4"),
            ('|', "%7C"),
        ] {
            let mut out = String::new();
            push(&mut out, c);
            assert_eq!(out, spelling);
        }
    }

    #[test]
    fn encoded_bytes_have_one_spelling() {
        for (text, spelling) in [
            ("%61", "a"),
            ("%7e", "~"),
            ("%2D", "-"),
            ("%20", "%20"),
            ("%c3", "%C3"),
            ("%2a", "%2A"),
            ("%3f", "%3F"),
            ("%25x", "%25"),
        ] {
            let mut out = String::new();
            push_decoded(&mut out, text).unwrap();
            assert_eq!(out, spelling);
        }
        for text in
            ["%", "%2", "%zz", "%u002e", "%é1", "%2e", "%2E", "%2f", "%2F", "%5c", "%5C", "%00", "%1f", "%7F", "%0d"]
        {
            assert!(push_decoded(&mut String::new(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn boundaries_spare_encoded_bytes() {
        for (before, boundary) in
            [("", true), ("a", true), ("%", false), ("a%2", false), ("%20", true), ("a%20b", true), ("%2", false)]
        {
            assert_eq!(is_boundary(before), boundary, "{before}");
        }
    }

    #[test]
    fn segments_that_mean_another_are_refused() {
        for segment in ["", "a", "a.b", "..a", "a..", ".well-known", "a;v=1", ";x", "%20", "a%252Fb"] {
            let refused = check_segment(segment).is_err();
            assert_eq!(refused, segment == "a%252Fb", "{segment}");
        }
        for segment in [
            ".",
            "..",
            "...",
            ".;",
            "..;",
            "..;a=b",
            "..%3B",
            "..%20",
            "%20..",
            ".%20.",
            "..%20;x",
            "%252e",
            "a%252Eb",
            "%252f",
            "%255c",
            "%2500",
            "%250D",
            "%25252e",
            "%25252525252f",
            "%C0%AE",
            "%C0%AF",
            "%E0%80%AE",
            "%FF",
            "%C3",
            "%EF%BC%8E",
            "%EF%BC%8F",
            "%EF%BC%BC",
            "%E2%80%A4",
            "%C2%85",
        ] {
            assert!(check_segment(segment).is_err(), "{segment}");
        }
        for segment in ["%25", "%2541", "100%25", "%25zz", "%252", "%C3%A4", "%3B", "%E2%80%A6"] {
            assert_eq!(check_segment(segment), Ok(()), "{segment}");
        }
    }
}
