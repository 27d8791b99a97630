//! `wasi:filesystem` over wasmtime's: the same files, but every path is asked for, recorded, and refused with a hint.
//!
//! wasmtime keeps a guest inside its directories. What it cannot do is say which line of the pipeline file would have
//! allowed a path: a path outside of every directory never reaches the host. So the guest also gets a directory `/`
//! that holds nothing, and every path that is looked up there is decided by its place on the host.

mod delegate;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::path::{PathRequest, PathRule};
use pipe_effects::{path::resolve, session::Session};
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::{
    FsPerms, WasiCtxBuilder,
    filesystem::{Descriptor, WasiFilesystemCtxView},
    p2::{
        FsError, FsResult,
        bindings::filesystem::types::{DescriptorType, ErrorCode, HostDescriptor as _, PathFlags},
    },
};

/// Paths of which each use is recorded by itself; beyond it only the first use of a granted directory is.
const MOST_PATHS: usize = 4_096;

/// What is wanted of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// Looking at it.
    Read,
    /// Changing, creating or removing it.
    Write,
}

/// Where an open directory of the guest lies.
#[derive(Clone, Debug)]
enum Place {
    /// In a granted directory; its own path on the host, as far as the guest has named it.
    Granted { host: PathBuf, writable: bool },
    /// The directory `/` that holds nothing.
    Nowhere,
}

/// A granted directory as the guest sees it.
struct Door {
    guest: String,
    host: PathBuf,
    writable: bool,
    /// Handle of its descriptor, once the guest has asked for its directories.
    handle: Option<u32>,
}

/// What a guest may see of the file system, and where its handles lie.
pub(crate) struct Fence {
    session: Arc<Session>,
    doors: Vec<Door>,
    places: HashMap<u32, Place>,
    recorded: HashSet<(Access, PathBuf)>,
}

/// Marks the fence as the data of `wasi:filesystem`.
pub(crate) struct Fenced;

impl HasData for Fenced {
    type Data<'a> = FenceView<'a>;
}

/// The fence and wasmtime's file system, for the time of one call.
pub(crate) struct FenceView<'a> {
    pub(crate) fence: &'a mut Fence,
    pub(crate) inner: WasiFilesystemCtxView<'a>,
}

impl Fence {
    /// A fence with a door for every granted directory. `nowhere` is a directory that holds nothing.
    pub(crate) fn new(session: Arc<Session>, builder: &mut WasiCtxBuilder, nowhere: &Path) -> wasmtime::Result<Self> {
        builder.preopened_dir(nowhere, "/", FsPerms::ReadOnly)?;
        let mut doors: Vec<Door> = Vec::new();
        let rules = session.grant.write.iter().map(|rule| (rule, true));
        for (rule, writable) in rules.chain(session.grant.read.iter().map(|rule| (rule, false))) {
            if doors.iter().any(|door| door.guest == rule.written) {
                continue;
            }
            let perms = if writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            builder.preopened_dir(&rule.resolved, &rule.written, perms)?;
            doors.push(Door { guest: rule.written.clone(), host: rule.resolved.clone(), writable, handle: None });
        }
        Ok(Self { session, doors, places: HashMap::new(), recorded: HashSet::new() })
    }
}

/// A descriptor and a path below it, both of which the grant covers.
struct Admitted {
    directory: u32,
    path: String,
    host: PathBuf,
}

impl FenceView<'_> {
    /// Decides whether the guest may do this to `path` below `directory`, and says where to do it. A path that leads to
    /// another granted directory is done there.
    async fn admit(&mut self, directory: &Resource<Descriptor>, path: &str, access: Access) -> FsResult<Admitted> {
        let handle = directory.rep();
        let wanted = match self.fence.places.get(&handle) {
            Some(Place::Granted { host, writable }) => {
                let wanted = host.join(path);
                let inside = stays_below(path);
                if inside && (*writable || access == Access::Read) {
                    let admitted = Admitted { directory: handle, path: path.to_owned(), host: wanted.clone() };
                    self.record(&wanted, access).await?;
                    return Ok(admitted);
                }
                wanted
            }
            Some(Place::Nowhere) => self.outside(path),
            None => return Err(ErrorCode::BadDescriptor.into()),
        };
        self.elsewhere(&wanted, access).await
    }

    /// A path outside of every door. The guest's libc has taken the leading `/` away: what exists decides whether the
    /// path was relative to the pipeline file.
    fn outside(&self, path: &str) -> PathBuf {
        let base = &self.fence.session.world.base;
        let (relative, absolute) = (base.join(path), Path::new("/").join(path));
        let first = path.split('/').next().unwrap_or_default();
        let is_absolute = !relative.exists()
            && (absolute.exists() || Path::new("/").join(first).is_dir() && !base.join(first).exists());
        if is_absolute { absolute } else { relative }
    }

    /// Decides a path by its place on the host: refused, or done through the door of the granted directory that holds it.
    async fn elsewhere(&mut self, wanted: &Path, access: Access) -> FsResult<Admitted> {
        let session = Arc::clone(&self.fence.session);
        let resolved = resolve(&session.world.base, wanted);
        let shown = shown(&session.world.base, &resolved);
        let request = PathRequest { shown: &shown, resolved: &resolved, directory: resolved.is_dir() };
        let decision = match access {
            Access::Read => session.grant.read(&request),
            Access::Write => session.grant.write(&request),
        };
        let rule: &PathRule = match decision {
            Ok(rule) => rule,
            Err(denial) => {
                session.refuse(denial).await;
                return Err(ErrorCode::NotPermitted.into());
            }
        };
        let door = self
            .fence
            .doors
            .iter()
            .find(|door| door.host == rule.resolved && (door.writable || access == Access::Read));
        let Some(directory) = door.and_then(|door| door.handle) else {
            return Err(ErrorCode::NotPermitted.into());
        };
        let below = resolved.strip_prefix(&rule.resolved).unwrap_or(&resolved);
        let path = if below.as_os_str().is_empty() { ".".to_owned() } else { below.to_string_lossy().into_owned() };
        self.record(&resolved, access).await?;
        Ok(Admitted { directory, path, host: resolved })
    }

    /// Writes a use down, once for each path and access.
    async fn record(&mut self, host: &Path, access: Access) -> FsResult<()> {
        let session = Arc::clone(&self.fence.session);
        let (word, rules) = match access {
            Access::Read => ("read", session.grant.read.iter().chain(&session.grant.write)),
            Access::Write => ("write", session.grant.write.iter().chain(&[])),
        };
        let rule = rules.into_iter().find(|rule| host.starts_with(&rule.resolved));
        let (subject, text) = rule.map_or((host, String::new()), |rule| {
            let subject = if self.fence.recorded.len() < MOST_PATHS { host } else { rule.resolved.as_path() };
            (subject, rule.to_string())
        });
        if self.fence.recorded.insert((access, subject.to_owned())) {
            let shown = shown(&session.world.base, subject);
            if session.used(word, shown, text, access == Access::Write).await.is_err() {
                return Err(ErrorCode::Io.into());
            }
        }
        Ok(())
    }

    /// Refuses what is neither file nor directory: opening a FIFO or a device could block the host for ever.
    async fn refuse_special(&mut self, admitted: &Admitted, follow: bool) -> FsResult<()> {
        let flags = if follow { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
        let directory = Resource::new_borrow(admitted.directory);
        let Ok(stat) = self.inner.stat_at(directory, flags, admitted.path.clone()).await else { return Ok(()) };
        match stat.type_ {
            DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink => Ok(()),
            _ => Err(ErrorCode::NotPermitted.into()),
        }
    }

    /// After wasmtime refused to leave a directory: where does the path lead, and is that granted?
    async fn after_escape(&mut self, admitted: &Admitted, access: Access, error: FsError) -> Result<Admitted, FsError> {
        let escaped = matches!(
            error.downcast_ref(),
            Some(ErrorCode::NotPermitted | ErrorCode::CrossDevice | ErrorCode::Access | ErrorCode::Loop)
        );
        let base = &self.fence.session.world.base;
        let target = resolve(base, &admitted.host);
        let inside = self
            .fence
            .doors
            .iter()
            .any(|door| door.handle == Some(admitted.directory) && target.starts_with(&door.host))
            || matches!(self.fence.places.get(&admitted.directory), Some(Place::Granted { host, .. }) if target.starts_with(host));
        if !escaped || inside {
            return Err(error);
        }
        self.elsewhere(&target, access).await
    }
}

/// Whether a relative path can only lead below where it starts, links aside.
fn stays_below(path: &str) -> bool {
    let mut depth = 0_i32;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return false;
        }
    }
    !path.starts_with('/')
}

/// A path as the operator would write it: relative to the pipeline file where it lies beside it.
fn shown(base: &Path, path: &Path) -> String {
    match path.strip_prefix(base) {
        Ok(below) if !below.as_os_str().is_empty() => below.to_string_lossy().into_owned(),
        _ => path.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_or_not() {
        for path in ["a", "a/b", "a/../b", "./a", ".", "a/./b/.."] {
            assert!(stays_below(path), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/a", "./.."] {
            assert!(!stays_below(path), "{path}");
        }
    }

    #[test]
    fn paths_are_shown_from_the_pipeline_file() {
        assert_eq!(shown(Path::new("/srv/app"), Path::new("/srv/app/db/x.sql")), "db/x.sql");
        assert_eq!(shown(Path::new("/srv/app"), Path::new("/etc/passwd")), "/etc/passwd");
        assert_eq!(shown(Path::new("/srv/app"), Path::new("/srv/app")), "/srv/app");
    }
}
