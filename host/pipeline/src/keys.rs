//! The words of the file: what each table may hold, and what the design has but this version does not.

pub(crate) const FILE: &[&str] = &[
    "name",
    "environments",
    "state",
    "inputs",
    "sets",
    "secrets",
    "peers",
    "plugins",
    "defaults",
    "step",
    "check",
    "rollback",
    "notify",
    "env",
];
pub(crate) const ENVIRONMENT: &[&str] = &["inputs", "sets", "secrets", "peers"];
pub(crate) const INPUT: &[&str] = &["pattern", "default", "description"];
pub(crate) const SECRET: &[&str] = &["env", "file"];
pub(crate) const PEER: &[&str] = &["url", "password", "bearer", "secret_path", "tls", "ca", "addresses"];
pub(crate) const PLUGIN: &[&str] = &["path", "sha256"];
pub(crate) const DEFAULTS: &[&str] = &["timeout", "retry"];
pub(crate) const RETRY: &[&str] = &["attempts", "backoff"];
pub(crate) const STEP: &[&str] =
    &["name", "stage", "plugin", "check", "timeout", "retry", "for_each", "irreversible", "allow", "with"];
pub(crate) const CHECK: &[&str] = &["name", "plugin", "timeout", "retry", "allow", "with"];
pub(crate) const ROLLBACK: &[&str] =
    &["undo", "continue", "name", "stage", "plugin", "check", "timeout", "retry", "for_each", "allow", "with"];
pub(crate) const NOTIFY: &[&str] = &["name", "on", "plugin", "timeout", "retry", "allow", "with"];
pub(crate) const FOR_EACH: &[&str] = &["in"];
pub(crate) const ALLOW: &[&str] = &["http", "sql", "read", "write", "disk", "env", "secrets", "exec", "artifacts"];
pub(crate) const HTTP: &[&str] = &["rule", "addresses"];
pub(crate) const SLOT: &[&str] = &["name", "to", "header", "format"];
pub(crate) const EXEC: &[&str] = &["program", "argv", "cwd", "env", "peer", "secret_env", "sha256"];

/// The tables of a policy file.
pub(crate) const POLICY: &[&str] = &["peers", "plugins", "allow", "require"];
pub(crate) const POLICY_PEER: &[&str] = &["url", "addresses"];
pub(crate) const POLICY_PLUGIN: &[&str] = &["sha256"];
pub(crate) const POLICY_ALLOW: &[&str] = &[
    "stages",
    "plugins",
    "environments",
    "any",
    "http",
    "sql",
    "read",
    "write",
    "disk",
    "env",
    "secrets",
    "exec",
    "artifacts",
];
pub(crate) const POLICY_SECRET: &[&str] = &["env", "file", "to"];
pub(crate) const POLICY_EXEC: &[&str] = &["program", "argv", "cwd", "env", "peer", "sha256"];
pub(crate) const POLICY_REQUIRE: &[&str] =
    &["https_only", "programs", "pinned_plugins", "encrypted_backup_before_migrate"];

/// Words of the design that a later version will know. Accepting one in silence would promise what nothing enforces.
pub(crate) fn comes_later(keys: &[&str], key: &str) -> bool {
    let later: &[&str] = match keys {
        FILE => &["watch", "window", "limits", "roles", "phase", "gate", "guard"],
        ENVIRONMENT => &["roles"],
        STEP | CHECK | ROLLBACK | NOTIFY => {
            &["gate", "waves", "guard", "watch", "window", "phase", "in_flight", "limits", "checklist", "at_once"]
        }
        FOR_EACH => &["at_once"],
        ALLOW => &["tcp", "tls", "mail", "reveal"],
        EXEC => &["user", "read", "write", "ports", "sockets", "secret_file"],
        _ => &[],
    };
    later.contains(&key)
}
