//! A file that a command was told to write: whole or not at all, and never one of pipe's own.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use crate::{exit::Exit, failure::Failure};

/// Writes `path` through `write`. What was there stays as it was until all is written.
///
/// # Errors
///
/// `path` is or lies in one of `own`, or cannot be written.
pub(crate) fn write(
    path: &Path,
    own: &[&Path],
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(Exit::Internal, format!("cannot write {}: {error}", path.display()));
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(own) = own.iter().find(|own| real(path).starts_with(real(own))) {
        let message = format!("{} belongs to {}, which is not written over", path.display(), own.display());
        return Err(Failure::new(Exit::Usage, message).hint("name another file"));
    }
    if path.exists() && !path.is_file() {
        // A pipe or a terminal: there is nothing to keep.
        let mut stream = BufWriter::new(File::options().write(true).open(path).map_err(cannot)?);
        write(&mut stream)?;
        return stream.flush().map_err(cannot);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    write(&mut writer)?;
    writer.flush().map_err(cannot)?;
    drop(writer);
    file.as_file().sync_all().map_err(cannot)?;
    file.persist(path).map_err(|error| cannot(error.error))?;
    Ok(())
}
