//! What a statement may do, asked by SQLite itself while it compiles one: no spelling gets past it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::{
    super::{Access, MARKER_TABLE},
    functions::UNBOUNDED,
};

/// Pragmas that tell something, whatever argument they are given.
const TELLING: [&str; 14] = [
    "collation_list",
    "compile_options",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
    "module_list",
];

/// Pragmas that tell something without an argument, and set it with one.
const ASKING: [&str; 13] = [
    "application_id",
    "auto_vacuum",
    "data_version",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "query_only",
    "schema_version",
    "synchronous",
    "user_version",
];

/// Pragmas that may set something in a database that may be written.
const SETTING: [&str; 11] = [
    "application_id",
    "auto_vacuum",
    "defer_foreign_keys",
    "encoding",
    "foreign_keys",
    "incremental_vacuum",
    "legacy_alter_table",
    "optimize",
    "recursive_triggers",
    "user_version",
    "wal_checkpoint",
];

/// Shared between the connection and SQLite's hook.
pub(super) struct Authorizer {
    access: Access,
    own: Arc<AtomicBool>,
    denied: Arc<Mutex<Option<String>>>,
}

/// While it lives, transaction control is allowed.
pub(super) struct Own<'a>(&'a AtomicBool);

impl Drop for Own<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Authorizer {
    pub(super) fn new(access: Access) -> Self {
        Self { access, own: Arc::default(), denied: Arc::default() }
    }

    /// Allows our own transaction control.
    pub(super) fn own(&self) -> Own<'_> {
        self.own.store(true, Ordering::Release);
        Own(&self.own)
    }

    /// What was denied last, in words.
    pub(super) fn take_denied(&self) -> Option<String> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What SQLite calls.
    pub(super) fn hook(&self) -> impl FnMut(AuthContext<'_>) -> Authorization + Send + use<> {
        let (access, own, denied) = (self.access, Arc::clone(&self.own), Arc::clone(&self.denied));
        move |context: AuthContext<'_>| match decide(access, own.load(Ordering::Acquire), &context.action) {
            Ok(()) => Authorization::Allow,
            Err(reason) => {
                *denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                Authorization::Deny
            }
        }
    }
}

fn decide(access: Access, own: bool, action: &AuthAction<'_>) -> Result<(), String> {
    if !own && table(action).is_some_and(|table| table.eq_ignore_ascii_case(MARKER_TABLE)) {
        return Err(format!("`{MARKER_TABLE}` is the host's: it says what a step has committed"));
    }
    let reads = matches!(action, AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive);
    match action {
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
            Err("extensions are never loaded".to_owned())
        }
        AuthAction::Function { function_name }
            if UNBOUNDED.iter().any(|one| one.eq_ignore_ascii_case(function_name)) =>
        {
            Err(format!("`{function_name}` may take longer than the step: its time has no bound"))
        }
        AuthAction::Function { .. } => Ok(()),
        AuthAction::Pragma { pragma_name, pragma_value } => pragma(access, pragma_name, *pragma_value),
        _ if reads => Ok(()),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Err("ATTACH, DETACH and VACUUM reach other files".to_owned())
        }
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => match own {
            true => Ok(()),
            false => Err("transactions begin and end by begin, commit and rollback of the connection".to_owned()),
        },
        AuthAction::Unknown { .. } => Err("SQLite asks for something that is not known here".to_owned()),
        _ if access == Access::Write => Ok(()),
        _ => Err("the statement does not only read".to_owned()),
    }
}

/// The table or view that an action is about.
fn table<'c>(action: &AuthAction<'c>) -> Option<&'c str> {
    match action {
        AuthAction::AlterTable { table_name, .. }
        | AuthAction::Analyze { table_name }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::CreateTable { table_name }
        | AuthAction::CreateTempIndex { table_name, .. }
        | AuthAction::CreateTempTable { table_name }
        | AuthAction::CreateTempTrigger { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::DropTempIndex { table_name, .. }
        | AuthAction::DropTempTable { table_name }
        | AuthAction::DropTempTrigger { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Read { table_name, .. }
        | AuthAction::Update { table_name, .. } => Some(table_name),
        AuthAction::CreateView { view_name }
        | AuthAction::CreateTempView { view_name }
        | AuthAction::DropView { view_name }
        | AuthAction::DropTempView { view_name } => Some(view_name),
        _ => None,
    }
}

fn pragma(access: Access, name: &str, value: Option<&str>) -> Result<(), String> {
    let is_one_of = |names: &[&str]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let sets_journal = || {
        name.eq_ignore_ascii_case("journal_mode")
            && value.is_some_and(|mode| {
                ["wal", "delete", "truncate", "persist"].iter().any(|safe| safe.eq_ignore_ascii_case(mode))
            })
    };
    let allowed = is_one_of(&TELLING)
        || (value.is_none() && is_one_of(&ASKING))
        || (access == Access::Write && (is_one_of(&SETTING) || sets_journal()));
    if allowed { Ok(()) } else { Err(format!("the pragma `{name}` is not one that may be used here")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pragmas() {
        for (name, value, read, write) in [
            ("user_version", None, true, true),
            ("USER_VERSION", Some("5"), false, true),
            ("table_info", Some("t"), true, true),
            ("journal_mode", None, true, true),
            ("journal_mode", Some("wal"), false, true),
            ("journal_mode", Some("off"), false, false),
            ("query_only", Some("0"), false, false),
            ("writable_schema", None, false, false),
            ("writable_schema", Some("1"), false, false),
            ("temp_store_directory", Some("'/'"), false, false),
            ("synchronous", Some("off"), false, false),
            ("database_list", None, false, false),
            ("busy_timeout", Some("999999"), false, false),
            ("trusted_schema", Some("1"), false, false),
        ] {
            assert_eq!(pragma(Access::Read, name, value).is_ok(), read, "read {name} {value:?}");
            assert_eq!(pragma(Access::Write, name, value).is_ok(), write, "write {name} {value:?}");
        }
    }

    #[test]
    fn transactions_are_our_own() {
        let begin = AuthAction::Transaction { operation: rusqlite::hooks::TransactionOperation::Begin };
        assert!(decide(Access::Write, false, &begin).is_err());
        let authorizer = Authorizer::new(Access::Write);
        drop(authorizer.own());
        assert!(!authorizer.own.load(Ordering::Acquire));
        assert_eq!(decide(Access::Read, true, &begin), Ok(()));
    }
}
