//! The signers of a pipeline's roles, read once when a run is accepted: whoever is added to a file later has no say in this run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::Path,
};

use jiff::Timestamp;
use pipe_core::diagnostic::Diagnostic;
use pipe_pipeline::{Gate, Pipeline, RoleSpec};

use super::signers::{MAXIMUM_SIGNERS, Signers};

/// The text of the signers file of each role that a gate asks for.
pub(crate) type SignersFiles = BTreeMap<String, String>;

/// Reads the signers files of the roles that gates ask for.
///
/// # Errors
///
/// A file cannot be read or used, or a gate asks for more people than have its role: each at its place in the pipeline file.
pub(crate) fn read_signers(pipeline: &Pipeline, requesters: &[String]) -> Result<SignersFiles, Vec<Diagnostic>> {
    let asked: BTreeSet<&str> = pipeline.all_gates().map(|gate| gate.role.as_str()).collect();
    let (mut files, mut problems) = (SignersFiles::new(), Vec::new());
    for (name, role) in pipeline.roles.iter().filter(|(name, _)| asked.contains(name.as_str())) {
        match read(role) {
            Ok((text, signers)) => {
                let people = signers.who_can(Timestamp::now(), requesters).len();
                let gates = pipeline.all_gates().filter(|gate| gate.role == **name);
                problems.extend(gates.filter_map(|gate| too_few(pipeline, gate, people)));
                files.insert(name.clone(), text);
            }
            Err((why, hint)) => {
                let message = format!("the signers of the role `{name}`, {}: {why}", role.signers.display());
                let problem = Diagnostic::error("signers", message).at(&pipeline.file, role.span.clone(), "");
                problems.push(hint.into_iter().fold(problem, Diagnostic::hint));
            }
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// What is wrong with the signers of a pipeline. Nothing where all can be used.
#[must_use]
pub fn check_signers(pipeline: &Pipeline) -> Vec<Diagnostic> {
    read_signers(pipeline, &[]).err().unwrap_or_default()
}

fn too_few(pipeline: &Pipeline, gate: &Gate, people: usize) -> Option<Diagnostic> {
    if people >= gate.quorum as usize {
        return None;
    }
    let message =
        format!("the gate asks for {} people, and {people} of the role `{}` could approve", gate.quorum, gate.role);
    let hint = "whoever asks for the run does not count, nor do keys that are not valid now";
    Some(Diagnostic::error("signers", message).at(&pipeline.file, gate.span.clone(), "").hint(hint))
}

fn read(role: &RoleSpec) -> Result<(String, Signers), (String, Option<&'static str>)> {
    let bytes = bounded(&role.signers).map_err(|error| (error.to_string(), None))?;
    let text = String::from_utf8(bytes).map_err(|_| ("it is no text".to_owned(), None))?;
    let signers = Signers::read(&text).map_err(|error| (error.to_string(), error.hint))?;
    Ok((text, signers))
}

/// The file, up to one byte more than it may have.
fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    file.take(MAXIMUM_SIGNERS as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
