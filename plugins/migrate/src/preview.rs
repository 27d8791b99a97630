//! What a step would do, in words: which migrations, in which order, and which of them can be taken back.

use pipe_sdk::{Context, Failure, units::count};

use crate::{
    apply::SqlStep,
    database::Host,
    plan::Plan,
    settings::{SchemaVerify, Step, Together},
};

/// Says what every entry would do, by looking alone.
pub(crate) fn preview(context: &Context, steps: &[Step], host: &dyn Host) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for step in steps {
        match step {
            Step::SqlFiles(settings) => lines.extend(SqlStep::read(context, settings, host)?.preview()?),
            // Asked now, it would be asked of what is there before the migrations.
            Step::SchemaVerify(settings) => lines.push(questions(settings)),
        }
    }
    Ok(lines)
}

/// What applying a plan would do to a database.
pub(crate) fn lines(peer: &str, plan: &Plan<'_>, together: Together) -> Vec<String> {
    let before = plan.before.as_deref();
    let Some(last) = plan.pending.last() else {
        let at = before.map_or("as it is".to_owned(), |version| format!("at {version}"));
        return vec![format!("leave {peer} {at}: there is nothing to apply")];
    };
    // A version that comes late is lower than the one that is there.
    let newest = plan.pending.iter().map(|migration| migration.version.number).max();
    let after = match before {
        Some(before) if before.parse::<i64>().ok() > newest => before,
        _ => &last.version.text,
    };
    let how = match together {
        Together::All if plan.pending.len() > 1 => ", in one transaction",
        Together::All | Together::Each => "",
    };
    let migrations = count(plan.pending.len(), "migration", "migrations");
    let from = before.unwrap_or("no version");
    let mut lines = vec![format!("bring {peer} from {from} to {after} with {migrations}{how}")];
    lines.extend(plan.pending.iter().map(|migration| {
        let back = if migration.down.is_some() { "can" } else { "cannot" };
        format!("apply {}, which {back} be taken back", migration.up.file)
    }));
    lines.extend(plan.notes.iter().map(|note| format!("note that {note}")));
    lines
}

fn questions(settings: &SchemaVerify) -> String {
    let columns = settings.columns.values().map(Vec::len).sum::<usize>();
    let asked = [
        (settings.tables.len(), "table", "tables"),
        (columns, "column", "columns"),
        (settings.query.len(), "query", "queries"),
    ];
    let asked: Vec<String> = asked
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| count(number, one, many))
        .collect();
    format!("look at {} of {} then", asked.join(", "), settings.peer)
}
