use std::path::Path;

use super::*;
use crate::{
    exec::ArgumentPattern,
    mail::{Address, Recipient},
};

fn http(rules: &[&str]) -> Grant {
    Grant { http: rules.iter().map(|text| HttpRule::parse(text).unwrap()).collect(), ..Grant::default() }
}

fn paths(rules: &[&str]) -> Vec<PathRule> {
    rules.iter().map(|text| PathRule::new(*text, format!("/srv/{text}"))).collect()
}

fn asked(path: &str) -> PathRequest<'_> {
    PathRequest { shown: path, resolved: Path::new(path) }
}

fn mail(to: &[&str]) -> MailRule {
    let to = to.iter().map(|text| Recipient::parse(text).unwrap()).collect();
    MailRule::new("smtp", Address::parse("pipe@h.example").unwrap(), to).unwrap()
}

/// A grant with every kind of rule.
fn full() -> Grant {
    let rules = |texts: &[&str]| texts.iter().map(|text| SqlRule::parse(text).unwrap()).collect();
    Grant {
        http: http(&["* k8s:/a", "POST prom:/q", "GET k8s:/b"]).http,
        tcp: vec![TcpRule::parse("db.prod:5432").unwrap()],
        tls: vec![TlsRule::parse("api").unwrap()],
        sql: rules(&["read main", "write main", "write other"]),
        read: paths(&["in", "both"]),
        write: paths(&["out", "both"]),
        disk: paths(&["data"]),
        env: vec![EnvRule::parse("HOME").unwrap()],
        secrets: vec![SecretSlot::new("key", "artifacts", None, None).unwrap()],
        exec: vec![ExecRule {
            program: "npm".to_owned(),
            argv: vec![ArgumentPattern::parse("**").unwrap()],
            ..ExecRule::default()
        }],
        artifacts: vec![ArtifactRule::Write, ArtifactRule::parse("read backup").unwrap()],
        mail: vec![mail(&["ops@h.example", "*@ward.example"]), mail(&["it@h.example"])],
        reveal: vec![RevealRule::parse("token").unwrap()],
        is_for_preview: false,
    }
}

#[test]
fn the_denial_of_a_request_says_what_is_missing() {
    let request = HttpRequest::parse("GET", "https://k8s.peer/api/nodes?limit=1").unwrap();
    for (rules, denial, hint) in [
        (&[][..], "the step has no `allow.http`", r#"allow.http = ["GET k8s:/api/nodes"]"#),
        (
            &["GET prom:/api/nodes"],
            "no rule names the peer `k8s`",
            r#"allow.http = ["GET prom:/api/nodes", "GET k8s:/api/nodes"]"#,
        ),
        (
            &["GET k8s:/version"],
            "no rule covers the path",
            r#"allow.http = ["GET k8s:/version", "GET k8s:/api/nodes"]"#,
        ),
        (
            &["POST|PUT k8s:/api/*"],
            "`POST|PUT k8s:/api/*` covers the path, but not GET",
            r#"allow.http = ["POST|PUT k8s:/api/*", "GET k8s:/api/nodes"]"#,
        ),
    ] {
        let refused = http(rules).http(&request).unwrap_err();
        assert_eq!(refused.to_string(), format!("http GET k8s:/api/nodes: {denial}"));
        assert_eq!(refused.hint.as_deref(), Some(hint));
    }
    let origin = HttpRequest::parse("GET", "http://x.example:8080/a*b").unwrap();
    let refused = http(&["GET k8s:/"]).http(&origin).unwrap_err();
    assert_eq!(refused.reason, "no rule names `http://x.example:8080`");
    assert_eq!(refused.hint.as_deref(), Some(r#"allow.http = ["GET k8s:/", 'GET http://x.example:8080/a\*b']"#));
}

#[test]
fn every_denial_names_its_word() {
    let to = SlotTarget::Peer("argocd".to_owned());
    let arguments = ["run".to_owned(), "a b".to_owned()];
    let mut bare = full();
    bare.exec[0].argv.clear();
    for (denial, line) in [
        (full().sql("elsewhere", Access::Read).unwrap_err(), "sql read elsewhere: no rule names the peer `elsewhere`"),
        (full().read(&asked("/etc/x")).unwrap_err(), "read /etc/x: no rule covers it"),
        (full().write(&asked("/srv/in/x")).unwrap_err(), "write /srv/in/x: it may be read only"),
        (full().disk(&asked("/srv/in/x")).unwrap_err(), "disk /srv/in/x: no rule covers it"),
        (
            full().write_name(&asked("/srv/out")).unwrap_err(),
            "write /srv/out: the rule covers the file and not its name: making, removing and linking it are the directory's",
        ),
        (full().write_name(&asked("/srv/other/x")).unwrap_err(), "write /srv/other/x: no rule covers it"),
        (full().write_name(&asked("/srv/in/x")).unwrap_err(), "write /srv/in/x: it may be read only"),
        (full().read(&asked("/srv/in/../x")).unwrap_err(), "read /srv/in/../x: the path is not a plain absolute one"),
        (full().env("home").unwrap_err(), "env home: no rule names it"),
        (full().secret("key", &to).unwrap_err(), "secrets key to argocd: the secret may go elsewhere, not there"),
        (full().secret("x", &to).unwrap_err(), "secrets x to argocd: no slot names the secret"),
        (full().exec("sh", &arguments).unwrap_err(), "exec sh run \"a b\": no rule names the program"),
        (bare.exec("npm", &arguments).unwrap_err(), "exec npm run \"a b\": no rule covers these arguments"),
        (full().reveal("other").unwrap_err(), "reveal other: no rule names it"),
        (full().artifact_read("other").unwrap_err(), "artifacts read other: no rule names the step"),
        (Grant::default().artifact_write().unwrap_err(), "artifacts write: the step has no `allow.artifacts`"),
        (Grant::default().disk(&asked("/srv")).unwrap_err(), "disk /srv: the step has no `allow.disk`"),
    ] {
        assert_eq!(denial.to_string(), line);
    }
    assert_eq!(full().read(&asked("/srv/in/../x")).unwrap_err().hint, None);
    assert_eq!(full().env("A=B").unwrap_err().hint, None);
    assert_eq!(
        full().sql("reporting", Access::Write).unwrap_err().hint.as_deref(),
        Some(r#"allow.sql = ["read main", "write main", "write other", "write reporting"]"#)
    );
}

#[test]
fn the_denial_of_a_message_names_the_address() {
    let refused = |from: &str, to: &[&str], peer: &str| {
        full().mail(&MailRequest::parse(peer, from, to.iter().copied()).unwrap()).unwrap_err()
    };
    for (from, to, peer, reason) in [
        (
            "pipe@h.example",
            &["a@ward.example", "x@evil.example"][..],
            "smtp",
            "no rule of this sender covers `x@evil.example`",
        ),
        ("ceo@h.example", &["ops@h.example"], "smtp", "no rule lets `ceo@h.example` write through `smtp`"),
        ("pipe@h.example", &["ops@h.example"], "other", "no rule names the peer `other`"),
        (
            "pipe@h.example",
            &["ops@h.example", "it@h.example"],
            "smtp",
            "no single rule covers every recipient: `it@h.example` stands in another",
        ),
    ] {
        assert_eq!(refused(from, to, peer).reason, reason);
    }
    let nothing = Grant::default().mail(&MailRequest::parse("smtp", "a@x", ["b@y", "c@y"]).unwrap()).unwrap_err();
    assert_eq!(nothing.to_string(), "mail a@x to b@y, c@y via smtp: the step has no `allow.mail`");
    let line = r#"allow.mail = [{ peer = "smtp", from = "a@x", to = ["b@y", "c@y"] }]"#;
    assert_eq!(nothing.hint.as_deref(), Some(line));
}

#[test]
fn writing_covers_reading_and_nothing_else_covers_another_word() {
    let grant = full();
    assert_eq!(grant.read(&asked("/srv/out/x")).unwrap().written, "out");
    assert_eq!(grant.read(&asked("/srv/both/x")).unwrap(), &grant.read[1]);
    assert!(grant.write(&asked("/srv/in/x")).is_err());
    assert_eq!(grant.write_name(&asked("/srv/out/x")).unwrap().written, "out");
    assert!(grant.disk(&asked("/srv/out")).is_err());
    assert!(grant.read(&asked("/srv/data")).is_err());
    assert_eq!(grant.sql("main", Access::Read).unwrap().to_string(), "read main");
    assert_eq!(grant.sql("main", Access::Write).unwrap().to_string(), "write main");
    assert_eq!(grant.sql("other", Access::Read).unwrap().to_string(), "write other");
    assert!(grant.artifact_read("backup").is_ok());
    let only_write = Grant { artifacts: vec![ArtifactRule::Write], ..Grant::default() };
    assert!(only_write.artifact_read("backup").is_err());
    let only_read = Grant { artifacts: vec![ArtifactRule::Read("write".to_owned())], ..Grant::default() };
    assert!(only_read.artifact_write().is_err());
}

#[test]
fn slots_lead_to_one_target() {
    let slot = |name: &str, to: &str| SecretSlot::new(name, to, (to != "artifacts").then_some("X"), None).unwrap();
    let secrets = vec![slot("a", "argocd"), slot("b", "artifacts"), slot("c", "argocd")];
    let grant = Grant { secrets, ..Grant::default() };
    let names = |to: &SlotTarget| grant.secret_slots(to).map(|slot| slot.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&SlotTarget::Peer("argocd".to_owned())), ["a", "c"]);
    assert_eq!(names(&SlotTarget::Artifacts), ["b"]);
    assert!(names(&SlotTarget::Peer("artifacts".to_owned())).is_empty());
}

#[test]
fn lines_are_those_of_the_file() {
    assert_eq!(
        full().lines(),
        [
            r#"allow.http = ["* k8s:/a"]"#,
            r#"allow.http = ["POST prom:/q"]"#,
            r#"allow.http = ["GET k8s:/b"]"#,
            r#"allow.tcp = ["db.prod:5432"]"#,
            r#"allow.tls = ["api"]"#,
            r#"allow.sql = ["read main"]"#,
            r#"allow.sql = ["write main"]"#,
            r#"allow.sql = ["write other"]"#,
            r#"allow.mail = [{ peer = "smtp", from = "pipe@h.example", to = ["ops@h.example", "*@ward.example"] }]"#,
            r#"allow.mail = [{ peer = "smtp", from = "pipe@h.example", to = ["it@h.example"] }]"#,
            r#"allow.read = ["in"]"#,
            r#"allow.read = ["both"]"#,
            r#"allow.write = ["out"]"#,
            r#"allow.write = ["both"]"#,
            r#"allow.disk = ["data"]"#,
            r#"allow.env = ["HOME"]"#,
            r#"allow.secrets = [{ name = "key", to = "artifacts" }]"#,
            r#"allow.reveal = ["token"]"#,
            r#"allow.exec = [{ program = "npm", argv = ["**"] }]"#,
            r#"allow.artifacts = ["write"]"#,
            r#"allow.artifacts = ["read backup"]"#,
        ]
    );
}
