//! What one rule of the grant leads to: a directory, a single file, or nothing yet.

use std::{fs::File, io, path::PathBuf};

use pipe_capability::path::PathRule;
use pipe_effects::path::Pinned;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::{Descriptor, Dir},
    p2::{FsError, FsResult, bindings::filesystem::types::ErrorCode},
};

use super::Access;

/// The way to what a rule names.
#[derive(Clone)]
pub(super) enum Way {
    /// It is a directory: this one.
    Directory(Dir),
    /// It is a file, or nothing is there: this directory holds its name.
    Name(Dir),
}

/// A rule of the grant, opened for one call without following a link.
pub(super) struct Door {
    /// The name under which the guest sees it, where it is a directory.
    pub(super) guest: String,
    pub(super) host: PathBuf,
    /// Where it is read instead: a copy that the run made when it began.
    copy: Option<PathBuf>,
    pub(super) writable: bool,
    /// Nothing where not even the directory is there that would hold it.
    way: Option<Way>,
    /// Our own handle of the way. A guest holds none of it, so that it can neither drop nor list it.
    handle: Option<u32>,
}

impl Door {
    /// Opens what a rule names.
    ///
    /// # Errors
    ///
    /// It leads elsewhere than when the run began, or cannot be opened.
    pub(super) fn open(rule: &PathRule, writable: bool, copy: Option<PathBuf>) -> io::Result<Self> {
        let guest = rule.written.trim_end_matches('/').to_owned();
        let mut door = Self { guest, host: rule.resolved.clone(), copy, writable, way: None, handle: None };
        door.look()?;
        Ok(door)
    }

    fn look(&mut self) -> io::Result<()> {
        self.way = match Pinned::open(self.copy.as_ref().unwrap_or(&self.host)) {
            Ok(Pinned::Directory(directory)) => Some(Way::Directory(directory_of(directory, self.writable))),
            Ok(Pinned::Name { parent, .. }) => Some(Way::Name(directory_of(parent, self.writable))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.handle = None;
        Ok(())
    }

    /// The directory that it is, for a guest to begin in.
    pub(super) fn preopened(&self) -> Option<Descriptor> {
        match &self.way {
            Some(Way::Directory(directory)) => Some(Descriptor::Dir(directory.clone())),
            _ => None,
        }
    }

    /// The way to what the rule itself names.
    pub(super) fn way(&mut self) -> FsResult<Way> {
        if self.way.is_none() {
            self.look()?;
        }
        self.way.clone().ok_or_else(|| ErrorCode::NoEntry.into())
    }

    /// The directory that it must be where something in it is wanted. One that may be written and is missing is made: the
    /// rule grants it as much as a file of that name.
    pub(super) fn directory(&mut self, access: Access) -> FsResult<Way> {
        if let Some(Way::Directory(directory)) = &self.way {
            return Ok(Way::Directory(directory.clone()));
        }
        if access.changes() && self.writable {
            Pinned::made_directory(&self.host)?;
        }
        self.look()?;
        match &self.way {
            Some(Way::Directory(directory)) => Ok(Way::Directory(directory.clone())),
            Some(Way::Name(_)) if self.host.exists() => Err(ErrorCode::NotDirectory.into()),
            _ => Err(ErrorCode::NoEntry.into()),
        }
    }

    /// Our handle of a way that was just asked for.
    pub(super) fn handle(&mut self, way: &Way, table: &mut ResourceTable) -> FsResult<u32> {
        if let Some(handle) = self.handle {
            return Ok(handle);
        }
        let (Way::Directory(directory) | Way::Name(directory)) = way;
        let handle = table.push(Descriptor::Dir(directory.clone())).map_err(FsError::trap)?.rep();
        self.handle = Some(handle);
        Ok(handle)
    }
}

/// A directory as wasmtime knows it. What is done to its names is done at once, on the thread of the call: nothing is in
/// flight when the call is ended.
pub(super) fn directory_of(directory: File, writable: bool) -> Dir {
    let (perms, mode) = if writable {
        (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE)
    } else {
        (FsPerms::ReadOnly, OpenMode::READ)
    };
    Dir::new(directory, perms, mode, true)
}
