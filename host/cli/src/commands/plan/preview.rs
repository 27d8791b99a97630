//! `pipe plan --preview`: what each step would do, by the word of its plugin.

use std::{path::Path, sync::Arc};

use pipe_core::redact::Redactor;
use pipe_journal::Journal;
use pipe_pipeline::Policy;
use pipe_runner::{Planned, PrepareError, Preview, Previews, Said};
use pipe_sandbox::Sandbox;

use crate::{
    commands::loading::{self, Loaded},
    failure::Failure,
    places,
    printer::{ADVICE, BAD, CAREFUL, Printer, QUIET, STRONG, styled},
};

/// Asks the plugins. The state directory is made where there is none: what they use and are refused is written down there.
pub(super) async fn ask(
    loaded: Loaded,
    planned: &Planned,
    sandbox: &Sandbox,
    policies: Vec<Policy>,
    redactor: Redactor,
) -> Result<Previews, Failure> {
    loading::make_state(&loaded.state)?;
    // What it writes must not be at the cost of a run that may have to be undone.
    if !pipe_journal::has_room(&loaded.state)? {
        return Err(PrepareError::NoRoom.into());
    }
    let journal = Arc::new(Journal::open(&loaded.state, redactor.clone())?);
    let (checked, settings) = loading::settings(loaded, policies)?;
    let asked = pipe_runner::preview(&checked.pipeline, sandbox, planned, &journal, redactor, settings).await;
    let closed = journal.close().await;
    let previews = asked?;
    closed?;
    Ok(previews)
}

/// What a plugin says, below its step.
pub(super) fn print(preview: &Preview, plugin: &str, printer: Printer) {
    let quiet = |text: String| printer.result(&format!("    {}", styled(QUIET, &text)));
    match &preview.said {
        Said::Nothing => quiet(format!("{plugin} does not say what it would do")),
        Said::Later { after } => {
            let steps: Vec<String> = after.iter().map(|step| format!("\"{step}\"")).collect();
            let have = if steps.len() == 1 { "has" } else { "have" };
            quiet(format!("what it would do is known only once {} {have} run", steps.join(" and ")));
        }
        Said::Would { lines } if lines.is_empty() => quiet(format!("{plugin} says that it would do nothing")),
        Said::Would { lines } => {
            printer.result(&format!("    {plugin} says that it would"));
            for line in lines {
                printer.result(&format!("      {} {line}", styled(STRONG, "·")));
            }
        }
        Said::Unknown { failure } => {
            let why = format!("what it would do is not known: {}: {}", failure.kind.word(), failure.message);
            printer.result(&format!("    {} {why}", styled(CAREFUL, "!")));
            if let Some(hint) = &failure.hint {
                printer.result(&format!("      {}: {hint}", styled(ADVICE, "hint")));
            }
        }
    }
    for refusal in &preview.refused {
        let what = format!("refused {} {}: {}", refusal.word, refusal.subject, refusal.reason);
        printer.result(&format!("      {} {what}", styled(BAD, "✗")));
    }
    if preview.further_refusals > 0 {
        quiet(format!("  and {} refusals more, which the audit log has", preview.further_refusals));
    }
}

/// What all of it is worth, and where it is written down.
pub(super) fn print_end(previews: &Previews, state: &Path, printer: Printer) {
    let id = &previews.preview;
    printer.talk("what plugins say they would do is what they see now: the plan and its hash do not hold them to it");
    let shown = places::in_shell(state);
    printer.talk(&format!("asked as {id}: `pipe log export --run {id} --state {shown}` has each use and refusal"));
}
