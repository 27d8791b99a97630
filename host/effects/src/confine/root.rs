//! A root in which there is nothing but what the program may see.
//!
//! Made where a program may use sockets of UNIX: the kernel asks nobody whether a path may be connected to, so that the
//! sockets which were not granted must not be there at all.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, pivot_root},
};

use super::{
    files::{self, open_following},
    namespaces::NONE,
    protocol::{Reach, Specification},
};

/// Size of what holds nothing but names.
const SIZE: &str = "size=1m,mode=0755";

/// Moves this process into a root of its own, which shows what `specification` grants, what every program may read, and
/// where it starts.
pub(super) fn enter(specification: &Specification) -> io::Result<()> {
    let start = std::env::current_dir()?;
    let root = Root::new(specification.scratch.join("root"))?;
    let Reach { read, write, sockets, aliases, .. } = &specification.reach;
    // Names first: as long as nothing is shown, nothing that is made here lies anywhere else.
    for (name, path) in aliases {
        root.name(name, path)?;
    }
    let program = Path::new(&specification.program);
    let mut shown = Vec::new();
    let mut system: Vec<&Path> = vec![Path::new("/proc"), program];
    // As paths of their own lifetime, not of the program's.
    system.extend(files::readable_by_all().chain(files::devices()).map(|path: &'static Path| -> &Path { path }));
    for path in system {
        // What is not there is not missed.
        let (Ok(real), Ok(opened)) = (fs::canonicalize(path), open_following(path)) else { continue };
        if held(path) {
            continue;
        }
        if real != path && held(&real) {
            root.name(path, &real)?;
        } else {
            shown.push((path, opened.into()));
        }
    }
    for path in read.iter().chain(write).chain(sockets.iter().filter(|path| path.exists())) {
        shown.push((path, files::open(path)?));
    }
    // What holds others comes first.
    shown.sort_by_key(|&(path, _)| path);
    for (path, opened) in shown {
        root.show(path, &opened, MsFlags::MS_REC)?;
    }
    // The new root lies in there.
    root.show(&specification.scratch, &files::open(&specification.scratch)?, MsFlags::empty())?;
    if !root.at(&start).is_dir() {
        root.directory(&start)?;
    }
    root.enter()?;
    Ok(chdir(&start)?)
}

/// Whether a path lies within one that every program may read.
fn held(path: &Path) -> bool {
    files::readable_by_all().any(|holder| holder != path && path.starts_with(holder) && holder.exists())
}

/// A root that is being made.
struct Root(PathBuf);

impl Root {
    fn new(at: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&at)?;
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(SIZE))?;
        Ok(Self(at))
    }

    /// Where a path will be.
    fn at(&self, path: &Path) -> PathBuf {
        let names = path.components().filter(|component| matches!(component, Component::Normal(_)));
        self.0.join(names.collect::<PathBuf>())
    }

    fn directory(&self, path: &Path) -> io::Result<PathBuf> {
        let mut at = self.0.clone();
        for component in path.components().filter(|component| matches!(component, Component::Normal(_))) {
            at.push(component);
            match DirBuilder::new().mode(0o755).create(&at) {
                // A link would lead out of here.
                Err(_) if fs::symlink_metadata(&at).is_ok_and(|there| there.is_dir()) => {}
                made => made?,
            }
        }
        Ok(at)
    }

    /// Shows at `path` what `opened` is.
    fn show(&self, path: &Path, opened: &OwnedFd, how: MsFlags) -> io::Result<()> {
        let source = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        let at = if fs::metadata(&source)?.is_dir() { self.directory(path)? } else { self.file(path)? };
        Ok(mount(Some(&source), &at, NONE, MsFlags::MS_BIND | how, NONE)?)
    }

    fn file(&self, path: &Path) -> io::Result<PathBuf> {
        let at = match (path.parent(), path.file_name()) {
            (Some(holder), Some(name)) => self.directory(holder)?.join(name),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at) {
            // Within a directory that is shown it is there already.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(at),
        }
    }

    /// A link.
    fn name(&self, name: &Path, path: &Path) -> io::Result<()> {
        match (name.parent(), name.file_name()) {
            (Some(holder), Some(last)) => match symlink(path, self.directory(holder)?.join(last)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn enter(self) -> io::Result<()> {
        chdir(&self.0)?;
        // The old root lies on top of the new one until it is let go.
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        Ok(chdir("/")?)
    }
}
