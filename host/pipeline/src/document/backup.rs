//! What a migration says of the backup that it leans on.

use std::time::Duration;

use pipe_core::stage::Stage;

use super::step::Body;
use crate::{
    fields::Fields,
    keys,
    pipeline::{OLDEST_BACKUP, Waiver},
    report::Report,
};

/// Means nothing but in a migration.
pub(super) fn without_backup(report: &Report, fields: &Fields<'_>, body: Option<&Body>) -> Option<Waiver> {
    let entry = fields.get("without_backup")?;
    let inner = Fields::of(report, &entry.node, keys::WITHOUT_BACKUP)?;
    let role = inner.required("role", "`role = \"…\"`: in which role somebody accepts it");
    let reason = inner.required("reason", "`reason = \"…\"`: why there is nothing to lose");
    if let Some(Body::Call(call)) = body
        && call.stage != Stage::Migrate
    {
        let message = "`without_backup` means nothing here: only a migration needs a backup before it";
        report.error("misplaced-key", message, entry.key_span.clone(), "");
    }
    let (role, reason) = (role?, reason?);
    if let Some(empty) = [&role, &reason].into_iter().find(|text| text.value.trim().is_empty()) {
        report.error("bad-value", "it says nothing", empty.span.clone(), "");
        return None;
    }
    Some(Waiver { role: role.value, reason: reason.value })
}

/// Means nothing but in a migration, and nothing where it needs no backup.
pub(super) fn max_age(report: &Report, fields: &Fields<'_>, body: Option<&Body>) -> Option<Duration> {
    let entry = fields.get("backup_max_age")?;
    let message = match body {
        Some(Body::Call(call)) if call.stage != Stage::Migrate => {
            Some("`backup_max_age` means nothing here: only a migration needs a backup before it")
        }
        _ if fields.get("without_backup").is_some() => {
            Some("`backup_max_age` means nothing beside `without_backup`, which accepts that there is none")
        }
        _ => None,
    };
    if let Some(message) = message {
        report.error("misplaced-key", message, entry.key_span.clone(), "");
    }
    fields.duration("backup_max_age", OLDEST_BACKUP)
}
