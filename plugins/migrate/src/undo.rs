//! Takes migrations back, newest first.

use std::time::Duration;

use pipe_sdk::{
    Context, Failure, Finding, log,
    sql::{Access, Dialect},
    undo::Report,
};
use serde::{Deserialize, Serialize};

use crate::{
    database::{Database, Host},
    directory::Migration,
    plan::Applied,
    settings::SqlFiles,
    table::VersionTable,
};

/// Everything that undo needs: the directory may be another one by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    peer: String,
    sqlite: bool,
    schema: Option<String>,
    table: String,
    version: i64,
    /// `007_add_patients`.
    name: String,
    /// sha256 of the up file.
    checksum: String,
    /// The SQL that takes it back. Nothing where there was no down file.
    down: Option<String>,
    lock_timeout_ms: u64,
}

impl Receipt {
    /// The receipt of a migration that is about to be applied.
    pub(crate) fn of(migration: &Migration, settings: &SqlFiles, table: &VersionTable, dialect: Dialect) -> Self {
        let (schema, table) = table.parts();
        Self {
            peer: settings.peer.clone(),
            sqlite: dialect == Dialect::Sqlite,
            schema,
            table,
            version: migration.version.number,
            name: migration.name.clone(),
            checksum: migration.up.checksum.clone(),
            down: migration.down.as_ref().map(|down| down.text.clone()),
            lock_timeout_ms: u64::try_from(settings.lock_timeout.0.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Unique within a step, whatever databases it migrates.
    pub(crate) fn key(&self) -> String {
        format!("migration {} of {} in {}", self.version, self.qualified(), self.peer)
    }

    /// What a person would do.
    pub(crate) fn summary(&self) -> String {
        let Self { name, peer, version, .. } = self;
        let delete = format!("DELETE FROM {} WHERE version = {version}", self.qualified());
        match self.down {
            Some(_) => format!("on {peer}, in one transaction: run {name}.down.sql, then {delete}"),
            None => format!("on {peer}: {name} has no down file; take it back by hand, then {delete}"),
        }
    }

    fn qualified(&self) -> String {
        self.schema.as_ref().map_or_else(|| self.table.clone(), |schema| format!("{schema}.{}", self.table))
    }

    fn version_table(&self) -> Result<VersionTable, Failure> {
        let dialect = if self.sqlite { Dialect::Sqlite } else { Dialect::Postgresql };
        VersionTable::remembered(dialect, self.schema.as_deref(), &self.table)
            .ok_or_else(|| Failure::conflict(format!("the receipt of {} names no table", self.name)))
    }
}

/// Who a row belongs to, besides the run.
pub(crate) fn owner(context: &Context) -> String {
    match &context.instance {
        Some(instance) => format!("{}[{instance}]", context.step),
        None => context.step.clone(),
    }
}

/// Takes back what the receipts say, newest first. Stops at the first one that cannot be taken back: older migrations
/// must not be pulled away from under it.
pub(crate) fn undo(context: &Context, receipts: &[Receipt], host: &dyn Host) -> Result<Report, Failure> {
    let mut report = Report::default();
    for receipt in receipts.iter().rev() {
        take_back(context, receipt, host, &mut report).map_err(|failure| {
            let mut findings = std::mem::take(&mut report.findings);
            findings.push(Finding::fail(&failure.message).named(&receipt.name));
            failure.with_findings(findings)
        })?;
    }
    Ok(report)
}

fn take_back(context: &Context, receipt: &Receipt, host: &dyn Host, report: &mut Report) -> Result<(), Failure> {
    let database = host.open(&receipt.peer, Access::Write)?;
    let table = receipt.version_table()?;
    let Some(position) = applied_by(context, receipt, &table.rows(&*database)?) else {
        let message = "was not applied by this step, or is taken back already";
        report.findings.push(Finding::skip(message).named(&receipt.name));
        return Ok(());
    };
    let Some(down) = &receipt.down else {
        return Err(Failure::conflict(format!(
            "{} cannot be taken back: it has no down file (require_down = false)",
            receipt.name
        )));
    };
    database.transaction(&mut |database| {
        table.lock(database, Duration::from_millis(receipt.lock_timeout_ms))?;
        let rows = table.rows(database)?;
        if applied_by(context, receipt, &rows) != Some(position) {
            return Err(Failure::conflict("somebody else is migrating the same database").retryable(true));
        }
        if let Some(later) = rows.iter().find(|row| row.position > position) {
            return Err(Failure::conflict(format!(
                "{} cannot be taken back: {} was applied after it, by step {} of run {}",
                receipt.name, later.name, later.step, later.run
            )));
        }
        revert(database, &table, receipt, down)
    })?;
    report.findings.push(Finding::pass("taken back").named(&receipt.name));
    report.undone.push(format!("took {} back", receipt.name));
    Ok(())
}

fn revert(database: &dyn Database, table: &VersionTable, receipt: &Receipt, down: &str) -> Result<(), Failure> {
    let file = format!("{}.down.sql", receipt.name);
    log::info(format!("running {file}"));
    // The row first: what the script sets on its session cannot hide the table then.
    table.delete(database, receipt.version)?;
    database.script(down).map_err(|error| Failure::from(error).within(file))
}

/// The position of the receipt's migration, where its row says that this step of this run applied this very file.
fn applied_by(context: &Context, receipt: &Receipt, rows: &[Applied]) -> Option<i64> {
    let ours = |row: &&Applied| {
        row.version == receipt.version
            && row.run == context.run_id
            && row.step == owner(context)
            && row.checksum == receipt.checksum
    };
    rows.iter().find(ours).map(|row| row.position)
}
