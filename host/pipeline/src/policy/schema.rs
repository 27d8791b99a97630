//! The policy file as a JSON Schema, for editors and `pipe schema --policy`.

use pipe_capability::word::Word;
use pipe_core::stage::Stage;
use serde_json::{Value, json};

use crate::json_schema::{entries, table, text};

/// JSON Schema 2020-12 of the policy file.
#[must_use]
pub fn policy_schema() -> Value {
    let mut schema = table(
        "The ceiling above every pipeline: what is allowed at most, and what must hold besides.",
        &["allow"],
        json!({
            "peers": entries("What the names of this file stand for, whatever a pipeline calls so.", &table(
                "A place, or many.",
                &["url"],
                json!({
                    "url": text("https://host, http://host, postgres://user@host/database, sqlite:/file, smtp://user@host or smtps://user@host; host, port, user and database may be *, a host *.domain."),
                    "addresses": networks(),
                }),
            )),
            "plugins": entries("What the names of plugins stand for.", &table("A component file.", &["sha256"], json!({
                "sha256": text("What its content must be."),
            }))),
            "allow": { "type": "array", "minItems": 1, "items": allow() },
            "require": require(),
        }),
    );
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!("pipe policy file"));
    }
    schema
}

fn allow() -> Value {
    let endpoints = |description: &str| {
        let private = table(
            "A rule about private addresses.",
            &["rule"],
            json!({
                "rule": text("host:port."), "addresses": networks(),
            }),
        );
        json!({ "type": "array", "items": { "anyOf": [text(description), private] } })
    };
    let any = Word::ALL.map(Word::as_str).into_iter().chain(["*"]);
    table(
        "What is allowed at most to the steps that this applies to. Several add up. A word that is left out is not allowed.",
        &[],
        json!({
            "stages": {
                "type": "array", "items": { "enum": Stage::ALL.map(Stage::word) }, "description": "Default: all.",
            },
            "plugins": texts("std:*, std:STAGE, or a name of [plugins]. Default: all."),
            "environments": texts("As the operator names them: a name proves nothing. Default: all."),
            "any": {
                "type": "array", "items": { "enum": any.collect::<Vec<_>>() },
                "description": "Words of which anything is allowed; * for all of them.",
            },
            "http": { "type": "array", "items": { "anyOf": [
                text("METHODS peer:/path or METHODS https://host/path; the host may be * or *.domain."),
                table("A rule about private addresses.", &["rule"], json!({
                    "rule": text("METHODS https://host/path."), "addresses": networks(),
                })),
            ] } },
            "tcp": endpoints("host:port; the host may be * or *.domain, the port *."),
            "tls": endpoints("A peer, or host:port; the host may be * or *.domain, the port *."),
            "sql": texts("read PEER or write PEER; * for any."),
            "mail": { "type": "array", "items": table("Messages.", &["peer"], json!({
                "peer": text("A peer, or *."),
                "from": texts("Who may write: an address, or *@domain. Default: anybody."),
                "to": texts("Who may be written to: addresses, or *@domain. Default: anybody."),
            })) },
            "read": texts("Directories and files: absolute, or ./ from the directory of the pipeline."),
            "write": texts("The same, for writing and deleting; includes reading."),
            "disk": texts("Paths whose free space may be seen."),
            "env": texts("Variables of the operator; * within a name."),
            "secrets": { "type": "array", "items": table("A secret, by its source, and where it may go.", &["to"], json!({
                "env": text("Variables that it comes from; * within a name."),
                "file": text("The file that it comes from, or a directory."),
                "to": text("A peer, artifacts, programs, or *."),
            })) },
            "reveal": { "type": "array", "items": table("A secret that a plugin may be told, by its source.", &[], json!({
                "env": text("Variables that it comes from; * within a name."),
                "file": text("The file that it comes from, or a directory."),
            })) },
            "exec": { "type": "array", "items": table("A program.", &["program"], json!({
                "program": text("Name or absolute path; * for any."),
                "argv": texts("One pattern for each argument; ** at the end for any further ones. Default: any."),
                "cwd": text("Where it may be started, which it may then read. Default: the pipeline's directory, and wherever it may read."),
                "read": texts("What it may read. Default: nothing."),
                "write": texts("What it may write and read. Default: nothing."),
                "ports": { "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 65535 }, "description": "Ports that it may connect to. Default: none." },
                "sockets": texts("UNIX sockets that it may connect to. Default: none."),
                "env": texts("Variables that it may be given, those with secrets too; * within a name. Default: none."),
                "peer": text("The peer whose login it may be given; * for any. Default: none."),
                "sha256": text("Digest of the program. Default: any."),
            })) },
            "artifacts": { "type": "array", "items": { "enum": ["write", "read"] } },
        }),
    )
}

fn require() -> Value {
    let flag = |description: &str| json!({ "type": "boolean", "description": description });
    table(
        "What must hold whatever is allowed.",
        &[],
        json!({
            "reveal": flag("false: no plugin is told a secret, whatever is allowed."),
            "https_only": flag("Nothing goes over HTTP without TLS. What goes through tcp is not looked into."),
            "programs": texts("Only these programs may be run."),
            "pinned_plugins": flag("Every plugin that is not part of pipe is pinned by sha256."),
            "unconfined_programs": {
                "enum": ["refuse", "report"],
                "description": "Where the kernel cannot confine programs: do not run them, the default, or run them and say so.",
            },
            "encrypted_backup_before_migrate": flag("A migration waits for a backup of the same run that is encrypted and verified."),
            "restored_backup_before_migrate": flag("A migration waits for a backup of the same run that was restored into a scratch database."),
            "backup_max_age": text("How old the backup may be at most that a migration leans on: 12h. Counted from when it was begun."),
        }),
    )
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn networks() -> Value {
    texts("Networks whose private or special addresses are allowed too: 10.0.0.0/8.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn the_schema_knows_the_keys_that_the_reader_knows() {
        let schema = policy_schema();
        for (pointer, expected) in [
            ("", keys::POLICY),
            ("/properties/peers/additionalProperties", keys::POLICY_PEER),
            ("/properties/plugins/additionalProperties", keys::POLICY_PLUGIN),
            ("/properties/allow/items", keys::POLICY_ALLOW),
            ("/properties/allow/items/properties/http/items/anyOf/1", keys::HOST),
            ("/properties/allow/items/properties/tcp/items/anyOf/1", keys::HOST),
            ("/properties/allow/items/properties/tls/items/anyOf/1", keys::HOST),
            ("/properties/allow/items/properties/secrets/items", keys::POLICY_SECRET),
            ("/properties/allow/items/properties/mail/items", keys::POLICY_MAIL),
            ("/properties/allow/items/properties/reveal/items", keys::POLICY_REVEAL),
            ("/properties/allow/items/properties/exec/items", keys::POLICY_EXEC),
            ("/properties/require", keys::POLICY_REQUIRE),
        ] {
            let properties = schema.pointer(&format!("{pointer}/properties")).and_then(Value::as_object);
            let mut known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            let mut expected = expected.to_vec();
            known.sort_unstable();
            expected.sort_unstable();
            assert_eq!(known, expected, "{pointer}");
        }
        for word in Word::ALL {
            assert!(keys::POLICY_ALLOW.contains(&word.as_str()), "no block can speak of {word}");
        }
    }
}
