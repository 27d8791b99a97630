//! `pipe plan`.

mod preview;

use std::path::{Path, PathBuf};

use clap::Args;
use pipe_core::{
    event::{Breach, Share},
    limits::{Limit, Limits},
    redact::Redactor,
};
use pipe_pipeline::RunFacts;
use pipe_runner::{Plan, PlanEntry, PlannedGate, PlannedGuard, PlannedPhase, Previews, Role};

use super::{loading, lock::Locking, output_file};
use crate::{
    arguments::Selection,
    exit::Exit,
    failure::Failure,
    printer::{CAREFUL, Printer, QUIET, STRONG, styled},
};

/// How the lines of a grant begin that let programs run.
const NATIVE: &str = "allow.exec = ";

/// Say what a run would do: steps, plugins, grants and limits, and what is undone on failure
///
/// Checks what `pipe check` checks, for one environment, and touches nothing. Whether secrets and directories are there is
/// known when the run begins. With `--preview` plugins also look at what is there now, and say what their steps would do.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    locking: Locking,

    /// Write the plan as JSON to a file
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Ask plugins what their steps would do: runs them, with each step's grant cut down to reading
    ///
    /// Plugins look at files, databases and servers as they are now, with the secrets of the pipeline where the host puts them in.
    /// Nothing is changed: they send GET and HEAD alone, read databases and files, run no program and are told no secret. Each use
    /// and each refusal is written into the audit log. What they say is no part of the plan, of its hash, or of the file that
    /// `--out` writes: it may be something else when the plan runs.
    #[arg(long)]
    preview: bool,
}

/// Plans the run.
pub(crate) async fn plan(
    arguments: &PlanArguments,
    state: Option<&Path>,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let loaded = loading::load(&arguments.selection, arguments.locking, state, printer)?;
    let state = loaded.state.clone();
    let policies = loading::policies(&arguments.selection)?;
    let sandbox = loading::sandbox(printer)?;
    let planned = {
        let run = RunFacts { id: loaded.run.clone(), started: loaded.started };
        let pipeline = &loaded.checked.pipeline;
        pipe_runner::plan(pipeline, &sandbox, crate::standard::component, &policies, &run).await?
    };
    let plan = &planned.plan;
    if let Some(path) = &arguments.out {
        let json =
            serde_json::to_string_pretty(plan).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        output_file::write(path, &[&arguments.selection.file, &state], |file| Ok(writeln!(file, "{json}")?))?;
    }
    let previews = match arguments.preview {
        true => Some(preview::ask(loaded, &planned, &sandbox, policies, redactor).await?),
        false => None,
    };
    if printer.json() {
        printer.value(plan);
        previews.iter().for_each(|previews| printer.value(previews));
    } else {
        print(plan, previews.as_ref(), printer);
        previews.iter().for_each(|previews| preview::print_end(previews, &state, printer));
    }
    Ok(Exit::Succeeded)
}

fn print(plan: &Plan, previews: Option<&Previews>, printer: Printer) {
    printer.result(&format!("{} in {}", styled(STRONG, &plan.pipeline), plan.environment));
    for (name, value) in &plan.inputs {
        printer.result(&format!("  input {name} = {value}"));
    }
    for (name, address) in &plan.peers {
        printer.result(&format!("  peer {name} = {address}"));
    }
    if !plan.secrets.is_empty() {
        printer.result(&format!("  secrets {}", plan.secrets.join(", ")));
    }
    let usual = limits(&Limits::default(), |_, _| true);
    printer.result(&format!("\nA call may take {}, unless its step says otherwise", usual.join(", ")));
    if plan.entries.iter().any(|entry| entry.planned.grant.iter().any(|line| line.starts_with(NATIVE))) {
        printer.result(&format!(
            "A program may take {}, unless its rule says otherwise",
            pipe_runner::usual_bounds().join(", ")
        ));
    }
    for (role, title) in [
        (Role::Step, "Steps"),
        (Role::Rollback, "After a rollback"),
        (Role::Notification, "Notifications"),
        (Role::Check, "Checks of guards and of the watch"),
    ] {
        let entries: Vec<&PlanEntry> = plan.entries.iter().filter(|entry| entry.role == role).collect();
        if entries.is_empty() {
            continue;
        }
        printer.result(&format!("\n{}", styled(STRONG, title)));
        let gates: Vec<&PlannedGate> = plan.gates.iter().filter(|gate| gate.of == role && role == Role::Step).collect();
        for entry in entries {
            for gate in gates.iter().filter(|gate| gate.before.as_ref() == Some(&entry.planned.step)) {
                print_gate(gate, printer);
            }
            print_entry(entry, printer);
            let of_step = previews.filter(|_| role == Role::Step).map(|previews| &previews.steps);
            let said = of_step.and_then(|steps| steps.iter().find(|said| said.step == entry.planned.step));
            said.iter().for_each(|said| preview::print(said, &entry.planned.plugin.name, printer));
        }
        for gate in gates.iter().filter(|gate| gate.before.is_none()) {
            print_gate(gate, printer);
        }
    }
    if !plan.phases.is_empty() {
        printer.result(&format!("\n{}", styled(STRONG, "Phases")));
        plan.phases.iter().for_each(|phase| print_phase(phase, printer));
    }
    printer.result(&format!("\n{}", styled(STRONG, "On failure, of what was started")));
    let undo = if plan.undo.is_empty() { "nothing can be undone".to_owned() } else { plan.undo.join(", then ") };
    printer.result(&format!("  {undo}"));
    for gate in plan.gates.iter().filter(|gate| gate.of == Role::Rollback) {
        print_gate(gate, printer);
    }
    if let Some(watch) = &plan.watch {
        printer.result(&format!("\n{}", styled(STRONG, "After the last step")));
        printer.result(&format!("  watched for {}", duration(watch.for_ms)));
        print_guard(&watch.guard, printer);
    }
    printer.result(&format!("\nplan {}", plan.digest()));
}

/// Those that `are_shown`, in words.
fn limits(limits: &Limits, are_shown: impl Fn(Limit, u64) -> bool) -> Vec<String> {
    let shown = limits.iter().filter(|&(limit, amount)| are_shown(limit, amount));
    shown.map(|(limit, amount)| format!("{} {}", limit.word(), limit.shown(amount))).collect()
}

/// Who is waited for, how long, and for what.
fn print_gate(gate: &PlannedGate, printer: Printer) {
    let people = if gate.quorum == 1 { "one person".to_owned() } else { format!("{} people", gate.quorum) };
    let signers = format!("gate, signers {}", gate.signers.short());
    printer.result(&format!("  {} {}", styled(CAREFUL, &gate.gate.to_string()), styled(QUIET, &signers)));
    let started = gate.if_started.iter().map(|step| format!(", if \"{step}\" was started")).collect::<String>();
    printer.result(&format!(
        "    waits for {people} of {}{started}; after {}: {}",
        gate.role,
        pipe_core::units::format_duration(std::time::Duration::from_millis(gate.expires_ms)),
        gate.on_expiry
    ));
    for item in &gate.checklist {
        let by = item.step.iter().map(|step| format!(" (step \"{step}\")")).collect::<String>();
        printer.result(&format!("    ☐ {}{by}", item.item));
    }
}

/// When it is due, and what it holds.
fn print_phase(phase: &PlannedPhase, printer: Printer) {
    let shown = |moment: jiff::Timestamp| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let until = phase.until.map(|until| format!(", begins until {} or not at all", shown(until))).unwrap_or_default();
    let age = phase.max_age_ms.map(duration);
    let age = age.map(|age| format!(", with results of earlier phases not older than {age}")).unwrap_or_default();
    let name = styled(STRONG, &phase.phase.to_string());
    printer.result(&format!("  {name} {}{}{until}{age}", styled(QUIET, "due "), shown(phase.due)));
    let steps = if phase.steps.is_empty() { "every other step".to_owned() } else { phase.steps.join(", ") };
    printer.result(&format!("    {steps}"));
}

fn print_guard(guard: &PlannedGuard, printer: Printer) {
    printer.result(&format!("    every {}", duration(guard.every_ms)));
    for check in &guard.checks {
        let then = match check.breach {
            Breach::Rollback => "or what was started is undone",
            Breach::Ask => "or somebody is asked",
            Breach::Warn => "or it is only said",
        };
        printer.result(&format!("      \"{}\" is met, {then}", check.check));
    }
}

fn duration(milliseconds: u64) -> String {
    pipe_core::units::format_duration(std::time::Duration::from_millis(milliseconds))
}

fn print_entry(entry: &PlanEntry, printer: Printer) {
    let planned = &entry.planned;
    let reversible = if planned.reversible { ", reversible" } else { "" };
    printer.result(&format!(
        "  {} {}",
        styled(STRONG, &planned.step.to_string()),
        styled(
            QUIET,
            &format!(
                "{}, {} {} {}{reversible}",
                planned.stage,
                planned.plugin.name,
                planned.plugin.version,
                planned.plugin.digest.short()
            )
        ),
    ));
    let attempts = if entry.attempts == 1 { String::new() } else { format!(", {} attempts", entry.attempts) };
    printer.result(&styled(QUIET, &format!("    at most {}{attempts}", duration(entry.timeout_ms),)));
    for wave in &entry.waves {
        let then = if wave.hold_ms == 0 { String::new() } else { format!(", held for {}", duration(wave.hold_ms)) };
        printer.result(&format!("    wave {}{then}", Share(wave.weight)));
    }
    if let Some(guard) = &entry.guard {
        print_guard(guard, printer);
    }
    let own = limits(&entry.limits, |limit, amount| amount != Limits::default().get(limit));
    if !own.is_empty() {
        printer.result(&styled(QUIET, &format!("    limits {}", own.join(", "))));
    }
    for secret in &planned.reveals {
        printer.result(&format!("    {}", styled(CAREFUL, &format!("gets the plaintext of secret `{secret}`"))));
    }
    for line in &planned.grant {
        // The line can be copied as it stands.
        let note = if line.starts_with(NATIVE) { styled(QUIET, "  # native code").to_string() } else { String::new() };
        printer.result(&format!("    {line}{note}"));
    }
}
