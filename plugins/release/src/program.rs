//! `kind = "program"`: runs a program that releases.

use std::time::{SystemTime, UNIX_EPOCH};

use pipe_sdk::{
    Context, Error, ErrorKind, Failure, Finding, checkpoint, log, output,
    process::{self, Channel, Command, Exit},
    release, undo,
};
use serde::{Deserialize, Serialize};

use crate::{
    lines::Lines,
    settings::{Argv, Expect, Program},
};

/// Stands in an argument of `undo` for what was live before.
const PREVIOUS: &str = "{previous}";
/// As much as `current` may print.
const MAX_CURRENT: usize = 4096;

/// What undo must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    /// What was live before, where `current` said so.
    pub(crate) previous: Option<String>,
    /// What was about to be released.
    pub(crate) version: String,
    /// The command that takes it back: program, then arguments, with the previous version put in. Nothing where there is
    /// none, or where it needs a previous version and there was none.
    pub(crate) undo: Option<Vec<String>>,
}

/// What the host does for a program. A trait, so that the rest runs in native tests.
pub(crate) trait Host {
    /// Runs a command, and hands over what it writes.
    fn run(&self, command: &Command, each: &mut dyn FnMut(Channel, &[u8])) -> Result<Exit, Error>;
    /// Saves a receipt.
    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure>;
}

/// The host itself.
pub(crate) struct Pipe;

impl Host for Pipe {
    fn run(&self, command: &Command, each: &mut dyn FnMut(Channel, &[u8])) -> Result<Exit, Error> {
        command.stream(each)
    }

    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure> {
        checkpoint::save_json(key, receipt, summary)
    }
}

/// Releases.
pub(crate) fn publish(context: &Context, settings: &Program, host: &dyn Host) -> Result<release::Report, Failure> {
    let needs_previous = settings.undo.as_ref().is_some_and(|undo| undo.arguments.iter().any(|a| a.contains(PREVIOUS)));
    if needs_previous && settings.current.is_none() {
        return Err(Failure::settings(format!("{PREVIOUS} in undo needs `current`, which prints it")));
    }
    let mut findings = Vec::new();
    let previous = match &settings.current {
        Some(argv) => live(host, argv)?,
        None => None,
    };
    if settings.current.is_some() {
        let text = previous.as_ref().map_or("nothing is live".to_owned(), |version| format!("{version} is live"));
        findings.push(Finding::pass(text).named("before"));
    }
    if settings.undo.is_none() {
        findings.push(Finding::warn("no `undo`: what this step does cannot be taken back").named("undo"));
    }
    let receipt = receipt(settings, previous.clone());
    host.save(&key(context), &receipt, &summary(&receipt))?;

    let command = command(&settings.publish);
    let exit = run_logged(host, &command).map_err(|failure| failure.with_findings(findings.clone()))?;
    findings.push(Finding::pass(exit).named(command.program()));

    let current = match &settings.current {
        Some(argv) => after(host, argv, settings, &mut findings)?,
        None => settings.version.clone(),
    };
    let mut outputs = vec![output("version", &current)];
    outputs.extend(previous.as_ref().map(|previous| output("previous", previous)));
    Ok(release::Report { previous, current, findings, outputs })
}

/// What would be run. What is live now only a program could tell, and a preview runs none.
pub(crate) fn preview(settings: &Program) -> Vec<String> {
    let shown = |argv: &Argv| line(&argv.program, &argv.arguments);
    let mut lines = vec![format!("run {} for {}", shown(&settings.publish), settings.version)];
    lines.extend(settings.current.iter().map(|argv| format!("ask {} what is live, before and after", shown(argv))));
    lines.push(match &settings.undo {
        Some(argv) => format!("keep {} to take it back", shown(argv)),
        None => "keep nothing to take it back with".to_owned(),
    });
    lines
}

/// Every attempt keeps a receipt of its own: the first one alone knows what was live before the step.
fn key(context: &Context) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("attempt {} at {now}", context.attempt)
}

/// What is live after the release.
fn after(host: &dyn Host, argv: &Argv, settings: &Program, findings: &mut Vec<Finding>) -> Result<String, Failure> {
    let current = live(host, argv).map_err(|failure| failure.with_findings(findings.clone()))?;
    let shown = current.clone().unwrap_or_else(|| "nothing".to_owned());
    let met = current.is_some() && (settings.expect == Expect::Any || current.as_ref() == Some(&settings.version));
    let expected = match settings.expect {
        Expect::Version => settings.version.clone(),
        Expect::Any => "any version".to_owned(),
    };
    let finding = Finding::expect(met, format!("{shown} is live")).with_observed(&shown).with_expected(&expected);
    findings.push(finding.named("after"));
    match current {
        Some(current) if met => Ok(current),
        _ => {
            let message = format!("{shown} is live after the release, not {expected}");
            Err(Failure::unmet(message).with_findings(std::mem::take(findings)))
        }
    }
}

/// Takes back: once, to what was live before the first attempt.
pub(crate) fn undo(settings: &Program, receipts: &[Receipt], host: &dyn Host) -> Result<undo::Report, Failure> {
    let mut report = undo::Report::default();
    let Some(first) = receipts.first() else {
        report.findings.push(Finding::skip("the program was never started").named("undo"));
        return Ok(report);
    };
    let now = match &settings.current {
        Some(argv) => live(host, argv)?,
        None => None,
    };
    if let (Some(now), Some(previous)) = (&now, &first.previous)
        && now == previous
        && *now != first.version
    {
        report.findings.push(Finding::pass(format!("{previous} is live, as before the release")).named("undo"));
        return Ok(report);
    }
    let Some((program, arguments)) = first.undo.as_deref().and_then(<[String]>::split_first) else {
        return Err(Failure::settings(match (&settings.undo, &first.previous) {
            (Some(_), None) => {
                format!("{} cannot be taken back: nothing was live before it, and undo needs {PREVIOUS}", first.version)
            }
            _ => format!("{} cannot be taken back: the step has no `undo`", first.version),
        }));
    };
    let command = Command::new(program).args(arguments.iter().cloned());
    let exit = run_logged(host, &command)?;
    report.findings.push(Finding::pass(exit).named(command.program()));
    let to = first.previous.as_ref().map_or_else(String::new, |previous| format!(" to {previous}"));
    report.undone.push(format!("ran {} to go back from {}{to}", line(program, arguments), first.version));
    if let (Some(argv), Some(previous)) = (&settings.current, &first.previous) {
        back(host, argv, previous, &mut report)?;
    }
    Ok(report)
}

/// Whether what was live before is live again.
fn back(host: &dyn Host, argv: &Argv, previous: &str, report: &mut undo::Report) -> Result<(), Failure> {
    let now = live(host, argv)?;
    let shown = now.as_deref().unwrap_or("nothing");
    let finding = Finding::expect(now.as_deref() == Some(previous), format!("{shown} is live"));
    report.findings.push(finding.with_observed(shown).with_expected(previous).named("after undo"));
    if now.as_deref() == Some(previous) {
        return Ok(());
    }
    let message = format!("{shown} is live after undo, not {previous}");
    Err(Failure::unmet(message).with_findings(std::mem::take(&mut report.findings)))
}

fn receipt(settings: &Program, previous: Option<String>) -> Receipt {
    let undo = settings.undo.as_ref().and_then(|undo| substituted(undo, previous.as_deref()));
    Receipt { previous, version: settings.version.clone(), undo }
}

/// Program and arguments with the previous version put in; nothing where it is needed and there is none.
fn substituted(undo: &Argv, previous: Option<&str>) -> Option<Vec<String>> {
    let argument = |argument: &String| match previous {
        Some(previous) => Some(argument.replace(PREVIOUS, previous)),
        None => (!argument.contains(PREVIOUS)).then(|| argument.clone()),
    };
    std::iter::once(Some(undo.program.clone())).chain(undo.arguments.iter().map(argument)).collect()
}

fn summary(receipt: &Receipt) -> String {
    match (receipt.undo.as_deref().and_then(<[String]>::split_first), &receipt.previous) {
        (Some((program, arguments)), _) => line(program, arguments),
        (None, Some(previous)) => format!("take {} back by hand: {previous} was live before", receipt.version),
        (None, None) => format!("take {} back by hand", receipt.version),
    }
}

/// A command for people: arguments with anything but plain characters are quoted.
fn line(program: &str, arguments: &[String]) -> String {
    let quoted = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text.to_owned()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn command(argv: &Argv) -> Command {
    Command::new(&argv.program).args(argv.arguments.iter().cloned())
}

/// Runs a program to its end, with every line it writes in the log. The text says how it ended.
fn run_logged(host: &dyn Host, command: &Command) -> Result<String, Failure> {
    let (mut output, mut errors) = (Lines::default(), Lines::default());
    let say = |line: &str| log::write(log::Level::Info, line, &[("program", command.program())]);
    let exit = host.run(command, &mut |channel, data| match channel {
        Channel::Output => output.push(data, say),
        Channel::ErrorOutput => errors.push(data, say),
    });
    output.finish(say);
    errors.finish(say);
    let last = errors.last().or_else(|| output.last()).map(|last| format!(": {last}")).unwrap_or_default();
    match exit {
        Ok(exit @ Exit::Code(0)) => Ok(process::describe(&exit)),
        Ok(exit) => {
            let message = format!("{} {}{last}", command.program(), process::describe(&exit));
            // Whether to run it again is the pipeline's to say; nothing here speaks against it.
            Err(Failure::other(message).retryable(true))
        }
        Err(error) if error.kind == ErrorKind::TimedOut => {
            Err(Failure::timed_out(format!("{}: {error}{last}", command.program())))
        }
        Err(error) => Err(Failure::from(error).within(command.program())),
    }
}

/// What `current` prints: nothing, or one line that can stand in an argument.
fn live(host: &dyn Host, argv: &Argv) -> Result<Option<String>, Failure> {
    let command = command(argv);
    let (mut output, mut errors) = (Vec::new(), Lines::default());
    let exit = host.run(&command, &mut |channel, data| match channel {
        Channel::Output => output.extend(data.iter().take((MAX_CURRENT + 1).saturating_sub(output.len()))),
        Channel::ErrorOutput => errors.push(data, |_| {}),
    });
    errors.finish(|_| {});
    let exit = exit.map_err(|error| Failure::from(error).within("current"))?;
    if exit != Exit::Code(0) {
        let last = errors.last().map(|last| format!(": {last}")).unwrap_or_default();
        return Err(Failure::unavailable(format!(
            "cannot tell what is live: {} {}{last}",
            command.program(),
            process::describe(&exit)
        )));
    }
    parse_live(&output).map_err(|why| Failure::conflict(format!("cannot tell what is live: {} {why}", argv.program)))
}

fn parse_live(output: &[u8]) -> Result<Option<String>, String> {
    if output.len() > MAX_CURRENT {
        return Err(format!("printed more than {MAX_CURRENT} bytes"));
    }
    let text = std::str::from_utf8(output).map_err(|_| "did not print UTF-8".to_owned())?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.lines().count() > 1 {
        return Err(format!("printed {} lines, not one", text.lines().count()));
    }
    if text.chars().any(char::is_control) {
        return Err("printed control characters".to_owned());
    }
    if text.starts_with('-') {
        return Err(format!("printed {text:?}, which would be an option of undo"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests;
