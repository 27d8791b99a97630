//! What a host would refuse in a script, found before anything is touched: a down file that is refused at the rollback is
//! found too late.

use pipe_sdk::sql::Dialect;

/// Words at the beginning of a statement that no script may hold. `END` is not among them: it ends triggers, too.
const REFUSED: [&str; 10] =
    ["BEGIN", "START", "COMMIT", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "COPY", "ATTACH", "DETACH"];

/// The first word at the beginning of a statement that the host would refuse. Nothing is lost where this overlooks one:
/// the host does not.
pub(crate) fn refused(text: &str, dialect: Dialect) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut begins = true;
    while at < bytes.len() {
        let byte = bytes[at];
        if let Some(end) = skipped(bytes, at, dialect) {
            // A comment or space leaves the statement where it was; a literal is part of it.
            begins &= byte.is_ascii_whitespace() || byte == b'-' || byte == b'/';
            at = end;
        } else if byte == b';' {
            begins = true;
            at += 1;
        } else if is_word(byte) {
            let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
            let word = text.get(at..end).unwrap_or_default();
            if let Some(found) = REFUSED.into_iter().find(|refused| begins && word.eq_ignore_ascii_case(refused)) {
                return Some(found);
            }
            begins = false;
            at = end;
        } else {
            begins = false;
            at += 1;
        }
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where a space, comment or literal ends that begins here.
fn skipped(bytes: &[u8], at: usize, dialect: Dialect) -> Option<usize> {
    let rest = &bytes[at..];
    let postgresql = dialect == Dialect::Postgresql;
    match rest {
        [space, ..] if space.is_ascii_whitespace() => Some(at + 1),
        [b'-', b'-', ..] => Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(at + comment(rest, postgresql)),
        [b'\'', ..] => {
            let escapes = postgresql && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
            Some(at + quoted(rest, b'\'', escapes))
        }
        [b'"', ..] => Some(at + quoted(rest, b'"', false)),
        [b'`', ..] if !postgresql => Some(at + quoted(rest, b'`', false)),
        [b'[', ..] if !postgresql => Some(at + quoted(rest, b']', false)),
        [b'$', ..] if postgresql && (at == 0 || !is_word(bytes[at - 1])) => dollar(rest).map(|length| at + length),
        _ => None,
    }
}

fn comment(rest: &[u8], nests: bool) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            [b'/', b'*', ..] if nests => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    at
}

fn quoted(rest: &[u8], close: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match &rest[at..] {
            [b'\\', _, ..] if escapes => at += 2,
            [one, two, ..] if *one == close && *two == close && close != b']' => at += 2,
            [one, ..] if *one == close => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// `$tag$ … $tag$`
fn dollar(rest: &[u8]) -> Option<usize> {
    let length = rest[1..].iter().position(|byte| *byte == b'$')?;
    let (tag, body) = rest.split_at(length + 2);
    let name = &tag[1..=length];
    if !name.iter().all(|byte| is_word(*byte)) || name.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let end = body.windows(tag.len()).position(|window| window == tag);
    Some(end.map_or(rest.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_refuses() {
        for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
            for (text, word) in [
                ("BEGIN; CREATE TABLE a (id int); COMMIT;", "BEGIN"),
                ("CREATE TABLE a (id int);\n-- and now\ncommit", "COMMIT"),
                ("/* x */ Rollback", "ROLLBACK"),
                ("SELECT ';';savepoint a", "SAVEPOINT"),
                ("copy a from stdin;", "COPY"),
            ] {
                assert_eq!(refused(text, dialect), Some(word), "{text}");
            }
        }
        assert_eq!(refused(r"SELECT E'\'; '; COMMIT", Dialect::Postgresql), Some("COMMIT"));
        assert_eq!(refused("SELECT $a$ ; $a$; START TRANSACTION", Dialect::Postgresql), Some("START"));
    }

    #[test]
    fn what_only_looks_like_it() {
        for (text, dialect) in [
            ("INSERT INTO a VALUES ('; COMMIT')", Dialect::Sqlite),
            ("INSERT INTO a VALUES ('it''s; COMMIT; ')", Dialect::Postgresql),
            ("-- ; COMMIT\nSELECT 1 /* ; COMMIT */", Dialect::Sqlite),
            ("/* /* */ ; COMMIT */ SELECT 1", Dialect::Postgresql),
            ("CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END; SELECT 1", Dialect::Sqlite),
            ("DO $$ BEGIN PERFORM 1; COMMIT; END $$; DO $x$ ; COMMIT $x$", Dialect::Postgresql),
            ("CREATE TABLE \"; COMMIT\" (begin int, \"commit\" int)", Dialect::Postgresql),
            ("CREATE TABLE [; COMMIT] (`; ABORT` int)", Dialect::Sqlite),
            ("SELECT ARRAY['a'][1], $1; SELECT commit", Dialect::Postgresql),
            ("\u{e4}; SELECT 'open; COMMIT", Dialect::Postgresql),
            ("ALTER TABLE a RENAME COLUMN start TO begin; beginning", Dialect::Postgresql),
            ("", Dialect::Sqlite),
        ] {
            assert_eq!(refused(text, dialect), None, "{text}");
        }
    }
}
