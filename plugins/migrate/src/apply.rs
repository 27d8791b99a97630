//! `kind = "sql-files"`: applies what is missing.

use std::time::Instant;

use pipe_sdk::{Context, Failure, FailureKind, Finding, log, sql::Access, units::count};

use crate::{
    database::{Database, Host},
    directory::{self, Migration},
    identifier::TableName,
    plan::{self, Applied, Conflict, Rules},
    preview,
    settings::{SqlFiles, Together},
    table::VersionTable,
    text,
    undo::{self, Receipt},
    version::Version,
};

/// As many migrations as one call applies: the host keeps 1,000 receipts a step.
const MAX_PENDING: usize = 900;
/// As large as a receipt may be.
const MAX_RECEIPT: usize = 1 << 20;

/// What was changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changed {
    /// Version before.
    pub(crate) before: Option<String>,
    /// Version now.
    pub(crate) after: Option<String>,
    /// Names of what was applied, in order.
    pub(crate) applied: Vec<String>,
    /// What was checked.
    pub(crate) findings: Vec<Finding>,
}

/// One set of files and the database they belong to.
pub(crate) struct SqlStep<'s> {
    settings: &'s SqlFiles,
    context: &'s Context,
    host: &'s dyn Host,
    name: TableName,
    rules: Rules,
    migrations: Vec<Migration>,
}

impl<'s> SqlStep<'s> {
    /// Reads the settings and the files. Touches no database.
    pub(crate) fn read(context: &'s Context, settings: &'s SqlFiles, host: &'s dyn Host) -> Result<Self, Failure> {
        let name = TableName::parse(&settings.table)
            .ok_or_else(|| Failure::settings(format!("table {:?} is no plain name of a table", settings.table)))?;
        let target = match &settings.target {
            Some(text) => Some(
                Version::parse(text)
                    .ok_or_else(|| Failure::settings(format!("target {text:?} is no version: digits only")))?,
            ),
            None => None,
        };
        if settings.lock_timeout.0.is_zero() {
            return Err(Failure::settings("lock_timeout must be more than nothing: 0 means to wait for ever"));
        }
        let rules = Rules { target, out_of_order: settings.out_of_order, require_down: settings.require_down };
        let migrations = directory::read(&settings.directory)?;
        Ok(Self { settings, context, host, name, rules, migrations })
    }

    /// Looks whether everything could be applied, and changes nothing.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let database = self.open()?;
        let table = VersionTable::find(&*database, &self.name)?;
        let rows = table.rows(&*database)?;
        let plan = plan::plan(&self.migrations, &rows, &self.rules).map_err(refused)?;
        self.scripts(&*database, &plan.pending)?;
        self.receipts(&table, &*database, &plan.pending).map(|_| ())
    }

    /// What applying would do, a line each. Looks as applying does, with a connection that can only read.
    pub(crate) fn preview(&self) -> Result<Vec<String>, Failure> {
        let peer = &self.settings.peer;
        let database = self.host.open(peer, Access::Read)?;
        let table = VersionTable::find(&*database, &self.name)?;
        let rows = table.rows(&*database)?;
        let plan = plan::plan(&self.migrations, &rows, &self.rules).map_err(refused)?;
        self.scripts(&*database, &plan.pending)?;
        self.receipts(&table, &*database, &plan.pending)?;
        Ok(preview::lines(peer, &plan, self.settings.transaction))
    }

    /// Applies what is missing. What was found until a failure goes with it.
    pub(crate) fn apply(&self) -> Result<Changed, Failure> {
        let mut changed = Changed::default();
        match self.run(&mut changed) {
            Ok(()) => Ok(changed),
            Err(mut failure) => {
                changed.findings.append(&mut failure.findings);
                Err(failure.with_findings(changed.findings))
            }
        }
    }

    fn open(&self) -> Result<Box<dyn Database>, Failure> {
        Ok(self.host.open(&self.settings.peer, Access::Write)?)
    }

    fn run(&self, changed: &mut Changed) -> Result<(), Failure> {
        let database = self.open()?;
        let table = VersionTable::find(&*database, &self.name)?;
        let mut rows = table.rows(&*database)?;
        let plan = plan::plan(&self.migrations, &rows, &self.rules).map_err(refused)?;
        self.scripts(&*database, &plan.pending)?;
        let receipts = self.receipts(&table, &*database, &plan.pending)?;
        drop(database);

        let files = count(self.migrations.len(), "file", "files");
        let counts = format!("{files}, {} applied, {} to apply", rows.len(), plan.pending.len());
        changed.findings.push(Finding::pass(counts).named(format!("migrations in {}", self.settings.directory)));
        changed.findings.extend(plan.notes.iter().map(|note| Finding::warn(note).named("migration file")));
        changed.before.clone_from(&plan.before);
        match self.settings.transaction {
            Together::Each => {
                for (migration, receipt) in plan.pending.iter().zip(&receipts) {
                    self.save(receipt)?;
                    self.together(&table, &mut rows, &[*migration], changed)?;
                }
            }
            Together::All if plan.pending.is_empty() => {}
            Together::All => {
                for receipt in &receipts {
                    self.save(receipt)?;
                }
                self.together(&table, &mut rows, &plan.pending, changed)?;
            }
        }
        changed.after = rows.iter().max_by_key(|row| row.version).map(Applied::label);
        Ok(())
    }

    /// Looks for what the host would refuse, in both directions.
    fn scripts(&self, database: &dyn Database, pending: &[&Migration]) -> Result<(), Failure> {
        for script in pending.iter().flat_map(|migration| [Some(&migration.up), migration.down.as_ref()]).flatten() {
            if let Some(word) = text::refused(&script.text, database.dialect()) {
                return Err(Failure::settings(format!(
                    "{} holds {word}: the transaction is the plugin's, and files of the server cannot be reached",
                    script.file
                )));
            }
        }
        Ok(())
    }

    fn save(&self, receipt: &Receipt) -> Result<(), Failure> {
        self.host.save(&receipt.key(), receipt, &receipt.summary())
    }

    /// Applies migrations in one transaction on a connection of its own: what a script sets on its session (a search
    /// path, a role) must not reach the next one.
    fn together(
        &self,
        table: &VersionTable,
        rows: &mut Vec<Applied>,
        migrations: &[&Migration],
        changed: &mut Changed,
    ) -> Result<(), Failure> {
        let database = self.open()?;
        let mut added = Vec::new();
        let mut findings = Vec::new();
        database.transaction(&mut |database| {
            table.lock(database, self.settings.lock_timeout.0)?;
            if table.rows(database)? != *rows {
                return Err(Failure::conflict("somebody else is migrating the same database").retryable(true));
            }
            table.ensure(database)?;
            for migration in migrations {
                let started = Instant::now();
                log::info(format!("applying {}", migration.up.file));
                let row = self.row(migration, rows.len() + added.len(), rows);
                database.script(&migration.up.text).map_err(|error| Failure::from(error).within(&migration.up.file))?;
                table.insert(database, &row).map_err(|error| Failure::from(error).within(&migration.up.file))?;
                added.push(row);
                findings.push(Finding::pass("applied").named(&migration.up.file).took(started.elapsed()));
            }
            Ok(())
        })?;
        changed.applied.extend(added.iter().map(|row| row.name.clone()));
        changed.findings.append(&mut findings);
        rows.append(&mut added);
        Ok(())
    }

    fn row(&self, migration: &Migration, count: usize, rows: &[Applied]) -> Applied {
        // Rows that were taken back leave gaps, so the count alone would not do.
        let last = rows.iter().map(|row| row.position).max().unwrap_or(0);
        let beyond = i64::try_from(count - rows.len()).unwrap_or(0);
        Applied {
            version: migration.version.number,
            name: migration.name.clone(),
            checksum: migration.up.checksum.clone(),
            down_checksum: migration.down.as_ref().map(|down| down.checksum.clone()),
            position: last + beyond + 1,
            run: self.context.run_id.clone(),
            step: undo::owner(self.context),
        }
    }

    /// The receipts of everything that is to be applied. Checked before the first act: a receipt that is too large would
    /// stop the step half way.
    fn receipts(
        &self,
        table: &VersionTable,
        database: &dyn Database,
        pending: &[&Migration],
    ) -> Result<Vec<Receipt>, Failure> {
        if pending.len() > MAX_PENDING {
            return Err(Failure::settings(format!(
                "{} migrations at once are more than {MAX_PENDING}; apply them in parts with `target`",
                pending.len()
            )));
        }
        let receipt = |migration: &&Migration| {
            let receipt = Receipt::of(migration, self.settings, table, database.dialect());
            let size = serde_json::to_vec(&receipt).map_or(usize::MAX, |bytes| bytes.len());
            if size <= MAX_RECEIPT {
                return Ok(receipt);
            }
            let file = migration.down.as_ref().map_or(&migration.up.file, |down| &down.file);
            Err(Failure::settings(format!("{file} is too large to be kept for undo: a receipt holds 1 MiB")))
        };
        pending.iter().map(receipt).collect()
    }
}

/// What is in the way, as a failure: every conflict a finding, the first one with advice.
fn refused(conflicts: Vec<Conflict>) -> Failure {
    let settings = |conflict: &Conflict| matches!(conflict, Conflict::NoDown { .. } | Conflict::UnknownTarget { .. });
    let kind = if conflicts.iter().all(settings) { FailureKind::Settings } else { FailureKind::Conflict };
    let message = match conflicts.as_slice() {
        [] => "nothing may be applied".to_owned(),
        [only] => format!("{only}; {}", only.advice()),
        [first, rest @ ..] => format!("{first}; {} ({} more in the findings)", first.advice(), rest.len()),
    };
    let finding = |conflict: &Conflict| Finding::fail(conflict.to_string()).named("migration");
    Failure::new(kind, message).with_findings(conflicts.iter().map(finding).collect())
}

#[cfg(test)]
mod tests;
