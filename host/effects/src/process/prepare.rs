//! Everything that is known of a program before it starts.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use pipe_capability::{
    exec::{Bound, ExecLimits, ExecRule},
    path::PathRule,
};
use tempfile::TempDir;

use super::{
    Command,
    environment::{Environment, environment, search_path},
    program,
};
use crate::{
    confine::protocol::{Bounds, Reach, Specification},
    error::{EffectError, ErrorKind},
    path::resolve,
    session::Session,
    world::World,
};

/// Everything that is known before the start.
pub(super) struct Prepared {
    /// What the supervisor is told.
    pub(super) specification: Specification,
    /// The rule that it runs by.
    pub(super) rule: ExecRule,
    /// The content of the program, where it was checked.
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
///
/// `addresses` are those of the peer.
pub(super) fn prepare(
    session: &Session,
    rule: ExecRule,
    command: &Command,
    addresses: &[SocketAddr],
) -> io::Result<Prepared> {
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
        let content = program::pin(&path, || session.cancellation().is_cancelled())?;
        let of_programs = session.grant.exec.iter().flat_map(|rule| &rule.write);
        let real = resolve(&world.base, &path);
        if session.grant.write.iter().chain(of_programs).any(|rule| rule.covers(&real)) {
            // Between its reading and its start somebody could change it in its place.
            refused = Some(format!("the step may write {}, so its sha256 says nothing", path.display()));
        } else if content.script {
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
        environment(&rule, world, &session.step.to_string(), scratch.path(), addresses).map_err(io::Error::other)?;
    let specification = Specification {
        program: path.into(),
        pinned: pinned.is_some(),
        name: command.program.clone(),
        arguments: command.arguments.clone(),
        scratch: scratch.path().into(),
        reach: reach(&rule, world, &directory, addresses)?,
        bounds: bounds(&rule.limits),
        namespaces: None,
        unconfined: world.unconfined,
    };
    Ok(Prepared {
        specification,
        rule,
        pinned,
        refused,
        variables: variables.into_iter().collect(),
        secrets,
        directory,
        scratch,
    })
}

/// What the program may touch by its rule: what the rule names, the directory that it starts in where the rule names one, and
/// what the login of its peer takes.
fn reach(rule: &ExecRule, world: &World, directory: &Path, addresses: &[SocketAddr]) -> io::Result<Reach> {
    let resolved = |rules: &[PathRule]| rules.iter().map(|rule| rule.resolved.clone()).collect::<Vec<_>>();
    let mut read = resolved(&rule.read);
    read.extend(rule.cwd.as_ref().map(|_| directory.to_owned()));
    let ca = rule.peer.as_ref().and_then(|peer| world.peers.get(peer)?.ca.as_ref());
    read.extend(ca.map(fs::canonicalize).transpose()?);
    let mut ports: Vec<u16> = rule.ports.iter().copied().chain(addresses.iter().map(SocketAddr::port)).collect();
    ports.sort_unstable();
    ports.dedup();
    let named = rule.read.iter().chain(&rule.write).chain(&rule.sockets);
    let aliases = named.map(|rule| (world.base.join(&rule.written), rule.resolved.clone()));
    Ok(Reach {
        read,
        write: resolved(&rule.write),
        sockets: resolved(&rule.sockets),
        aliases: aliases.filter(|(name, path)| name != path).collect(),
        ports,
    })
}

/// What the program may use up by its rule, or by default.
fn bounds(limits: &ExecLimits) -> Bounds {
    // All but one have a default.
    let of = |bound| limits.of(bound).unwrap_or(u64::MAX);
    Bounds {
        memory: of(Bound::Memory),
        processes: of(Bound::Processes),
        scratch: of(Bound::Scratch),
        file_size: of(Bound::FileSize),
        open_files: of(Bound::OpenFiles),
        cpu: limits.of(Bound::Cpu),
    }
}
