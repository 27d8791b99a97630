//! Books without a database.

use pipe_core::proof::ProofKey;

use super::{super::Dialect, *};
use crate::sql::{SqlRows, statement::single};

fn book(phase: &str) -> Book {
    Book {
        key: ProofKey::new(&[7; 32]),
        peer: "main".to_owned(),
        run: "20261127150000-abcdef".to_owned(),
        step: "migrate".to_owned(),
        phase: phase.to_owned(),
        known: Arc::default(),
    }
}

fn affected(affected: u64) -> SqlRows {
    SqlRows { affected, ..SqlRows::default() }
}

/// The marker of a transaction with these statements, each of which changed as many rows as its place says.
fn marker(book: &Book, statements: &[&str]) -> Marker {
    let done: Vec<Done> = statements
        .iter()
        .zip(1..)
        .map(|(text, changed)| Done::new(book.print("begun query", text, &[]), &affected(changed)))
        .collect();
    let digest = book.whole(done.iter().map(Done::print));
    book.reserve(done[0].print().to_owned(), digest, &done).marker.clone()
}

/// A book of another attempt, which knows these.
fn after(markers: &[Marker]) -> Book {
    let book = book("apply");
    assert_eq!(book.learn(markers.to_vec()), Ok(0));
    book
}

/// What a transaction comes to: an answer for each statement, `-` where it runs, and how it ends.
fn course(book: &Book, statements: &[&str]) -> String {
    let (mut course, mut told) = (Course::default(), String::new());
    for text in statements {
        let print = book.print("begun query", text, &[]);
        match course.next(book, &print) {
            Ok(Next::Run) => {
                course.ran(print, &affected(0));
                told.push('-');
            }
            Ok(Next::Answer(rows)) => told.push_str(&rows.affected.to_string()),
            Err(_) => told.push('!'),
        }
    }
    told + match course.end(book) {
        Ok(End::Before) => " before",
        Ok(End::New { .. }) => " new",
        Ok(End::Reading { .. }) => " reading",
        Err(_) => " diverged",
    }
}

#[test]
fn a_transaction_is_answered_as_long_as_it_is_the_same() {
    let first = book("apply");
    let (short, long) = (marker(&first, &["a", "b"]), marker(&first, &["a", "b", "c"]));
    let all = [short.clone(), long];
    for (statements, told) in [
        (&["a", "b"][..], "12 before"),
        (&["a", "b", "c"], "123 before"),
        (&["b", "a"], "-- new"),
        (&["a"], "1 diverged"),
        (&["a", "c"], "1! diverged"),
        (&["a", "b", "d"], "12! diverged"),
        (&["a", "b", "c", "d"], "123! diverged"),
        (&["a", "c", "b"], "1!! diverged"),
        (&[], " reading"),
    ] {
        assert_eq!(course(&after(&all), statements), told, "{statements:?}");
    }
    // Each answers once.
    let book = after(&[short]);
    assert_eq!(course(&book, &["a", "b"]), "12 before");
    assert_eq!(course(&book, &["a", "b"]), "-- new");
}

#[test]
fn transactions_are_told_apart_by_everything() {
    let book = book("apply");
    let prints = [
        book.print("query", "a", &[]),
        book.print("script", "a", &[]),
        book.print("query", "b", &[]),
        book.print("query", "a", &[SqlValue::Null]),
        book.print("query", "a", &[SqlValue::Integer(1)]),
        book.print("query", "a", &[SqlValue::Float(1.0)]),
        book.print("query", "a", &[SqlValue::Text("1".to_owned())]),
        book.print("query", "a", &[SqlValue::Bytes(b"1".to_vec())]),
        book.print("query", "a", &[SqlValue::Text("1".to_owned()), SqlValue::Text(String::new())]),
        Book { phase: "undo".to_owned(), ..book.clone() }.print("query", "a", &[]),
        Book { step: "other".to_owned(), ..book.clone() }.print("query", "a", &[]),
        Book { run: "other".to_owned(), ..book.clone() }.print("query", "a", &[]),
        Book { key: ProofKey::new(&[8; 32]), ..book.clone() }.print("query", "a", &[]),
    ];
    let distinct: HashSet<&String> = prints.iter().collect();
    assert_eq!(distinct.len(), prints.len());
    let (a, b) = (prints[0].as_str(), prints[1].as_str());
    assert_ne!(book.whole([a]), book.whole([a, a]));
    assert_ne!(book.whole([a, b]), book.whole([b, a]));
}

#[test]
fn a_marker_that_no_host_wrote_is_not_believed() {
    let book = book("apply");
    let good = marker(&book, &["a"]);
    let forged = [
        Marker { first: "0".repeat(32), ..good.clone() },
        Marker { statements: good.statements[4..].to_owned(), ..good.clone() },
        Marker { statements: r#"[{"print":"a","affected":9}]"#.to_owned(), ..good.clone() },
        Marker { seal: String::new(), ..good.clone() },
    ];
    for forged in forged {
        assert_ne!(forged, good);
        let error = book.learn(vec![good.clone(), forged]).unwrap_err();
        assert!(error.message.contains("what pipe has not marked"), "{error}");
    }
    // Those of a host with another key.
    let other_key = Book { key: ProofKey::new(&[8; 32]), known: Arc::default(), ..book.clone() };
    assert!(other_key.learn(vec![good.clone()]).is_err());
    assert_eq!(book.learn(vec![good]), Ok(0));
}

#[test]
fn a_marker_that_was_copied_from_elsewhere_is_passed_over() {
    let book = book("apply");
    let good = marker(&book, &["a"]);
    let fresh = |book: &Book| Book { known: Arc::default(), ..book.clone() };
    let elsewhere = [
        Book { step: "other".to_owned(), ..fresh(&book) },
        Book { phase: "undo".to_owned(), ..fresh(&book) },
        Book { run: "20261127150000-000000".to_owned(), ..fresh(&book) },
    ];
    for other in elsewhere {
        assert_eq!(other.learn(vec![good.clone()]), Ok(1));
        assert_eq!(course(&other, &["a"]), "- new");
        assert_eq!(other.committed(&good.digest), None);
    }
    // Beside the good one: it answers once, and the next one takes a place that is free.
    let again = fresh(&book);
    let copies = [Marker { occurrence: 1, ..good.clone() }, Marker { digest: "0".repeat(32), ..good.clone() }];
    assert_eq!(again.learn([std::slice::from_ref(&good), &copies[..]].concat()), Ok(2));
    assert_eq!(course(&again, &["a"]), "1 before");
    assert_eq!(course(&again, &["a"]), "- new");
    assert_eq!(again.reserve(good.first.clone(), good.digest.clone(), &[]).marker.occurrence, 2);
    // A seal that was taken off is no copy.
    assert!(fresh(&book).learn(vec![Marker { seal: String::new(), ..good }]).is_err());
}

#[test]
fn equal_transactions_are_counted() {
    let book = book("apply");
    let first = book.reserve("f".to_owned(), "d".to_owned(), &[]);
    let second = book.reserve("f".to_owned(), "d".to_owned(), &[]);
    assert_eq!((first.marker.occurrence, second.marker.occurrence), (0, 1));
    // The first came to nothing.
    drop(first);
    let again = book.reserve("f".to_owned(), "d".to_owned(), &[]);
    assert_eq!(again.marker.occurrence, 0);
    let kept = second.marker.clone();
    second.keep();
    drop(again);
    // A later attempt is answered by whichever there is.
    let later = after(&[kept]);
    assert_eq!(later.committed("d").map(|marker| marker.occurrence), Some(1));
    assert_eq!(later.committed("d"), None);
    assert_eq!(later.reserve("f".to_owned(), "d".to_owned(), &[]).marker.occurrence, 0);
}

#[test]
fn small_answers_are_kept_and_large_ones_are_known_to_be_missing() {
    let rows = |text: SqlValue| SqlRows { columns: vec!["a".to_owned()], rows: vec![vec![text]], affected: 1 };
    for kept in [
        rows(SqlValue::Text("x".repeat(1000))),
        rows(SqlValue::Bytes(vec![0, 255])),
        rows(SqlValue::Float(0.1)),
        rows(SqlValue::Null),
        SqlRows { columns: vec!["a".to_owned()], ..SqlRows::default() },
        affected(3),
    ] {
        let text = serde_json::to_string(&[Done::new("p".to_owned(), &kept)]).unwrap();
        assert_eq!(Done::parse(&text)[0].answer(), Some(kept));
    }
    for lost in [
        rows(SqlValue::Text("x".repeat(10_000))),
        rows(SqlValue::Float(f64::NAN)),
        rows(SqlValue::Float(f64::INFINITY)),
    ] {
        let text = serde_json::to_string(&[Done::new("p".to_owned(), &lost)]).unwrap();
        assert_eq!(Done::parse(&text)[0].answer(), None);
    }
    let book = book("apply");
    let large = Done::new(book.print("begun query", "a", &[]), &rows(SqlValue::Text("x".repeat(10_000))));
    let digest = book.whole([large.print()]);
    let marker = book.reserve(large.print().to_owned(), digest, &[large]).marker.clone();
    assert_eq!(course(&after(&[marker]), &["a"]), "! diverged");
}

#[test]
fn a_transaction_too_large_to_be_told_is_known_to_be_there() {
    let book = book("apply");
    let done: Vec<Done> =
        (0..20_000).map(|n| Done::new(book.print("begun query", &n.to_string(), &[]), &affected(1))).collect();
    let digest = book.whole(done.iter().map(Done::print));
    let marker = book.reserve(done[0].print().to_owned(), digest, &done).marker.clone();
    assert!(book.statements(&marker).is_empty());
    assert_eq!(course(&after(&[marker]), &["0"]), "! diverged");
}

#[test]
fn what_concerns_the_session_is_told() {
    for (text, session, lasting) in [
        ("SET search_path = a", true, true),
        ("set local search_path = a", true, false),
        ("SET TRANSACTION READ ONLY", true, false),
        ("-- x\nRESET ALL", true, true),
        ("LOCK t", true, false),
        ("PREPARE p AS DELETE FROM t", true, true),
        ("EXECUTE p", false, false),
        ("UPDATE t SET a = 1", false, false),
        ("SELECT set_config('a', 'b', false)", false, false),
    ] {
        let statement = single(text, Dialect::Postgresql).unwrap();
        assert_eq!((is_of_session(&statement), lasts(&statement)), (session, lasting), "{text}");
    }
}

#[test]
fn phases_and_rounds_have_names() {
    let marking = |phase, round| Marking { run: "20261127150000-abcdef".parse().unwrap(), phase, round, wave: 0 };
    let names = [marking(Phase::Apply, 0), marking(Phase::Apply, 1), marking(Phase::Undo, 0), marking(Phase::Undo, 2)];
    assert_eq!(names.map(|marking| marking.name()), ["apply", "apply 2", "undo", "undo 3"]);
    let waves = [0, 1].map(|round| Marking { wave: 2, ..marking(Phase::Apply, round) }.name());
    assert_eq!(waves, ["apply wave 2", "apply 2 wave 2"]);
}
