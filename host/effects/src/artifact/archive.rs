//! A directory as a tar archive.

use std::{
    ffi::OsString,
    fs::Metadata,
    io::{self, Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    vec,
};

use cap_std::fs::{Dir, FileTypeExt as _, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use nix::fcntl::OFlag;
use tar::{Builder, EntryType, Header};

use super::{problem, store::Content};
use crate::{
    blocking::effect_error,
    error::{EffectError, ErrorKind},
};

/// How deep directories may lie within each other. Each holds a descriptor open.
const DEEPEST: usize = 128;

/// How many entries one directory may have. Their names are sorted in memory.
const MOST_ENTRIES: usize = 1_000_000;

/// Size of a tar block, in bytes.
const BLOCK: u64 = 512;

/// The directory at `resolved`, reached from the `granted` one at `root` without leaving it.
pub(super) fn below(granted: Dir, root: &Path, resolved: &Path) -> io::Result<Dir> {
    match resolved.strip_prefix(root) {
        Ok(below) if below != Path::new("") => granted.open_dir(below),
        _ => Ok(granted),
    }
}

/// A directory on its own descriptor, not one behind a link.
pub(super) fn open_directory(parent: &Dir, name: impl AsRef<Path>) -> io::Result<Dir> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK).bits());
    parent.open_with(name, &options).map(|file| Dir::from_std_file(file.into_std()))
}

/// Writes everything in `directory`, which does not appear itself.
pub(super) fn write(directory: Dir, content: &mut Content<'_>, mut progress: impl FnMut(u64)) -> io::Result<()> {
    let mut builder = Builder::new(content);
    let mut open = vec![Level::new(directory, PathBuf::new())?];
    while let Some(level) = open.last_mut() {
        let Some(name) = level.names.next() else {
            open.pop();
            continue;
        };
        let path = level.path.join(&name);
        let deeper =
            entry(&mut builder, &level.directory, &name, &path, &mut progress).map_err(|error| at(&path, error))?;
        if let Some(directory) = deeper {
            if open.len() == DEEPEST {
                return Err(at(&path, problem(ErrorKind::Limit, format!("deeper than {DEEPEST} directories"))));
            }
            open.push(Level::new(directory, path.clone()).map_err(|error| at(&path, error))?);
        }
    }
    builder.into_inner().map(drop)
}

/// A directory that is being read, its names in order.
struct Level {
    directory: Dir,
    path: PathBuf,
    names: vec::IntoIter<OsString>,
}

impl Level {
    fn new(directory: Dir, path: PathBuf) -> io::Result<Self> {
        let mut names = Vec::new();
        for entry in directory.entries()? {
            if names.len() == MOST_ENTRIES {
                return Err(problem(ErrorKind::Limit, format!("more than {MOST_ENTRIES} entries")));
            }
            names.push(entry?.file_name());
        }
        names.sort_unstable_by(|a: &OsString, b| a.as_bytes().cmp(b.as_bytes()));
        Ok(Self { directory, path, names: names.into_iter() })
    }
}

/// Writes one entry. The directory, where it is one.
fn entry(
    builder: &mut Builder<&mut Content<'_>>,
    parent: &Dir,
    name: &OsString,
    path: &Path,
    progress: &mut impl FnMut(u64),
) -> io::Result<Option<Dir>> {
    let metadata = parent.symlink_metadata(name)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        let directory = open_directory(parent, name)?;
        let metadata = directory.dir_metadata()?;
        let mut header =
            header(EntryType::Directory, metadata.mode(), metadata.uid(), metadata.gid(), metadata.mtime(), 0);
        builder.append_data(&mut header, path, io::empty())?;
        return Ok(Some(directory));
    }
    if kind.is_symlink() {
        let target = parent.read_link_contents(name)?;
        let mut header = header(EntryType::Symlink, 0o777, metadata.uid(), metadata.gid(), metadata.mtime(), 0);
        builder.append_link(&mut header, path, target)?;
        return Ok(None);
    }
    if !kind.is_file() {
        let what = match () {
            () if kind.is_fifo() => "a FIFO",
            () if kind.is_socket() => "a socket",
            () if kind.is_block_device() || kind.is_char_device() => "a device",
            () => "no regular file",
        };
        return Err(problem(ErrorKind::Invalid, format!("is {what}, which an archive cannot hold")));
    }
    file(builder, parent, name, path, progress)?;
    Ok(None)
}

/// Writes a regular file with the size that it has when it is opened. A file that changes meanwhile is an error: what the
/// archive held of it would be neither the one nor the other.
fn file(
    builder: &mut Builder<&mut Content<'_>>,
    parent: &Dir,
    name: &OsString,
    path: &Path,
    progress: &mut impl FnMut(u64),
) -> io::Result<()> {
    let changed = || problem(ErrorKind::Failed, "changed while it was read");
    let mut options = OpenOptions::new();
    // What was put in its place meanwhile is neither followed nor waited for.
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let mut file = parent.open_with(name, &options)?.into_std();
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(changed());
    }
    let (mode, size) = (before.mode(), before.len());
    let mut header = header(EntryType::Regular, mode, before.uid(), before.gid(), before.mtime(), size);
    builder.append_data(&mut header, path, io::empty())?;
    let content = builder.get_mut();
    let start = content.bytes();
    content.take((&mut file).take(size), progress)?;
    let same = |after: &Metadata| {
        after.len() == size && after.mtime() == before.mtime() && after.mtime_nsec() == before.mtime_nsec()
    };
    if content.bytes() - start != size || !same(&file.metadata()?) {
        return Err(changed());
    }
    let padding = (BLOCK - size % BLOCK) % BLOCK;
    content.write_all(&[0; BLOCK as usize][..padding as usize])
}

fn header(kind: EntryType, mode: u32, owner: u32, group: u32, modified: i64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_uid(owner.into());
    header.set_gid(group.into());
    header.set_mtime(modified.try_into().unwrap_or(0));
    header.set_size(size);
    header
}

/// Names the file in the error.
fn at(path: &Path, error: io::Error) -> io::Error {
    let error = effect_error(error, "cannot be read");
    let message = format!("{} {}", path.display().to_string().escape_debug(), error.message);
    io::Error::other(EffectError { message, ..error })
}
