//! `wasi:filesystem` over wasmtime's: the same files, but every path is asked for, recorded, and refused with a hint.
//!
//! wasmtime keeps a guest inside its directories. What it cannot do is say which line of the pipeline file would have
//! allowed a path: a path outside of every directory never reaches the host. So the guest also gets a directory `/`
//! that holds nothing, and every path that is looked up there is decided by its place on the host.
//!
//! A guest sees the granted directories. A file that is granted by itself is reached through `/`: WASI knows no preopened
//! files, and the directory that holds it would show more than the one name.

mod delegate;
mod door;
mod stream;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::{denial::Denial, path::PathRequest, word::Word};
use pipe_effects::{
    path::{grantable, resolve, resolve_to_name},
    session::Session,
};
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemCtxView},
    p2::{
        FsResult,
        bindings::filesystem::types::{DescriptorType, ErrorCode, HostDescriptor as _, PathFlags},
    },
};

use self::door::{Door, Way};

/// Paths of which each use is recorded by itself; beyond it only the first use of a granted directory is.
const MOST_PATHS: usize = 4_096;

/// What is wanted of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// Looking at it.
    Read,
    /// Looking at a link instead of what it leads to: a grant of the link itself would lead there.
    Link,
    /// Changing what is in it, or creating it.
    Write,
    /// Making, removing, moving or linking the name: the business of the directory that holds it.
    Name,
}

impl Access {
    fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::Link)
    }
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// It is.
    Followed,
    /// The link itself is meant.
    Kept,
}

impl From<PathFlags> for Links {
    fn from(flags: PathFlags) -> Self {
        if flags.contains(PathFlags::SYMLINK_FOLLOW) { Self::Followed } else { Self::Kept }
    }
}

/// Where an open directory of the guest lies.
#[derive(Clone, Debug)]
enum Place {
    /// In a granted directory; its own path on the host when it was opened.
    Granted { host: PathBuf, writable: bool },
    /// The directory `/` that holds nothing.
    Nowhere,
}

/// What a guest may see of the file system, and where its handles lie.
pub(crate) struct Fence {
    session: Arc<Session>,
    doors: Vec<Door>,
    /// The directory that holds nothing.
    nowhere: PathBuf,
    places: HashMap<u32, Place>,
    recorded: HashSet<(bool, PathBuf)>,
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
    /// A fence with a door for everything that is granted. `nowhere` is a directory that holds nothing.
    ///
    /// # Errors
    ///
    /// What is granted leads elsewhere than when the run began, or cannot be opened. The text names the rule.
    pub(crate) fn new(session: Arc<Session>, nowhere: &Path) -> Result<Self, String> {
        let mut doors: Vec<Door> = Vec::new();
        let rules = session.grant.write.iter().map(|rule| (rule, true));
        for (rule, writable) in rules.chain(session.grant.read.iter().map(|rule| (rule, false))) {
            if !doors.iter().any(|door| door.host == rule.resolved) {
                let copy = session.world.copies.get(&rule.resolved).filter(|_| !writable).cloned();
                let door = Door::open(rule, writable, copy).map_err(|error| format!("`{rule}`: {error}"))?;
                doors.push(door);
            }
        }
        let nowhere = nowhere.to_owned();
        Ok(Self { session, doors, nowhere, places: HashMap::new(), recorded: HashSet::new() })
    }
}

/// A directory and a path below it, both of which the grant covers.
struct Admitted {
    directory: u32,
    path: String,
    /// Where it leads, without links.
    host: PathBuf,
    /// Whether the path is one name that is granted by itself: no link of that name is followed.
    single: bool,
    writable: bool,
}

impl Admitted {
    fn directory(&self) -> Resource<Descriptor> {
        Resource::new_borrow(self.directory)
    }

    /// As the guest wants it, but for a name by itself.
    fn flags(&self, wanted: PathFlags) -> PathFlags {
        if self.single { PathFlags::empty() } else { wanted }
    }
}

impl FenceView<'_> {
    /// Decides whether the guest may do this to `path` below `directory`, and says where to do it: below the directory
    /// itself, or through the door of the rule that covers where the path leads.
    async fn admit(
        &mut self,
        directory: &Resource<Descriptor>,
        path: &str,
        access: Access,
        links: Links,
    ) -> FsResult<Admitted> {
        let session = Arc::clone(&self.fence.session);
        let handle = directory.rep();
        let place = self.fence.places.get(&handle).cloned().ok_or(ErrorCode::BadDescriptor)?;
        let wanted = match &place {
            Place::Granted { .. } if path.starts_with('/') => PathBuf::from(path),
            Place::Granted { host, .. } => host.join(path),
            Place::Nowhere => self.outside(path),
        };
        let resolved = match links {
            Links::Followed => resolve(&session.world.base, wanted),
            Links::Kept => resolve_to_name(&session.world.base, wanted),
        };
        let looks_at_link = access == Access::Read && links == Links::Kept && resolved.is_symlink();
        let access = if looks_at_link { Access::Link } else { access };
        self.decide(&resolved, access).await?;
        let (directory, writable, below, single) = match &place {
            Place::Granted { host, writable } if *writable || !access.changes() => match resolved.strip_prefix(host) {
                Ok(below) => (handle, *writable, below, false),
                Err(_) => self.door(&resolved, access)?,
            },
            _ => self.door(&resolved, access)?,
        };
        let below = below.to_str().ok_or(ErrorCode::IllegalByteSequence)?;
        // What ends in `/` must be a directory.
        let end = if path.ends_with('/') && !below.is_empty() && !single { "/" } else { "" };
        let path = if below.is_empty() { ".".to_owned() } else { format!("{below}{end}") };
        Ok(Admitted { directory, path, host: resolved.clone(), single, writable })
    }

    /// A path outside of every door. The guest's libc has taken the leading `/` away: what is granted, and then what exists,
    /// decides whether the path was relative to the pipeline file.
    fn outside(&self, path: &str) -> PathBuf {
        let base = &self.fence.session.world.base;
        let (relative, absolute) = (base.join(path), Path::new("/").join(path));
        let first = path.split('/').next().unwrap_or_default();
        let grant = &self.fence.session.grant;
        let granted = |path: &Path| grant.read.iter().chain(&grant.write).any(|rule| rule.covers(path));
        let is_absolute = !relative.exists()
            && (granted(&absolute) || !granted(&relative))
            && (absolute.exists() || Path::new("/").join(first).is_dir() && !base.join(first).exists());
        if is_absolute { absolute } else { relative }
    }

    /// Asks the grant, and writes the answer down: a refusal always, a use once for each path.
    async fn decide(&mut self, resolved: &Path, access: Access) -> FsResult<()> {
        let session = Arc::clone(&self.fence.session);
        let path = shown(&session.world.base, resolved);
        let request = PathRequest { shown: &path, resolved };
        let decision = match access {
            Access::Read => session.grant.read(&request),
            Access::Link => session.grant.read_link(&request),
            Access::Write => session.grant.write(&request),
            Access::Name => session.grant.write_name(&request),
        };
        let rule = match decision {
            Ok(rule) => rule,
            Err(denial) => {
                session.refuse(reachable(&session, denial, resolved, access)).await;
                return Err(ErrorCode::NotPermitted.into());
            }
        };
        // Whoever changes a name changes the directory that holds it.
        let holder = resolved.parent().filter(|_| access == Access::Name);
        for path in [Some(resolved), holder].into_iter().flatten() {
            let subject = if self.fence.recorded.len() < MOST_PATHS { path } else { rule.resolved.as_path() };
            if self.fence.recorded.insert((access.changes(), subject.to_owned())) {
                let word = if access.changes() { "write" } else { "read" };
                let subject = shown(&session.world.base, subject);
                if session.used(word, subject, rule.to_string(), access.changes()).await.is_err() {
                    return Err(ErrorCode::Io.into());
                }
            }
        }
        Ok(())
    }

    /// The door that a decided path goes through: its handle, what is left of the path, and whether that is a name by itself.
    fn door<'p>(&mut self, resolved: &'p Path, access: Access) -> FsResult<(u32, bool, &'p Path, bool)> {
        let fits = |door: &&mut Door| resolved.starts_with(&door.host) && (door.writable || !access.changes());
        let door = self.fence.doors.iter_mut().find(fits).ok_or(ErrorCode::NotPermitted)?;
        let itself = door.host == resolved;
        let way = if itself { door.way()? } else { door.directory(access)? };
        let handle = door.handle(&way, self.inner.table)?;
        let writable = door.writable;
        match way {
            Way::Directory(_) => Ok((handle, writable, resolved.strip_prefix(&door.host).unwrap_or(resolved), false)),
            Way::Name(_) => Ok((handle, writable, Path::new(resolved.file_name().unwrap_or_default()), true)),
        }
    }

    /// Refuses what is neither file nor directory: opening a FIFO or a device could block the host for ever.
    async fn refuse_special(&mut self, admitted: &Admitted, flags: PathFlags) -> FsResult<()> {
        let Ok(stat) = self.inner.stat_at(admitted.directory(), flags, admitted.path.clone()).await else {
            return Ok(());
        };
        match stat.type_ {
            DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink => Ok(()),
            _ => Err(ErrorCode::NotPermitted.into()),
        }
    }
}

/// The denial with a hint that can be pasted: a rule that names what is missing would be refused when the run begins.
fn reachable(session: &Session, denial: Denial, resolved: &Path, access: Access) -> Denial {
    let base = &session.world.base;
    let parent = resolved.parent().unwrap_or(resolved);
    let (word, wanted, named) = match access {
        Access::Read => (Word::Read, resolved, grantable::for_reading(resolved)),
        Access::Link => (Word::Read, parent, grantable::for_reading(parent)),
        Access::Write => (Word::Write, resolved, grantable::for_writing(resolved)),
        Access::Name => (Word::Write, parent, grantable::for_writing(parent)),
    };
    if named == wanted {
        return denial;
    }
    let path = if named == base { String::new() } else { shown(base, named) };
    let line = session.grant.path_line(word, &PathRequest { shown: &path, resolved: named });
    denial.with_hint(line)
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
    fn paths_are_shown_from_the_pipeline_file() {
        assert_eq!(shown(Path::new("/srv/app"), Path::new("/srv/app/db/x.sql")), "db/x.sql");
        assert_eq!(shown(Path::new("/srv/app"), Path::new("/etc/passwd")), "/etc/passwd");
        assert_eq!(shown(Path::new("/srv/app"), Path::new("/srv/app")), "/srv/app");
    }
}
