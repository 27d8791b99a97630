//! What a program has to itself in its view of the machine: a temporary folder that cannot fill up a disk, and its own
//! content, where that was checked.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{files, namespaces::NONE};

/// A file for every so many bytes of a folder.
const BYTES_A_FILE: u64 = 4096;

/// The least number of files that a folder can hold.
const FEWEST_FILES: u64 = 64;

/// What a file system needs beside the one file in it, in bytes.
const MARGIN: u64 = 64 * 1024;

/// Puts a file system in memory in the place of `folder`, which holds no more than `bytes`. What lies in the folder lies there
/// then, and nowhere else.
pub(super) fn bound(folder: &Path, bytes: u64) -> io::Result<()> {
    let below = files::open(folder)?;
    let below = PathBuf::from(format!("/proc/self/fd/{}", below.as_raw_fd()));
    let kept: Vec<(OsString, Vec<u8>)> = fs::read_dir(&below)?
        .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), fs::read(entry.path())?))))
        .collect::<io::Result<_>>()?;
    let files = (bytes / BYTES_A_FILE).max(FEWEST_FILES);
    in_memory(folder, &format!("size={bytes},nr_inodes={files},mode=0700"))?;
    let put = |(name, content): &(OsString, Vec<u8>)| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name));
        file?.write_all(content)
    };
    if let Err(error) = kept.iter().try_for_each(put) {
        umount2(folder, MntFlags::MNT_DETACH)?;
        return Err(error);
    }
    kept.iter().try_for_each(|(name, _)| fs::remove_file(below.join(name)))
}

fn in_memory(at: &Path, options: &str) -> io::Result<()> {
    Ok(mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))?)
}

/// The checked content of a program in the place of its file. Programs find what belongs to them by where they lie.
pub(super) struct Shown {
    at: PathBuf,
    device: u64,
    inode: u64,
}

impl Shown {
    /// Copies `content` to where nobody else reaches it, and shows it where `program` leads. Uses `folder` on the way.
    pub(super) fn new(program: &Path, content: &File, folder: &Path) -> io::Result<Self> {
        let at = fs::canonicalize(program)?;
        let bytes = content.metadata()?.len().saturating_add(MARGIN);
        in_memory(folder, &format!("size={bytes},mode=0755"))?;
        let shown = Self::copy(&at, content, &folder.join("program"));
        umount2(folder, MntFlags::MNT_DETACH)?;
        shown
    }

    fn copy(at: &Path, mut content: &File, to: &Path) -> io::Result<Self> {
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o555).open(to)?;
        io::copy(&mut content, &mut copy)?;
        let metadata = copy.metadata()?;
        // A file that is open for writing is not run.
        drop(copy);
        mount(Some(to), at, NONE, MsFlags::MS_BIND, NONE)?;
        Ok(Self { at: at.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// The program, once the view is complete. Nothing where its path has led elsewhere meanwhile.
    pub(super) fn open(self) -> Option<File> {
        let file = File::open(&self.at).ok()?;
        let metadata = file.metadata().ok()?;
        ((metadata.dev(), metadata.ino()) == (self.device, self.inode)).then_some(file)
    }
}
