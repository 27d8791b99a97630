//! Opening a file for a guest: below a directory or by one name, never waiting, and nothing but files and directories.

use std::{fs::File, io, os::unix::fs::MetadataExt as _, path::PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

use crate::path::is_one_of;

/// Never waits for the other end of a FIFO, and never takes a terminal for its own.
const ALWAYS: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Where to open.
#[derive(Clone, Copy, Debug)]
pub enum Place<'p> {
    /// Below a directory, links followed as long as they stay there.
    Below(&'p File, &'p str),
    /// By one name in a directory: what lies there itself and never what it leads to.
    Name(&'p File, &'p str),
}

/// How to open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, as in `open`")]
pub struct How {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Made where nothing is there. Needs `write`.
    pub create: bool,
    /// Only if nothing was there. Needs `create`.
    pub exclusive: bool,
    /// Emptied. Needs `write`.
    pub truncate: bool,
    /// Only if it is a directory.
    pub directory: bool,
    /// Where a link at the end is followed. By one name it never is.
    pub follow: bool,
}

/// What was opened.
#[derive(Debug)]
pub enum Opened {
    /// A directory.
    Directory(File),
    /// A regular file.
    File(File),
}

/// Opens a file or a directory. For writing never what is in `protected` under another name.
///
/// What it is counts once it is open, so that nothing can be put in its place between a look and the opening; and a file is
/// emptied after that.
///
/// # Errors
///
/// What the system says; `EPERM` for a device, a FIFO, a socket or something protected; a path that leads out of the directory.
pub fn open(place: Place<'_>, how: How, protected: &[PathBuf]) -> io::Result<Opened> {
    let file = match place {
        Place::Below(directory, path) => below(directory, path, how)?,
        Place::Name(directory, name) => named(directory, name, how)?,
    };
    let found = file.metadata()?;
    if found.is_dir() {
        return Ok(Opened::Directory(file));
    }
    if !found.is_file() || (how.write && is_one_of(&found, protected)) {
        return Err(Errno::EPERM.into());
    }
    if how.truncate && found.size() > 0 {
        file.set_len(0)?;
    }
    Ok(Opened::File(file))
}

fn below(directory: &File, path: &str, how: How) -> io::Result<File> {
    let mut flags = ALWAYS;
    flags.set(OFlag::O_NOFOLLOW, !how.follow);
    flags.set(OFlag::O_DIRECTORY, how.directory);
    let mut options = OpenOptions::new();
    options.read(how.read).write(how.write).custom_flags(flags.bits());
    if how.exclusive {
        options.create_new(how.create);
    } else {
        options.create(how.create);
    }
    let directory = Dir::from_std_file(directory.try_clone()?);
    Ok(directory.open_with(path, &options)?.into_std())
}

fn named(directory: &File, name: &str, how: How) -> io::Result<File> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(Errno::EPERM.into());
    }
    let mut flags = ALWAYS | OFlag::O_NOFOLLOW;
    flags |= match (how.read, how.write) {
        (true, true) => OFlag::O_RDWR,
        (false, true) => OFlag::O_WRONLY,
        (_, false) => OFlag::O_RDONLY,
    };
    flags.set(OFlag::O_CREAT, how.create);
    flags.set(OFlag::O_EXCL, how.create && how.exclusive);
    flags.set(OFlag::O_DIRECTORY, how.directory);
    Ok(openat(directory, name, flags, Mode::from_bits_truncate(0o666))?.into())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    use super::*;

    const READ: How = How {
        read: true,
        write: false,
        create: false,
        exclusive: false,
        truncate: false,
        directory: false,
        follow: true,
    };
    const WRITE: How = How { write: true, read: false, create: true, truncate: true, ..READ };

    fn place() -> (tempfile::TempDir, PathBuf, File) {
        let keep = tempfile::tempdir().unwrap();
        let base = keep.path().canonicalize().unwrap();
        fs::create_dir(base.join("in")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(base.join("in/file"), "text").unwrap();
        symlink("file", base.join("in/link")).unwrap();
        symlink("../secret", base.join("in/out")).unwrap();
        nix::unistd::mkfifo(&base.join("in/fifo"), Mode::S_IRWXU).unwrap();
        let directory = File::open(base.join("in")).unwrap();
        (keep, base, directory)
    }

    fn text(opened: io::Result<Opened>) -> Result<String, io::ErrorKind> {
        match opened.map_err(|error| error.kind())? {
            Opened::Directory(_) => Ok("a directory".to_owned()),
            Opened::File(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                Ok(text)
            }
        }
    }

    #[test]
    fn links_stay_below_and_a_name_is_no_link() {
        let (_keep, _, directory) = place();
        let below = |path, how| text(open(Place::Below(&directory, path), how, &[]));
        assert_eq!(below("link", READ).as_deref(), Ok("text"));
        assert_eq!(below(".", READ).as_deref(), Ok("a directory"));
        for path in ["out", "../secret", "/etc/hostname", ".."] {
            assert!(below(path, READ).is_err(), "{path}");
        }
        assert!(below("link", How { follow: false, ..READ }).is_err());
        let named = |name, how| text(open(Place::Name(&directory, name), how, &[]));
        assert_eq!(named("file", READ).as_deref(), Ok("text"));
        for name in ["link", "out", "..", ".", "", "../in/file", "/etc/hostname", "none"] {
            assert!(named(name, READ).is_err(), "{name}");
        }
    }

    #[test]
    fn nothing_is_waited_for_and_nothing_special_is_opened() {
        let (_keep, _, directory) = place();
        for how in [READ, WRITE, How { read: true, ..WRITE }] {
            assert!(open(Place::Below(&directory, "fifo"), how, &[]).is_err());
            assert!(open(Place::Name(&directory, "fifo"), how, &[]).is_err());
        }
        let dev = File::open("/dev").unwrap();
        assert!(open(Place::Name(&dev, "null"), WRITE, &[]).is_err());
        assert!(open(Place::Below(&dev, "zero"), READ, &[]).is_err());
    }

    #[test]
    fn what_is_protected_is_not_emptied_under_another_name() {
        let (_keep, base, directory) = place();
        fs::hard_link(base.join("secret"), base.join("in/harmless")).unwrap();
        let protected = [base.join("secret")];
        for place in [Place::Below(&directory, "harmless"), Place::Name(&directory, "harmless")] {
            assert_eq!(open(place, WRITE, &protected).unwrap_err().raw_os_error(), Some(Errno::EPERM as i32));
        }
        assert_eq!(fs::read_to_string(base.join("secret")).unwrap(), "secret");
        assert!(open(Place::Name(&directory, "harmless"), READ, &protected).is_ok());
        assert!(open(Place::Name(&directory, "file"), WRITE, &protected).is_ok());
        assert_eq!(fs::read_to_string(base.join("in/file")).unwrap(), "");
        assert!(open(Place::Name(&directory, "file"), How { exclusive: true, ..WRITE }, &protected).is_err());
        assert!(open(Place::Name(&directory, "new"), How { exclusive: true, ..WRITE }, &protected).is_ok());
    }
}
