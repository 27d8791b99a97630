//! Whatever stands in a file, reading it ends, and says where it is wrong.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use pipe_core::diagnostic::{Diagnostic, SourceFile};
use pipe_pipeline::{RunFacts, Selection, check, check_against_plugins, parse};
use proptest::prelude::*;

const HMS: &str = include_str!("hms.toml");

fn read(text: &str) -> Vec<Diagnostic> {
    let file = Arc::new(SourceFile { path: "/srv/x/pipeline.toml".into(), text: text.to_owned() });
    let document = match parse(&file) {
        Ok(document) => document,
        Err(diagnostics) => return diagnostics,
    };
    let selection = Selection {
        environment: document.environments().next().map(str::to_owned),
        inputs: BTreeMap::from([("version".to_owned(), "2.5.0".to_owned())]),
        previous: BTreeMap::new(),
        run: RunFacts {
            id: "20261123021500-9f3c1a".parse().unwrap(),
            started: "2026-11-23T02:15:00Z".parse().unwrap(),
        },
    };
    match check(&document, &selection) {
        Ok(checked) => check_against_plugins(&checked.pipeline, &BTreeMap::new()),
        Err(diagnostics) => diagnostics,
    }
}

/// Every place can be shown.
fn assert_places(diagnostics: &[Diagnostic]) {
    for label in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        assert!(label.file.text.get(label.span.clone()).is_some(), "{:?} in {:?}", label.span, label.file.text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        assert_places(&read(&text));
    }

    #[test]
    fn any_text_of_the_letters_of_toml(text in "[-a-c=\\[\\]{}.\"'\\\\\n,#$ 0-9äé]{0,80}") {
        assert_places(&read(&text));
    }

    #[test]
    fn the_sample_with_a_piece_replaced(
        at in 0..HMS.len(),
        length in 0_usize..60,
        text in "[-a-z=\\[\\]{}.\"'\\\\\n,$/*: 0-9ä]{0,12}",
    ) {
        let floor = |mut at: usize| { while !HMS.is_char_boundary(at) { at -= 1; } at };
        let (start, end) = (floor(at), floor((at + length).min(HMS.len())));
        assert_places(&read(&format!("{}{text}{}", &HMS[..start], &HMS[end.max(start)..])));
    }

    #[test]
    fn any_string_in_any_place(value in "\\PC{0,40}") {
        let quoted = toml::Value::String(value).to_string();
        for place in [
            "with.x = V", "allow.http = [V]", "allow.http = [{ rule = V }]", "allow.tcp = [V]",
            "allow.tls = [{ rule = V, addresses = [V] }]", "allow.sql = [V]", "allow.read = [V]",
            "allow.exec = [{ program = V, argv = [V], cwd = V, peer = V, env = { A = V }, secret_env = { B = V } }]",
            "allow.exec = [{ program = \"x\", argv = [], secret_file = { C = V }, read = [V], write = [V], sockets = [V], memory = V }]",
            "allow.env = [V]", "allow.secrets = [{ name = V, to = V, header = V, format = V }]", "allow.artifacts = [V]",
            "plugin = V", "timeout = V", "check = V", "for_each = { in = V }", "[peers]\np = { url = V, tls = V, client_cert = V, client_key = V }",
            "[secrets]\ns.file = V", "[secrets]\ns.env = V", "[inputs]\ni = { pattern = V, default = V }", "[sets.s]\nk = V",
            "[peers]\nV.url = \"https://x.example\"", "[[notify]]\non = [V]", "[[rollback]]\nundo = V", "[[step]]\nname = V",
        ] {
            let start = "name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"\n";
            assert_places(&read(&format!("{start}{}", place.replace('V', &quoted))));
        }
    }
}

#[test]
fn texts_that_try() {
    let deep_keys = vec!["a"; 70].join(".");
    let mut nested = "1".to_owned();
    for _ in 0..70 {
        nested = format!("{{{deep_keys}={nested}}}");
    }
    for text in [
        vec!["a"; 500_000].join(".") + "=1",
        format!("[{deep_keys}]\n{deep_keys}={nested}"),
        format!("x={}1", "[".repeat(500_000)),
        "[[step]]\n".repeat(100_000),
        "a b\n".repeat(200_000),
        format!("name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"\nwith.x = \"{}\"", "${".repeat(30_000)),
        format!("name = \"x\"\n[[step]]\nname = \"a\"\nstage = \"verify\"\nwith.x = '{}'", "${inputs.x}".repeat(5_000)),
        format!("name = \"{}\"", "x".repeat(900_000)),
        "\u{feff}name = \"x\"".to_owned(),
        "name = \"x\"\r\n[[step]]\r\nname = \"a\"\r\nstage = \"nope\"\r\n".to_owned(),
    ] {
        let diagnostics = read(&text);
        assert!(!diagnostics.is_empty());
        assert!(diagnostics.len() <= 200, "{}", diagnostics.len());
        assert!(diagnostics.iter().all(|diagnostic| diagnostic.message.len() < 1_000));
        assert_places(&diagnostics);
    }
}
