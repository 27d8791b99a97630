//! What holds for every suggestion: it covers all that was used, and nothing that was not granted.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use pipe_capability::{
    grant::Grant,
    http::{HttpRequest, HttpRule},
    path::{PathRequest, PathRule},
    sql::{Access, SqlRule},
    suggest::{Call, Facts, Lying, Verdict, missing, suggest},
    word::Word,
};
use pipe_core::event::Use;
use proptest::prelude::*;

const BASE: &str = "/srv";

/// Methods and paths of rules, and requests that some of them cover.
fn rule_text() -> impl Strategy<Value = String> {
    let methods = proptest::sample::select(&["GET", "GET|POST", "*", "PUT|OPTIONS"][..]);
    let segment = proptest::sample::select(&["a", "b", "a*", "*", "{a,b}", "*b", r"\*"][..]);
    let rest = proptest::sample::select(&["", "/", "/**"][..]);
    let peer = proptest::sample::select(&["k8s:", "prom:", "https://x.example"][..]);
    (methods, peer, proptest::collection::vec(segment, 0..3), rest).prop_map(|(methods, peer, segments, rest)| {
        let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>();
        format!("{methods} {peer}{path}{}", if path.is_empty() && rest.is_empty() { "/" } else { rest })
    })
}

fn request_text() -> impl Strategy<Value = (String, String)> {
    let method = proptest::sample::select(&["GET", "POST", "PUT", "DELETE", "OPTIONS"][..]);
    let peer = proptest::sample::select(&["k8s.peer", "prom.peer", "x.example"][..]);
    let segment = proptest::sample::select(&["a", "b", "ab", "aab", "*", "1.4.0", "%7Ba%7D"][..]);
    let path = proptest::collection::vec(segment, 0..5).prop_map(|segments| segments.join("/"));
    (method, peer, path, any::<bool>()).prop_map(|(method, peer, path, slash)| {
        let slash = if slash && !path.is_empty() { "/" } else { "" };
        (method.to_owned(), format!("https://{peer}/{path}{slash}"))
    })
}

/// Paths of a small tree, in which a letter is a directory and a digit a file.
fn path_text() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(&["a", "b", "c", "1", "2", "link", "gone"][..]);
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn lies(path: &Path) -> Lying {
    let parts: Vec<&str> = path.components().filter_map(|part| part.as_os_str().to_str()).collect();
    match parts.as_slice() {
        parts if parts.iter().any(|part| matches!(*part, "link" | "gone")) => Lying::Other,
        [before @ .., last] if "12".contains(last) && !before.iter().any(|part| "12".contains(part)) => Lying::File,
        parts if parts.iter().any(|part| "12".contains(part)) => Lying::Other,
        _ => Lying::Directory,
    }
}

fn path_rule(text: &str) -> PathRule {
    PathRule::new(text, Path::new(BASE).join(text))
}

/// The uses that a grant allows of what was asked for, recorded as the host does.
fn uses(grant: &Grant, requests: &[(String, String)], paths: &[(u8, String)], databases: &[(bool, bool)]) -> Vec<Use> {
    let used =
        |word: &str, subject: String, rule: String| Use { word: word.to_owned(), subject, rule, ..Use::default() };
    let mut all = Vec::new();
    for (method, url) in requests {
        let Ok(request) = HttpRequest::parse(method, url) else { continue };
        if let Ok(rule) = grant.http(&request) {
            all.push(used("http", request.to_string(), rule.to_string()));
        }
    }
    for (word, path) in paths {
        let resolved = Path::new(BASE).join(path);
        let asked = PathRequest { shown: path, resolved: &resolved };
        let (word, decided) = match word % 3 {
            0 => ("read", grant.read(&asked)),
            1 => ("write", grant.write(&asked)),
            _ => ("disk", grant.disk(&asked)),
        };
        if let Ok(rule) = decided {
            all.push(used(word, path.clone(), rule.to_string()));
        }
    }
    for (write, main) in databases {
        let (access, peer) = (if *write { Access::Write } else { Access::Read }, if *main { "main" } else { "other" });
        if let Ok(rule) = grant.sql(peer, access) {
            all.push(used("sql", format!("{access} {peer}: open"), rule.to_string()));
        }
    }
    all
}

/// The grant that is suggested.
fn narrower(grant: &Grant, uses: &[Use], varying: &[String]) -> Grant {
    let texts = |word: Word| match word {
        Word::Http => grant.http.iter().map(ToString::to_string).collect(),
        Word::Sql => grant.sql.iter().map(ToString::to_string).collect(),
        Word::Read => grant.read.iter().map(ToString::to_string).collect(),
        Word::Write => grant.write.iter().map(ToString::to_string).collect(),
        Word::Disk => grant.disk.iter().map(ToString::to_string).collect(),
        _ => Vec::<String>::new(),
    };
    let written = |word: Word, index: usize| texts(word).get(index).cloned();
    let made: BTreeSet<PathBuf> =
        uses.iter().filter(|used| used.word == "write").map(|used| Path::new(BASE).join(&used.subject)).collect();
    let facts = Facts { base: Path::new(BASE), written: &written, lies: &lies, made: &made };
    let mut narrow = Grant::default();
    for rule in suggest(&[Call { grant, uses, varying }], &facts) {
        let rules = match rule.verdict {
            Verdict::Keep => vec![(rule.word, texts(rule.word)[rule.index].clone())],
            Verdict::Narrow(rules) => rules,
            Verdict::Drop => Vec::new(),
        };
        for (word, text) in rules {
            match word {
                Word::Http => narrow.http.push(HttpRule::parse(&text).unwrap()),
                Word::Sql => narrow.sql.push(SqlRule::parse(&text).unwrap()),
                Word::Read => narrow.read.push(path_rule(&text)),
                Word::Write => narrow.write.push(path_rule(&text)),
                Word::Disk => narrow.disk.push(path_rule(&text)),
                _ => unreachable!(),
            }
        }
    }
    narrow
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_suggestion_covers_every_use_and_nothing_new(
        rules in proptest::collection::vec(rule_text(), 0..4),
        directories in proptest::collection::vec((0_u8..3, proptest::sample::select(&["a", "b", "a/b", "."][..])), 0..4),
        databases in proptest::collection::vec(proptest::sample::select(&["read main", "write main", "write other"][..]), 0..3),
        requests in proptest::collection::vec(request_text(), 0..16),
        paths in proptest::collection::vec((any::<u8>(), path_text()), 0..16),
        opened in proptest::collection::vec(any::<(bool, bool)>(), 0..4),
        others in proptest::collection::vec(request_text(), 8),
        other_paths in proptest::collection::vec(path_text(), 8),
        varying in proptest::sample::select(&["1.4.0", "no such value"][..]),
    ) {
        let mut grant = Grant {
            http: rules.iter().map(|text| HttpRule::parse(text).unwrap()).collect(),
            sql: databases.iter().map(|text| SqlRule::parse(text).unwrap()).collect(),
            ..Grant::default()
        };
        for (word, directory) in directories {
            match word {
                0 => grant.read.push(path_rule(directory)),
                1 => grant.write.push(path_rule(directory)),
                _ => grant.disk.push(path_rule(directory)),
            }
        }
        let uses = uses(&grant, &requests, &paths, &opened);
        let narrow = narrower(&grant, &uses, &[varying.to_owned()]);
        prop_assert_eq!(missing(&grant, &narrow, &uses, Path::new(BASE)), None, "{:?}", narrow);
        prop_assert!(grant.includes(&narrow), "{:?}", narrow);
        for request in others.iter().filter_map(|(method, url)| HttpRequest::parse(method, url).ok()) {
            prop_assert!(narrow.http(&request).is_err() || grant.http(&request).is_ok(), "{request} {narrow:?}");
        }
        for path in other_paths {
            let resolved = Path::new(BASE).join(&path);
            let asked = PathRequest { shown: &path, resolved: &resolved };
            for (now, before) in [
                (narrow.read(&asked).is_ok(), grant.read(&asked).is_ok()),
                (narrow.write(&asked).is_ok(), grant.write(&asked).is_ok()),
                (narrow.disk(&asked).is_ok(), grant.disk(&asked).is_ok()),
            ] {
                prop_assert!(!now || before, "{path} {narrow:?}");
            }
        }
        for (peer, access) in [("main", Access::Read), ("main", Access::Write), ("other", Access::Write)] {
            prop_assert!(narrow.sql(peer, access).is_err() || grant.sql(peer, access).is_ok());
        }
    }
}
