use proptest::prelude::*;

use super::*;

const BOTH: [Dialect; 2] = [Dialect::Postgresql, Dialect::Sqlite];

fn parts(text: &str, dialect: Dialect) -> Vec<String> {
    split(text, dialect)
        .iter()
        .filter(|statement| !statement.is_blank())
        .map(|statement| statement.text.trim().trim_end_matches(';').trim().to_owned())
        .collect()
}

#[test]
fn semicolons_split_where_they_stand_alone() {
    for dialect in BOTH {
        for (text, expected) in [
            ("", vec![]),
            (" ; ;; -- x ;\n", vec![]),
            ("SELECT 1", vec!["SELECT 1"]),
            ("SELECT 1; SELECT 2;", vec!["SELECT 1", "SELECT 2"]),
            ("SELECT ';'; SELECT 2", vec!["SELECT ';'", "SELECT 2"]),
            ("SELECT 'it''s;'; SELECT 2", vec!["SELECT 'it''s;'", "SELECT 2"]),
            (r"SELECT '\'; SELECT 2 --'", vec![r"SELECT '\'", "SELECT 2 --'"]),
            ("SELECT \"a;\"\"b\"; SELECT 2", vec!["SELECT \"a;\"\"b\"", "SELECT 2"]),
            ("SELECT 1 -- a;b\n; SELECT 2", vec!["SELECT 1 -- a;b", "SELECT 2"]),
            ("SELECT /* ; */ 1; SELECT 2", vec!["SELECT /* ; */ 1", "SELECT 2"]),
            ("SELECT 'open; SELECT 2", vec!["SELECT 'open; SELECT 2"]),
            ("SELECT x';'; SELECT 2", vec!["SELECT x';'", "SELECT 2"]),
            ("SELECT CASE WHEN 1 THEN 2 END; SELECT 2", vec!["SELECT CASE WHEN 1 THEN 2 END", "SELECT 2"]),
        ] {
            assert_eq!(parts(text, dialect), expected, "{text} {dialect:?}");
        }
    }
}

#[test]
fn postgres_has_quotes_of_its_own() {
    for (text, expected) in [
        ("SELECT $$;$$; SELECT 2", vec!["SELECT $$;$$", "SELECT 2"]),
        ("DO $a$ ; $b$ ; $$ ; $a$; COMMIT", vec!["DO $a$ ; $b$ ; $$ ; $a$", "COMMIT"]),
        ("SELECT a$$;$$; COMMIT", vec!["SELECT a$$", "$$; COMMIT"]),
        ("SELECT $1$$;$$; COMMIT", vec!["SELECT $1$$;$$", "COMMIT"]),
        (r"SELECT E'\'; COMMIT; --'; SELECT 2", vec![r"SELECT E'\'; COMMIT; --'", "SELECT 2"]),
        (r"SELECT fe'\'; COMMIT; --'", vec![r"SELECT fe'\'", "COMMIT"]),
        (r"SELECT U&'\'; COMMIT; --'", vec![r"SELECT U&'\'", "COMMIT"]),
        (r"SELECT 1E'\'; COMMIT; --'; SELECT 2", vec![r"SELECT 1E'\'; COMMIT; --'", "SELECT 2"]),
        (r"SELECT 1e5E'\'; COMMIT; --'; SELECT 2", vec![r"SELECT 1e5E'\'; COMMIT; --'", "SELECT 2"]),
        (r"SELECT 0x1E'\'; COMMIT; --'", vec![r"SELECT 0x1E'\'", "COMMIT"]),
        ("SELECT /* /* */ ; */ 1; COMMIT", vec!["SELECT /* /* */ ; */ 1", "COMMIT"]),
        ("SELECT 1 +-- ;\n2; COMMIT", vec!["SELECT 1 +-- ;\n2", "COMMIT"]),
        ("SELECT 1 -- x\r; COMMIT", vec!["SELECT 1 -- x", "COMMIT"]),
        ("SELECT E'a'\n 'b\\'; COMMIT; --'; SELECT 2", vec!["SELECT E'a'\n 'b\\'; COMMIT; --'", "SELECT 2"]),
        ("SELECT E'a' -- c\n 'b\\'; COMMIT; --'; SELECT 2", vec!["SELECT E'a' -- c\n 'b\\'; COMMIT; --'", "SELECT 2"]),
        ("SELECT E'a' 'b\\'; COMMIT; --'", vec!["SELECT E'a' 'b\\'", "COMMIT"]),
        ("SELECT `;`", vec!["SELECT `", "`"]),
    ] {
        assert_eq!(parts(text, Dialect::Postgresql), expected, "{text}");
    }
}

#[test]
fn bodies_of_functions_stay_whole() {
    let function = "CREATE OR REPLACE FUNCTION f(x int DEFAULT (1)) RETURNS int LANGUAGE sql BEGIN ATOMIC \
                    SELECT CASE WHEN x = 1 THEN 2 END; SELECT 1 AS case; END";
    let text = format!("{function}; COMMIT;");
    assert_eq!(parts(&text, Dialect::Postgresql), [function, "COMMIT"]);
    assert_eq!(parts("CREATE PROCEDURE p() BEGIN ATOMIC END; END", Dialect::Postgresql).len(), 2);
}

#[test]
fn what_only_looks_like_a_body_hides_nothing() {
    for text in [
        "CREATE FUNCTION begin() RETURNS int AS 'x'; COMMIT",
        "CREATE FUNCTION f(begin atomic) RETURNS int AS 'x'; COMMIT",
        "CREATE TABLE t (begin atomic); COMMIT",
        "SELECT begin atomic; COMMIT",
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS case; END; COMMIT",
    ] {
        assert_eq!(parts(text, Dialect::Postgresql).last().map(String::as_str), Some("COMMIT"), "{text}");
    }
}

#[test]
fn sqlite_has_quotes_of_its_own() {
    for (text, expected) in [
        ("SELECT `;`; SELECT 2", vec!["SELECT `;`", "SELECT 2"]),
        ("SELECT [;]; SELECT 2", vec!["SELECT [;]", "SELECT 2"]),
        ("SELECT /* /* ; */ 1; COMMIT", vec!["SELECT /* /* ; */ 1", "COMMIT"]),
        ("SELECT 1 -- x\r; y\n; COMMIT", vec!["SELECT 1 -- x\r; y", "COMMIT"]),
        ("SELECT $a::b(;); COMMIT", vec!["SELECT $a::b(;)", "COMMIT"]),
        (r"SELECT e'\'; COMMIT", vec![r"SELECT e'\'", "COMMIT"]),
        ("SELECT $$; COMMIT", vec!["SELECT $$", "COMMIT"]),
        ("\u{feff}SELECT 1; COMMIT", vec!["\u{feff}SELECT 1", "COMMIT"]),
    ] {
        assert_eq!(parts(text, Dialect::Sqlite), expected, "{text}");
    }
}

#[test]
fn bodies_of_triggers_stay_whole() {
    let trigger = "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER INSERT ON a BEGIN \
                   UPDATE b SET c = CASE WHEN 1 THEN 2 END; DELETE FROM d; END";
    for text in [format!("{trigger}; COMMIT;"), format!("/* x */ {trigger} /* y */ ; COMMIT")] {
        let found = parts(&text, Dialect::Sqlite);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], "COMMIT");
    }
    assert_eq!(parts("CREATE TABLE trigger(a); COMMIT", Dialect::Sqlite).len(), 2);
}

#[test]
fn verbs() {
    for (text, verb) in [
        ("select 1", "SELECT"),
        ("/* x */ (( SELECT 1))", "SELECT"),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "SELECT"),
        ("with recursive a(x) as (values (1)) insert into t select * from a", "INSERT"),
        ("WITH", "WITH"),
        ("", ""),
        ("; \n", ""),
        ("\"select\" 1", "\"SELECT\""),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
    ] {
        for dialect in BOTH {
            let statement = Statement { text, dialect };
            assert_eq!(statement.verb(), verb, "{text}");
        }
    }
}

#[test]
fn literals_are_not_shown() {
    for (text, expected) in [
        ("SELECT * FROM t WHERE a = 'secret' AND b = 12.5e3", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("INSERT INTO t -- why\n VALUES ($1, E'x\\'y', -1)", "INSERT INTO t VALUES ($1, ?, -?)"),
        ("SELECT $tag$ hidden $tag$, \"name\"", "SELECT ?, \"name\""),
        ("SELECT 1_000, 0xff, U&'x' || x'00'", "SELECT ?, ?, ? || ?"),
        ("  SELECT\u{1}1 ", "SELECT ?"),
        ("/* only */", ""),
    ] {
        assert_eq!(shown(text, Dialect::Postgresql), expected);
    }
    let long = shown(&format!("SELECT {}", "a, ".repeat(1000)), Dialect::Sqlite);
    assert!(long.ends_with("a,… (cut: 3007 bytes in all)") && long.chars().count() <= LONGEST_SHOWN + 30, "{long}");
}

#[test]
fn a_statement_alone_has_nothing_around_it() {
    let text = "-- why\n ; SELECT /* in */ 1 /* out */ ; -- end\n INSERT INTO t VALUES ('a;b') ;";
    for dialect in BOTH {
        let statements: Vec<_> = split(text, dialect).into_iter().filter(|statement| !statement.is_blank()).collect();
        let bare: Vec<&str> = statements.iter().map(Statement::bare).collect();
        assert_eq!(bare, ["SELECT /* in */ 1", "INSERT INTO t VALUES ('a;b')"]);
        let shown: Vec<String> = statements.iter().map(Statement::shown).collect();
        assert_eq!(shown, ["SELECT ?", "INSERT INTO t VALUES (?)"]);
        assert_eq!(Statement { text: "-- nothing", dialect }.bare(), "");
    }
}

/// Whatever literal is written, and however: what it holds never reaches the record.
#[test]
fn no_literal_of_either_dialect_is_shown() {
    for (dialect, literals) in [
        (
            Dialect::Postgresql,
            &[
                "'Meier'",
                "E'Mei\\'er'",
                "U&'Meier'",
                "$$Meier$$",
                "$q$Meier$q$",
                "B'0101'",
                "X'4D65'",
                "'Mei'\n'er'",
                "N'Meier'",
                "4711",
                "4711.5e3",
                "0x1267",
                "4_711",
                "-4711",
            ][..],
        ),
        (Dialect::Sqlite, &["'Meier'", "'Mei''er'", "x'4D656965'", "4711", "4711.5e3", "0x1267", "-4711", ".4711"]),
    ] {
        for literal in literals {
            let line = shown(&format!("UPDATE t SET a = {literal} WHERE \"b\" = $1"), dialect);
            assert!(line.starts_with("UPDATE t SET a = ") && line.ends_with(" WHERE \"b\" = $1"), "{line}");
            assert!(!line.contains("ei") && !line.contains("47") && !line.contains("12"), "{literal}: {line}");
        }
    }
}

fn sql() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "'",
        "''",
        "\"",
        "`",
        "[",
        "]",
        "$",
        "$$",
        "$a$",
        "$1",
        "--",
        "/*",
        "*/",
        "\n",
        "\r",
        ";",
        "\\",
        "E'",
        "U&'",
        "x'",
        "CREATE ",
        "TRIGGER ",
        "FUNCTION ",
        "BEGIN ",
        "ATOMIC ",
        "END",
        "(",
        ")",
        ":",
        "@",
        "?",
        "0x",
        "1e",
        ".",
        "é",
        "\u{feff}",
        "SELECT ",
        "COMMIT",
        " ",
        "a",
    ]);
    prop_oneof![prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost(text in sql()) {
        for dialect in BOTH {
            let rejoined: String = tokens(&text, dialect).map(|token| token.text).collect();
            prop_assert_eq!(&rejoined, &text);
            let statements = split(&text, dialect);
            prop_assert_eq!(statements.iter().map(|statement| statement.text).collect::<String>(), text.clone());
            for statement in statements {
                statement.verb();
                statement.leading();
            }
            prop_assert!(!shown(&text, dialect).contains(['\n', '\r', '\0']));
        }
    }
}
