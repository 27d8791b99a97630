//! Files and links, written so that they outlast a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use pipe_sdk::{Failure, files};

/// Bytes that are copied at once.
const CHUNK: usize = 256 << 10;

/// The failure of working with a path.
pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| files::explain(&path.to_string_lossy(), &error)
}

/// Writes a new file to the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(path))
}

/// Writes a file under another name first, so that there is always a whole one.
pub(crate) fn replace(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), Failure> {
    remove(temporary)?;
    write(temporary, bytes)?;
    fs::rename(temporary, path).map_err(failed(path))
}

/// Copies the bytes of a file to the disk. Permission bits stay behind: a WASI guest can neither read nor set them.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut source = File::open(from).map_err(failed(from))?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to).map_err(failed(to))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match source.read(&mut chunk).map_err(failed(from))? {
            0 => return target.sync_all().map_err(failed(to)),
            count => target.write_all(&chunk[..count]).map_err(failed(to))?,
        }
    }
}

/// Puts the names in a directory on the disk. Best effort: not every host lets a guest open a directory as a file, and
/// the order of the renames is kept without it.
pub(crate) fn sync_names(directory: &Path) {
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
}

/// Makes a directory unless it is there, whose parent is: the host is asked whether its content may be changed, and
/// refuses here what it would refuse later.
pub(crate) fn make_writable(directory: &Path) -> Result<(), Failure> {
    match fs::create_dir(directory) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
            Err(files::explain_write(&directory.to_string_lossy(), &error))
        }
        _ => Ok(()),
    }
}

/// Makes a symbolic link.
pub(crate) fn link(target: &str, path: &Path) -> Result<(), Failure> {
    // The only call of stable `std` that makes one under WASI.
    #[expect(deprecated, reason = "on Unix and WASI it makes a symbolic link")]
    fs::soft_link(target, path).map_err(failed(path))
}

/// Where a symbolic link points; nothing where there is no such name; a failure where it is something else.
pub(crate) fn read_link(path: &Path) -> Result<Option<String>, Failure> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
        Ok(metadata) if !metadata.file_type().is_symlink() => {
            Err(Failure::conflict(format!("{} is not a symbolic link", path.display())))
        }
        Ok(_) => {
            let target = fs::read_link(path).map_err(|error| match error.kind() {
                // WASI does not show a guest where a link points that leaves its directory.
                io::ErrorKind::PermissionDenied => {
                    Failure::conflict(format!("{} points out of the destination", path.display()))
                }
                _ => failed(path)(error),
            })?;
            let target = target.into_os_string().into_string();
            target.map(Some).map_err(|_| Failure::conflict(format!("{} points to a name not in UTF-8", path.display())))
        }
    }
}

/// Removes a file or link, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Removes a directory with everything in it, if it is there. Links in it are removed and not followed.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Whether there is anything under a name, a dangling link too.
pub(crate) fn exists(path: &Path) -> Result<bool, Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path)(error)),
    }
}
