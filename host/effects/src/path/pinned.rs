//! What a rule leads to, opened without following a single link.
//!
//! A grant's paths are canonical since the run began. Whoever may write a directory on the way could put a link there
//! meanwhile, for another step's grant to lead elsewhere: so no link is followed any more.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::fd::AsFd,
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat},
};

/// What a canonical path leads to.
#[derive(Debug)]
pub enum Pinned {
    /// A directory, open for reading.
    Directory(File),
    /// One name, whatever is there, if anything is: never a link or a directory when it was looked at.
    Name {
        /// The directory that holds it. Good for looking up the name, and for nothing else.
        parent: File,
        /// The name in it.
        name: OsString,
    },
}

/// How to reach a directory on the way.
const WAY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// How to open the directory itself.
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Pinned {
    /// Opens what is at `path`, which must be absolute and free of links.
    ///
    /// # Errors
    ///
    /// A link or something missing on the way, or a link at its end: somebody has put it there. A directory that cannot be
    /// read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let mut parent = File::open("/")?;
        let Some(mut name) = names.next() else { return Ok(Self::Directory(parent)) };
        for next in names {
            parent = at(&parent, name, WAY).map_err(moved)?;
            name = next;
        }
        match at(&parent, name, DIRECTORY) {
            Ok(directory) => Ok(Self::Directory(directory)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => match status(&parent, name) {
                Ok(status) if kind(&status) == SFlag::S_IFLNK => Err(moved(Errno::ELOOP)),
                Ok(_) | Err(Errno::ENOENT) => Ok(Self::Name { parent, name: name.to_owned() }),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the directory at `path`.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and where there is no directory.
    pub fn directory(path: &Path) -> io::Result<File> {
        match Self::open(path)? {
            Self::Directory(directory) => Ok(directory),
            Self::Name { parent, name } => {
                Err(status(&parent, &name).map_or_else(io::Error::from, |_| Errno::ENOTDIR.into()))
            }
        }
    }

    /// Opens the directory at `path`, and makes it where nothing is there, for this user alone.
    ///
    /// # Errors
    ///
    /// As [`Self::directory`], and where it cannot be made.
    pub fn made_directory(path: &Path) -> io::Result<File> {
        if let Self::Name { parent, name } = Self::open(path)? {
            match mkdirat(&parent, name.as_os_str(), Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::directory(path)
    }
}

fn at(directory: impl AsFd, name: &OsStr, flags: OFlag) -> Result<File, Errno> {
    openat(directory, name, flags, Mode::empty()).map(File::from)
}

/// What is at a name, links not followed.
fn status(directory: impl AsFd, name: &OsStr) -> Result<FileStat, Errno> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

/// What is in the way of a canonical path has been put there.
fn moved(error: Errno) -> io::Error {
    match error {
        Errno::ENOTDIR | Errno::ELOOP => {
            io::Error::new(io::ErrorKind::PermissionDenied, "it leads elsewhere than when the run began")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn no_link_is_followed() {
        let keep = tempfile::tempdir().unwrap();
        let base = keep.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("a/b")).unwrap();
        fs::write(base.join("a/b/file"), "x").unwrap();
        symlink("a", base.join("link")).unwrap();
        symlink("file", base.join("a/b/other")).unwrap();
        symlink("nowhere", base.join("a/b/dangling")).unwrap();

        assert!(matches!(Pinned::open(&base.join("a/b")), Ok(Pinned::Directory(_))));
        for name in ["file", "new"] {
            let pinned = Pinned::open(&base.join("a/b").join(name)).unwrap();
            assert!(matches!(&pinned, Pinned::Name { name: found, .. } if found == name), "{pinned:?}");
        }
        for path in ["link", "link/b", "link/b/file", "a/b/other", "a/b/dangling", "a/b/file/x"] {
            let error = Pinned::open(&base.join(path)).unwrap_err();
            assert_eq!(error.to_string(), "it leads elsewhere than when the run began", "{path}");
        }
        assert_eq!(Pinned::open(&base.join("none/b")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(matches!(Pinned::open(Path::new("/")), Ok(Pinned::Directory(_))));
    }

    #[test]
    fn a_directory_is_made_where_nothing_is() {
        let keep = tempfile::tempdir().unwrap();
        let base = keep.path().canonicalize().unwrap();
        fs::write(base.join("file"), "x").unwrap();
        assert_eq!(Pinned::directory(&base.join("new")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Pinned::made_directory(&base.join("new")).is_ok());
        assert!(Pinned::made_directory(&base.join("new")).is_ok());
        assert!(Pinned::directory(&base.join("new")).is_ok());
        assert_eq!(Pinned::made_directory(&base.join("file")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(Pinned::made_directory(&base.join("x/y")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
