//! TOML -> checked pipeline, with a place in the file for everything that is wrong with it.
//!
//! [`read()`] the file, [`parse()`] it, [`check()`] it against an environment and its inputs, and hold the pipeline
//! [against its plugins](check_against_plugins()). Each step reports all it can find and starts nothing.
//!
//! Knows no wasm and runs nothing: what plugins say of themselves is handed in as data.

mod check;
mod closest;
mod document;
mod fields;
mod gate;
mod grant;
mod json_schema;
mod keys;
mod lint;
mod lock;
mod network;
mod node;
mod pipeline;
mod place;
mod plugins;
mod policy;
mod read;
mod reference;
mod report;
mod reveal;
mod schema;
mod scope;
mod settings;
mod suggestion;
mod window;

pub use self::{
    check::{Checked, RunFacts, Selection, check},
    document::{Document, Retention, parse},
    gate::{Gate, OnExpiry, RoleSpec, StepGate},
    json_schema::json_schema,
    lock::{Drift, LOCK_FILE, Lock, LockedEnvironment, LockedFile, LockedPlugin},
    pipeline::{
        BACKUP_AGE, ClientIdentity, Guard, GuardCheck, NO_ENVIRONMENT, Notification, NotifyEvent, OLDEST_BACKUP,
        OnFailure, OnInterrupt, PeerKind, PeerSpec, Pipeline, PluginSource, Repetition, Retry, RollbackEntry,
        RuleSpans, SecretSource, Step, Tls, Waiver, Watch, Wave,
    },
    place::holds_another_name,
    plugins::{PluginFacts, check_against_plugins},
    policy::{ABOVE_POLICY, Policy, check_against_policy, policy, policy_of, policy_schema},
    read::{MAXIMUM_FILE_BYTES, read},
    schema::{
        ENCRYPTS, Encryption, EncryptionReader, RESTORES, Restoring, RestoringReader, SchemaRefused, compile_schema,
        read_schema, validate_resolved,
    },
    settings::{Settings, UnresolvedReference},
    suggestion::{Activity, Advice, Ended, EntryAdvice, RuleAdvice, Suggestion, activity, suggest},
    window::Window,
};
