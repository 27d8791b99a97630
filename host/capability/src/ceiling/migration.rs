//! What a ceiling requires before a migration: a backup that may be all that it asks of one, and is not too old.

use pipe_core::{stage::Stage, units::format_duration};

use super::{Against, BackupSeen, Excess, Part, Requirements, StepSeen};

impl Requirements {
    /// Everything of a migration that does not hold, as far as that is known before the run.
    pub(super) fn migration(&self, step: &StepSeen<'_>) -> Vec<Excess> {
        if step.stage != Stage::Migrate {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut breach = |key: &'static str, means: String, why: String| {
            found.push(Excess { at: Part::Whole, against: Against::Requirement(key), means, why });
        };
        let why = |what: &str| format!("a migration needs {what} backup before it");
        if self.encrypted_backup_before_migrate
            && let Some(means) = missing(step.backups, |backup| &backup.in_the_clear)
        {
            breach(Self::ENCRYPTED_BACKUP, means, why("an encrypted"));
        }
        if self.restored_backup_before_migrate {
            let encrypted = |backup: &BackupSeen| backup.in_the_clear.is_none();
            let both = self.encrypted_backup_before_migrate && step.backups.iter().any(encrypted);
            let counts = step.backups.iter().filter(|backup| !both || encrypted(backup));
            if let Some(means) = missing(counts, |backup| &backup.not_restored) {
                breach(Self::RESTORED_BACKUP, means, why("a restored"));
            }
        }
        if let (Some(most), Some(age)) = (self.backup_max_age, step.backup_age)
            && age > most
        {
            let means = format!("its backup may be {} old", format_duration(age));
            breach(Self::BACKUP_MAX_AGE, means, format!("{} is the most", format_duration(most)));
        }
        found
    }
}

/// Why none of these backups will do, by the first of them. Nothing where one may.
fn missing<'a>(
    backups: impl IntoIterator<Item = &'a BackupSeen>,
    why: impl Fn(&'a BackupSeen) -> &'a Option<String>,
) -> Option<String> {
    let mut first = None;
    for backup in backups {
        match why(backup) {
            None => return None,
            Some(why) => first = first.or(Some(why)),
        }
    }
    Some(first.map_or_else(|| "no backup step stands before this one".to_owned(), Clone::clone))
}
