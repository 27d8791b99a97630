//! What is to be applied, and whether it may be. Pure: files and rows in, plan or conflicts out.

use std::{collections::BTreeMap, fmt};

use crate::{directory::Migration, version::Version};

/// A row of the version table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Number of the version.
    pub(crate) version: i64,
    /// Name of the migration at that time.
    pub(crate) name: String,
    /// sha256 of the file that was applied.
    pub(crate) checksum: String,
    /// sha256 of its down file at that time.
    pub(crate) down_checksum: Option<String>,
    /// Its place in the order in which migrations were applied.
    pub(crate) position: i64,
    /// Run that applied it.
    pub(crate) run: String,
    /// Step of that run.
    pub(crate) step: String,
}

impl Applied {
    /// The version as its file writes it.
    pub(crate) fn label(&self) -> String {
        Version::of_name(&self.name).map_or_else(|| self.version.to_string(), |version| version.text)
    }
}

/// The settings that decide.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Last version to apply.
    pub(crate) target: Option<Version>,
    /// Whether a version below the current one may still be applied.
    pub(crate) out_of_order: bool,
    /// Whether each pending migration must have a down file.
    pub(crate) require_down: bool,
}

/// Why nothing may be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// An applied file is not what it was.
    Changed { file: String, applied: String, now: String },
    /// An applied version has no file any more.
    Gone { name: String },
    /// A version appeared below the current one.
    OutOfOrder { file: String, current: String },
    /// Nobody could take it back.
    NoDown { file: String },
    /// The database is further than the target.
    Beyond { current: String, target: String },
    /// The target is no version of the directory.
    UnknownTarget { target: String },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { file, applied, now } => write!(
                f,
                "{file} was changed after it was applied: its sha256 was {}… and is {}…",
                short(applied),
                short(now)
            ),
            Self::Gone { name } => write!(f, "{name} is applied, but {name}.up.sql is not in the directory"),
            Self::OutOfOrder { file, current } => {
                write!(f, "{file} is not applied, but the database is already at {current}")
            }
            Self::NoDown { file } => {
                write!(f, "{file} has no {} beside it, so it could not be taken back", file.replace(".up.", ".down."))
            }
            Self::Beyond { current, target } => {
                write!(f, "the database is at {current}, beyond the target {target}")
            }
            Self::UnknownTarget { target } => write!(f, "the target {target} is no version of the directory"),
        }
    }
}

impl Conflict {
    /// What may be done about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "restore the file, and put the change into a migration of its own",
            Self::Gone { .. } => "restore the file: the directory must hold every migration the database has",
            Self::OutOfOrder { .. } => "give it a higher version, or set `out_of_order = true`",
            Self::NoDown { .. } => "write the down file, or set `require_down = false`",
            Self::Beyond { .. } => "going back is the rollback's business: `target` only goes forward",
            Self::UnknownTarget { .. } => "name a version that has a file, or leave `target` out",
        }
    }
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan<'m> {
    /// Highest version that is applied.
    pub(crate) before: Option<String>,
    /// What is missing, lowest first.
    pub(crate) pending: Vec<&'m Migration>,
    /// What is odd but does no harm, for people.
    pub(crate) notes: Vec<String>,
}

/// Compares the directory with the version table. Names every conflict and not only the first.
pub(crate) fn plan<'m>(
    migrations: &'m [Migration],
    applied: &[Applied],
    rules: &Rules,
) -> Result<Plan<'m>, Vec<Conflict>> {
    let current = applied.iter().max_by_key(|row| row.version);
    let mut conflicts = target_conflicts(migrations, current, rules);
    let mut notes = Vec::new();
    compare_applied(migrations, applied, &mut conflicts, &mut notes);

    let rows: BTreeMap<i64, &Applied> = applied.iter().map(|row| (row.version, row)).collect();
    let wanted = |migration: &Migration| {
        let number = migration.version.number;
        !rows.contains_key(&number) && rules.target.as_ref().is_none_or(|target| number <= target.number)
    };
    let pending: Vec<_> = migrations.iter().filter(|migration| wanted(migration)).collect();
    for migration in &pending {
        if let Some(current) = current.filter(|row| !rules.out_of_order && migration.version.number < row.version) {
            conflicts.push(Conflict::OutOfOrder { file: migration.up.file.clone(), current: current.label() });
        }
        if rules.require_down && migration.down.is_none() {
            conflicts.push(Conflict::NoDown { file: migration.up.file.clone() });
        }
    }
    if conflicts.is_empty() { Ok(Plan { before: current.map(Applied::label), pending, notes }) } else { Err(conflicts) }
}

fn target_conflicts(migrations: &[Migration], current: Option<&Applied>, rules: &Rules) -> Vec<Conflict> {
    let Some(target) = &rules.target else { return Vec::new() };
    let mut conflicts = Vec::new();
    if !migrations.iter().any(|migration| migration.version == *target) {
        conflicts.push(Conflict::UnknownTarget { target: target.text.clone() });
    }
    if let Some(current) = current.filter(|row| row.version > target.number) {
        conflicts.push(Conflict::Beyond { current: current.label(), target: target.text.clone() });
    }
    conflicts
}

fn compare_applied(
    migrations: &[Migration],
    applied: &[Applied],
    conflicts: &mut Vec<Conflict>,
    notes: &mut Vec<String>,
) {
    let files: BTreeMap<i64, &Migration> =
        migrations.iter().map(|migration| (migration.version.number, migration)).collect();
    for row in applied {
        let Some(migration) = files.get(&row.version) else {
            conflicts.push(Conflict::Gone { name: row.name.clone() });
            continue;
        };
        if migration.up.checksum != row.checksum {
            conflicts.push(Conflict::Changed {
                file: migration.up.file.clone(),
                applied: row.checksum.clone(),
                now: migration.up.checksum.clone(),
            });
        }
        if migration.name != row.name {
            notes.push(format!("{} was applied under the name {}", migration.up.file, row.name));
        }
        if migration.down.as_ref().map(|down| &down.checksum) != row.down_checksum.as_ref() {
            notes.push(format!("the down file of {} is not what it was when it was applied", migration.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::pair;

    fn migrations(files: &[&str]) -> Vec<Migration> {
        pair(files.iter().map(|file| ((*file).to_owned(), file.as_bytes().to_vec())).collect()).unwrap()
    }

    fn applied(migrations: &[Migration], names: &[&str]) -> Vec<Applied> {
        let found = migrations.iter().filter(|migration| names.contains(&migration.name.as_str()));
        found
            .enumerate()
            .map(|(index, migration)| Applied {
                version: migration.version.number,
                name: migration.name.clone(),
                checksum: migration.up.checksum.clone(),
                down_checksum: migration.down.as_ref().map(|down| down.checksum.clone()),
                position: i64::try_from(index).unwrap() + 1,
                run: "run".to_owned(),
                step: "step".to_owned(),
            })
            .collect()
    }

    fn names(plan: &Plan<'_>) -> Vec<String> {
        plan.pending.iter().map(|migration| migration.name.clone()).collect()
    }

    const FILES: [&str; 5] = ["001_a.up.sql", "001_a.down.sql", "005_b.up.sql", "005_b.down.sql", "010_c.up.sql"];

    #[test]
    fn applies_what_is_missing_with_gaps() {
        let all = migrations(&FILES);
        let plan = plan(&all, &applied(&all, &["001_a"]), &Rules::default()).unwrap();
        assert_eq!((plan.before.as_deref(), names(&plan)), (Some("001"), vec!["005_b".to_owned(), "010_c".to_owned()]));
    }

    #[test]
    fn nothing_to_do_is_no_error() {
        let all = migrations(&FILES);
        let rows = applied(&all, &["001_a", "005_b", "010_c"]);
        let done = plan(&all, &rows, &Rules { require_down: true, ..Rules::default() }).unwrap();
        assert_eq!((done.before.as_deref(), names(&done).len(), done.notes.len()), (Some("010"), 0, 0));
        let empty = plan(&[], &[], &Rules::default()).unwrap();
        assert_eq!((empty.before, empty.pending.len()), (None, 0));
    }

    #[test]
    fn the_target_only_goes_forward() {
        let all = migrations(&FILES);
        let rules = |target: &str| Rules { target: Version::parse(target), ..Rules::default() };
        let some = plan(&all, &applied(&all, &["001_a"]), &rules("5")).unwrap();
        assert_eq!(names(&some), ["005_b"]);
        let back = plan(&all, &applied(&all, &["001_a", "005_b"]), &rules("1")).unwrap_err();
        assert_eq!(back, [Conflict::Beyond { current: "005".to_owned(), target: "1".to_owned() }]);
        let unknown = plan(&all, &[], &rules("7")).unwrap_err();
        assert_eq!(unknown, [Conflict::UnknownTarget { target: "7".to_owned() }]);
    }

    #[test]
    fn every_conflict_is_named() {
        let all = migrations(&["001_a.up.sql", "003_late.up.sql", "005_b.up.sql"]);
        let mut rows = applied(&all, &["001_a", "005_b"]);
        rows[0].checksum = "0".repeat(64);
        rows.push(Applied { version: 4, name: "004_gone".to_owned(), ..rows[0].clone() });
        let conflicts = plan(&all, &rows, &Rules { require_down: true, ..Rules::default() }).unwrap_err();
        let texts: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
        assert!(
            texts[0].starts_with("001_a.up.sql was changed after it was applied: its sha256 was 000000000000… and")
        );
        assert_eq!(texts[1], "004_gone is applied, but 004_gone.up.sql is not in the directory");
        assert_eq!(texts[2], "003_late.up.sql is not applied, but the database is already at 005");
        assert_eq!(texts[3], "003_late.up.sql has no 003_late.down.sql beside it, so it could not be taken back");
        assert_eq!(texts.len(), 4);
    }

    #[test]
    fn out_of_order_where_it_is_wanted() {
        let all = migrations(&["001_a.up.sql", "003_late.up.sql", "005_b.up.sql"]);
        let rules = Rules { out_of_order: true, ..Rules::default() };
        let plan = plan(&all, &applied(&all, &["001_a", "005_b"]), &rules).unwrap();
        assert_eq!((plan.before.as_deref(), names(&plan)), (Some("005"), vec!["003_late".to_owned()]));
    }

    #[test]
    fn a_down_file_that_changed_is_a_note() {
        let all = migrations(&FILES);
        let mut rows = applied(&all, &["001_a", "005_b", "010_c"]);
        rows[1].down_checksum = None;
        rows[2].name = "10_old".to_owned();
        let plan = plan(&all, &rows, &Rules::default()).unwrap();
        assert_eq!(plan.notes.len(), 2);
    }
}
