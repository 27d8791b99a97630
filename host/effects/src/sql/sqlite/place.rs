//! Where the file of a SQLite peer lies, and whether it may be opened at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::super::{Access, work::Failure};
use crate::error::{EffectError, ErrorKind};

/// What SQLite puts beside its file.
const SIDECARS: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// A file that may be opened.
#[derive(Debug)]
pub(super) struct Place {
    /// Without links in it.
    pub(super) file: PathBuf,
}

impl Place {
    /// Follows the links in `path`. The file must exist, unless it may be written.
    pub(super) fn find(path: &str, access: Access, protected: &[PathBuf]) -> Result<Self, Failure> {
        let path = Path::new(path);
        let unavailable =
            |what: String| EffectError::new(ErrorKind::Unavailable, format!("{}: {what}", path.display()));
        if !path.is_absolute() || path.file_name().is_none() {
            let what = format!("`{}` is not the absolute path of a file", path.display());
            return Err(EffectError::new(ErrorKind::Invalid, what).with_hint("as in `sqlite:/srv/app/data.db`").into());
        }
        let file = match path.canonicalize() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && access == Access::Write && !path.is_symlink() => {
                new_file(path).map_err(|error| unavailable(format!("its directory cannot be used: {error}")))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(unavailable("there is no such file".to_owned()).into());
            }
            Err(error) => return Err(unavailable(error.to_string()).into()),
        };
        if file.exists() && !file.is_file() {
            return Err(unavailable("it is not a file".to_owned()).into());
        }
        let is_own = |sidecar: &&str| -> bool {
            let mut name = file.clone().into_os_string();
            name.push(sidecar);
            let touched = PathBuf::from(name);
            protected.iter().any(|own| touched.starts_with(own) || own.starts_with(&touched))
        };
        if SIDECARS.iter().any(is_own) {
            let reason = format!("{} belongs to pipe itself", file.display());
            return Err(Failure::Refused { reason, code: None });
        }
        Ok(Self { file })
    }

    /// Refuses a place that is not the `pinned` one: somebody has put a link there since the run began.
    pub(super) fn still(self, pinned: Option<&Path>) -> Result<Self, Failure> {
        match pinned {
            Some(pinned) if pinned != self.file => {
                let reason = format!("{} leads elsewhere than when the run began", pinned.display());
                Err(Failure::Refused { reason, code: None })
            }
            _ => Ok(self),
        }
    }
}

/// The path of a file that does not exist, in a directory that does.
fn new_file(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok(directory.canonicalize()?.join(name)),
        _ => Err(io::Error::other("it has none")),
    }
}
