use std::{path::PathBuf, sync::Arc};

use pipe_core::diagnostic::SourceFile;

use super::*;
use crate::parse;

const FILE: &str = r#"
name = "x"
environments = ["staging", "production"]
[inputs]
version = { pattern = '\d+', default = "1", description = "what" }
[sets.services]
front = "f"
[secrets]
db.env = "DB"
[peers]
main = { url = "postgres://u@${inputs.version}.example.com/x", password = "db" }
[env.production.peers]
main.url = "postgres://u@db.example.com/x"
[plugins]
scan = { path = "scan.wasm" }
[[check]]
name = "healthy"
allow.env = ["A"]
[[step]]
name = "one"
stage = "verify"
allow.sql = ["read main"]
allow.env = ["${inputs.version}"]
with.check = [1]
[[step]]
name = "two"
check = "healthy"
[[step]]
name = "three"
stage = "precheck"
plugin = "scan"
[[notify]]
on = ["failed"]
allow.env = ["A"]
"#;

fn document(text: &str) -> Document {
    let file = SourceFile { path: PathBuf::from("x.toml"), text: text.to_owned() };
    parse(&Arc::new(file)).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn locked(text: &str) -> LockedFile {
    let digest = Digest::of(b"plugin");
    let plugin = |name: &String| {
        let (source, version) = ("pipe 0.1.0".to_owned(), "0.1.0".to_owned());
        (name.clone(), LockedPlugin { source, version, contract: "0.1.0".to_owned(), sha256: digest })
    };
    let document = document(text);
    LockedFile {
        plugins: document.plugins().keys().map(plugin).collect(),
        environments: LockedEnvironment::of(&document),
    }
}

/// What has drifted in an environment since [`FILE`] was locked.
fn drift(from: &str, to: &str, environment: &str) -> Vec<String> {
    assert!(FILE.contains(from), "{from}");
    let now = document(&FILE.replacen(from, to, 1));
    let drift = locked(FILE).grant_drift(environment, &LockedEnvironment::of(&now)[environment]);
    drift.into_iter().map(|drift| format!("{}: {}", drift.what, drift.how)).collect()
}

#[test]
fn what_a_step_may_touch_is_locked_and_what_it_does_is_not() {
    for (from, to, wanted) in [
        ("read main", "write main", &["step \"one\" in staging: what it may touch is not what was locked"][..]),
        ("check = [1]", "check = [2]", &[]),
        ("name = \"one\"\n", "name = \"one\"\ntimeout = \"9s\"\n", &[]),
        // The check's own `allow`.
        (
            "allow.env = [\"A\"]\n[[step]]",
            "allow.env = [\"B\"]\n[[step]]",
            &["step \"two\" in staging: what it may touch is not what was locked"],
        ),
        (
            "name = \"two\"",
            "name = \"four\"",
            &["step \"four\" in staging: new since the lock", "step \"two\" in staging: locked, and no longer there"],
        ),
        ("default = \"1\", description = \"what\"", "default = \"2\"", &[]),
        (r"'\d+'", "'.*'", &["input `version` in staging: its pattern is not the one that was locked"]),
        ("front = \"f\"", "front = \"g\"", &["set `services` in staging: its entries are not those that were locked"]),
        ("db.env = \"DB\"", "db.env = \"X\"", &["secret `db` in staging: it comes from another place than was locked"]),
        (
            "${inputs.version}.example.com",
            "${inputs.version}.example.org",
            &["peer `main` in staging: its address or login is not what was locked"],
        ),
        // Another environment's.
        ("@db.example.com", "@db.example.org", &[]),
        ("name = \"x\"", "name = \"x\"\n# a comment", &[]),
    ] {
        assert_eq!(drift(from, to, "staging"), wanted, "{from} -> {to}");
    }
    let production = drift("@db.example.com", "@db.example.org", "production");
    assert_eq!(production, ["peer `main` in production: its address or login is not what was locked"]);
}

#[test]
fn the_way_a_grant_is_written_does_not_matter() {
    let inline = FILE.replacen(
        "allow.sql = [\"read main\"]\nallow.env = [\"${inputs.version}\"]\n",
        "allow = { env = [ \"${inputs.version}\", ], sql = ['read main'] } # the same\n",
        1,
    );
    assert_ne!(inline, FILE);
    assert_eq!(LockedEnvironment::of(&document(&inline)), LockedEnvironment::of(&document(FILE)));
}

#[test]
fn plugins_are_locked_by_content() {
    let locked = locked(FILE);
    let (same, other) = (Digest::of(b"plugin"), Digest::of(b"other"));
    let now = |scan: Digest, verify: Digest| {
        let all = [("scan", scan), ("std:verify", verify), ("std:notify", same)];
        all.into_iter().map(|(name, digest)| (name.to_owned(), digest)).collect::<BTreeMap<_, _>>()
    };
    let told = |now: &BTreeMap<String, Digest>| -> Vec<String> {
        locked.plugin_drift(now, "0.2.0").into_iter().map(|drift| format!("{}: {}", drift.what, drift.how)).collect()
    };
    assert_eq!(told(&now(same, same)), [""; 0]);
    assert_eq!(
        told(&now(other, other)),
        [
            format!("plugin `scan`: its sha256 is {}, locked is {}", other.short(), same.short()),
            "plugin `std:verify`: locked with pipe 0.1.0, and this is pipe 0.2.0, which brings another one".to_owned(),
        ]
    );
    let mut fewer = now(same, same);
    fewer.remove("scan");
    fewer.insert("new".to_owned(), same);
    assert_eq!(told(&fewer), ["plugin `new`: called, and not locked", "plugin `scan`: locked, and no longer called"]);
}

#[test]
fn a_lock_is_read_as_it_was_written() {
    let lock = Lock {
        files: BTreeMap::from([("x.toml".to_owned(), locked(FILE)), ("a \"b\".toml".to_owned(), locked(FILE))]),
    };
    let text = lock.write();
    let file = |text: &str| Arc::new(SourceFile { path: PathBuf::from(LOCK_FILE), text: text.to_owned() });
    let read = Lock::read(&file(&text)).unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}"));
    assert_eq!(read.write(), text);
    for (name, locked) in &lock.files {
        assert_eq!(read.files[name].plugins, locked.plugins);
        let drifted = |(name, now): (&String, &LockedEnvironment)| read.files["x.toml"].grant_drift(name, now);
        assert_eq!(locked.environments.iter().flat_map(drifted).collect::<Vec<_>>(), []);
    }
    for (wrong, code) in [
        (String::new(), "missing-key"),
        ("version = 2\n".to_owned(), "lock-version"),
        (text.replace("version = 1\n", "version = 1\nmore = 2\n"), "unknown-key"),
        (text.replacen("sha256 = \"", "sha256 = \"x", 1), "bad-value"),
        (text.replacen("contract = ", "#", 1), "missing-key"),
        ("version = 1\n[files".to_owned(), "syntax"),
    ] {
        let found = Lock::read(&file(&wrong)).unwrap_err();
        assert_eq!(found[0].code, code, "{wrong}");
    }
}

#[test]
fn what_was_never_locked_is_drift() {
    let now = LockedEnvironment::of(&document(FILE));
    let [drift] = LockedFile::default().grant_drift("staging", &now["staging"]).try_into().unwrap();
    assert_eq!((&*drift.what, &*drift.how), ("environment staging", "it is not locked"));
    let document = document(FILE);
    let [drift] = locked(&FILE.replacen("read main", "write main", 1))
        .grant_drift("staging", &now["staging"])
        .try_into()
        .unwrap();
    let diagnostic = drift.diagnostic(&document);
    assert_eq!(&document.file().text[diagnostic.labels[0].span.clone()], "\"one\"");
}
