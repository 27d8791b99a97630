//! What a policy needs of a pipeline: where each rule stands. And what a policy file says of every word.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs, sync::Arc};

use pipe_capability::word::Word;
use pipe_core::diagnostic::SourceFile;
use pipe_pipeline::{Policy, RunFacts, Selection, check, parse, policy};

/// A step with two rules of every word.
const PIPELINE: &str = r#"
name = "shop"

[secrets]
one.env = "ONE"
two.env = "TWO"

[peers]
a = { url = "https://a.example" }
b = { url = "https://b.example" }
c = { url = "postgres://u@c.example/c" }
m = { url = "smtp://m.example" }

[[step]]
name = "first"
stage = "backup"
[[step]]
name = "second"
stage = "backup"
[[step]]
name = "all"
stage = "verify"
allow.artifacts = ["read first", "read second"]
allow.exec = [{ program = "x", argv = [] }, { program = "y", argv = [] }]
allow.reveal = ["one", "two"]
allow.secrets = [{ name = "one", to = "a", header = "X-One" }, { name = "two", to = "a", header = "X-Two" }]
allow.env = ["ONE", "HOME"]
allow.disk = ["/a", "/b"]
allow.write = ["/c", "/d"]
allow.read = ["/e", "/f"]
allow.mail = [{ peer = "m", from = "x@a.example", to = ["*@a.example"] }, { peer = "m", from = "y@a.example", to = ["*@a.example"] }]
allow.sql = ["read c", "write c"]
allow.tls = ["a", "b"]
allow.tcp = ["a.example:1", "b.example:2"]
allow.http = ["GET a:/", "GET b:/"]
"#;

#[test]
fn every_rule_knows_where_it_stands() {
    let file = Arc::new(SourceFile { path: "/srv/shop.toml".into(), text: PIPELINE.to_owned() });
    let selection = Selection {
        environment: None,
        inputs: BTreeMap::new(),
        previous: BTreeMap::new(),
        run: RunFacts {
            id: "20261123021500-9f3c1a".parse().unwrap(),
            started: "2026-11-23T02:15:00Z".parse().unwrap(),
        },
    };
    let document = parse(&file).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let pipeline = check(&document, &selection).unwrap_or_else(|problems| panic!("{problems:#?}")).pipeline;
    let step = pipeline.steps.last().unwrap();
    for word in Word::ALL {
        let rules = step.grant.rules(word);
        assert_eq!(rules.len(), 2, "{word}");
        for (index, rule) in rules.iter().enumerate() {
            let span = step.rules.of(word, index).unwrap_or_else(|| panic!("rule {index} of {word} stands nowhere"));
            assert_eq!(&PIPELINE[span.clone()], rule, "{word}");
        }
        assert_eq!(step.rules.of(word, 2), None, "{word}");
    }
}

fn read(name: &str, text: &str) -> Policy {
    let folder = std::env::temp_dir().join(format!("pipe-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("policy.toml");
    fs::write(&path, text).unwrap();
    let read = policy(&path);
    fs::remove_dir_all(&folder).unwrap();
    read.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn a_policy_can_speak_of_every_word() {
    let text = r#"
        [peers]
        a.url = "https://a.example"
        c.url = "postgres://c.example"
        m.url = "smtp://m.example"
        [[allow]]
        http = ["* a:/**", { rule = "GET https://*.b.example:*/x", addresses = ["10.0.0.0/8"] }]
        tcp = ["*.b.example:*"]
        tls = ["a"]
        sql = ["write c", "read *"]
        mail = [{ peer = "m" }]
        read = ["/srv", "."]
        write = ["./out"]
        disk = ["/"]
        env = ["SHOP_*"]
        secrets = [{ env = "SHOP_*", to = "a" }, { file = "/run/secrets", to = "programs" }]
        reveal = [{ env = "SHOP_TOKEN" }]
        exec = [{ program = "x", argv = ["**"], peer = "c", ports = [5432], read = ["."] }]
        artifacts = ["write", "read"]
        [[allow]]
        any = ["*"]
        environments = ["staging"]
    "#;
    let policy = read("words", text);
    let [block, any] = &policy.ceiling.allow[..] else { panic!("two blocks") };
    assert_eq!(any.any, Word::ALL);
    assert_eq!(any.environments, Some(vec!["staging".to_owned()]));
    let lengths = [block.http.len(), block.sql.len(), block.read.len(), block.secrets.len(), block.artifacts.len()];
    assert_eq!(lengths, [2; 5]);
    let lengths = [
        block.tcp.len(),
        block.tls.len(),
        block.mail.len(),
        block.write.len(),
        block.disk.len(),
        block.env.len(),
        block.reveal.len(),
        block.exec.len(),
    ];
    assert_eq!(lengths, [1; 8]);
    assert_eq!(policy.digest, pipe_core::digest::Digest::of(text.as_bytes()));
}
