//! Secrets that stand in the file itself. Everybody who can read the repository can read them.

use pipe_core::diagnostic::Diagnostic;

use crate::{
    node::{Node, Table, Value},
    report::Report,
};

/// Reports every string that looks like a secret, wherever it stands. The text itself is in no message.
pub(crate) fn no_secrets(report: &Report, root: &Table) {
    // The URL of a peer has an error of its own.
    root.entries.iter().filter(|entry| entry.key != "peers").for_each(|entry| visit(report, &entry.node));
}

fn visit(report: &Report, node: &Node) {
    match &node.value {
        Value::String(text) => {
            if let Some(what) = looks_like(text) {
                report.push(
                    Diagnostic::error("secret-in-file", format!("this looks like {what}"))
                        .at(report.file(), node.span.clone(), "")
                        .hint("say in `[secrets]` where the value comes from, and grant its use by name")
                        .hint("a secret that has stood in a file is known: replace it"),
                );
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(report, item)),
        Value::Table(table) => table.entries.iter().for_each(|entry| visit(report, &entry.node)),
        _ => {}
    }
}

fn looks_like(text: &str) -> Option<&'static str> {
    if text.to_ascii_uppercase().contains("AGE-SECRET-KEY-1") {
        return Some("a private age key");
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if has_password(text) {
        return Some("a password");
    }
    has_login(text).then_some("a URL with a password")
}

/// `password=` with something behind it that is neither a pattern nor a reference.
fn has_password(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("password=").any(|(at, word)| !is_placeholder(&lower[at + word.len()..]))
}

/// `://user:something@`.
fn has_login(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let end = rest.find(|c: char| c == '/' || c.is_whitespace() || "'\"?#".contains(c)).unwrap_or(rest.len());
        let login = rest[..end].rsplit_once('@').map(|(login, _)| login);
        login.and_then(|login| login.split_once(':')).is_some_and(|(_, password)| !is_placeholder(password))
    })
}

/// Nothing, a pattern, a reference, or the `<password>` of somebody's documentation.
fn is_placeholder(value: &str) -> bool {
    let value = value.trim_start_matches(['"', '\'']);
    value.is_empty() || value.starts_with("${") || value.starts_with(['*', '<', '{', ' ', '&'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_their_names_are_not() {
        for text in [
            "AGE-SECRET-KEY-1QQQQ",
            "--identity=age-secret-key-1qqqq",
            "PGPASSWORD=hunter2",
            "host=x Password=y",
            "postgres://hms:hunter2@db/hms",
            "see https://user:pass@host.example:8443/path",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
        ] {
            assert!(looks_like(text).is_some(), "{text}");
        }
        for text in [
            "password",
            "--password=*",
            "password=${inputs.x}",
            "postgres://hms@db/hms",
            "https://host:8443/a@b",
            "https://user:*@host",
            "age1qqqq",
            "time 12:30 @ home",
        ] {
            assert_eq!(looks_like(text), None, "{text}");
        }
    }
}
