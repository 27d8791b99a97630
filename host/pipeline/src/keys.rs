//! The words of the file: what each table may hold, and what the design has but this version does not.

use pipe_core::limits::Limit;

/// Sections of which there are as many as somebody writes, in a pipeline or a policy: `[[step]]`.
pub(crate) const LISTED: [&str; 5] = ["step", "check", "rollback", "notify", "allow"];
pub(crate) const FILE: &[&str] = &[
    "name",
    "environments",
    "state",
    "lock",
    "inputs",
    "sets",
    "secrets",
    "peers",
    "roles",
    "plugins",
    "defaults",
    "limits",
    "on_interrupt",
    "retention",
    "window",
    "step",
    "check",
    "rollback",
    "notify",
    "watch",
    "env",
];
pub(crate) const ENVIRONMENT: &[&str] = &["inputs", "sets", "secrets", "peers", "roles"];
pub(crate) const INPUT: &[&str] = &["pattern", "default", "description"];
pub(crate) const SECRET: &[&str] = &["env", "file"];
pub(crate) const PEER: &[&str] =
    &["url", "password", "bearer", "secret_path", "tls", "ca", "client_cert", "client_key", "addresses"];
pub(crate) const ROLE: &[&str] = &["signers"];
pub(crate) const PLUGIN: &[&str] = &["path", "sha256"];
pub(crate) const DEFAULTS: &[&str] = &["timeout", "retry"];
/// What one call may take.
pub(crate) const LIMITS: &[&str] = &Limit::WORDS;
/// Where several hosts agree on who drives a run.
pub(crate) const LOCK: &[&str] = &["peer"];
/// How long artifacts are kept.
pub(crate) const RETENTION: &[&str] = &["artifacts", "keep_min"];
/// When phases begin, and until when they may.
pub(crate) const WINDOW: &[&str] = &["start", "duration", "late", "max_age"];
pub(crate) const RETRY: &[&str] = &["attempts", "backoff"];
pub(crate) const STEP: &[&str] = &[
    "name",
    "stage",
    "plugin",
    "check",
    "timeout",
    "retry",
    "in_flight",
    "for_each",
    "irreversible",
    "waves",
    "guard",
    "without_backup",
    "backup_max_age",
    "limits",
    "allow",
    "with",
    "gate",
    "checklist",
    "phase",
];
pub(crate) const WITHOUT_BACKUP: &[&str] = &["role", "reason"];
pub(crate) const CHECK: &[&str] = &["name", "plugin", "timeout", "retry", "limits", "allow", "with"];
pub(crate) const ROLLBACK: &[&str] = &[
    "undo",
    "continue",
    "name",
    "stage",
    "plugin",
    "check",
    "timeout",
    "retry",
    "in_flight",
    "for_each",
    "limits",
    "allow",
    "with",
    "gate",
    "checklist",
];
/// A wait for people.
pub(crate) const GATE: &[&str] = &["role", "quorum", "expires", "on_expiry", "if_started"];
pub(crate) const CHECKLIST_ITEM: &[&str] = &["item", "step"];
pub(crate) const NOTIFY: &[&str] = &["name", "on", "plugin", "timeout", "retry", "limits", "allow", "with"];
/// One part of a gradual release.
pub(crate) const WAVE: &[&str] = &["weight", "hold"];
pub(crate) const GUARD: &[&str] = &["checks", "every", "breach"];
pub(crate) const WATCH: &[&str] = &["for", "every", "checks", "breach"];
/// A check of a guard with consequences of its own.
pub(crate) const GUARDED: &[&str] = &["check", "breach"];
pub(crate) const FOR_EACH: &[&str] = &["in", "at_once", "on_failure"];
pub(crate) const ALLOW: &[&str] =
    &["http", "tcp", "tls", "sql", "mail", "read", "write", "disk", "env", "secrets", "reveal", "exec", "artifacts"];
/// A rule about a host whose addresses are not public, whatever the word.
pub(crate) const HOST: &[&str] = &["rule", "addresses"];
pub(crate) const MAIL: &[&str] = &["peer", "from", "to"];
pub(crate) const SLOT: &[&str] = &["name", "to", "header", "format"];
pub(crate) const EXEC: &[&str] = &[
    "program",
    "argv",
    "cwd",
    "env",
    "peer",
    "secret_env",
    "secret_file",
    "read",
    "write",
    "ports",
    "sockets",
    "memory",
    "processes",
    "scratch",
    "file_size",
    "open_files",
    "cpu",
    "sha256",
];

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
    "tcp",
    "tls",
    "sql",
    "mail",
    "read",
    "write",
    "disk",
    "env",
    "secrets",
    "reveal",
    "exec",
    "artifacts",
];
pub(crate) const POLICY_MAIL: &[&str] = &["peer", "from", "to"];
pub(crate) const POLICY_REVEAL: &[&str] = &["env", "file"];
pub(crate) const POLICY_SECRET: &[&str] = &["env", "file", "to"];
pub(crate) const POLICY_EXEC: &[&str] =
    &["program", "argv", "cwd", "env", "peer", "read", "write", "ports", "sockets", "sha256"];
pub(crate) const POLICY_REQUIRE: &[&str] = &[
    "reveal",
    "https_only",
    "programs",
    "pinned_plugins",
    "encrypted_backup_before_migrate",
    "restored_backup_before_migrate",
    "backup_max_age",
    "unconfined_programs",
];

/// Words of the design that a later version will know. Accepting one in silence would promise what nothing enforces.
pub(crate) fn comes_later(keys: &[&str], key: &str) -> bool {
    let later: &[&str] = match keys {
        EXEC => &["user"],
        _ => &[],
    };
    later.contains(&key)
}
