//! What a component's imports tell: which words it could use at all.
//!
//! Some interfaces say nothing. Rust's standard library imports `wasi:cli`, `wasi:clocks` and `wasi:filesystem` into every
//! plugin, and with them files and variables can be used: that a plugin cannot is never told of these. `wasi:http/types` and
//! `wasi:io` carry what others use.

use crate::word::Word;

/// The word of `allow` that an import is good for; nothing for an import that every plugin has, or that needs no grant.
#[must_use]
pub fn word_of_import(import: &str) -> Option<&'static str> {
    let name = import.split('@').next().unwrap_or(import);
    Some(match name {
        "pipe:host/sql" => "sql",
        "pipe:host/process" => "exec",
        "pipe:host/artifact" => "artifacts",
        "pipe:host/disk" => "disk",
        "pipe:host/environment" => "env",
        "pipe:host/secret" => "reveal",
        "pipe:host/tls" => "tls",
        "pipe:host/mail" => "mail",
        "wasi:http/outgoing-handler" => "http",
        _ if name.starts_with("wasi:sockets/") => "tcp",
        _ => return None,
    })
}

/// Whether a component with these imports could use a word.
pub(super) fn can_use(imports: &[String], word: Word) -> bool {
    let imported = |wanted: &str| imports.iter().any(|import| word_of_import(import) == Some(wanted));
    match word.as_str() {
        // Every plugin imports what these need.
        "read" | "write" | "env" => true,
        // The host fills slots where requests are sent, artifacts encrypted.
        "secrets" => imported("http") || imported("artifacts"),
        word => imported(word),
    }
}
