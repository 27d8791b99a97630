//! Everything that is known of a program before it starts.

use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use pipe_capability::exec::ExecRule;
use tempfile::TempDir;

use super::{
    Command,
    environment::{Environment, environment, search_path},
    program,
};
use crate::{
    confine::protocol::Specification,
    error::{EffectError, ErrorKind},
    path::resolve,
    session::Session,
};

/// Everything that is known before the start.
pub(super) struct Prepared {
    /// What the supervisor is told.
    pub(super) specification: Specification,
    /// The program, where its content was checked.
    pub(super) pinned: Option<File>,
    /// Why the file is not the one that the rule pins.
    pub(super) refused: Option<String>,
    /// The environment.
    pub(super) variables: Vec<(String, OsString)>,
    /// Which secrets the program gets, for the record.
    pub(super) secrets: Vec<String>,
    /// Where it starts.
    pub(super) directory: PathBuf,
    /// Its home, and the place for its temporary files.
    pub(super) scratch: TempDir,
}

/// Finds the program and its surroundings, and puts the login of its peer into its own directory.
pub(super) fn prepare(session: &Session, rule: ExecRule, command: &Command) -> io::Result<Prepared> {
    let world = &session.world;
    let path = program::find(&command.program, &search_path(&rule)).map_err(io::Error::other)?;
    let directory = rule.cwd.as_ref().map_or_else(|| world.base.clone(), |cwd| resolve(&world.base, cwd));
    // The grant's own path has no links. If there is one now, somebody has put it there since.
    if rule.cwd.as_ref().is_some_and(|cwd| cwd.starts_with('/') && directory.as_path() != Path::new(cwd)) {
        let message = format!("the working directory of {} leads elsewhere than when the run began", command.program);
        return Err(io::Error::other(EffectError::new(ErrorKind::Denied, message)));
    }
    if !directory.is_dir() {
        let message = format!("the working directory {} is not there", rule.cwd.as_deref().unwrap_or("."));
        return Err(io::Error::other(EffectError::new(ErrorKind::Unavailable, message)));
    }
    let (mut pinned, mut refused) = (None, None);
    if let Some(expected) = rule.sha256 {
        let content = program::pin(&path)?;
        if content.script {
            refused = Some(format!("{} is a script, and its sha256 says nothing about what it starts", path.display()));
        } else if content.digest != expected {
            refused = Some(format!("the sha256 of {} is {}, the rule says {expected}", path.display(), content.digest));
        }
        pinned = Some(content.file);
    }
    // Below the state directory, which no grant can read: it holds the login of the program's peer.
    let scratch = tempfile::Builder::new()
        .prefix(".pipe-")
        .rand_bytes(12)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(world.artifacts.parent().unwrap_or(&world.artifacts))?;
    let Environment { variables, secrets } =
        environment(&rule, world, &session.step.to_string(), scratch.path()).map_err(io::Error::other)?;
    let specification = Specification {
        program: path.into(),
        pinned: pinned.is_some(),
        name: command.program.clone(),
        arguments: command.arguments.clone(),
        scratch: scratch.path().into(),
    };
    Ok(Prepared {
        specification,
        pinned,
        refused,
        variables: variables.into_iter().collect(),
        secrets,
        directory,
        scratch,
    })
}
