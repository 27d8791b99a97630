//! The pipeline file as a JSON Schema, for editors and `pipe schema`. It knows the shape; references, names and rules are
//! known to [`check`](crate::check()).

mod flow;

use pipe_core::{event::InFlight, limits::Limit, stage::Stage};
use serde_json::{Map, Value, json};

use crate::{
    keys,
    pipeline::{NotifyEvent, OnFailure, OnInterrupt},
};

/// JSON Schema 2020-12 of the pipeline file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = table(
        "A deployment: steps in the order they run, and what each may touch.",
        &["name", "step"],
        json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "description": "Name of the pipeline." },
            "environments": {
                "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true,
                "description": "One of them is chosen by --env. There is no default.",
            },
            "state": text("State directory, from the directory of this file."),
            "inputs": { "$ref": "#/$defs/inputs" },
            "sets": { "$ref": "#/$defs/sets" },
            "secrets": { "$ref": "#/$defs/secrets" },
            "peers": { "$ref": "#/$defs/peers" },
            "roles": { "$ref": "#/$defs/roles" },
            "plugins": entries("Plugins that are not part of pipe.", &plugin()),
            "defaults": table("What a step gets that does not say.", &[], json!({
                "timeout": { "$ref": "#/$defs/duration" },
                "retry": { "$ref": "#/$defs/retry" },
            })),
            "limits": { "$ref": "#/$defs/limits" },
            "on_interrupt": {
                "enum": OnInterrupt::ALL.map(OnInterrupt::word),
                "description": "What an interrupt leads to, once the step in hand is stopped. Default: rollback.",
            },
            "retention": table("How long `pipe prune` keeps what runs stored.", &["artifacts"], json!({
                "artifacts": { "$ref": "#/$defs/duration" },
                "keep_min": {
                    "type": "integer", "minimum": 1,
                    "description": "Of every step, the verified artifacts of so many newest runs stay, whatever their age. Default: 1.",
                },
            })),
            "window": table("When the deployment takes place: what `t` is in the phases of steps.", &["start", "duration"], json!({
                "start": text("A moment with its zone: 2026-11-28T22:00:00+01:00. Usually ${inputs.window}."),
                "duration": { "$ref": "#/$defs/duration" },
                "late": { "$ref": "#/$defs/duration" },
                "max_age": { "$ref": "#/$defs/duration" },
            })),
            "lock": table("Where several hosts agree on who drives its runs, beside the state directory of each.", &["peer"], json!({
                "peer": text("A PostgreSQL among the peers. pipe keeps the table public.pipe_ownership there."),
            })),
            "step": { "type": "array", "items": { "$ref": "#/$defs/step" }, "minItems": 1 },
            "check": { "type": "array", "items": { "$ref": "#/$defs/check" } },
            "rollback": { "type": "array", "items": { "$ref": "#/$defs/rollback" } },
            "notify": { "type": "array", "items": { "$ref": "#/$defs/notify" } },
            "watch": flow::watch(),
            "env": entries("What an environment changes. Never steps.", &table("Merged entry by entry.", &[], json!({
                "inputs": { "$ref": "#/$defs/inputs" },
                "sets": { "$ref": "#/$defs/sets" },
                "secrets": { "$ref": "#/$defs/secrets" },
                // An overlay may give one key of a peer and leave the rest.
                "peers": entries("Addresses.", &peer(&[])),
                "roles": { "$ref": "#/$defs/roles" },
            }))),
        }),
    );
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!("pipe pipeline file"));
        schema.insert("$defs".to_owned(), definitions());
    }
    schema
}

fn definitions() -> Value {
    json!({
        "duration": {
            "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|min|h|d|w)$",
            "description": "A number with its unit: 500ms, 30s, 5m, 4h, 7d.",
        },
        "limits": limits(),
        "retry": table("How often a step is tried, and how long between.", &["attempts"], json!({
            "attempts": { "type": "integer", "minimum": 1, "maximum": 100, "description": "In all." },
            "backoff": { "$ref": "#/$defs/duration" },
        })),
        "inputs": entries("Values that the operator gives with --set.", &table("An input.", &[], json!({
            "pattern": text("Regular expression that the whole value matches."),
            "default": text("Value where none is given."),
            "description": text("For people."),
        }))),
        "sets": {
            "type": "object", "description": "Lists to repeat a step over: key = identity of the instance.",
            "additionalProperties": {
                "type": "object", "minProperties": 1, "propertyNames": { "pattern": "^[a-z0-9-]+$" },
                "additionalProperties": { "type": "string" },
            },
        },
        "secrets": entries("Where values come from, never the values.", &json!({
            "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
            "properties": { "env": text("Variable of the operator."), "file": text("File.") },
        })),
        "peers": entries("Addresses, TLS and logins: the host's business alone.", &peer(&["url"])),
        "roles": entries("Who decides at gates.", &table("A role.", &["signers"], json!({
            "signers": text("File of those who have it, in the format of OpenSSH's allowed_signers."),
        }))),
        "gate": flow::gate(),
        "checklist": flow::checklist(),
        "step": step(&[], keys::STEP),
        "check": step(&["name"], keys::CHECK),
        "rollback": step(&[], keys::ROLLBACK),
        "notify": step(&["on"], keys::NOTIFY),
        "allow": allow(),
    })
}

/// A table with some of the keys that calls have.
fn step(required: &[&str], keys: &[&str]) -> Value {
    let all = json!({
        "name": text("Unique name."),
        "stage": { "enum": Stage::ALL.map(Stage::word), "description": "Which of the six contracts the plugin has." },
        "plugin": text("std:STAGE, or a name of [plugins]. Default: the standard plugin of the stage."),
        "check": text("Runs one of the [[check]] entries."),
        "timeout": { "$ref": "#/$defs/duration" },
        "retry": { "$ref": "#/$defs/retry" },
        "for_each": table("Repeats the step.", &["in"], json!({
            "in": text("A name of [sets]."),
            "at_once": { "type": "integer", "minimum": 1, "maximum": 32, "description": "Instances at the same time. Default: 1." },
            "on_failure": {
                "enum": OnFailure::ALL.map(OnFailure::word),
                "description": "Where one fails: no other begins (stop, the default), or all others run first (continue).",
            },
        })),
        "irreversible": { "type": "boolean", "description": "The step cannot be undone, and that is accepted." },
        "without_backup": table("Who accepts that the migration has no verified backup before it.", &["role", "reason"], json!({
            "role": text("In which role."),
            "reason": text("Why there is nothing to lose."),
        })),
        "backup_max_age": {
            "$ref": "#/$defs/duration",
            "description": "How old the backup may be that the migration leans on, when it begins. Default: 24h.",
        },
        "in_flight": {
            "enum": InFlight::ALL.map(InFlight::word),
            "description": "What becomes of an attempt that had touched something and did not end: retry it, undo, or ask. \
                            Default: ask for migrate and release unless all they touched was SQL, else retry.",
        },
        "waves": {
            "type": "array", "minItems": 1, "items": table("One part of a gradual release.", &["weight"], json!({
                "weight": text("Share of the traffic after this wave: 10%. Each is more than the one before, the last is 100%."),
                "hold": { "$ref": "#/$defs/duration" },
            })),
        },
        "guard": table("Checks that are made while a wave holds.", &["checks", "every"], flow::guard(json!({}))),
        "limits": { "$ref": "#/$defs/limits" },
        "allow": { "$ref": "#/$defs/allow" },
        "with": { "type": "object", "description": "Settings of the plugin." },
        "gate": { "$ref": "#/$defs/gate" },
        "checklist": { "$ref": "#/$defs/checklist" },
        "phase": {
            "type": "string", "pattern": r"^t([-+][0-9]+(\.[0-9]+)?(ms|s|m|min|h|d|w))?$",
            "description": "When it is due, from the start of the window: t-24h, t, t+1w. Default: t.",
        },
        "undo": text("Name of a step to undo."),
        "continue": { "type": "boolean", "description": "Go on even if this undo fails." },
        "on": {
            "type": "array", "minItems": 1, "uniqueItems": true, "items": { "enum": NotifyEvent::ALL.map(NotifyEvent::word) },
        },
    });
    let properties: Map<String, Value> =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), all.get(key)?.clone()))).collect();
    table("A call of a plugin.", required, Value::Object(properties))
}

/// What one call may take. Sizes carry a unit.
fn limits() -> Value {
    let limits = Limit::ALL.into_iter().map(|limit| {
        let description = format!("Usually {}, at most {}.", limit.shown(limit.usual()), limit.shown(limit.most()));
        let amount = if limit.is_bytes() {
            let pattern = r"^[0-9]+(\.[0-9]+)?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$";
            json!({ "type": "string", "pattern": pattern, "description": description })
        } else {
            json!({ "type": "integer", "minimum": 1, "maximum": limit.most(), "description": description })
        };
        (limit.word().to_owned(), amount)
    });
    table(
        "What one call may take. What a step does not say is taken from the file, then from pipe.",
        &[],
        Value::Object(limits.collect()),
    )
}

fn allow() -> Value {
    let rules =
        |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    let host_rules = |description: &str, rule: &str| {
        json!({
            "type": "array", "description": description,
            "items": { "anyOf": [{ "type": "string" }, table("A rule about private addresses.", &["rule"], json!({
                "rule": text(rule),
                "addresses": rules("Networks the host may be in."),
            }))] },
        })
    };
    let variables = || json!({ "type": "object", "additionalProperties": { "type": "string" } });
    table(
        "What the step may touch. Everything else is denied.",
        &[],
        json!({
            "http": host_rules("METHOD peer:/path or METHOD https://host/path.", "METHOD https://host/path."),
            "tcp": host_rules("host:port: connections, and looking the host up.", "host:port."),
            "tls": host_rules("peer or host:port: handshakes, to see certificate and version.", "host:port."),
            "sql": rules("read PEER or write PEER."),
            "mail": { "type": "array", "items": table("Messages that may be sent.", &["peer", "from", "to"], json!({
                "peer": text("A peer whose url is smtp or smtps."),
                "from": text("The sender's address."),
                "to": {
                    "type": "array", "items": { "type": "string" }, "minItems": 1,
                    "description": "Addresses that may be written to; *@domain for all of a domain.",
                },
            })) },
            "read": rules("Directories and files."),
            "write": rules("Directories and files; includes reading and deleting."),
            "disk": rules("Paths whose free space may be seen."),
            "env": rules("Variables, by name."),
            "secrets": { "type": "array", "items": table("A secret and where it goes.", &["name", "to"], json!({
                "name": text("A name of [secrets]."),
                "to": text("A peer, or artifacts."),
                "header": text("The header that carries it."),
                "format": text("The header's value, with {} for the secret."),
            })) },
            "reveal": rules("Secrets whose plaintext the plugin is told."),
            "exec": { "type": "array", "items": table("A program. There is no shell.", &["program", "argv"], json!({
                "program": text("Name or absolute path."),
                "argv": rules("One pattern for each argument; ** at the end for any further ones."),
                "cwd": text("Directory that the program starts in and may read."),
                "env": variables(),
                "peer": text("Peer whose address and login the program gets."),
                "secret_env": variables(),
                "secret_file": variables(),
                "read": rules("What the program may read and run, beside the system's programs and libraries."),
                "write": rules("What the program may read, write and delete."),
                "ports": {
                    "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 65535 },
                    "description": "TCP ports that the program may connect to, at any address. 53 to look names up.",
                },
                "sockets": rules("UNIX sockets that the program may connect to."),
                "memory": text("What all of its processes may hold together: 8GiB. 4GiB where it is not said."),
                "processes": {
                    "type": "integer", "minimum": 1, "maximum": 1_048_576,
                    "description": "Processes and threads that there may be at once. 1024 where it is not said.",
                },
                "scratch": text("What its temporary folder may hold: 2GiB. 512MiB where it is not said."),
                "file_size": text("How large a file it may write: 100GiB. 16GiB where it is not said."),
                "open_files": {
                    "type": "integer", "minimum": 16, "maximum": 1_048_576,
                    "description": "Descriptors that each of its processes may have open. 1024 where it is not said.",
                },
                "cpu": text("Time on the processor of each of its processes: 10m."),
                "sha256": text("Digest of the program."),
            })) },
            "artifacts": rules("write, or read STEP."),
        }),
    )
}

fn peer(required: &[&str]) -> Value {
    table(
        "A named address.",
        required,
        json!({
            "url": text(
                "https://host, http://host, postgres://user@host/database, sqlite:file, smtp://user@host:587 or \
                 smtps://user@host:465. Never a password."
            ),
            "password": text("Secret that is the password."),
            "bearer": text("Secret that is sent as a bearer token."),
            "secret_path": text("Secret that is put before every path."),
            "tls": { "enum": ["verify-full", "disable"] },
            "ca": text("PEM file of the authorities to trust."),
            "client_cert": text("PEM file of the certificate that is shown to the server, and what it was issued by."),
            "client_key": text("Secret that is the private key of client_cert, as PEM."),
            "addresses": {
                "type": "array", "items": { "type": "string" },
                "description": "Networks whose private addresses the peer may have: 10.0.0.0/8.",
            },
        }),
    )
}

fn plugin() -> Value {
    table("A component file.", &["path"], json!({ "path": text("File."), "sha256": text("Digest of the file.") }))
}

/// A table of entries with any name.
pub(crate) fn entries(description: &str, entry: &Value) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": entry })
}

/// A table that holds these keys and no others.
pub(crate) fn table(description: &str, required: &[&str], properties: Value) -> Value {
    let mut table = json!({ "type": "object", "description": description, "additionalProperties": false });
    table["properties"] = properties;
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

pub(crate) fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_the_keys_that_the_reader_knows() {
        let schema = json_schema();
        for (pointer, expected) in [
            ("", keys::FILE),
            ("/properties/env/additionalProperties", keys::ENVIRONMENT),
            ("/properties/plugins/additionalProperties", keys::PLUGIN),
            ("/properties/defaults", keys::DEFAULTS),
            ("/properties/window", keys::WINDOW),
            ("/$defs/retry", keys::RETRY),
            ("/$defs/limits", keys::LIMITS),
            ("/$defs/inputs/additionalProperties", keys::INPUT),
            ("/$defs/secrets/additionalProperties", keys::SECRET),
            ("/$defs/peers/additionalProperties", keys::PEER),
            ("/$defs/step", keys::STEP),
            ("/$defs/step/properties/for_each", keys::FOR_EACH),
            ("/$defs/roles/additionalProperties", keys::ROLE),
            ("/$defs/gate", keys::GATE),
            ("/$defs/checklist/items/anyOf/1", keys::CHECKLIST_ITEM),
            ("/$defs/step/properties/waves/items", keys::WAVE),
            ("/$defs/step/properties/guard", keys::GUARD),
            ("/$defs/step/properties/guard/properties/checks/items/anyOf/1", keys::GUARDED),
            ("/properties/watch", keys::WATCH),
            ("/$defs/check", keys::CHECK),
            ("/$defs/rollback", keys::ROLLBACK),
            ("/$defs/notify", keys::NOTIFY),
            ("/$defs/allow", keys::ALLOW),
            ("/$defs/allow/properties/http/items/anyOf/1", keys::HOST),
            ("/$defs/allow/properties/tcp/items/anyOf/1", keys::HOST),
            ("/$defs/allow/properties/tls/items/anyOf/1", keys::HOST),
            ("/$defs/allow/properties/mail/items", keys::MAIL),
            ("/$defs/allow/properties/secrets/items", keys::SLOT),
            ("/$defs/allow/properties/exec/items", keys::EXEC),
        ] {
            let properties = schema.pointer(&format!("{pointer}/properties")).and_then(Value::as_object);
            let mut known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            let mut expected = expected.to_vec();
            known.sort_unstable();
            expected.sort_unstable();
            assert_eq!(known, expected, "{pointer}");
        }
    }
}
